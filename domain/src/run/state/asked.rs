//! What a person was asked about a run, and for how long it waits.

use entity::Millis;

use super::State;
use crate::run::event::{ActorRef, ApprovalRequested};

/// A call that a person was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What was asked.
    pub requested: ApprovalRequested,
    /// What was decided; none: nothing yet.
    pub verdict: Option<Verdict>,
}

/// What was decided about a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be made, once.
    Approved,
    /// It must not be made: by whom, and why.
    Denied(ActorRef, Option<String>),
    /// Nobody decided in time.
    Expired,
    /// The run ends.
    Void,
}

impl State {
    pub(super) fn decided(&mut self, call_id: &str, verdict: Verdict) {
        let asked = self.asked.as_mut();
        if let Some(asked) = asked.filter(|asked| asked.requested.call_id == call_id) {
            asked.verdict.get_or_insert(verdict);
        }
    }

    /// What a person was asked about and has not decided.
    pub fn undecided(&self) -> Option<&ApprovalRequested> {
        let asked = self.asked.as_ref()?;
        asked.verdict.is_none().then_some(&asked.requested)
    }

    /// If the run waits: how long it will have waited when it goes on `now`, milliseconds, and when its time is up
    /// then.
    pub fn resume_at(&self, now: Millis) -> Option<(i64, Millis)> {
        let paused_ms = now.since(self.paused_at?).max(0);
        Some((paused_ms, self.deadline?.plus(paused_ms)))
    }
}
