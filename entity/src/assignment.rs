//! One assignment of a request, kept for good.

use sea_orm::entity::prelude::*;

use crate::*;

/// One assignment of a request, kept for good.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "assignment")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AssignmentId,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The request.
    pub request_id: RequestId,
    /// The epoch that it began.
    pub epoch: i64,
    /// What kind of actor it went to; null: to nobody.
    pub assignee_kind: Option<ActorKind>,
    /// Whom it went to.
    pub assignee_id: Option<Uuid>,
    /// What kind of actor assigned it.
    pub assigned_by_kind: ActorKind,
    /// Who assigned it.
    pub assigned_by_id: Uuid,
    /// The run that assigned it, if a coworker did.
    pub run_id: Option<RunId>,
    /// Why.
    #[sea_orm(column_type = "Text", nullable)]
    pub reason: Option<String>,
    /// When.
    pub created_at: Millis,
}

impl ActiveModelBehavior for ActiveModel {}
