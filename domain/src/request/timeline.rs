//! What a request's timeline holds besides who, when and in which run.

use entity::{
    ApprovalId, AssignmentId, DispatchId, NoteId, NoteVisibility, RequestEventKind, RequestStatus,
    RunId,
};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The rest of a timeline entry; `request_event.data` holds it as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TimelineData {
    /// The request was made.
    RequestCreated,
    /// A note was posted.
    NotePosted {
        /// The note.
        note: NoteId,
        /// Who may read it, and so see this entry.
        visibility: NoteVisibility,
    },
    /// The status changed.
    StatusChanged {
        /// Before.
        before: RequestStatus,
        /// After.
        after: RequestStatus,
    },
    /// It was assigned.
    Assigned {
        /// The assignment.
        assignment: AssignmentId,
    },
    /// A run started.
    RunStarted,
    /// A run ended.
    RunEnded,
    /// A dispatch was dropped.
    DispatchDropped {
        /// The dispatch, which holds the reason.
        dispatch: DispatchId,
    },
    /// Nobody fits it clearly enough, or who had it gave it to nobody.
    LeftToPeople {
        /// Why.
        reason: String,
    },
    /// Coworkers passed it on too often.
    Escalated {
        /// The assignment by which it went to whom it went; none if nobody had it and nobody gets it.
        assignment: Option<AssignmentId>,
        /// The runs since a person last touched it, oldest first.
        runs: Vec<RunId>,
    },
    /// It was decided about a call of a coworker, or nobody did in time.
    ApprovalDecided {
        /// The approval, which holds the decision.
        approval: ApprovalId,
    },
}

impl TimelineData {
    /// The kind that the row's column holds.
    pub const fn kind(&self) -> RequestEventKind {
        match self {
            Self::RequestCreated => RequestEventKind::RequestCreated,
            Self::NotePosted { .. } => RequestEventKind::NotePosted,
            Self::StatusChanged { .. } => RequestEventKind::StatusChanged,
            Self::Assigned { .. } => RequestEventKind::Assigned,
            Self::RunStarted => RequestEventKind::RunStarted,
            Self::RunEnded => RequestEventKind::RunEnded,
            Self::DispatchDropped { .. } => RequestEventKind::DispatchDropped,
            Self::LeftToPeople { .. } => RequestEventKind::LeftToPeople,
            Self::Escalated { .. } => RequestEventKind::Escalated,
            Self::ApprovalDecided { .. } => RequestEventKind::ApprovalDecided,
        }
    }

    /// Reads a row's `data`.
    ///
    /// # Errors
    /// [`Error::Internal`] if it is not one of these.
    pub fn from_row(data: &str) -> Result<Self> {
        serde_json::from_str(data).map_err(Error::internal)
    }
}
