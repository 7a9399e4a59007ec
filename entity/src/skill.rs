//! A skill: a procedure in words that coworkers share.

use sea_orm::entity::prelude::*;

use crate::*;

/// A skill: a procedure in words that coworkers share.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "skill")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SkillId,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// Its short name, unique in the workspace; coworkers refer to it.
    pub handle: String,
    /// The name to show, as in the newest version.
    pub name: String,
    /// The newest version's number, from 1.
    pub version: i32,
    /// The newest version: what coworkers that are published from now on pin.
    pub version_id: SkillVersionId,
    /// When it was made.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
}

impl ActiveModelBehavior for ActiveModel {}
