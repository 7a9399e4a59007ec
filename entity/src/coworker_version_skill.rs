//! A skill's version that a coworker's version pins: its runs read exactly this text.

use sea_orm::entity::prelude::*;

use crate::*;

/// A skill's version that a coworker's version pins: its runs read exactly this text.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "coworker_version_skill")]
pub struct Model {
    /// The coworker's version.
    #[sea_orm(primary_key, auto_increment = false)]
    pub coworker_version_id: CoworkerVersionId,
    /// Its place among the skills, from 0.
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i32,
    /// The skill's version.
    pub skill_version_id: SkillVersionId,
}

impl ActiveModelBehavior for ActiveModel {}
