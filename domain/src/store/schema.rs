//! The schema of a database: known to this release, and brought up to date.

use std::time::Duration;

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};

use super::open::unavailable;
use super::statistics;
use crate::error::Result;

/// Has a transaction wait until no other node migrates, and then stay open however long that takes: an index of a large table is
/// not made within what other transactions are given.
const ALONE: &str = "SET LOCAL lock_timeout = '10min'; SET LOCAL idle_in_transaction_session_timeout = 0; \
    SELECT pg_advisory_xact_lock(7253801164)";

/// Checks that this release knows the schema, and applies what is missing.
pub(super) async fn prepare(
    conn: &DatabaseConnection,
    url: &str,
    migrate: bool,
) -> Result<Vec<String>> {
    let postgres = conn.get_database_backend() == DbBackend::Postgres;
    if postgres {
        // Of several nodes that start at once, one migrates and the others wait. The lock belongs
        // to the transaction, so that it can't outlive this process.
        use sea_orm::TransactionTrait;
        let tx = conn.begin().await?;
        tx.execute_unprepared(ALONE).await?;
        let applied = bring_up(conn, url, migrate).await;
        tx.commit().await?;
        return applied;
    }
    let applied = bring_up(conn, url, migrate).await?;
    statistics::tell(conn, !applied.is_empty()).await?;
    Ok(applied)
}

async fn bring_up(conn: &DatabaseConnection, url: &str, migrate: bool) -> Result<Vec<String>> {
    let known: Vec<String> = Migrator::migrations()
        .iter()
        .map(|m| m.name().to_string())
        .collect();
    let applied = applied(conn).await?;
    if let Some(unknown) = applied.iter().find(|name| !known.contains(name)) {
        return Err(unavailable(
            url,
            format_args!(
                "its schema is newer than this release of Stint (it has {unknown}); use that newer release"
            ),
        ));
    }
    let pending: Vec<String> = known
        .into_iter()
        .filter(|name| !applied.contains(name))
        .collect();
    if pending.is_empty() {
        return Ok(pending);
    }
    if !migrate {
        return Err(unavailable(
            url,
            "its schema is not up to date; run stint migrate",
        ));
    }
    if let Err(err) = Migrator::up(conn, None).await {
        return elsewhere(conn, &pending, err)
            .await
            .map_err(|err| unavailable(url, err));
    }
    Ok(pending)
}

/// Two commands that meet on a new embedded database both bring it up, and one of them fails. Gives
/// nothing if the other one does it within a moment, else the failure.
async fn elsewhere(
    conn: &DatabaseConnection,
    pending: &[String],
    err: sea_orm::DbErr,
) -> Result<Vec<String>, sea_orm::DbErr> {
    for _ in 0..100 {
        if let Ok(applied) = applied(conn).await
            && pending.iter().all(|name| applied.contains(name))
        {
            return Ok(Vec::new());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(err)
}

async fn applied(conn: &DatabaseConnection) -> Result<Vec<String>> {
    let backend = conn.get_database_backend();
    let exists = if backend == DbBackend::Sqlite {
        "SELECT COUNT(*) AS n FROM sqlite_master WHERE type = 'table' AND name = 'seaql_migrations'"
    } else {
        "SELECT COUNT(*) AS n FROM information_schema.tables WHERE table_name = 'seaql_migrations' AND table_schema = current_schema()"
    };
    let row = conn
        .query_one_raw(Statement::from_string(backend, exists))
        .await?;
    let n: i64 = row.map_or(Ok(0), |row| row.try_get("", "n"))?;
    if n == 0 {
        return Ok(Vec::new());
    }
    let rows = conn
        .query_all_raw(Statement::from_string(
            backend,
            "SELECT version FROM seaql_migrations",
        ))
        .await?;
    Ok(rows
        .iter()
        .map(|row| row.try_get("", "version"))
        .collect::<Result<_, _>>()?)
}
