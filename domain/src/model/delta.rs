//! What a model writes, while it writes it: for whoever watches, and for nobody else. The log has the whole.

use std::sync::Arc;

use entity::RunId;

use crate::bus::delta::{Channels, Delta, DeltaCall, DeltaKind};

/// Where a model call shows what is being written. Without a watcher it costs a look at a counter.
#[derive(Clone, Copy, Debug)]
pub struct Deltas<'a> {
    to: Option<(&'a Channels, RunId)>,
    turn: i32,
    attempt: i32,
}

impl<'a> Deltas<'a> {
    /// For calls that nobody can watch.
    pub const fn nobody() -> Self {
        Self {
            to: None,
            turn: 0,
            attempt: 0,
        }
    }

    /// For the watchers of a run.
    pub fn of(channels: &'a Channels, run: RunId, turn: i32, attempt: i32) -> Self {
        Self {
            to: Some((channels, run)),
            turn,
            attempt,
        }
    }

    /// Whether somebody watches right now.
    pub fn is_watched(&self) -> bool {
        self.to
            .is_some_and(|(channels, run)| channels.is_watched(run))
    }

    /// A piece of the reasoning.
    pub fn thinking(&self, text: &str) {
        self.send(DeltaKind::Thinking, None, text);
    }

    /// A piece of what it says.
    pub fn text(&self, text: &str) {
        self.send(DeltaKind::Text, None, text);
    }

    /// A piece of the arguments of the call at this place among the calls of the turn.
    pub fn tool_call(&self, place: usize, tool: &str, arguments: &str) {
        let call = DeltaCall {
            place,
            tool: tool.into(),
        };
        self.send(DeltaKind::ToolCall, Some(call), arguments);
    }

    fn send(&self, kind: DeltaKind, call: Option<DeltaCall>, text: &str) {
        let Some((channels, run)) = self.to.filter(|(channels, run)| channels.is_watched(*run))
        else {
            return;
        };
        if text.is_empty() && call.is_none() {
            return;
        }
        let delta = Delta {
            turn: self.turn,
            attempt: self.attempt,
            kind,
            call,
            text: Arc::from(text),
        };
        channels.send(run, delta);
    }
}
