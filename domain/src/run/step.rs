//! A run as people read it: `fold(events) → steps`. Pure.
//!
//! An event touches one step at the most. A step's header is a row; its body is read from the
//! events between `first_seq` and `last_seq` that [`belongs`] to it.

mod approval;

use entity::{Millis, NoteVisibility, RunId, StepKind, run_event, run_step};

use super::envelope;
use super::event::{
    ApprovalRequested, Event, ModelCompleted, ModelFailed, NotePosted, Reassigned, StatusChanged,
};
use crate::tool::Encoding;

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

/// What a step opens to.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Nothing more than its header.
    Header,
    /// What the model thought and said; empty while it thinks.
    Thinking {
        /// Its reasoning.
        thinking: String,
        /// What it said.
        text: String,
        /// Why it gave no answer, if it gave none.
        error: Option<String>,
        /// What it used and cost.
        model: Option<Box<ModelCompleted>>,
    },
    /// A tool call.
    ToolCall {
        /// The tool.
        tool: String,
        /// The exact arguments.
        request: String,
        /// The exact response; none while it runs, or if nothing came.
        response: Option<String>,
        /// How the response is written; none: as it came.
        encoding: Option<Encoding>,
        /// What went wrong.
        error: Option<CallError>,
        /// Milliseconds that it took.
        duration_ms: Option<i64>,
    },
    /// A note.
    Note(NotePosted),
    /// A change of status.
    StatusChange(StatusChanged),
    /// A hand-off.
    Handoff(Reassigned),
    /// What a person was asked.
    Approval(ApprovalRequested),
    /// The end.
    Done {
        /// The summary.
        summary: String,
        /// The reason.
        reason: String,
    },
}

/// What went wrong with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    /// A stable word: the class of a failure, `refused_…`, or `outcome_unknown`.
    pub code: String,
    /// One sentence.
    pub message: String,
}

/// Reads a step's body from its events (rows between its first and last, others are passed over).
///
/// # Errors
/// What is wrong with a stored line.
pub fn body(step: &run_step::Model, rows: &[run_event::Model]) -> serde_json::Result<Body> {
    let mut events = Vec::new();
    for row in rows
        .iter()
        .filter(|row| (step.first_seq..=step.last_seq).contains(&row.seq))
    {
        let event = envelope::event(row)?;
        if belongs(step, &event) {
            events.push(event);
        }
    }
    Ok(match step.kind {
        StepKind::RunStarted | StepKind::Attempt => Body::Header,
        StepKind::Thinking => thinking(events),
        StepKind::ToolCall => tool_call(events),
        StepKind::Note | StepKind::StatusChange | StepKind::Handoff | StepKind::Approval => {
            match events.into_iter().next() {
                Some(Event::NotePosted(e)) => Body::Note(e),
                Some(Event::StatusChanged(e)) => Body::StatusChange(e),
                Some(Event::Reassigned(e)) => Body::Handoff(e),
                Some(Event::ApprovalRequested(e)) => Body::Approval(e),
                _ => Body::Header,
            }
        }
        StepKind::Done => {
            let (mut summary, mut reason) = (String::new(), String::new());
            for event in events {
                match event {
                    Event::SummaryWritten(e) => summary = e.text,
                    Event::RunCompleted(e) => reason = e.reason,
                    Event::RunFailed(e) => reason = e.reason,
                    _ => {}
                }
            }
            Body::Done { summary, reason }
        }
    })
}

fn thinking(events: Vec<Event>) -> Body {
    let mut body = (String::new(), String::new(), None, None);
    for event in events {
        match event {
            Event::ModelCompleted(e) => {
                body = (e.thinking.clone(), e.text.clone(), None, Some(Box::new(e)))
            }
            Event::ModelFailed(ModelFailed { message, .. }) => body.2 = Some(message),
            _ => {}
        }
    }
    Body::Thinking {
        thinking: body.0,
        text: body.1,
        error: body.2,
        model: body.3,
    }
}

fn tool_call(events: Vec<Event>) -> Body {
    let (mut tool, mut request, mut response, mut error, mut duration_ms) =
        (String::new(), String::new(), None, None, None);
    let mut encoding = None;
    for event in events {
        match event {
            Event::ToolRequested(e) => (tool, request) = (e.tool, e.arguments),
            Event::ToolCompleted(e) => {
                (response, duration_ms) = (Some(e.response), Some(e.latency_ms))
            }
            Event::ToolFailed(e) => {
                (response, encoding, duration_ms) = (e.response, e.encoding, Some(e.latency_ms));
                error = Some(CallError {
                    code: e.class.as_str().into(),
                    message: e.message,
                });
            }
            Event::ToolRefused(e) => {
                (tool, request) = (e.tool, e.arguments);
                error = Some(CallError {
                    code: "refused".into(),
                    message: e.message,
                });
            }
            Event::ToolOutcomeUnknown(e) => {
                error = Some(CallError {
                    code: "outcome_unknown".into(),
                    message: e.message,
                });
            }
            _ => {}
        }
    }
    Body::ToolCall {
        tool,
        request,
        response,
        encoding,
        error,
        duration_ms,
    }
}
