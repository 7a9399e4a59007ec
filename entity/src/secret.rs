//! A secret that servers of tools are reached with.

use sea_orm::entity::prelude::*;

use crate::*;

/// A secret that servers of tools are reached with.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "secret")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SecretId,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// Its name, unique in the workspace; declarations refer to it.
    pub name: String,
    /// The value, sealed (`domain::secret`).
    pub sealed: Vec<u8>,
    /// When it was made.
    pub created_at: Millis,
    /// When it was last set.
    pub updated_at: Millis,
}

impl ActiveModelBehavior for ActiveModel {}
