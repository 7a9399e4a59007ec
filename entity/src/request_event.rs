//! One entry of a request's timeline. Append-only.

use sea_orm::entity::prelude::*;

use crate::*;

/// One entry of a request's timeline. Append-only.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "request_event")]
pub struct Model {
    /// The request.
    #[sea_orm(primary_key, auto_increment = false)]
    pub request_id: RequestId,
    /// From 1, without holes.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// What happened.
    pub kind: RequestEventKind,
    /// When.
    pub at: Millis,
    /// What kind of actor did it.
    pub actor_kind: ActorKind,
    /// Who did it.
    pub actor_id: Uuid,
    /// The run concerned: that acted, started or ended.
    pub run_id: Option<RunId>,
    /// The rest, JSON (`domain::request::TimelineData`).
    #[sea_orm(column_type = "Text")]
    pub data: String,
}

impl ActiveModelBehavior for ActiveModel {}
