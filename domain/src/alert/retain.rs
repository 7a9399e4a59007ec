//! How long the log of what was sent is kept.

use entity::Millis;
use sea_orm::{ConnectionTrait, DbBackend};

use crate::error::Result;
use crate::store::{Command, Tx};

/// The most deliveries that one sweep deletes, with their tries.
pub const BATCH: u64 = 100;
/// Lines are kept so much longer, milliseconds: what a month's budget was told of is told once, and a month has 31 days.
pub const LONGER: i64 = 2 * 86_400_000;

/// Sweeps a part of what was made before a moment, and does not wait any more.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// What was made later stays.
    pub before: Millis,
}

impl Command for Sweep {
    /// How many deliveries are gone.
    type Output = u64;

    async fn run(&self, tx: &Tx) -> Result<u64> {
        // Another node that sweeps at this moment takes other rows.
        let end = match tx.backend() {
            DbBackend::Postgres => " FOR UPDATE SKIP LOCKED)",
            _ => ")",
        };
        let sql = format!(
            "DELETE FROM alert_delivery WHERE id IN (SELECT id FROM alert_delivery \
             WHERE state <> 'WAITING' AND created_at < ? ORDER BY created_at LIMIT ?{end}"
        );
        let values = [self.before.plus(-LONGER).into(), BATCH.into()];
        let statement = tx.sql(&sql, values);
        let done = tx.writing().await?.execute_raw(statement).await?;
        Ok(done.rows_affected())
    }

    fn repeatable(&self) -> bool {
        true
    }
}
