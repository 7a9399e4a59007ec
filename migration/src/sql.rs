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
