//! Deciding: the decision stands in the log together with the run's going on.

use entity::{ActorKind, ApprovalId, ApprovalState, Millis, RequestStatus, approval, run};
use sea_orm::EntityTrait;
use sea_orm::sea_query::LockType;
use serde::Serialize;

use super::{Bound, query};
use crate::access::{Action, Actor};
use crate::bus::Signal;
use crate::error::{Error, Result};
use crate::idempotency::once;
use crate::request::TimelineData;
use crate::request::desk::Desk;
use crate::run::event::{ActorRef, ApprovalApproved, ApprovalDenied, Event, RunResumed};
use crate::run::log::Log;
use crate::store::{Command, Tx};
use crate::text::check_text;

/// What someone decides about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Decision {
    /// It may be made, once.
    Approve,
    /// It must not be made.
    Deny,
}

/// Decides about a call that waits; its run goes on.
#[derive(Clone, Debug)]
pub struct DecideApproval {
    /// Who decides.
    pub actor: Actor,
    /// The name to show for them.
    pub name: String,
    /// The approval.
    pub approval: ApprovalId,
    /// What they decide.
    pub decision: Decision,
    /// Why, 1 to 1,000 characters.
    pub reason: Option<String>,
    /// The caller's key.
    pub idempotency_key: Option<String>,
}

impl Command for DecideApproval {
    type Output = approval::Model;

    async fn run(&self, tx: &Tx) -> Result<approval::Model> {
        self.actor.authorize(Action::ApprovalDecide)?;
        if let Some(reason) = &self.reason {
            check_text("reason", reason, 1_000)?;
        }
        let input = (self.approval, self.decision, &self.reason);
        let key = self.idempotency_key.as_deref();
        let once = once(tx, &self.actor, "approvalDecide", key, &input).await?;
        let shown = query::get(tx.conn(), &self.actor, self.approval).await?;
        let (desk, log) = lock(tx, &shown).await?;
        let asked = asked(&log, shown.id)?;
        if once.made().is_some() || self.decided(&asked) {
            return Ok(asked);
        }
        let now = tx.now().await?;
        self.check(&shown, &asked, &desk, &log, now)?;
        let (approval, call_id) = (asked.id, asked.call_id.clone());
        let by = ActorRef {
            kind: self.actor.principal.kind(),
            id: self.actor.principal.id(),
            name: self.name.clone(),
        };
        let reason = self.reason.clone();
        let event: Event = match self.decision {
            Decision::Approve => ApprovalApproved {
                approval,
                call_id,
                by,
                reason,
            }
            .into(),
            Decision::Deny => ApprovalDenied {
                approval,
                call_id,
                by,
                reason,
            }
            .into(),
        };
        once.remember(tx, approval.0).await?;
        go_on(tx, &self.actor, desk, log, now, approval, event)
    }

    fn repeatable(&self) -> bool {
        true
    }
}

impl DecideApproval {
    /// Whether the same actor has decided the same already: to say it again is no other decision.
    fn decided(&self, row: &approval::Model) -> bool {
        let state = match self.decision {
            Decision::Approve => ApprovalState::Approved,
            Decision::Deny => ApprovalState::Denied,
        };
        let me = (self.actor.principal.kind(), self.actor.principal.id());
        row.state == state && row.decided_by_kind.zip(row.decided_by_id) == Some(me)
    }

    fn check(
        &self,
        shown: &approval::Model,
        asked: &approval::Model,
        desk: &Desk,
        log: &Log,
        now: Millis,
    ) -> Result<()> {
        let tool = &asked.tool;
        let refuse = |code, message: String| Err(Error::conflict(code, message));
        let expired = || {
            let message = format!(
                "the approval of {tool} has expired, and the call is not made; the coworker is told so and may ask anew"
            );
            refuse("APPROVAL_EXPIRED", message)
        };
        match asked.state {
            ApprovalState::Pending if asked.expires_at <= now => return expired(),
            ApprovalState::Pending => {}
            ApprovalState::Expired => return expired(),
            ApprovalState::Approved | ApprovalState::Denied => {
                let what = asked.state.as_str();
                let who = match asked.decided_by_kind {
                    Some(ActorKind::Person) => "someone",
                    Some(ActorKind::Workflow) => "a workflow",
                    Some(ActorKind::System | ActorKind::Coworker) | None => "a system",
                };
                let message = format!("{who} has decided about {tool} before: it is {what}");
                return refuse("APPROVAL_DECIDED", message);
            }
            ApprovalState::Void => {
                let message = format!(
                    "Run-{} ended before anybody decided; there is nothing to decide",
                    log.run().number
                );
                return refuse("APPROVAL_VOID", message);
            }
        }
        if desk.request.status == RequestStatus::Closed {
            let message =
                "the request is closed, and the call will not be made; open it again first";
            return refuse("REQUEST_CLOSED", message.into());
        }
        // The run would have been ended with the assignment that it worked under.
        let epoch = log.run().assignment_epoch;
        if epoch.is_some_and(|epoch| epoch != desk.request.assignment_epoch) {
            let message = "the request was assigned anew, and the call will not be made";
            return refuse("SUPERSEDED", message.into());
        }
        // Nobody approves what is not what the run asks for, whoever changed what was shown.
        let genuine = shown.digest == asked.digest && Bound::of(shown).digest() == asked.digest;
        if self.decision == Decision::Approve && !genuine {
            let message = format!(
                "what is shown of the call of {tool} is not what Run-{} asked for; deny it, and look who changed the database",
                log.run().number
            );
            return refuse("APPROVAL_MISMATCH", message);
        }
        Ok(())
    }
}

/// The request and the run of an approval, locked in this order, and the run's log as it stands then.
pub(super) async fn lock(tx: &Tx, row: &approval::Model) -> Result<(Desk, Log)> {
    let stint = Actor::stint(row.workspace_id);
    let desk = Desk::lock(tx, &stint, row.request_id).await?;
    let run = run::Entity::find_by_id(row.run_id);
    let run = tx.lock_one(run, LockType::NoKeyUpdate).await?;
    let run = run.ok_or_else(|| Error::internal("the run of an approval is gone"))?;
    let log = Log::read(tx.conn(), run, None).await?;
    Ok((desk, log))
}

/// The approval as the log has it.
pub(super) fn asked(log: &Log, id: ApprovalId) -> Result<approval::Model> {
    let mut rows = log.approvals().rows().iter();
    let found = rows.find(|row| row.id == id).cloned();
    found.ok_or_else(|| Error::internal("an approval is not in its run's log"))
}

/// Writes the decision and lets the run go on: a worker takes it before it claims anything new.
pub(super) fn go_on(
    tx: &Tx,
    actor: &Actor,
    mut desk: Desk,
    mut log: Log,
    now: Millis,
    approval: ApprovalId,
    decision: Event,
) -> Result<approval::Model> {
    log.stage(now, decision)?;
    if let Some((paused_ms, deadline)) = log.state().resume_at(now) {
        log.stage(
            now,
            RunResumed {
                approval,
                paused_ms,
                deadline,
            },
        )?;
    }
    desk.entry(now, actor, &TimelineData::ApprovalDecided { approval })?;
    desk.save(tx);
    let (run, decided) = (log.run().id, asked(&log, approval)?);
    log.flush_in(tx, false);
    tx.signal(Signal::Run {
        run,
        seq: log.last_seq(),
    });
    tx.signal(Signal::Interrupt(run));
    tx.signal(Signal::Work);
    Ok(decided)
}
