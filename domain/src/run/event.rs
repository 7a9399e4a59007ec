//! The vocabulary of the run log: what can happen in a run.
//!
//! A type is never renamed and a field never changes its meaning: logs of earlier releases are read
//! by later ones. A reader meets what it does not know with [`Event::Unknown`].

mod approval;

pub use approval::{
    ApprovalApproved, ApprovalDenied, ApprovalExpired, ApprovalRequested, ApprovalVoided,
    RunPaused, RunResumed,
};

use entity::{
    ActorKind, AssignmentId, CoworkerId, CoworkerVersionId, DispatchId, FailureCode, Millis,
    ModelPriceId, NoteId, NoteVisibility, Outcome, RequestId, RequestStatus, RunId, SummaryAuthor,
    Trigger, WorkspaceId,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::coworker::config::Limits;
use crate::model::tokens::Components;
use crate::model::{FinishReason, ModelErrorClass, PartKind, ToolCall, Usage, Verbatim};
use crate::tool::{Effect, ToolErrorClass};

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

/// An actor, as events name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorRef {
    /// What kind of actor.
    pub kind: ActorKind,
    /// Its id.
    pub id: Uuid,
    /// The handle or name at that time.
    pub name: String,
}

/// The request of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRef {
    /// Its id.
    pub id: RequestId,
    /// Its number.
    pub number: i64,
    /// Its title at that time.
    pub title: String,
}

/// The coworker of a run and the version that is pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoworkerRef {
    /// Its id.
    pub id: CoworkerId,
    /// Its handle at that time.
    pub handle: String,
    /// The version's id.
    pub version_id: CoworkerVersionId,
    /// The version's number.
    pub version: i32,
    /// Whether it was the workspace's Triage coworker then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_triage: bool,
}

/// See [`Event::RunStarted`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunStarted {
    /// The run's id; its number is in the envelope.
    pub run: RunId,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The request.
    pub request: RequestRef,
    /// Who runs.
    pub coworker: CoworkerRef,
    /// What triggered it.
    pub trigger: Trigger,
    /// The dispatch that became this run.
    pub dispatch: DispatchId,
    /// The assignment epoch; none for mentions.
    pub assignment_epoch: Option<i64>,
    /// The model.
    pub model: String,
    /// The limits.
    pub limits: Limits,
    /// When its time is up.
    pub deadline: Millis,
}

/// See [`Event::AttemptStarted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptStarted {
    /// From 2: the first one is the run's start.
    pub attempt: i32,
    /// Why another worker took over.
    pub reason: Takeover,
}

/// Why a run changed hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Takeover {
    /// The worker's lease ran out: it died, froze or lost the database.
    LeaseExpired,
    /// The worker gave it back in order, or never learned that it had it.
    HandedBack,
    /// It was held past its deadline.
    Overdue,
}

/// See [`Event::TurnStarted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnStarted {
    /// From 1.
    pub turn: i32,
}

/// See [`Event::ModelRequested`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRequested {
    /// The model.
    pub model: String,
    /// The try within this turn, from 1.
    pub attempt: i32,
    /// The prompt's parts; what follows them is the log itself.
    pub prompt: Vec<PartRef>,
    /// The tools that the model may call.
    pub tools: Vec<String>,
    /// The most that it may write.
    pub max_output_tokens: i64,
    /// Whether it is the closing turn that the reserve pays for.
    pub closing: bool,
    /// About how many tokens each part of the prompt has; the shares of what the provider will report.
    #[serde(default, skip_serializing_if = "Components::is_empty")]
    pub estimate: Components,
}

/// A part of a prompt; its text is in `prompt_part` under this digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRef {
    /// What it is.
    pub kind: PartKind,
    /// SHA-256 of its text, hexadecimal.
    pub digest: String,
}

/// See [`Event::ModelCompleted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelCompleted {
    /// The model.
    pub model: String,
    /// What it said.
    pub text: String,
    /// Its reasoning.
    pub thinking: String,
    /// The calls that it asks for.
    pub calls: Vec<ToolCall>,
    /// Why it stopped writing.
    pub finish_reason: FinishReason,
    /// What it used; none if the provider did not say.
    pub usage: Option<Usage>,
    /// The price that was in force; none: unpriced.
    pub price: Option<ModelPriceId>,
    /// Cost, nano-USD; none: unpriced.
    pub cost_nano: Option<i64>,
    /// Milliseconds from request to the last token.
    pub latency_ms: i64,
    /// Milliseconds to the first token, if known.
    pub first_token_ms: Option<i64>,
    /// The service tier that it was priced by; none: the standard one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// The answer in the provider's own form, where it must go back unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verbatim: Option<Verbatim>,
}

/// See [`Event::ModelFailed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFailed {
    /// The model.
    pub model: String,
    /// The try within this turn.
    pub attempt: i32,
    /// What kind of failure.
    pub class: ModelErrorClass,
    /// One sentence.
    pub message: String,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    /// What it used all the same; none: unknown.
    pub usage: Option<Usage>,
    /// The price that was in force.
    pub price: Option<ModelPriceId>,
    /// Cost, nano-USD; none: unpriced or unknown.
    pub cost_nano: Option<i64>,
}

/// See [`Event::ToolRequested`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolRequested {
    /// The call.
    pub call_id: String,
    /// The tool.
    pub tool: String,
    /// The exact arguments.
    pub arguments: String,
    /// The key that is sent on.
    pub idempotency_key: String,
    /// What happens when it is repeated.
    pub effect: Effect,
}

/// See [`Event::ToolCompleted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCompleted {
    /// The call.
    pub call_id: String,
    /// The exact response.
    pub response: String,
    /// The names of the secrets that were taken out of the response: `‹secret:NAME›` stands in their place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<String>,
    /// Milliseconds that it took.
    pub latency_ms: i64,
}

/// See [`Event::ToolFailed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolFailed {
    /// The call.
    pub call_id: String,
    /// What kind of failure.
    pub class: ToolErrorClass,
    /// One sentence.
    pub message: String,
    /// The names of the secrets that were taken out of the message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<String>,
    /// Milliseconds that it took.
    pub latency_ms: i64,
}

/// See [`Event::ToolRefused`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolRefused {
    /// The call.
    pub call_id: String,
    /// The tool, as the model named it.
    pub tool: String,
    /// The exact arguments.
    pub arguments: String,
    /// Why.
    pub reason: Refusal,
    /// One sentence, which the model is told.
    pub message: String,
}

/// Why a call was not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// There is no such tool.
    Unknown,
    /// The tool is not enabled for the coworker.
    NotEnabled,
    /// The arguments do not fit.
    BadArguments,
    /// The coworker was only mentioned.
    NotAssignee,
    /// The request is handed off, or the run is closing: only the end may follow.
    OnlyFinish,
    /// The run's tool calls are used up.
    Limit,
    /// The request is not in a state for it.
    Conflict,
    /// A person denied it.
    Denied,
    /// Nobody approved it in time.
    Expired,
    /// It is not the call that was approved.
    NotApproved,
}

/// See [`Event::ToolOutcomeUnknown`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolOutcomeUnknown {
    /// The call.
    pub call_id: String,
    /// One sentence.
    pub message: String,
}

/// See [`Event::StopRequested`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRequested {
    /// By whom.
    pub by: ActorRef,
    /// Why.
    pub reason: Option<String>,
}

/// See [`Event::NotePosted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotePosted {
    /// The call that did it.
    pub call_id: String,
    /// The note.
    pub note: NoteId,
    /// Who may read it.
    pub visibility: NoteVisibility,
    /// Its text.
    pub body: String,
}

/// See [`Event::StatusChanged`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusChanged {
    /// The call that did it.
    pub call_id: String,
    /// The status before.
    pub before: RequestStatus,
    /// The status after.
    pub after: RequestStatus,
}

/// See [`Event::Reassigned`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reassigned {
    /// The call that did it.
    pub call_id: String,
    /// The assignment.
    pub assignment: AssignmentId,
    /// Who had it.
    pub before: Option<ActorRef>,
    /// Who has it.
    pub after: Option<ActorRef>,
    /// The epoch that began.
    pub epoch: i64,
    /// Why.
    pub reason: String,
}

/// See [`Event::LimitReached`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitReached {
    /// Which: the failure code that the run will end with.
    pub limit: FailureCode,
    /// The value reached: turns, calls, milliseconds, tokens or nano-USD.
    pub value: i64,
    /// The limit, same unit.
    pub maximum: i64,
}

/// See [`Event::SummaryWritten`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SummaryWritten {
    /// The text.
    pub text: String,
    /// By whom.
    pub author: SummaryAuthor,
}

/// See [`Event::RunCompleted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunCompleted {
    /// How it ended.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
    /// The end-of-run rule met.
    pub rule: Option<String>,
    /// What the run used.
    pub totals: Totals,
}

/// See [`Event::RunFailed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFailed {
    /// Why, for programs.
    pub code: FailureCode,
    /// Why, for people.
    pub reason: String,
    /// What the run used.
    pub totals: Totals,
}

/// What a run used, summed over its log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Model turns.
    pub turns: i32,
    /// Tool calls, refused ones included.
    pub tool_calls: i32,
    /// Input tokens, cached ones included.
    pub input_tokens: i64,
    /// Output tokens, reasoning included.
    pub output_tokens: i64,
    /// Input tokens read from a cache.
    pub cached_tokens: i64,
    /// Output tokens that were reasoning.
    pub reasoning_tokens: i64,
    /// Input tokens written to a cache.
    pub cache_write_tokens: i64,
    /// Cost of the priced calls, nano-USD.
    pub cost_nano: i64,
    /// Calls without a price.
    pub unpriced_calls: i32,
    /// Calls whose usage is not known.
    pub unknown_calls: i32,
}
