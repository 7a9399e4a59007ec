//! Work that waits for a coworker. It has no number: a run has.

use sea_orm::entity::prelude::*;

use crate::*;

/// Work that waits for a coworker. It has no number: a run has.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "dispatch")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: DispatchId,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The request.
    pub request_id: RequestId,
    /// Who shall work on it.
    pub coworker_id: CoworkerId,
    /// What made it.
    pub trigger: Trigger,
    /// The assignment epoch that it belongs to; null for mentions.
    pub assignment_epoch: Option<i64>,
    /// The coworker's term when it was made.
    pub term: i64,
    /// The run whose hand-off made it; it can be claimed only after that run's end.
    pub source_run_id: Option<RunId>,
    /// Where it stands.
    pub state: DispatchState,
    /// The run that it became.
    pub run_id: Option<RunId>,
    /// Why it was dropped.
    pub drop_reason: Option<DropReason>,
    /// When it was made.
    pub created_at: Millis,
    /// The W3C trace context of whoever made it; null if nobody collects spans.
    pub trace: Option<String>,
    /// When it was started or dropped.
    pub decided_at: Option<Millis>,
}

impl ActiveModelBehavior for ActiveModel {}
