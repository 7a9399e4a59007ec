//! The raw log of a run.

use std::sync::Arc;

use async_graphql::{ID, Object};
use domain::run::envelope;
use domain::run::log::Logged;
use entity::run_event;

use crate::graphql::error::Result;
use crate::graphql::node;
use crate::graphql::page::connection;
use crate::graphql::scalar::{DateTime, Json, int};

/// One event of a run's raw log.
pub enum RunEvent {
    /// A row of its own.
    Row(run_event::Model),
    /// A row that all who watch the run share.
    Shared(Arc<Logged>),
}

impl From<run_event::Model> for RunEvent {
    fn from(row: run_event::Model) -> Self {
        Self::Row(row)
    }
}

impl RunEvent {
    fn row(&self) -> &run_event::Model {
        match self {
            Self::Row(row) => row,
            Self::Shared(logged) => &logged.event,
        }
    }

    fn envelope(&self) -> Result<envelope::Envelope<'_>> {
        Ok(serde_json::from_str(&self.row().body).map_err(domain::Error::internal)?)
    }
}

connection! {
    "A page of a run's raw log."
    RunEventConnection,
    "An event in a list."
    RunEventEdge of RunEvent,
    edges: "The events of this page with their cursors.",
    nodes: "The events of this page.",
    total: "How many events the whole list has. Counted only when asked for.",
    cursor: "Its place in this list, for `after` and `before`. The subscription `runEvents` takes the event's sequence instead.",
    node: "The event.",
}

/// One event of a run's raw log. Events never change.
#[Object]
impl RunEvent {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        node::global_event(self.row().run_id, self.row().seq)
    }

    /// The event's own id, as its payload has it.
    async fn event_id(&self) -> String {
        self.row().event_id.to_string()
    }

    /// Its place in the log: 1, 2, 3, without holes. The cursor of `runEvents`.
    async fn sequence(&self) -> i32 {
        int(self.row().seq)
    }

    /// What happened, for example `run.started`.
    async fn r#type(&self) -> &str {
        &self.row().kind
    }

    /// When, to the millisecond.
    async fn at(&self) -> DateTime {
        DateTime(self.row().at)
    }

    /// The model turn that it belongs to, from 1.
    async fn turn(&self) -> Result<i32> {
        Ok(self.envelope()?.turn_number)
    }

    /// The attempt that it belongs to, from 1.
    async fn attempt(&self) -> Result<i32> {
        Ok(self.envelope()?.attempt)
    }

    /// Its heading as people read it: `RUN_STARTED 2026-05-20T03:30:55.078Z`.
    async fn heading(&self) -> String {
        envelope::heading(&self.row().kind, self.row().at)
    }

    /// The whole event, parsed.
    async fn payload(&self) -> Result<Json> {
        Ok(Json(
            serde_json::from_str(&self.row().body).map_err(domain::Error::internal)?,
        ))
    }

    /// The whole event, exactly as it was recorded: one line of JSON.
    async fn raw(&self) -> &str {
        &self.row().body
    }

    /// SHA-256 of the hash before it and of its text, in hexadecimal: a changed, missing or swapped event shows.
    async fn hash(&self) -> String {
        envelope::hex(&self.row().hash)
    }
}
