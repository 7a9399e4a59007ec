//! One action of a server of tools: the definition that an administrator knows, and the one that the server has now.

use sea_orm::entity::prelude::*;

use crate::*;

/// One action of a server of tools: the definition that an administrator knows, and the one that the server has now.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "tool_action")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ToolActionId,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The server.
    pub server_id: ToolServerId,
    /// What stands after the dot of the tool's name, unique on the server.
    pub name: String,
    /// What models are told that it does.
    #[sea_orm(column_type = "Text")]
    pub description: String,
    /// JSON Schema of its arguments.
    #[sea_orm(column_type = "Text")]
    pub parameters: String,
    /// SHA-256 of name, description, schema and hints: what is pinned.
    pub digest: Vec<u8>,
    /// Whether the server still has it like that.
    pub state: ToolActionState,
    /// The description that waits to be accepted.
    #[sea_orm(column_type = "Text", nullable)]
    pub seen_description: Option<String>,
    /// The schema that waits to be accepted.
    #[sea_orm(column_type = "Text", nullable)]
    pub seen_parameters: Option<String>,
    /// The digest of what waits to be accepted.
    pub seen_digest: Option<Vec<u8>>,
    /// What the server then says of repeated calls.
    pub seen_effect: Option<ToolEffect>,
    /// Whether a call may then destroy something.
    pub seen_destructive: Option<bool>,
    /// When the change was seen.
    pub seen_at: Option<Millis>,
    /// What the server says of repeated calls.
    pub hinted_effect: ToolEffect,
    /// What an administrator says of them; null: as the server says.
    pub effect: Option<ToolEffect>,
    /// Whether a call may destroy something, as the server says.
    pub destructive: bool,
    /// Whether coworkers may call it at all.
    pub enabled: bool,
    /// When it was first seen.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
}

impl ActiveModelBehavior for ActiveModel {}
