//! A skill as it was written at one time: immutable, pinned by the coworkers' versions that use it.

use sea_orm::entity::prelude::*;

use crate::*;

/// A skill as it was written at one time: immutable, pinned by the coworkers' versions that use it.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "skill_version")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SkillVersionId,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The skill.
    pub skill_id: SkillId,
    /// From 1, per skill.
    pub version: i32,
    /// The name.
    pub name: String,
    /// The text, as models read it.
    #[sea_orm(column_type = "Text")]
    pub body: String,
    /// What kind of actor wrote it.
    pub created_by_kind: ActorKind,
    /// Who wrote it.
    pub created_by_id: Uuid,
    /// When.
    pub created_at: Millis,
}

impl ActiveModelBehavior for ActiveModel {}
