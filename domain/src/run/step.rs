//! A run as people read it: `fold(events) → steps`. Pure.
//!
//! An event touches one step at the most. A step's header is a row; its body is read from the
//! events between `first_seq` and `last_seq` that [`belongs`] to it.

mod approval;
mod body;

pub use body::{Body, CallError, body};
use entity::{Millis, NoteVisibility, RunId, StepKind, run_step};

use super::event::Event;

/// The steps of a run, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steps {
    rows: Vec<run_step::Model>,
}

impl Steps {
    /// The rows so far.
    pub fn rows(&self) -> &[run_step::Model] {
        &self.rows
    }

    /// Takes in one more event; gives the step that it touched, as it is now.
    pub fn apply(
        &mut self,
        run: RunId,
        seq: i64,
        at: Millis,
        event: &Event,
    ) -> Option<&run_step::Model> {
        match event {
            Event::RunStarted(e) => {
                let title = format!(
                    "Run started by {} on REQ-{}",
                    e.coworker.handle, e.request.number
                );
                Some(self.whole(run, seq, at, StepKind::RunStarted, title))
            }
            Event::AttemptStarted(e) => Some(self.whole(
                run,
                seq,
                at,
                StepKind::Attempt,
                format!("Attempt {} began", e.attempt),
            )),
            Event::ModelRequested(_) => {
                Some(self.open(run, seq, at, StepKind::Thinking, "Thinking".into(), None))
            }
            Event::ModelCompleted(_) => {
                self.close(seq, at, |s| s.kind == StepKind::Thinking, false)
            }
            Event::ModelFailed(_) => self.close(seq, at, |s| s.kind == StepKind::Thinking, true),
            Event::ToolRequested(e) => Some(self.open(
                run,
                seq,
                at,
                StepKind::ToolCall,
                title(&e.tool),
                Some(e.call_id.clone()),
            )),
            Event::ToolCompleted(e) => self.close(seq, at, |s| call(s, &e.call_id), false),
            Event::ToolFailed(e) => self.close(seq, at, |s| call(s, &e.call_id), true),
            Event::ToolOutcomeUnknown(e) => self.close(seq, at, |s| call(s, &e.call_id), true),
            Event::ToolRefused(e) => {
                let step = self.whole(run, seq, at, StepKind::ToolCall, title(&e.tool));
                step.call_id = Some(e.call_id.clone());
                step.failed = true;
                Some(step)
            }
            Event::NotePosted(e) => {
                let title = match e.visibility {
                    NoteVisibility::Public => "Posted a public note",
                    NoteVisibility::Private => "Posted a private note",
                };
                Some(self.whole(run, seq, at, StepKind::Note, title.into()))
            }
            Event::StatusChanged(e) => {
                let title = format!(
                    "Changed the status from {} to {}",
                    e.before.as_str(),
                    e.after.as_str()
                );
                Some(self.whole(run, seq, at, StepKind::StatusChange, title))
            }
            Event::Reassigned(e) => {
                let to = e
                    .after
                    .as_ref()
                    .map_or("nobody".into(), |to| format!("@{}", to.name));
                Some(self.whole(
                    run,
                    seq,
                    at,
                    StepKind::Handoff,
                    format!("Assigned the request to {to}"),
                ))
            }
            Event::ApprovalRequested(_)
            | Event::ApprovalApproved(_)
            | Event::ApprovalDenied(_)
            | Event::ApprovalExpired(_)
            | Event::ApprovalVoided(_)
            | Event::RunPaused(_)
            | Event::RunResumed(_) => self.approval(run, seq, at, event),
            Event::SummaryWritten(_) => {
                Some(self.open(run, seq, at, StepKind::Done, "Done".into(), None))
            }
            Event::RunCompleted(e) => {
                self.done(run, seq, at, format!("Done: {}", e.outcome.as_str()), false)
            }
            Event::RunFailed(e) => {
                self.done(run, seq, at, format!("Failed: {}", e.code.as_str()), true)
            }
            Event::TurnStarted(_)
            | Event::StopRequested(_)
            | Event::LimitReached(_)
            | Event::Unknown(_) => None,
        }
    }

    fn open(
        &mut self,
        run_id: RunId,
        seq: i64,
        at: Millis,
        kind: StepKind,
        title: String,
        call_id: Option<String>,
    ) -> &mut run_step::Model {
        let idx = i32::try_from(self.rows.len() + 1).unwrap_or(i32::MAX);
        self.rows.push(run_step::Model {
            run_id,
            idx,
            kind,
            title,
            call_id,
            failed: false,
            started_at: at,
            ended_at: None,
            first_seq: seq,
            last_seq: seq,
        });
        let last = self.rows.len() - 1;
        &mut self.rows[last]
    }

    fn whole(
        &mut self,
        run: RunId,
        seq: i64,
        at: Millis,
        kind: StepKind,
        title: String,
    ) -> &mut run_step::Model {
        let step = self.open(run, seq, at, kind, title, None);
        step.ended_at = Some(at);
        step
    }

    fn close(
        &mut self,
        seq: i64,
        at: Millis,
        which: impl Fn(&run_step::Model) -> bool,
        failed: bool,
    ) -> Option<&run_step::Model> {
        let step = self
            .rows
            .iter_mut()
            .rev()
            .find(|s| s.ended_at.is_none() && which(s))?;
        step.last_seq = seq;
        step.ended_at = Some(at);
        step.failed = failed;
        Some(step)
    }

    fn done(
        &mut self,
        run: RunId,
        seq: i64,
        at: Millis,
        title: String,
        failed: bool,
    ) -> Option<&run_step::Model> {
        if !self.rows.iter().any(|s| s.kind == StepKind::Done) {
            self.open(run, seq, at, StepKind::Done, String::new(), None);
        }
        let step = self.rows.iter_mut().find(|s| s.kind == StepKind::Done)?;
        step.title = title;
        step.last_seq = seq;
        step.ended_at = Some(at);
        step.failed = failed;
        Some(step)
    }
}

/// A tool's name as a line can show it: a model may call anything whatever.
fn title(tool: &str) -> String {
    let shown = tool.chars().take(100);
    shown
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

fn call(step: &run_step::Model, call_id: &str) -> bool {
    step.kind == StepKind::ToolCall && step.call_id.as_deref() == Some(call_id)
}

/// Whether an event is part of the step; only events from `first_seq` to `last_seq` are asked about.
pub fn belongs(step: &run_step::Model, event: &Event) -> bool {
    let same_call = |id: &str| step.call_id.as_deref() == Some(id);
    match (step.kind, event) {
        (StepKind::RunStarted, Event::RunStarted(_))
        | (StepKind::Attempt, Event::AttemptStarted(_))
        | (
            StepKind::Thinking,
            Event::ModelRequested(_) | Event::ModelCompleted(_) | Event::ModelFailed(_),
        )
        | (StepKind::Note, Event::NotePosted(_))
        | (StepKind::StatusChange, Event::StatusChanged(_))
        | (StepKind::Handoff, Event::Reassigned(_))
        | (StepKind::Approval, Event::RunPaused(_) | Event::RunResumed(_))
        | (
            StepKind::Done,
            Event::SummaryWritten(_) | Event::RunCompleted(_) | Event::RunFailed(_),
        ) => true,
        (StepKind::Approval, Event::ApprovalRequested(e)) => same_call(&e.call_id),
        (StepKind::Approval, Event::ApprovalApproved(e)) => same_call(&e.call_id),
        (StepKind::Approval, Event::ApprovalDenied(e)) => same_call(&e.call_id),
        (StepKind::Approval, Event::ApprovalExpired(e)) => same_call(&e.call_id),
        (StepKind::Approval, Event::ApprovalVoided(e)) => same_call(&e.call_id),
        (StepKind::ToolCall, Event::ToolRequested(e)) => same_call(&e.call_id),
        (StepKind::ToolCall, Event::ToolCompleted(e)) => same_call(&e.call_id),
        (StepKind::ToolCall, Event::ToolFailed(e)) => same_call(&e.call_id),
        (StepKind::ToolCall, Event::ToolRefused(e)) => same_call(&e.call_id),
        (StepKind::ToolCall, Event::ToolOutcomeUnknown(e)) => same_call(&e.call_id),
        _ => false,
    }
}
