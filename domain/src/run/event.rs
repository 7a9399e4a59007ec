//! The vocabulary of the run log: what can happen in a run.
//!
//! A type is never renamed and a field never changes its meaning: logs of earlier releases are read
//! by later ones. A reader meets what it does not know with [`Event::Unknown`].

mod approval;
mod model;
mod request;
mod run;
mod tool;

pub use approval::{
    ApprovalApproved, ApprovalDenied, ApprovalExpired, ApprovalRequested, ApprovalVoided,
    RunPaused, RunResumed,
};
pub use model::{ModelCompleted, ModelFailed, ModelRequested, PartRef};
pub use request::{NotePosted, Reassigned, StatusChanged};
pub use run::{
    ActorRef, AttemptStarted, CoworkerRef, LimitReached, RequestRef, RunCompleted, RunFailed,
    RunStarted, StopRequested, SummaryWritten, Takeover, Totals, TurnStarted,
};
pub use tool::{
    Refusal, ToolCompleted, ToolFailed, ToolOutcomeUnknown, ToolRefused, ToolRequested,
};

use serde::Serialize;
use serde_json::value::RawValue;

/// The version of this vocabulary.
pub const VERSION: &str = "3.1";

macro_rules! vocabulary {
    ($($(#[$doc:meta])* $name:ident = $kind:literal),+ $(,)?) => {
        /// What happened.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum Event {
            $($(#[$doc])* $name($name),)+
            /// A type of another release; kept and shown, never interpreted.
            Unknown(Unknown),
        }

        impl Event {
            /// The type, as the envelope spells it.
            pub fn kind(&self) -> &str {
                match self {
                    $(Self::$name(_) => $kind,)+
                    Self::Unknown(unknown) => &unknown.kind,
                }
            }

            /// Reads an event of type `kind`.
            ///
            /// # Errors
            /// What is wrong with the data of a known type.
            pub fn parse(kind: &str, data: &RawValue) -> serde_json::Result<Self> {
                match kind {
                    $($kind => serde_json::from_str(data.get()).map(Self::$name),)+
                    _ => Ok(Self::Unknown(Unknown { kind: kind.into(), data: data.to_owned() })),
                }
            }
        }

        $(impl From<$name> for Event {
            fn from(event: $name) -> Self {
                Self::$name(event)
            }
        })+
    };
}

vocabulary! {
    /// The run began.
    RunStarted = "run.started",
    /// A worker took the run over.
    AttemptStarted = "attempt.started",
    /// A turn of the model begins.
    TurnStarted = "turn.started",
    /// The model is asked.
    ModelRequested = "model.requested",
    /// The model answered.
    ModelCompleted = "model.completed",
    /// The model did not answer.
    ModelFailed = "model.failed",
    /// A tool is about to be called: the intent, committed before anything is sent.
    ToolRequested = "tool.requested",
    /// The tool answered.
    ToolCompleted = "tool.completed",
    /// The tool gave no usable answer.
    ToolFailed = "tool.failed",
    /// A call was not let through.
    ToolRefused = "tool.refused",
    /// The worker died between intent and result of a call that may not be repeated.
    ToolOutcomeUnknown = "tool.outcome_unknown",
    /// A person must approve a call.
    ApprovalRequested = "approval.requested",
    /// The call may be made, once.
    ApprovalApproved = "approval.approved",
    /// The call must not be made.
    ApprovalDenied = "approval.denied",
    /// Nobody decided about the call in time.
    ApprovalExpired = "approval.expired",
    /// The run ends before anybody decided about the call.
    ApprovalVoided = "approval.voided",
    /// The run waits, and no worker holds it.
    RunPaused = "run.paused",
    /// The run goes on.
    RunResumed = "run.resumed",
    /// Someone asked to stop the run.
    StopRequested = "stop.requested",
    /// The coworker posted a note.
    NotePosted = "note.posted",
    /// The coworker set the request's status.
    StatusChanged = "request.status_changed",
    /// The coworker assigned the request to someone else.
    Reassigned = "request.reassigned",
    /// A limit is reached; the reserve pays for one closing turn.
    LimitReached = "limit.reached",
    /// The summary.
    SummaryWritten = "summary.written",
    /// The end, with an outcome.
    RunCompleted = "run.completed",
    /// The end, with a failure.
    RunFailed = "run.failed",
}

impl Event {
    /// Whether it proves that its worker got something done.
    pub const fn is_progress(&self) -> bool {
        matches!(
            self,
            Self::ModelCompleted(_) | Self::ToolCompleted(_) | Self::ToolFailed(_)
        )
    }
}

/// An event of another release.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Unknown {
    /// Its type.
    #[serde(skip)]
    pub kind: String,
    /// Its data, the exact text.
    pub data: Box<RawValue>,
}

impl PartialEq for Unknown {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.data.get() == other.data.get()
    }
}
