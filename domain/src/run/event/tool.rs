//! What is asked of a tool, and what comes of it.

use serde::{Deserialize, Serialize};

use crate::tool::{Effect, Encoding, ToolErrorClass};

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
    /// The exact answer that it failed with; none: nothing came, or more than is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
    /// How the answer is written here; none: as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// The names of the secrets that were taken out of the message and the answer.
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
    /// It is not the call that was approved, or nobody can approve it any more.
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
