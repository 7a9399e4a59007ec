//! One request on the desk of a command: locked, changed in memory, saved in one go.
//!
//! Every entry of the timeline gets its place from the same update of the request's row.

use entity::{ActorKind, Millis, RequestId, RequestStatus, RunId, request, request_event};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, ConnectionTrait, QueryFilter, QuerySelect, Value};
use uuid::Uuid;

use super::timeline::TimelineData;
use crate::access::Actor;
use crate::bus::Signal;
use crate::error::{Error, Result};
use crate::store::{Column, Tx, insert_all, update_all};

/// A locked request, and what a command does to it.
#[derive(Debug)]
pub struct Desk {
    /// The row as it will be saved.
    pub request: request::Model,
    entries: Vec<request_event::Model>,
}

impl Desk {
    /// Locks a request that the actor may see.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn lock(tx: &Tx, actor: &Actor, id: RequestId) -> Result<Self> {
        let found = super::query::visible(actor)
            .filter(request::Column::Id.eq(id))
            // Only the lock that a change of the row itself needs: others may still refer to it.
            .lock(LockType::NoKeyUpdate)
            .one(tx.conn())
            .await?;
        Ok(Self::of(found.ok_or(Error::NotFound { what: "Request" })?))
    }

    /// A request that the command has locked already, or has just made.
    pub fn of(request: request::Model) -> Self {
        Self {
            request,
            entries: Vec::new(),
        }
    }

    /// Adds an entry to the timeline.
    ///
    /// # Errors
    /// [`Error::Internal`], which does not happen for these types.
    pub fn entry(
        &mut self,
        now: Millis,
        actor: &Actor,
        run: Option<RunId>,
        data: &TimelineData,
    ) -> Result<()> {
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
            run_id: run.or(actor.principal.run()),
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
    /// [`Error::Conflict`] for a request that is closed for good.
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
        if before == RequestStatus::Closed {
            return Err(Error::conflict(
                "REQUEST_CLOSED",
                "the request is closed for good; make a new one",
            ));
        }
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
        self.entry(
            now,
            actor,
            None,
            &TimelineData::StatusChanged { before, after },
        )?;
        Ok(Some(before))
    }

    /// The assignee.
    pub fn assignee(&self) -> Option<(ActorKind, Uuid)> {
        self.request.assignee_kind.zip(self.request.assignee_id)
    }

    /// Writes the row and the new entries; the request's watchers are told after the commit.
    ///
    /// # Errors
    /// What the database said.
    pub async fn save(self, tx: &Tx) -> Result<request::Model> {
        let request = self.request.clone();
        Self::save_all(tx, vec![self]).await?;
        Ok(request)
    }

    /// Writes several at once.
    ///
    /// # Errors
    /// What the database said.
    pub async fn save_all(tx: &Tx, desks: Vec<Self>) -> Result<()> {
        let rows = desks.iter().map(|desk| values(&desk.request)).collect();
        update_all(tx.conn(), "request", &COLUMNS, rows).await?;
        let mut entries = Vec::new();
        for desk in desks {
            tx.signal(Signal::Request {
                request: desk.request.id,
                seq: desk.request.last_seq,
            });
            entries.extend(desk.entries);
        }
        insert_all(tx.conn(), entries, None).await
    }

    /// Inserts a request that the command has just made, with its entries.
    ///
    /// # Errors
    /// What the database said.
    pub async fn insert<C: ConnectionTrait>(self, conn: &C) -> Result<request::Model> {
        let request = self.request.clone();
        insert_all(conn, vec![self.request], None).await?;
        insert_all(conn, self.entries, None).await?;
        Ok(request)
    }
}

/// What commands change of a request besides its texts.
const COLUMNS: [Column; 11] = [
    ("id", "uuid"),
    ("status", "text"),
    ("assignee_kind", "text"),
    ("assignee_id", "uuid"),
    ("assignment_epoch", "bigint"),
    ("hop_count", "integer"),
    ("needs_person", "boolean"),
    ("last_seq", "bigint"),
    ("updated_at", "bigint"),
    ("resolved_at", "bigint"),
    ("priority", "text"),
];

fn values(request: &request::Model) -> Vec<Value> {
    vec![
        request.id.into(),
        request.status.as_str().into(),
        request.assignee_kind.map(ActorKind::as_str).into(),
        request.assignee_id.into(),
        request.assignment_epoch.into(),
        request.hop_count.into(),
        request.needs_person.into(),
        request.last_seq.into(),
        request.updated_at.into(),
        request.resolved_at.map(|at| at.0).into(),
        request.priority.as_str().into(),
    ]
}
