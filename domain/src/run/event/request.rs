//! What the coworker decides about its request.

use entity::{AssignmentId, NoteId, NoteVisibility, RequestStatus};
use serde::{Deserialize, Serialize};

use super::ActorRef;

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
