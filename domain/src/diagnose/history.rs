//! What a coworker did, and what became of it: all that the detectors look at.

use std::collections::HashMap;

use entity::{
    ActorKind, CoworkerVersionId, Millis, Outcome, RequestStatus, RunId, Trigger, coworker, run,
};
use uuid::Uuid;

use super::WINDOW;
use crate::coworker::Config;
use crate::coworker::lint::Finding;
use crate::run::event::Event;

/// The most runs that are looked at.
pub const MOST: usize = 1_000;
/// What a coworker did in a span of time.
pub struct History {
    /// The coworker.
    pub coworker: coworker::Model,
    /// The configuration in force, or its draft before the first publication.
    pub config: Config,
    /// What the lint says of that configuration as it stands among the others now.
    pub findings: Vec<Finding>,
    /// The runs, newest first.
    pub runs: Vec<Worked>,
    /// Whether these are all of the span, with all that happened in and after them.
    pub is_complete: bool,
    /// The configurations that the runs had.
    pub(super) versions: HashMap<CoworkerVersionId, Config>,
}

/// A run that ended, and what became of its request.
pub struct Worked {
    /// The run.
    pub run: run::Model,
    /// When it ended.
    pub ended_at: Millis,
    /// What its request says.
    pub title: String,
    /// See `title`.
    pub description: String,
    /// The events that detectors look at, in their order.
    pub events: Vec<(i64, Millis, Event)>,
    /// The status of its request when it ended.
    pub status: RequestStatus,
    /// What happened to the request from the run's start until 24 hours after its end, in its order.
    pub after: Vec<Undone>,
}

/// What happened to a request.
#[derive(Clone, Debug)]
pub enum Undone {
    /// Its status changed.
    Status {
        /// When.
        at: Millis,
        /// Who did it.
        by: ActorKind,
        /// The run that did it.
        run: Option<RunId>,
        /// Before.
        before: RequestStatus,
        /// After.
        after: RequestStatus,
    },
    /// It was assigned.
    Assigned {
        /// When.
        at: Millis,
        /// The epoch that it began.
        epoch: i64,
        /// Who did it.
        by: ActorKind,
        /// The run that did it.
        run: Option<RunId>,
        /// Whom it went to; none: nobody.
        to: Option<(ActorKind, Uuid)>,
    },
    /// Another run of it started, or ended.
    Run {
        /// When it started.
        at: Millis,
        /// The run.
        id: RunId,
        /// Whose.
        coworker: entity::CoworkerId,
        /// What triggered it.
        trigger: Trigger,
        /// How it ended, if it completed.
        outcome: Option<Outcome>,
    },
}

impl Undone {
    /// When it happened.
    pub const fn at(&self) -> Millis {
        match self {
            Self::Status { at, .. } | Self::Assigned { at, .. } | Self::Run { at, .. } => *at,
        }
    }
}

impl History {
    /// The configuration that a run had.
    pub fn config_of(&self, run: &Worked) -> &Config {
        self.versions
            .get(&run.run.coworker_version_id)
            .unwrap_or(&self.config)
    }
}

impl Worked {
    /// What happened to the request within 24 hours after the run's end.
    pub fn later(&self) -> impl Iterator<Item = &Undone> {
        let span = self.ended_at..=self.ended_at.plus(WINDOW);
        self.after
            .iter()
            .filter(move |undone| span.contains(&undone.at()))
    }

    /// The tool and the exact arguments of a call.
    pub fn call(&self, call_id: &str) -> Option<(&str, &str)> {
        self.events.iter().find_map(|(_, _, event)| {
            let Event::ToolRequested(call) = event else {
                return None;
            };
            (call.call_id == call_id).then_some((call.tool.as_str(), call.arguments.as_str()))
        })
    }
}
