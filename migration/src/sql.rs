//! One text of DDL for both databases.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// Runs `ddl`, statement by statement (separated by a line that holds `;` alone or ends with it).
///
/// The words `UUID` and `BYTES` become the backend's own types; lines that begin with `sqlite:` or
/// `postgres:` are for that backend only.
///
/// # Errors
/// What the database said of the first statement that failed.
pub(crate) async fn run(manager: &SchemaManager<'_>, ddl: &str) -> Result<(), DbErr> {
    let sqlite = manager.get_database_backend() == DbBackend::Sqlite;
    let mut statement = String::new();
    for line in ddl.lines() {
        let line = match (line.strip_prefix("sqlite:"), line.strip_prefix("postgres:")) {
            (Some(own), _) if sqlite => own,
            (_, Some(own)) if !sqlite => own,
            (None, None) => line,
            _ => continue,
        };
        let (uuid, bytes) = if sqlite {
            ("BLOB", "BLOB")
        } else {
            ("UUID", "BYTEA")
        };
        statement.push_str(&line.replace("UUID", uuid).replace("BYTES", bytes));
        statement.push('\n');
        if line.trim_end().ends_with(';') {
            manager
                .get_connection()
                .execute_unprepared(&statement)
                .await?;
            statement.clear();
        }
    }
    Ok(())
}

/// The `Migration` of a module: the DDL that makes it, in one or more texts, and the DDL that undoes it.
macro_rules! migration {
    (up: [$($up:expr),+ $(,)?], down: $down:expr $(,)?) => {
        #[derive(sea_orm_migration::prelude::DeriveMigrationName)]
        pub(crate) struct Migration;

        #[expect(
            elided_lifetimes_in_paths,
            reason = "the trait elides them, and a method must match it"
        )]
        #[sea_orm_migration::async_trait::async_trait]
        impl sea_orm_migration::MigrationTrait for Migration {
            // SQLite's migrations are not transactional unless asked.
            fn use_transaction(&self) -> Option<bool> {
                Some(true)
            }

            async fn up(
                &self,
                manager: &sea_orm_migration::SchemaManager,
            ) -> Result<(), sea_orm_migration::DbErr> {
                $($crate::sql::run(manager, $up).await?;)+
                Ok(())
            }

            async fn down(
                &self,
                manager: &sea_orm_migration::SchemaManager,
            ) -> Result<(), sea_orm_migration::DbErr> {
                $crate::sql::undo(manager, $down).await
            }
        }
    };
}
pub(crate) use migration;

/// Undoes a migration by `ddl`; none: it can't be undone.
///
/// # Errors
/// As [`run`], and a sentence where there is nothing to undo it with.
pub(crate) async fn undo(manager: &SchemaManager<'_>, ddl: Option<&str>) -> Result<(), DbErr> {
    match ddl {
        Some(ddl) => run(manager, ddl).await,
        None => Err(DbErr::Migration(
            "the first migration can't be undone: restore a backup, or start a new database".into(),
        )),
    }
}
