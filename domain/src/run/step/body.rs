//! What a step opens to, read from its events.

use entity::{StepKind, run_event, run_step};

use super::belongs;
use crate::run::envelope;
use crate::run::event::{
    ApprovalRequested, Event, ModelCompleted, ModelFailed, NotePosted, Reassigned, StatusChanged,
};
use crate::tool::Encoding;

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
