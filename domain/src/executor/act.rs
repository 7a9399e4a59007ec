//! A built-in tool's call: the command, the call's events and the decision's event, in one transaction.
//! There is no window in which a crash could leave one without the other.

use std::sync::Arc;

use entity::{Millis, NoteVisibility, RequestStatus, SummaryAuthor, Trigger, coworker};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::brief::named;
use super::end::{ended, fail};
use super::ranked::Ranked;
use super::settle::checked;
use crate::access::{Action, Actor};
use crate::coworker::{Config, handle};
use crate::error::{Error, Result};
use crate::model::ToolCall;
use crate::request::assign::{Assignee, assign};
use crate::request::desk::Desk;
use crate::request::note::post;
use crate::request::route::{Decided, Routing, routes};
use crate::run::approval::end_paused_if_closed;
use crate::run::event::{
    NotePosted, Reassigned, RunCompleted, StatusChanged, SummaryWritten, ToolCompleted,
    ToolRequested,
};
use crate::run::log::{FENCED, Log, Logged};
use crate::run::state::what;
use crate::store::{Command, Needs, Tx};
use crate::tool::{Builtin, Effect, Finish};

/// A log after a transaction that wrote to it, and what it wrote.
pub type Written = (Log, Vec<Arc<Logged>>);

/// A call of a built-in tool.
#[derive(Debug)]
pub struct Act {
    /// The run's log, with what is staged and not yet written.
    pub log: Log,
    /// The coworker in its run.
    pub actor: Actor,
    /// Its configuration.
    pub config: Arc<Config>,
    /// The call.
    pub call: ToolCall,
    /// What it asks for.
    pub builtin: Builtin,
    /// What the ranking says of the request, where the call needs it.
    pub ranked: Ranked,
}

impl Command for Act {
    type Output = Written;

    async fn run(&self, tx: &Tx) -> Result<Written> {
        let Self {
            log,
            actor,
            call,
            builtin,
            config: _,
            ranked,
        } = self;
        let target = match builtin {
            Builtin::Reassign(to) => self.target(tx, to.to.as_deref()).await?,
            Builtin::PostNote(_)
            | Builtin::SetStatus(_)
            | Builtin::AskRequester(_)
            | Builtin::ListCandidates(_)
            | Builtin::Finish(_) => None,
        };
        let decided = match ranked.routing() {
            Some(routing) => routing.hold(tx, actor.workspace).await?,
            None => None,
        };
        let mut desk = Desk::lock(tx, actor, log.run().request_id).await?;
        fence(log, &desk)?;
        let now = tx.at();
        let mut log = log.clone();
        log.stage(
            now,
            ToolRequested {
                call_id: call.id.clone(),
                tool: call.tool.clone(),
                arguments: call.arguments.clone(),
                idempotency_key: idempotency_key(&log, &call.id),
                effect: Effect::Effect,
            },
        )?;
        let mut ending = None;
        let response: String = match builtin {
            Builtin::PostNote(note) => {
                self.note(tx, &mut log, &mut desk, note.visibility, &note.body)
                    .await?;
                "The note is posted.".into()
            }
            Builtin::SetStatus(to) => {
                actor.authorize(Action::RequestSetStatus)?;
                self.set_status(now, &mut log, &mut desk, to.status)?;
                end_paused_if_closed(tx, &mut desk).await?;
                "The status is set.".into()
            }
            Builtin::AskRequester(ask) => {
                actor.authorize(Action::RequestSetStatus)?;
                self.note(
                    tx,
                    &mut log,
                    &mut desk,
                    NoteVisibility::Public,
                    &ask.question,
                )
                .await?;
                self.set_status(now, &mut log, &mut desk, RequestStatus::Pending)?;
                "The requester is asked. Finish with AWAITING_REPLY.".into()
            }
            Builtin::Reassign(to) => {
                actor.authorize(Action::RequestAssign)?;
                self.reassign(tx, &mut log, &mut desk, target.as_ref(), &to.reason)
                    .await?;
                "The request is reassigned. Only finish may follow.".into()
            }
            Builtin::ListCandidates(_) => {
                actor.authorize(Action::CoworkerRead)?;
                ranked.candidates()?
            }
            Builtin::Finish(finish) => {
                ending = Some(finish);
                self.settle(now, &mut log, &mut desk, finish)?;
                end_paused_if_closed(tx, &mut desk).await?;
                "The run is finished.".into()
            }
        };
        let done = ToolCompleted {
            call_id: call.id.clone(),
            response,
            redacted: Vec::new(),
            latency_ms: 0,
        };
        log.stage(now, done)?;
        if let Some(finish) = ending {
            self.finish(tx, &mut log, &mut desk, finish, decided)
                .await?;
        }
        desk.save(tx);
        let written = log.flush_in(tx, false);
        Ok((log, written))
    }

    fn needs(&self) -> Needs {
        Needs {
            coworker: self.ranked.routing().and_then(Routing::coworker),
            request: Some(self.log.run().request_id),
            ..Needs::default()
        }
    }
}

impl Act {
    async fn target(&self, tx: &Tx, to: Option<&str>) -> Result<Option<Assignee>> {
        let Some(written) = to else {
            return Ok(None);
        };
        let handle = handle(written);
        let nobody = || {
            let message = format!("there is no coworker with the handle {handle}");
            Err(Error::invalid("to", "NOT_FOUND", message))
        };
        // A database would take it for the text's end, or for an error.
        if handle.contains('\0') {
            return nobody();
        }
        let named = coworker::Entity::find()
            .filter(coworker::Column::WorkspaceId.eq(self.actor.workspace))
            .filter(coworker::Column::Handle.eq(&handle));
        match tx.lock_one(named, LockType::Share).await? {
            Some(own) if own.id == self.log.run().coworker_id => Err(Error::invalid(
                "to",
                "INVALID",
                "the request is yours already; go on, or finish",
            )),
            Some(other) => Ok(Some(Assignee::Coworker(other))),
            None => nobody(),
        }
    }

    async fn note(
        &self,
        tx: &Tx,
        log: &mut Log,
        desk: &mut Desk,
        visibility: NoteVisibility,
        body: &str,
    ) -> Result<()> {
        self.actor.authorize(match visibility {
            NoteVisibility::Public => Action::NotePublic,
            NoteVisibility::Private => Action::NotePrivate,
        })?;
        let note = post(tx, desk, &self.actor, visibility, body)?;
        log.stage(
            tx.at(),
            NotePosted {
                call_id: self.call.id.clone(),
                note: note.id,
                visibility,
                body: note.body,
            },
        )
    }

    pub(super) fn set_status(
        &self,
        now: Millis,
        log: &mut Log,
        desk: &mut Desk,
        after: RequestStatus,
    ) -> Result<()> {
        match desk.set_status(now, &self.actor, after)? {
            Some(before) => log.stage(
                now,
                StatusChanged {
                    call_id: self.call.id.clone(),
                    before,
                    after,
                },
            ),
            None => Ok(()),
        }
    }

    async fn reassign(
        &self,
        tx: &Tx,
        log: &mut Log,
        desk: &mut Desk,
        to: Option<&Assignee>,
        reason: &str,
    ) -> Result<()> {
        checked("reason", reason)?;
        let before = named(tx.conn(), desk.assignee()).await?;
        // What Triage decides is the routing by identity; what others decide is a hand-off.
        let trigger = if routes(log) {
            Trigger::Routed
        } else {
            Trigger::Handoff
        };
        let made = assign(tx, desk, &self.actor, to, Some(reason.to_owned()), trigger).await?;
        let made = made.ok_or_else(|| {
            Error::conflict("CONFLICT", "the request is assigned like that already")
        })?;
        if to.is_none() {
            desk.leave_to_people(tx.at(), &self.actor, reason.to_owned())?;
        }
        let after = named(tx.conn(), desk.assignee()).await?;
        let (assignment, epoch, reason) = (made.id, made.epoch, reason.to_owned());
        log.stage(
            tx.at(),
            Reassigned {
                call_id: self.call.id.clone(),
                assignment,
                before,
                after,
                epoch,
                reason,
            },
        )
    }

    async fn finish(
        &self,
        tx: &Tx,
        log: &mut Log,
        desk: &mut Desk,
        finish: &Finish,
        decided: Option<Decided>,
    ) -> Result<()> {
        let now = tx.at();
        log.stage(
            now,
            SummaryWritten {
                text: finish.summary.clone(),
                author: SummaryAuthor::Coworker,
            },
        )?;
        match log.state().limit.clone() {
            Some(limit) => {
                let reason = format!("{}. {}", what(&limit), finish.reason);
                fail(tx, log, desk, limit.limit, reason, decided).await
            }
            None => {
                let totals = log.state().totals;
                let (outcome, reason, rule) =
                    (finish.outcome, finish.reason.clone(), finish.rule.clone());
                log.stage(
                    now,
                    RunCompleted {
                        outcome,
                        reason,
                        rule,
                        totals,
                    },
                )?;
                ended(tx, log, desk, decided).await
            }
        }
    }
}

/// Refuses a write to a request that was assigned anew, unless the run itself did that.
fn fence(log: &Log, desk: &Desk) -> Result<()> {
    match log.run().assignment_epoch {
        Some(epoch) if epoch != desk.request.assignment_epoch && !log.state().handed_off => {
            Err(Error::conflict(FENCED, "the request was assigned anew"))
        }
        Some(_) | None => Ok(()),
    }
}

/// The key under which a call is sent, the same for every try of it.
pub fn idempotency_key(log: &Log, call_id: &str) -> String {
    format!("{}:{call_id}", log.run().id)
}
