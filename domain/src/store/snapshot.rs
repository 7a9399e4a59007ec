//! Several reads of one moment.

use std::future::Future;

use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbBackend, TransactionTrait};
use tokio::sync::oneshot;

use super::Store;
use crate::error::{Error, Result};

/// What makes each transaction of a session of PostgreSQL a snapshot.
pub(super) const OF_ONE_MOMENT: [(&str, &str); 2] = [
    ("default_transaction_isolation", "repeatable read"),
    ("default_transaction_read_only", "on"),
];
/// What decides how it is read is what is asked: how far a span reaches, and for how many coworkers. A plan for any of it is
/// slower by more than it takes to make one. And where statistics are older than what was folded since, a table seems to be gone
/// through as fast as the index of the few rows of it that are asked for: every statement of a snapshot has such an index.
pub(super) const PLANNED_FOR_THIS: [(&str, &str); 2] = [
    ("plan_cache_mode", "force_custom_plan"),
    ("enable_seqscan", "off"),
];
/// Where statistics say that there are as many rows of one table as of another, they would be joined whole, or from the wrong end.
const JOINED_BY_KEYS: &str = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL join_collapse_limit = 1";

/// Has PostgreSQL plan each statement of a transaction for what it asks, as snapshots do.
///
/// # Errors
/// What the database said.
pub async fn plan_for_this(tx: &DatabaseTransaction) -> Result<()> {
    if tx.get_database_backend() != DbBackend::Sqlite {
        let set = PLANNED_FOR_THIS.map(|(name, value)| format!("SET LOCAL {name} = {value}"));
        tx.execute_unprepared(&set.join("; ")).await?;
    }
    Ok(())
}

/// Has PostgreSQL join tables in the order in which they are written, for the rest of a transaction, and look each row up by its key:
/// for statements whose first table has few rows, whatever the statistics say.
///
/// # Errors
/// What the database said.
pub async fn join_by_keys(tx: &DatabaseTransaction) -> Result<()> {
    if tx.get_database_backend() != DbBackend::Sqlite {
        tx.execute_unprepared(JOINED_BY_KEYS).await?;
    }
    Ok(())
}

/// Reads that must see one state of the database.
pub trait Snapshot: Send + Sync + 'static {
    /// What they find.
    type Output: Send + 'static;

    /// Reads; writes nothing.
    ///
    /// # Errors
    /// What the database said.
    fn read(&self, tx: &DatabaseTransaction) -> impl Future<Output = Result<Self::Output>> + Send;
}

impl Store {
    /// Reads in one transaction that sees one state of the database, whatever is written meanwhile.
    ///
    /// It is read to its end even if the caller goes away: a transaction that is dropped while it begins would
    /// spoil its connection.
    ///
    /// # Errors
    /// What was read said; [`Error::Unavailable`] if the database does not answer.
    pub async fn snapshot<S: Snapshot>(&self, snapshot: S) -> Result<S::Output> {
        let conn = self.inner.snapshots.clone();
        let (tell, told) = oneshot::channel();
        let reading = tokio::spawn(async move {
            let tx = match conn.begin().await {
                Ok(tx) => tx,
                Err(err) => return drop(tell.send(Err(err.into()))),
            };
            // SQLite's transactions are snapshots from their first read on; PostgreSQL's by how these sessions are set.
            drop(tell.send(snapshot.read(&tx).await));
            // Nothing was written, so nobody waits for the end of it, nor is told if it fails.
            drop(tx.commit().await);
        });
        match told.await {
            Ok(found) => found,
            // It panicked.
            Err(untold) => Err(match reading.await {
                Err(err) => Error::internal(err),
                Ok(()) => Error::internal(untold),
            }),
        }
    }
}
