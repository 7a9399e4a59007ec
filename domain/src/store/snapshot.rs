//! Several reads of one moment.

use std::future::Future;

use sea_orm::{
    AccessMode, DatabaseTransaction, DbBackend, IsolationLevel, TransactionOptions,
    TransactionTrait,
};

use super::Store;
use crate::error::{Error, Result};

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
        let reading = tokio::spawn(async move {
            // SQLite's transactions are snapshots from their first read on.
            let options = match conn.get_database_backend() {
                DbBackend::Sqlite => TransactionOptions::default(),
                _ => TransactionOptions {
                    isolation_level: Some(IsolationLevel::RepeatableRead),
                    access_mode: Some(AccessMode::ReadOnly),
                    ..Default::default()
                },
            };
            let tx = conn.begin_with_options(options).await?;
            let found = snapshot.read(&tx).await;
            tx.commit().await?;
            found
        });
        reading
            .await
            .unwrap_or_else(|err| Err(Error::internal(err)))
    }
}
