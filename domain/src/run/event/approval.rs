//! Of approvals: what was asked, what was decided, and for how long the run waited.

use entity::{ApprovalId, Millis};
use serde::{Deserialize, Serialize};

use super::ActorRef;

/// See [`super::Event::ApprovalRequested`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRequested {
    /// The approval.
    pub approval: ApprovalId,
    /// The call.
    pub call_id: String,
    /// The tool.
    pub tool: String,
    /// The exact arguments.
    pub arguments: String,
    /// SHA-256 of the tool's name, description and parameters, hexadecimal.
    pub schema_hash: String,
    /// SHA-256 of all that the approval is bound to, hexadecimal; see [`crate::run::approval::Bound`].
    pub digest: String,
    /// From when on nobody can approve it any more.
    pub expires_at: Millis,
}

/// See [`super::Event::ApprovalApproved`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalApproved {
    /// The approval.
    pub approval: ApprovalId,
    /// The call.
    pub call_id: String,
    /// By whom.
    pub by: ActorRef,
    /// Why.
    pub reason: Option<String>,
}

/// See [`super::Event::ApprovalDenied`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalDenied {
    /// The approval.
    pub approval: ApprovalId,
    /// The call.
    pub call_id: String,
    /// By whom.
    pub by: ActorRef,
    /// Why.
    pub reason: Option<String>,
}

/// See [`super::Event::ApprovalExpired`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalExpired {
    /// The approval.
    pub approval: ApprovalId,
    /// The call.
    pub call_id: String,
}

/// See [`super::Event::ApprovalVoided`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalVoided {
    /// The approval.
    pub approval: ApprovalId,
    /// The call.
    pub call_id: String,
}

/// See [`super::Event::RunPaused`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunPaused {
    /// The approval that it waits for.
    pub approval: ApprovalId,
}

/// See [`super::Event::RunResumed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunResumed {
    /// The approval that it waited for.
    pub approval: ApprovalId,
    /// Milliseconds that it waited.
    pub paused_ms: i64,
    /// When its time is up from now on: paused time does not count.
    pub deadline: Millis,
}
