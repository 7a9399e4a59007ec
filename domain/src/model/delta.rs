//! What a model writes, while it writes it: for whoever watches, and for nobody else. The log has the whole.

use std::sync::Arc;

use entity::RunId;

use super::scrub::Held;
use crate::bus::delta::{Channels, Delta, DeltaCall, DeltaKind};

/// Where a model call shows what is being written. Without a watcher it costs a look at a counter, and one at each
/// piece for the provider's secrets.
#[derive(Clone, Copy, Debug)]
pub struct Deltas<'a> {
    to: Option<(&'a Channels, RunId)>,
    turn: i32,
    attempt: i32,
    /// What is held back, where the provider has secrets.
    held: Option<&'a Held<'a>>,
}

impl<'a> Deltas<'a> {
    /// For calls that nobody can watch.
    pub const fn nobody() -> Self {
        Self {
            to: None,
            turn: 0,
            attempt: 0,
            held: None,
        }
    }

    /// For the watchers of a run.
    pub fn of(channels: &'a Channels, run: RunId, turn: i32, attempt: i32) -> Self {
        Self {
            to: Some((channels, run)),
            turn,
            attempt,
            held: None,
        }
    }

    /// The same, without a provider's secrets.
    pub(super) fn without<'b>(self, held: &'b Held<'b>) -> Deltas<'b>
    where
        'a: 'b,
    {
        Deltas {
            held: Some(held),
            ..self
        }
    }

    /// Whether somebody watches right now.
    pub fn is_watched(&self) -> bool {
        self.to
            .is_some_and(|(channels, run)| channels.is_watched(run))
    }

    /// A piece of the reasoning.
    pub fn thinking(&self, text: &str) {
        match self.held {
            Some(held) => self.send(DeltaKind::Thinking, None, &held.thinking(text)),
            None => self.send(DeltaKind::Thinking, None, text),
        }
    }

    /// A piece of what it says.
    pub fn text(&self, text: &str) {
        match self.held {
            Some(held) => self.send(DeltaKind::Text, None, &held.text(text)),
            None => self.send(DeltaKind::Text, None, text),
        }
    }

    /// A piece of the arguments of the call at this place among the calls of the turn.
    pub fn tool_call(&self, place: usize, tool: impl FnOnce() -> String, arguments: &str) {
        if let Some(held) = self.held {
            let (tool, shown) = held.tool_call(place, tool, arguments);
            // A call is shown before its arguments begin; what is held back is no such beginning.
            if !shown.is_empty() || arguments.is_empty() {
                let call = DeltaCall { place, tool };
                self.send(DeltaKind::ToolCall, Some(call), &shown);
            }
        } else if self.is_watched() {
            let tool = tool().into();
            self.send(
                DeltaKind::ToolCall,
                Some(DeltaCall { place, tool }),
                arguments,
            );
        }
    }

    /// The answer is whole: shows what was held back of it.
    pub(super) fn rest(&self) {
        for (kind, call, text) in self.held.map(Held::rest).unwrap_or_default() {
            self.send(kind, call, &text);
        }
    }

    fn send(&self, kind: DeltaKind, call: Option<DeltaCall>, text: &str) {
        if text.is_empty() && call.is_none() {
            return;
        }
        let Some((channels, run)) = self.to.filter(|(channels, run)| channels.is_watched(*run))
        else {
            return;
        };
        let delta = Delta {
            turn: self.turn,
            attempt: self.attempt,
            kind,
            call,
            text: Arc::from(text),
            gap: false,
        };
        channels.send(run, delta);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use uuid::Uuid;

    use super::*;

    /// With nobody there, nothing is made and nothing is sent, however much is written.
    #[test]
    fn what_nobody_watches_costs_nothing() {
        let channels = Arc::new(Channels::default());
        let (run, other) = (RunId(Uuid::nil()), RunId(Uuid::max()));
        let made = Cell::new(0);
        let write = |pieces: usize| {
            let deltas = Deltas::of(&channels, run, 1, 1);
            for _ in 0..pieces {
                deltas.text("said");
                deltas.thinking("thought");
                deltas.tool_call(
                    0,
                    || {
                        made.set(made.get() + 1);
                        "finish".into()
                    },
                    "{}",
                );
            }
            deltas.rest();
        };
        write(10_000);
        // Nor with somebody at another run.
        let mut elsewhere = channels.watch(other);
        write(10_000);
        assert_eq!((made.get(), elsewhere.heard.try_recv().is_err()), (0, true));
        let mut watch = channels.watch(run);
        write(10);
        let mut heard = 0;
        while watch.heard.try_recv().is_ok() {
            heard += 1;
        }
        assert_eq!((made.get(), heard), (10, 30));
        drop(watch);
        write(10_000);
        assert_eq!(made.get(), 10);
        assert!(!channels.is_watched(run) && channels.is_watched(other));
    }
}
