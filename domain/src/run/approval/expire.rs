//! What nobody decided in time: the run goes on, and its model is told.

use std::time::Duration;

use entity::{ApprovalId, ApprovalState, approval};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use tokio_util::sync::CancellationToken;

use super::decide::{asked, go_on, lock};
use super::query::is_pending;
use crate::access::Actor;
use crate::error::Result;
use crate::run::event::ApprovalExpired;
use crate::store::{Command, Store, Tx};

/// The most approvals that one look lets expire; the next one finds the others.
const MOST: u64 = 100;

/// Lets an approval expire if its time is over; by the database's clock.
#[derive(Clone, Copy, Debug)]
pub struct ExpireApproval {
    /// The approval.
    pub approval: ApprovalId,
}

impl Command for ExpireApproval {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<()> {
        let found = approval::Entity::find_by_id(self.approval);
        let Some(shown) = found.one(tx.conn()).await? else {
            return Ok(());
        };
        let (desk, log) = lock(tx, &shown).await?;
        let (asked, now) = (asked(&log, shown.id)?, tx.now().await?);
        // Another node was first, or someone decided at the last moment.
        if asked.state != ApprovalState::Pending || asked.expires_at > now {
            return Ok(());
        }
        let event = ApprovalExpired {
            approval: asked.id,
            call_id: asked.call_id,
        };
        let stint = Actor::stint(asked.workspace_id);
        go_on(tx, &stint, desk, log, now, asked.id, event.into())?;
        Ok(())
    }

    fn repeatable(&self) -> bool {
        true
    }
}

/// Looks once for approvals whose time is over; gives how many there were.
///
/// # Errors
/// What the database said.
pub async fn expire(store: &Store) -> Result<usize> {
    let due: Vec<ApprovalId> = approval::Entity::find()
        .select_only()
        .column(approval::Column::Id)
        .filter(is_pending())
        .filter(approval::Column::ExpiresAt.lte(store.now()))
        .order_by_asc(approval::Column::ExpiresAt)
        .limit(MOST)
        .into_tuple()
        .all(store.read())
        .await?;
    for approval in &due {
        let expired = store.write(ExpireApproval {
            approval: *approval,
        });
        // One that can't expire keeps no other waiting.
        if let Err(err) = expired.await {
            tracing::warn!(approval.id = %approval, %err, "an approval could not expire; trying again");
        }
    }
    Ok(due.len())
}

/// Looks again and again for approvals whose time is over. Every node does: one that executes nothing too.
pub async fn keep_expiring(store: Store, every: Duration, stop: CancellationToken) {
    while stop
        .run_until_cancelled(tokio::time::sleep(every))
        .await
        .is_some()
    {
        if let Err(err) = expire(&store).await {
            tracing::warn!(%err, "approvals that expire could not be looked for; trying again");
        }
    }
}
