//! One call of a tool that a person must approve: what is asked, until when, and what became of it.

use sea_orm::entity::prelude::*;

use crate::*;

/// One call of a tool that a person must approve: what is asked, until when, and what became of it. A projection of its
/// run's log.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "approval")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ApprovalId,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The run that waits for it.
    pub run_id: RunId,
    /// The run's request.
    pub request_id: RequestId,
    /// Whose call it is.
    pub coworker_id: CoworkerId,
    /// The call, within its run.
    pub call_id: String,
    /// The tool.
    pub tool: String,
    /// The exact arguments.
    #[sea_orm(column_type = "Text")]
    pub arguments: String,
    /// SHA-256 of the tool's name, description and parameters, hexadecimal.
    pub schema_hash: String,
    /// SHA-256 of all that an approval is bound to, hexadecimal.
    pub digest: String,
    /// Where it stands.
    pub state: ApprovalState,
    /// When it was asked for.
    pub requested_at: Millis,
    /// From when on nobody can approve it any more.
    pub expires_at: Millis,
    /// Who decided; null while it is pending, and where nobody did.
    pub decided_by_kind: Option<ActorKind>,
    /// Their id.
    pub decided_by_id: Option<Uuid>,
    /// When it was decided, expired, or became void.
    pub decided_at: Option<Millis>,
    /// Why, as whoever decided put it.
    #[sea_orm(column_type = "Text", nullable)]
    pub reason: Option<String>,
    /// When the call was made under it; null: not yet, or never.
    pub used_at: Option<Millis>,
}

impl ActiveModelBehavior for ActiveModel {}
