//! A fresh database for each test, of either kind, migrated and empty.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result};
use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr};
use tempfile::TempDir;
use uuid::Uuid;

use crate::postgres::{self, Address};
use crate::process;

/// The two databases that Stint runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backend {
    /// A file, in the process.
    Sqlite,
    /// A server.
    Postgres,
}

/// A migrated, empty database of one test's own; removed with this value.
pub struct TestDb {
    backend: Backend,
    url: String,
    _home: Home,
}

enum Home {
    /// The folder of the file.
    Sqlite {
        _dir: TempDir,
    },
    Postgres {
        _dropped: PostgresDb,
    },
}

impl TestDb {
    /// Makes one: a file of its own, or a database on the shared PostgreSQL server.
    pub async fn new(backend: Backend) -> Self {
        let made = match backend {
            Backend::Sqlite => Self::sqlite().await,
            Backend::Postgres => {
                // Starting it blocks, for a second at most.
                let address = tokio::task::spawn_blocking(postgres::shared)
                    .await
                    .expect("PostgreSQL is there");
                Self::postgres(address).await
            }
        };
        made.unwrap_or_else(|error| panic!("no {backend:?} database: {error:#}"))
    }

    /// Makes one on a PostgreSQL server of the test's own, which it may kill.
    pub async fn on(address: &Address) -> Self {
        Self::postgres(address)
            .await
            .expect("a database on the given server")
    }

    async fn sqlite() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("stint-db-").tempdir()?;
        let url = format!(
            "sqlite://{}?mode=rwc",
            dir.path().join("stint.db").display()
        );
        let db = connect(&url).await?;
        Migrator::up(&db, None).await.context("migrating")?;
        db.close().await?;
        Ok(Self {
            backend: Backend::Sqlite,
            url,
            _home: Home::Sqlite { _dir: dir },
        })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "only has to differ from every other test's"
    )]
    async fn postgres(address: &Address) -> Result<Self> {
        let admin = connect(&address.url("postgres")).await?;
        let template = template(&admin, address).await?;
        let name = format!("test_{}", Uuid::now_v7().simple());
        admin
            .execute_unprepared(&format!("CREATE DATABASE {name} TEMPLATE {template}"))
            .await?;
        admin.close().await?;
        let dropped = PostgresDb {
            address: address.clone(),
            name,
        };
        let url = address.url(&dropped.name);
        Ok(Self {
            backend: Backend::Postgres,
            url,
            _home: Home::Postgres { _dropped: dropped },
        })
    }

    /// Of which kind it is.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// The URL for `--database-url` and for [`connect`].
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// Opens one connection, for a look that the API does not give.
///
/// # Errors
/// What the database said.
pub async fn connect(url: &str) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url);
    // The driver tries again while a server refuses: a test that expects that should not wait long.
    options
        .max_connections(1)
        .acquire_timeout(Duration::from_secs(10))
        .sqlx_logging(false);
    Database::connect(options).await
}

/// The migrated database that new ones are copied from, made when this build's is not there yet.
///
/// Its name is taken from this test program's file: whatever changes a migration makes a new program, so that a stale
/// template is never used.
async fn template(admin: &DatabaseConnection, address: &Address) -> Result<String> {
    let exe = std::env::current_exe()?;
    let file = exe.metadata()?;
    let mut hash = DefaultHasher::new();
    exe.hash(&mut hash);
    file.len().hash(&mut hash);
    file.modified()?.duration_since(UNIX_EPOCH)?.hash(&mut hash);
    let name = format!("template_{:016x}", hash.finish());

    let exists = format!("SELECT 1 FROM pg_database WHERE datname = '{name}'");
    if is_there(admin, &exists).await? {
        return Ok(name);
    }
    // Many processes come here at once when a run begins.
    let lock_path = process::shared_dir()?.join("template.lock");
    let _lock = tokio::task::spawn_blocking(move || {
        let lock = process::lock_file(&lock_path)?;
        lock.lock().map(|()| lock)
    })
    .await??;
    if is_there(admin, &exists).await? {
        return Ok(name);
    }
    let raw = format!("{name}_raw");
    admin
        .execute_unprepared(&format!("DROP DATABASE IF EXISTS {raw} WITH (FORCE)"))
        .await?;
    admin
        .execute_unprepared(&format!("CREATE DATABASE {raw}"))
        .await?;
    let db = connect(&address.url(&raw)).await?;
    Migrator::up(&db, None).await.context("migrating")?;
    db.close().await?;
    // Only now does it bear the name that others look for.
    admin
        .execute_unprepared(&format!("ALTER DATABASE {raw} RENAME TO {name}"))
        .await?;
    Ok(name)
}

async fn is_there(admin: &DatabaseConnection, query: &str) -> Result<bool, DbErr> {
    let statement = sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, query);
    Ok(admin.query_one_raw(statement).await?.is_some())
}

/// A database on a PostgreSQL server, dropped with this value.
struct PostgresDb {
    address: Address,
    name: String,
}

impl Drop for PostgresDb {
    fn drop(&mut self) {
        let (url, name) = (self.address.url("postgres"), self.name.clone());
        let drop_it = async move {
            let admin = connect(&url).await?;
            admin
                .execute_unprepared(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
                .await?;
            admin.close().await
        };
        // A runtime can't be entered from within another one, and a drop can't wait: so a thread of its own. A server
        // that is gone has taken the database with it.
        let dropped = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.map(|runtime| runtime.block_on(drop_it))
        });
        drop(dropped.join());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::Postgres;

    async fn tables(url: &str) -> Result<u64, DbErr> {
        let db = connect(url).await?;
        let (backend, query) = match db.get_database_backend() {
            sea_orm::DbBackend::Sqlite => (
                sea_orm::DbBackend::Sqlite,
                "SELECT name FROM sqlite_master WHERE type = 'table'",
            ),
            other => (
                other,
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
            ),
        };
        let rows = db
            .query_all_raw(sea_orm::Statement::from_string(backend, query))
            .await?;
        db.close().await?;
        Ok(rows.len() as u64)
    }

    #[tokio::test]
    async fn each_test_gets_a_migrated_database_of_its_own() {
        for backend in [Backend::Sqlite, Backend::Postgres] {
            let (one, other) = (TestDb::new(backend).await, TestDb::new(backend).await);
            assert_ne!(one.url(), other.url());
            assert!(tables(one.url()).await.unwrap() > 10, "{backend:?}");
            let url = one.url().to_owned();
            drop(one);
            assert!(
                connect(&url.replace("?mode=rwc", "")).await.is_err(),
                "{backend:?}: dropped"
            );
            assert!(
                tables(other.url()).await.is_ok(),
                "{backend:?}: not dropped"
            );
        }
    }

    #[tokio::test]
    async fn a_postgres_can_be_killed_frozen_and_started_again() {
        let postgres = Postgres::start();
        let db = TestDb::on(postgres.address()).await;
        let before = tables(db.url()).await.unwrap();

        postgres.freeze();
        let frozen = tokio::time::timeout(Duration::from_millis(200), tables(db.url())).await;
        assert!(frozen.is_err(), "a frozen server is silent");
        postgres.thaw();
        assert_eq!(tables(db.url()).await.unwrap(), before);

        for stop in [
            Postgres::kill,
            Postgres::stop_immediate,
            Postgres::stop_fast,
        ] {
            stop(&postgres);
            let port = postgres.address().port;
            assert!(
                std::net::TcpStream::connect(("127.0.0.1", port)).is_err(),
                "nobody is there"
            );
            postgres.restart();
            assert_eq!(tables(db.url()).await.unwrap(), before);
        }
    }
}
