//! A note on a request.

use sea_orm::entity::prelude::*;

use crate::*;

/// A note on a request.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "note")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: NoteId,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The request.
    pub request_id: RequestId,
    /// What kind of actor wrote it.
    pub author_kind: ActorKind,
    /// Who wrote it.
    pub author_id: Uuid,
    /// The run that wrote it, if a coworker did.
    pub run_id: Option<RunId>,
    /// Who may read it.
    pub visibility: NoteVisibility,
    /// The text, Markdown.
    #[sea_orm(column_type = "Text")]
    pub body: String,
    /// When it was posted.
    pub created_at: Millis,
}

impl ActiveModelBehavior for ActiveModel {}
