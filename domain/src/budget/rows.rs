//! The rows of budgets: what is locked, marked, and held by workers.

use entity::{BudgetPeriod, Millis, WorkspaceId};
use sea_orm::{ConnectionTrait, DatabaseTransaction, Value};
use uuid::Uuid;

use super::{Key, Scope, starts};
use crate::error::{Error, Result};
use crate::store::{Command, Tx};

/// The code of a take that a later one of the same worker came before.
pub(super) const OVERTAKEN: &str = "OVERTAKEN";

/// Gives back all slices of a worker that goes away. What it may still write down as reserved stays held until
/// its time is over.
#[derive(Clone, Debug)]
pub struct GiveBack {
    /// The worker.
    pub worker: Uuid,
    /// What nobody knows of whether it was written down.
    pub left: Vec<(Key, i64)>,
    /// How long that counts, milliseconds.
    pub lease_ms: i64,
    /// See [`TakeSlices::seq`](super::TakeSlices::seq).
    pub seq: i64,
}

impl Command for GiveBack {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<()> {
        let (conn, now) = (tx.writing().await?, tx.now().await?);
        let sql = "DELETE FROM budget_slice WHERE worker_id = ?";
        conn.execute_raw(tx.sql(sql, [self.worker.into()])).await?;
        let until = now.plus(self.lease_ms);
        keep(tx, conn, self.worker, &self.left, until, self.seq).await
    }

    fn repeatable(&self) -> bool {
        true
    }
}

/// Writes what a worker has of budgets.
///
/// # Errors
/// [`Error::Conflict`] with [`OVERTAKEN`] if a later take of the worker stands already.
pub(super) async fn keep(
    tx: &Tx,
    conn: &DatabaseTransaction,
    worker: Uuid,
    slices: &[(Key, i64)],
    until: Millis,
    seq: i64,
) -> Result<()> {
    if slices.is_empty() {
        return Ok(());
    }
    let rows = vec!["(?, ?, ?, ?, ?, ?)"; slices.len()].join(", ");
    // The same take that is run again writes what it found out this time.
    let sql = format!(
        "INSERT INTO budget_slice (scope_id, period, worker_id, free_nano, lease_until, seq) VALUES {rows} \
         ON CONFLICT (scope_id, period, worker_id) DO UPDATE \
         SET free_nano = excluded.free_nano, lease_until = excluded.lease_until, seq = excluded.seq \
         WHERE excluded.seq >= budget_slice.seq"
    );
    let values = slices.iter().flat_map(|(key, nano)| {
        let (scope, period) = columns(*key);
        let (worker, nano, until, seq) = (worker.into(), (*nano).into(), until.into(), seq.into());
        [scope, period, worker, nano, until, seq]
    });
    let written = conn.execute_raw(tx.sql(&sql, values)).await?;
    if usize::try_from(written.rows_affected()).ok() == Some(slices.len()) {
        return Ok(());
    }
    let message = "a later take of this worker's stands already";
    Err(Error::conflict(OVERTAKEN, message))
}

/// Locks a scope's budgets before anything that comes after them in the order of locks: who takes slices of them at
/// this moment is waited for.
///
/// # Errors
/// What the database said.
pub async fn lock_marks(tx: &Tx, workspace: WorkspaceId, scope: Scope) -> Result<()> {
    let keys = [BudgetPeriod::Day, BudgetPeriod::Month].map(|period| Key { scope, period });
    hold_accounts(tx, tx.writing().await?, workspace, &keys).await
}

/// Locks budgets, in their order; those that nobody asked for yet are made.
pub(super) async fn hold_accounts(
    tx: &Tx,
    conn: &DatabaseTransaction,
    workspace: WorkspaceId,
    keys: &[Key],
) -> Result<()> {
    let now = tx.now().await?;
    let rows = vec!["(?, ?, ?, ?)"; keys.len()].join(", ");
    let sql = format!(
        "INSERT INTO budget_account (scope_id, period, workspace_id, starts_at) VALUES {rows} \
         ON CONFLICT (scope_id, period) DO UPDATE SET starts_at = excluded.starts_at"
    );
    let values = keys.iter().flat_map(|key| {
        let from = starts(key.period, now);
        let (scope, period) = columns(*key);
        [scope, period, workspace.into(), from.into()]
    });
    conn.execute_raw(tx.sql(&sql, values)).await?;
    Ok(())
}

/// A budget was changed, and is locked ([`lock_marks`]): whether it is used up is found out anew.
///
/// # Errors
/// What the database said.
pub async fn clear_marks(tx: &Tx, scope: Scope) -> Result<()> {
    let sql = "UPDATE budget_account SET exhausted = NULL WHERE scope_id = ?";
    let conn = tx.writing().await?;
    conn.execute_raw(tx.sql(sql, [scope.id().into()])).await?;
    Ok(())
}

/// The columns that a budget is found by.
pub(super) fn columns(key: Key) -> (Value, Value) {
    (
        key.scope.id().into(),
        BudgetPeriod::as_str(key.period).into(),
    )
}
