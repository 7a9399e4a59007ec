//! A human being who uses the workspace.

use sea_orm::entity::prelude::*;

use crate::*;

/// A human being who uses the workspace.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "person")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PersonId,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The name to show.
    pub name: String,
    /// When it was made.
    pub created_at: Millis,
}

impl ActiveModelBehavior for ActiveModel {}
