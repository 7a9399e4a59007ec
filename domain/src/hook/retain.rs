//! How long deliveries are kept.
//!
//! The log is there to find out why something did or did not come; for that it need not last for ever. What makes an event count
//! once does: the line of its first delivery stays. What was said of a request stays readable on it: of its making for ever,
//! of all else until it is closed.

use entity::Millis;
use sea_orm::{ConnectionTrait, DbBackend};

use crate::error::Result;
use crate::store::{Command, Tx};

/// The most lines that one sweep drops, and the most payloads that it empties. A payload may have half a megabyte.
pub const BATCH: u64 = 100;

/// What nobody looks for by its event any more.
const SPENT: &str = "DELETE FROM webhook_delivery WHERE id IN (SELECT id FROM webhook_delivery \
    WHERE outcome IN ('DUPLICATE', 'REFUSED') AND received_at < ? ORDER BY received_at LIMIT ?";
/// What stays as a line. The conditions are those of the partial indexes, word by word.
const READ: &str = "UPDATE webhook_delivery SET payload = NULL WHERE id IN (SELECT id FROM webhook_delivery \
    WHERE payload IS NOT NULL AND outcome IN ('REQUEST_UPDATED', 'RECORDED', 'IGNORED') AND received_at < ? \
    AND NOT EXISTS (SELECT 1 FROM request WHERE request.id = webhook_delivery.request_id AND request.status <> 'CLOSED') ORDER BY received_at LIMIT ?";

/// Sweeps a part of what came before a moment.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// What came later stays as it is.
    pub before: Millis,
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// Lines of duplicates and refusals that are gone.
    pub lines: u64,
    /// Payloads that are gone; their lines stay.
    pub payloads: u64,
}

impl Swept {
    /// Whether there may be more to sweep.
    pub const fn more(self) -> bool {
        self.lines == BATCH || self.payloads == BATCH
    }
}

impl Command for Sweep {
    type Output = Swept;

    async fn run(&self, tx: &Tx) -> Result<Swept> {
        Ok(Swept {
            lines: self.some(tx, SPENT).await?,
            payloads: self.some(tx, READ).await?,
        })
    }

    fn repeatable(&self) -> bool {
        true
    }
}

impl Sweep {
    async fn some(&self, tx: &Tx, sql: &str) -> Result<u64> {
        // Another node that sweeps at this moment takes other rows.
        let end = match tx.backend() {
            DbBackend::Postgres => " FOR UPDATE SKIP LOCKED)",
            _ => ")",
        };
        let values = [self.before.into(), BATCH.into()];
        let statement = tx.sql(&format!("{sql}{end}"), values);
        let done = tx.writing().await?.execute_raw(statement).await?;
        Ok(done.rows_affected())
    }
}
