//! Several reads of one moment.

use std::future::Future;

use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbBackend, TransactionTrait};
use tokio::sync::oneshot;

use super::Store;
use crate::error::{Error, Result};

/// What makes a transaction of PostgreSQL a snapshot.
const OF_ONE_MOMENT: &str = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// What decides how it is read is what is asked: how far a span reaches, and for how many coworkers. A plan for any of it is
/// slower by more than it takes to make one. And where statistics are older than what was folded since, a table seems to be gone
/// through as fast as the index of the few rows of it that are asked for: every statement of a snapshot has such an index.
const PLAN_FOR_THIS: &str =
    "SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL enable_seqscan = off";

/// Has PostgreSQL plan each statement of a transaction for what it asks, as snapshots do.
///
/// # Errors
/// What the database said.
pub async fn plan_for_this(tx: &DatabaseTransaction) -> Result<()> {
    if tx.get_database_backend() != DbBackend::Sqlite {
        tx.execute_unprepared(PLAN_FOR_THIS).await?;
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
        let conn = self.read().clone();
        let (tell, told) = oneshot::channel();
        let reading = tokio::spawn(async move {
            let tx = match conn.begin().await {
                Ok(tx) => tx,
                Err(err) => return drop(tell.send(Err(err.into()))),
            };
            let found = async {
                // SQLite's transactions are snapshots from their first read on.
                if tx.get_database_backend() != DbBackend::Sqlite {
                    // In one message.
                    let set = format!("{OF_ONE_MOMENT}; {PLAN_FOR_THIS}");
                    tx.execute_unprepared(&set).await?;
                }
                snapshot.read(&tx).await
            };
            drop(tell.send(found.await));
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
