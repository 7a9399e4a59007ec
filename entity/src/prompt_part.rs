//! A part of a prompt, stored once per workspace under the digest of its text.

use sea_orm::entity::prelude::*;

use crate::*;

/// A part of a prompt, stored once per workspace under the digest of its text.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "prompt_part")]
pub struct Model {
    /// The workspace.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: WorkspaceId,
    /// SHA-256 of the text (32 bytes).
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: Vec<u8>,
    /// The text, exactly as the model reads it.
    #[sea_orm(column_type = "Text")]
    pub body: String,
}

impl ActiveModelBehavior for ActiveModel {}
