//! What SQLite's planner is told of the sizes of tables.
//!
//! SQLite keeps no statistics unless it is asked to gather some, and without any it plans for tables of a few rows: a
//! workspace, it then thinks, has ten runs, and to find twenty of them by their ids it goes through all of the workspace's.
//! Gathered ones would change the plans while a database grows. So it is told once, of every index, what holds in a large
//! installation: plans are the same from the first row to the ten-millionth, and in tests.

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, FromQueryResult, Statement, TransactionTrait,
};

use crate::error::Result;

/// Rows of any table, by which the columns of its indexes divide them.
const ROWS: u64 = 1_000_000;
/// Rows of an index that holds only some: what waits, what is under way, what is not folded yet.
const FEW: u64 = 1_000;

/// A column of an index.
#[derive(FromQueryResult)]
struct Column {
    table: String,
    index: String,
    is_unique: bool,
    is_partial: bool,
    is_last: bool,
    name: String,
    /// As it was declared.
    kind: String,
}

impl Column {
    /// How many values it has, where the columns before it are given.
    fn values(&self) -> u64 {
        match self.name.as_str() {
            // One workspace may be the whole installation.
            "workspace_id" => 1,
            "coworker_id" | "assignee_id" | "requester_id" | "endpoint_id" => 50,
            _ => match self.kind.as_str() {
                "BLOB" => 10_000,
                "BIGINT" | "INTEGER" => 100_000,
                _ => 4,
            },
        }
    }
}

/// Tells it where the schema has just `changed`, and where there is an index of which it was never told.
///
/// # Errors
/// What the database said.
pub(super) async fn tell(conn: &DatabaseConnection, changed: bool) -> Result<()> {
    if conn.get_database_backend() != DbBackend::Sqlite || !(changed || is_untold(conn).await?) {
        return Ok(());
    }
    let tx = conn.begin().await?;
    // Of its own schema nothing is gathered: it makes the table, and the second time reads it.
    tx.execute_unprepared("ANALYZE sqlite_schema").await?;
    tx.execute_unprepared("DELETE FROM sqlite_stat1").await?;
    for (table, index, numbers) in numbers(columns(&tx).await?) {
        let row = Statement::from_sql_and_values(
            DbBackend::Sqlite,
            "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)",
            [table.into(), index.into(), numbers.into()],
        );
        tx.execute_raw(row).await?;
    }
    tx.execute_unprepared("ANALYZE sqlite_schema").await?;
    Ok(tx.commit().await?)
}

/// Whether there is an index of which it was not told: in a database of an earlier release, or where a process died after
/// it had changed the schema.
async fn is_untold(conn: &DatabaseConnection) -> Result<bool> {
    let ask = async |sql: &str| {
        let statement = Statement::from_string(DbBackend::Sqlite, sql);
        conn.query_one_raw(statement).await
    };
    let there = ask("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'").await?;
    if there.is_none() {
        return Ok(true);
    }
    let untold = "SELECT 1 FROM sqlite_schema AS i WHERE i.type = 'index' \
         AND NOT EXISTS (SELECT 1 FROM sqlite_stat1 WHERE tbl = i.tbl_name AND idx = i.name)";
    Ok(ask(untold).await?.is_some())
}

/// The columns of all indexes, in their order.
async fn columns<C: ConnectionTrait>(conn: &C) -> Result<Vec<Column>> {
    let columns = "SELECT t.name AS \"table\", i.name AS \"index\", i.\"unique\" AS is_unique, i.partial AS is_partial, \
         c.seqno = MAX(c.seqno) OVER (PARTITION BY i.name) AS is_last, c.name, k.type AS kind \
         FROM sqlite_schema AS t, pragma_index_list(t.name) AS i, pragma_index_info(i.name) AS c, pragma_table_info(t.name) AS k \
         WHERE t.type = 'table' AND k.name = c.name ORDER BY t.name, i.name, c.seqno";
    let columns = Statement::from_string(DbBackend::Sqlite, columns);
    Ok(Column::find_by_statement(columns).all(conn).await?)
}

/// Of each index, how many rows it has, and how many have the same first column, the same first two, and so on.
fn numbers(columns: Vec<Column>) -> Vec<(String, String, String)> {
    let mut all: Vec<(String, String, String)> = Vec::new();
    let mut left = ROWS;
    for column in columns {
        if all
            .last()
            .is_none_or(|(_, index, _)| *index != column.index)
        {
            left = if column.is_partial { FEW } else { ROWS };
            all.push((column.table.clone(), column.index.clone(), left.to_string()));
        }
        left = match column.is_unique && column.is_last {
            true => 1,
            false => (left / column.values()).max(1),
        };
        if let Some((_, _, numbers)) = all.last_mut() {
            numbers.push_str(&format!(" {left}"));
        }
    }
    all
}
