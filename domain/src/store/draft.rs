//! Rows that commands have decided to write and that are not written yet.
//!
//! What a write costs is the number of statements, so the commands of a batch collect their rows here,
//! and one statement per table writes them all. A command that locks a request of which the draft holds
//! a change has the draft written first: it reads what the commands before it did.

use std::collections::BTreeMap;

use entity::{
    ActorKind, DispatchId, Millis, RequestId, RunId, assignment, dispatch, note, request,
    request_event,
};
use sea_orm::{ConnectionTrait, Value};

use super::append::{Append, Applied, apply};
use super::rows::{Column, insert_all, update_all};
use crate::alert::{self, Occasion};
use crate::clock::Clock;
use crate::error::Result;

/// Rows to be written, by table.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    /// New requests.
    pub(crate) requests: Vec<request::Model>,
    /// Requests that were there, as they are now.
    pub(crate) changed: BTreeMap<RequestId, request::Model>,
    /// New notes.
    pub(crate) notes: Vec<note::Model>,
    /// New assignments.
    pub(crate) assignments: Vec<assignment::Model>,
    /// New dispatches.
    pub(crate) dispatches: Vec<dispatch::Model>,
    /// Dispatches that became runs.
    pub(crate) started: Vec<(DispatchId, RunId, Millis)>,
    /// Entries of timelines.
    pub(crate) entries: Vec<request_event::Model>,
    /// Appends to logs that belong to a command.
    pub(crate) appends: Vec<Append>,
    /// What endpoints are told of, who want to know.
    pub(crate) alerts: Vec<Occasion>,
}

/// What a command changes of a request besides its texts.
const REQUEST: [Column; 11] = [
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

const STARTED: [Column; 4] = [
    ("id", "uuid"),
    ("state", "text"),
    ("run_id", "uuid"),
    ("decided_at", "bigint"),
];

fn changed(request: &request::Model) -> Vec<Value> {
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

impl Draft {
    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            requests,
            changed,
            notes,
            assignments,
            dispatches,
            started,
            entries,
            appends,
            alerts,
        } = self;
        requests.is_empty()
            && changed.is_empty()
            && notes.is_empty()
            && assignments.is_empty()
            && dispatches.is_empty()
            && started.is_empty()
            && entries.is_empty()
            && appends.is_empty()
            && alerts.is_empty()
    }

    /// Whether it holds anything of this request.
    pub(super) fn touches(&self, id: RequestId) -> bool {
        self.changed.contains_key(&id) || self.requests.iter().any(|request| request.id == id)
    }

    /// Takes over what another draft holds.
    pub(super) fn merge(&mut self, other: Self) {
        let Self {
            requests,
            changed,
            notes,
            assignments,
            dispatches,
            started,
            entries,
            appends,
            alerts,
        } = other;
        self.requests.extend(requests);
        self.changed.extend(changed);
        self.notes.extend(notes);
        self.assignments.extend(assignments);
        self.dispatches.extend(dispatches);
        self.started.extend(started);
        self.entries.extend(entries);
        self.appends.extend(appends);
        self.alerts.extend(alerts);
    }

    /// Writes everything, together with the appends of the hot door; gives what became of those, and
    /// whether an append of a command was lost, so that its command must not be committed.
    ///
    /// # Errors
    /// What the database said; then the whole transaction must be rolled back.
    pub(super) async fn write<C: ConnectionTrait>(
        self,
        conn: &C,
        clock: &Clock,
        hot: &[&Append],
    ) -> Result<(Vec<Applied>, bool)> {
        let Self {
            requests,
            changed: existing,
            notes,
            assignments,
            dispatches,
            started,
            entries,
            appends,
            alerts,
        } = self;
        insert_all(conn, requests, None).await?;
        update_all(
            conn,
            "request",
            &REQUEST,
            existing.values().map(changed).collect(),
        )
        .await?;
        let all: Vec<&Append> = hot.iter().copied().chain(&appends).collect();
        let applied = apply(conn, clock, &all).await?;
        let (hot, own) = applied.split_at(hot.len());
        insert_all(conn, assignments, None).await?;
        insert_all(conn, notes, None).await?;
        insert_all(conn, dispatches, None).await?;
        let started = started.into_iter().map(|(dispatch, run, at)| {
            vec![
                dispatch.into(),
                "STARTED".into(),
                run.into(),
                Some(at.0).into(),
            ]
        });
        update_all(conn, "dispatch", &STARTED, started.collect()).await?;
        insert_all(conn, entries, None).await?;
        alert::write(conn, &alerts).await?;
        Ok((hot.to_vec(), own.contains(&Applied::Lost)))
    }
}
