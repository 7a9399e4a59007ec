//! One request on the desk of a command: locked, changed in memory, saved in one go.
//!
//! Every entry of the timeline gets its place from the same update of the request's row.

use entity::{ActorKind, AlertKind, Millis, RequestId, RequestStatus, request, request_event};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, QueryFilter};
use uuid::Uuid;

use super::status;
use super::timeline::TimelineData;
use super::under_way::UnderWay;
use crate::access::Actor;
use crate::alert;
use crate::bus::Signal;
use crate::error::{Error, Result};
use crate::store::Tx;

/// A locked request, and what a command does to it.
#[derive(Debug)]
pub struct Desk {
    /// The row as it will be saved.
    pub request: request::Model,
    is_new: bool,
    /// When it was resolved on this desk.
    resolved: Option<Millis>,
    entries: Vec<request_event::Model>,
    /// What is under way on it, and whether its assignment is an escalation, where that was read for many requests at once.
    /// Another assignment is another matter.
    pub(super) under_way: Option<UnderWay>,
    pub(super) escalated: Option<bool>,
}

impl Desk {
    /// Locks a request that the actor may see.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn lock(tx: &Tx, actor: &Actor, id: RequestId) -> Result<Self> {
        tx.settle([id]).await?;
        let found = match tx.fetched_request(id).await {
            Some(row) => Some(row).filter(|row| super::query::sees(actor, row)),
            None => {
                let seen = super::query::visible(actor).filter(request::Column::Id.eq(id));
                // Only the lock that a change of the row itself needs: others may still refer to it.
                tx.lock_one(seen, LockType::NoKeyUpdate).await?
            }
        };
        Ok(Self::of(found.ok_or(Error::NotFound { what: "Request" })?))
    }

    /// A request that the command has locked already.
    pub fn of(request: request::Model) -> Self {
        Self {
            request,
            is_new: false,
            resolved: None,
            entries: Vec::new(),
            under_way: None,
            escalated: None,
        }
    }

    /// A request that the command makes.
    pub fn new(request: request::Model) -> Self {
        Self {
            request,
            is_new: true,
            resolved: None,
            entries: Vec::new(),
            under_way: None,
            escalated: None,
        }
    }

    /// Adds an entry to the timeline.
    ///
    /// # Errors
    /// [`Error::Internal`], which does not happen for these types.
    pub fn entry(&mut self, now: Millis, actor: &Actor, data: &TimelineData) -> Result<()> {
        self.request.last_seq += 1;
        self.request.updated_at = now.max(self.request.updated_at);
        self.entries.push(request_event::Model {
            request_id: self.request.id,
            seq: self.request.last_seq,
            workspace_id: self.request.workspace_id,
            kind: data.kind(),
            at: self.request.updated_at,
            actor_kind: actor.principal.kind(),
            actor_id: actor.principal.id(),
            run_id: actor.principal.run(),
            data: serde_json::to_string(data).map_err(Error::internal)?,
        });
        Ok(())
    }

    /// A person's note, assignment or status: coworkers may go on for another hop budget.
    pub fn touch(&mut self, actor: &Actor) {
        if actor.principal.is_person() {
            self.request.hop_count = 0;
            self.request.needs_person = false;
        }
    }

    /// Sets the status; the same one again is no change.
    ///
    /// # Errors
    /// [`Error::Conflict`] as [`status::check`] has it.
    pub fn set_status(
        &mut self,
        now: Millis,
        actor: &Actor,
        after: RequestStatus,
    ) -> Result<Option<RequestStatus>> {
        let before = self.request.status;
        self.touch(actor);
        if before == after {
            return Ok(None);
        }
        status::check(before, after)?;
        self.request.status = after;
        self.request.resolved_at =
            (after == RequestStatus::Resolved)
                .then_some(now)
                .or(match after {
                    RequestStatus::Closed => self.request.resolved_at,
                    RequestStatus::Open
                    | RequestStatus::InProgress
                    | RequestStatus::Pending
                    | RequestStatus::Resolved => None,
                });
        self.resolved = (after == RequestStatus::Resolved).then_some(now);
        self.entry(now, actor, &TimelineData::StatusChanged { before, after })?;
        Ok(Some(before))
    }

    /// Leaves it to people, and says why: one of them must look.
    ///
    /// # Errors
    /// As [`Desk::entry`].
    pub fn leave_to_people(&mut self, now: Millis, actor: &Actor, reason: String) -> Result<()> {
        self.request.needs_person = true;
        self.entry(now, actor, &TimelineData::LeftToPeople { reason })
    }

    /// The assignee.
    pub fn assignee(&self) -> Option<(ActorKind, Uuid)> {
        self.request.assignee_kind.zip(self.request.assignee_id)
    }

    /// Hands the row and the new entries to the batch; the request's watchers are told after the commit.
    pub fn save(self, tx: &Tx) -> request::Model {
        let Self {
            request,
            is_new,
            resolved,
            entries,
            under_way: _,
            escalated: _,
        } = self;
        if let Some(at) = resolved {
            tx.alert(request.workspace_id, AlertKind::RequestResolved, || {
                alert::resolved(&request, at)
            });
        }
        tx.signal(Signal::Request {
            request: request.id,
            seq: request.last_seq,
        });
        tx.draft(|draft| {
            if is_new {
                draft.requests.push(request.clone());
            } else {
                draft.changed.insert(request.id, request.clone());
            }
            draft.entries.extend(entries);
        });
        request
    }
}
