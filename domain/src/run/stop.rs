//! A person stops a run.

use entity::{RunId, RunStatus, run};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, QueryFilter};

use super::approval::end_paused;
use super::event::{ActorRef, StopRequested};
use super::log::Log;
use super::state::Next;
use crate::access::{Action, Actor};
use crate::bus::Signal;
use crate::error::{Error, Result};
use crate::request::desk::Desk;
use crate::store::{Command, Tx};

/// Asks a run to stop. Whoever holds it first records what became of an open call, then ends it; a paused one ends at
/// once.
#[derive(Clone, Debug)]
pub struct StopRun {
    /// Who asks.
    pub actor: Actor,
    /// The name to show for them.
    pub name: String,
    /// The run.
    pub run: RunId,
    /// Why, at most 1,000 characters.
    pub reason: Option<String>,
}

impl Command for StopRun {
    type Output = run::Model;

    async fn run(&self, tx: &Tx) -> Result<run::Model> {
        let Self {
            actor,
            name,
            run,
            reason,
        } = self;
        actor.authorize(Action::RunStop)?;
        if let Some(reason) = reason {
            crate::text::check_text("reason", reason, 1_000)?;
        }
        let row = super::query::get(tx.conn(), actor, *run).await?;
        // The request first, as whoever ends or pauses the run does.
        let stint = Actor::stint(row.workspace_id);
        let mut desk = Desk::lock(tx, &stint, row.request_id).await?;
        let seen = super::query::visible(actor).filter(run::Column::Id.eq(*run));
        let row = tx
            .lock_one(seen, LockType::NoKeyUpdate)
            .await?
            .ok_or(Error::NotFound { what: "Run" })?;
        if !row.status.is_active() {
            return Err(Error::conflict(
                "RUN_ENDED",
                format!("Run-{} has ended; there is nothing to stop", row.number),
            ));
        }
        if row.stop_requested_at.is_some() {
            return Ok(row);
        }
        let by = ActorRef {
            kind: actor.principal.kind(),
            id: actor.principal.id(),
            name: name.clone(),
        };
        let mut log = Log::read(tx.conn(), row, None).await?;
        log.stage(
            tx.at(),
            StopRequested {
                by,
                reason: reason.clone(),
            },
        )?;
        // Nobody holds a paused run: it ends here and now.
        if log.run().status == RunStatus::PausedForApproval
            && let Next::End(ending) = log.state().next()
        {
            let log = end_paused(tx, &mut desk, log, &ending).await?;
            desk.save(tx);
            return Ok(log.projection().onto(log.run().clone()));
        }
        log.flush_in(tx, false);
        tx.signal(Signal::Run {
            run: *run,
            seq: log.last_seq(),
        });
        tx.signal(Signal::Interrupt(*run));
        tx.signal(Signal::Work);
        Ok(log.projection().onto(log.run().clone()))
    }

    fn repeatable(&self) -> bool {
        true
    }
}
