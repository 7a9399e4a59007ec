//! A server of tools that coworkers may be given.

use sea_orm::entity::prelude::*;

use crate::*;

/// A server of tools that coworkers may be given.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "tool_server")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ToolServerId,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// What stands before the dot of its tools' names, unique in the workspace.
    pub name: String,
    /// How its tools are reached.
    pub kind: ToolServerKind,
    /// How exactly, JSON (`domain::tool::Declaration`); secrets only by reference.
    #[sea_orm(column_type = "Text")]
    pub declaration: String,
    /// Grows with each change of the declaration.
    pub version: i32,
    /// When it last answered, as far as it was written down: changes for the better and worse are, not each call.
    pub ok_at: Option<Millis>,
    /// When it last failed.
    pub failed_at: Option<Millis>,
    /// What it failed with, as long as it fails.
    #[sea_orm(column_type = "Text", nullable)]
    pub error: Option<String>,
    /// Since when it is as it is: answers, or fails.
    pub health_since: Option<Millis>,
    /// When it was made.
    pub created_at: Millis,
    /// When its declaration last changed.
    pub updated_at: Millis,
}

impl ActiveModelBehavior for ActiveModel {}
