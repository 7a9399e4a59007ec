//! What a command locks only while it runs, and what it may wait for.

use std::sync::atomic::Ordering;

use entity::WorkspaceId;
use sea_orm::sea_query::{LockBehavior, LockType};
use sea_orm::{DbBackend, EntityTrait, QuerySelect, Select};

use super::Tx;
use crate::error::{Error, Result};

impl Tx {
    /// Whether the command may wait for what somebody else holds: it is alone, or there is only one writer.
    pub(crate) fn may_wait(&self) -> bool {
        self.alone || self.backend() == DbBackend::Sqlite
    }

    /// Locks a row that was not fetched for the batch. Its commands hold locks of which this one knows nothing, so they wait
    /// for no others: two batches would wait for each other. A command that can't have what somebody else holds is taken out
    /// of the batch ([`Tx::missed`]); alone it waits, and keeps the order of locks by itself.
    ///
    /// # Errors
    /// What the database said; [`Error::Unavailable`] if somebody else holds the row.
    pub(crate) async fn lock_one<E: EntityTrait>(
        &self,
        row: Select<E>,
        lock: LockType,
    ) -> Result<Option<E::Model>> {
        if self.may_wait() {
            return Ok(row.lock(lock).one(self.conn()).await?);
        }
        let free = row.clone();
        let free = free.lock_with_behavior(lock, LockBehavior::SkipLocked);
        if let Some(found) = free.one(self.conn()).await? {
            return Ok(Some(found));
        }
        match row.one(self.conn()).await? {
            None => Ok(None),
            Some(_) => Err(self.missed()),
        }
    }

    /// As [`Tx::lock_one`], all of these rows.
    ///
    /// # Errors
    /// As [`Tx::lock_one`].
    pub(crate) async fn lock_all<E: EntityTrait>(
        &self,
        rows: Select<E>,
        lock: LockType,
    ) -> Result<Vec<E::Model>> {
        if self.may_wait() {
            return Ok(rows.lock(lock).all(self.conn()).await?);
        }
        let there = rows.clone().all(self.conn()).await?.len();
        if there == 0 {
            return Ok(Vec::new());
        }
        let free = rows.lock_with_behavior(lock, LockBehavior::SkipLocked);
        let found = free.all(self.conn()).await?;
        if found.len() < there {
            return Err(self.missed());
        }
        Ok(found)
    }

    /// Takes the command out of its batch: it is run again alone, where it may wait, and the others are committed without
    /// it. An error of the database would have ended the transaction for all of them; this one only says so.
    pub(crate) fn missed(&self) -> Error {
        self.missed.store(true, Ordering::Relaxed);
        Error::Unavailable {
            message: "somebody else holds what this needs".into(),
        }
    }

    /// Whether the command must be run again alone.
    pub(in crate::store) fn has_missed(&self) -> bool {
        self.missed.load(Ordering::Relaxed)
    }

    /// Before a counter of a workspace is taken: counters are taken in one order, whichever commands of a batch take them.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the batch has taken one that comes later.
    pub(crate) async fn counting(&self, workspace: WorkspaceId) -> Result<()> {
        let in_order = self.fetched.lock().await.counts(workspace);
        if in_order || self.may_wait() {
            Ok(())
        } else {
            Err(self.missed())
        }
    }
}
