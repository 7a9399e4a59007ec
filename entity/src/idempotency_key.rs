//! What a creating call made, so that the same call repeated makes nothing more.

use sea_orm::entity::prelude::*;

use crate::*;

/// What a creating call made, so that the same call repeated makes nothing more.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_key")]
pub struct Model {
    /// The workspace.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: WorkspaceId,
    /// The operation and the caller's key, `requestCreate:abc`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// SHA-256 of the input (32 bytes): the same key with other input is refused.
    pub input_hash: Vec<u8>,
    /// The id of what was made.
    pub made_id: Uuid,
    /// When.
    pub created_at: Millis,
}

impl ActiveModelBehavior for ActiveModel {}
