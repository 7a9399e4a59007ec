//! Settings of a database that keep what was acknowledged; others are refused.

use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};

use super::open::unavailable;
use super::snapshot::OF_ONE_MOMENT;
use crate::error::{Error, Result};

async fn setting(conn: &DatabaseConnection, sql: &'static str) -> Result<String> {
    let row = conn
        .query_one_raw(Statement::from_string(conn.get_database_backend(), sql))
        .await?;
    let row = row.ok_or_else(|| Error::internal(format!("no answer to {sql}")))?;
    let text = row.try_get_by_index::<String>(0);
    Ok(match text {
        Ok(text) => text,
        Err(_) => row.try_get_by_index::<i64>(0)?.to_string(),
    })
}

pub(super) async fn check_sqlite(conn: &DatabaseConnection, url: &str) -> Result<()> {
    for (pragma, wanted, why) in [
        (
            "PRAGMA journal_mode",
            "wal",
            "its file system does not support write-ahead logging; put it on a local disk",
        ),
        (
            "PRAGMA synchronous",
            "2",
            "a power cut could lose acknowledged work",
        ),
        ("PRAGMA foreign_keys", "1", "rows could refer to nothing"),
    ] {
        let found = setting(conn, pragma)
            .await
            .map_err(|err| unavailable(url, err))?;
        if found != wanted {
            return Err(unavailable(
                url,
                format_args!("{pragma} is {found}, not {wanted}: {why}"),
            ));
        }
    }
    Ok(())
}

pub(super) async fn check_postgres(conn: &DatabaseConnection, url: &str) -> Result<()> {
    for (sql, allowed, why) in [
        (
            "SHOW fsync",
            &["on"][..],
            "a power cut could destroy the database",
        ),
        (
            "SHOW full_page_writes",
            &["on"],
            "a power cut could destroy the database",
        ),
        (
            "SHOW synchronous_commit",
            &["on", "remote_apply"],
            "work that was acknowledged could be lost; set it to on for this role and database",
        ),
        (
            "SHOW default_transaction_isolation",
            &["read committed"],
            "Stint's locking is made for read committed",
        ),
    ] {
        let found = setting(conn, sql)
            .await
            .map_err(|err| unavailable(url, err))?;
        if !allowed.contains(&found.as_str()) {
            return Err(unavailable(
                url,
                format_args!("{} is {found}, not {}: {why}", &sql[5..], allowed[0]),
            ));
        }
    }
    Ok(())
}

/// Whether the settings of the sessions for snapshots arrived: a pooler between Stint and PostgreSQL can be told to drop them.
pub(super) async fn check_snapshots(conn: &DatabaseConnection, url: &str) -> Result<()> {
    for (name, wanted) in OF_ONE_MOMENT {
        let row = Statement::from_string(
            conn.get_database_backend(),
            format!("SELECT current_setting('{name}') AS found"),
        );
        let row = conn.query_one_raw(row).await;
        let row = row.map_err(|err| unavailable(url, err))?;
        let found: String = row.map_or(Ok(String::new()), |row| row.try_get("", "found"))?;
        if found != wanted {
            return Err(unavailable(
                url,
                format_args!(
                    "{name} is {found} where Stint asked for {wanted}: figures would mix what was before and after a change; \
                     connect to PostgreSQL itself, or let the pooler pass the startup parameter `options` on"
                ),
            ));
        }
    }
    Ok(())
}
