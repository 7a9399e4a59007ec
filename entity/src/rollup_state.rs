//! How far the rollups of a workspace are.

use sea_orm::entity::prelude::*;

use crate::*;

/// How far the rollups of a workspace are. Whoever changes a rollup holds this row.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "rollup_state")]
pub struct Model {
    /// The workspace.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: WorkspaceId,
    /// The IANA time zone that days are kept in.
    pub zone: String,
    /// The release of the time zone database by which days are kept; those of another one are not used, and are made anew.
    pub zone_release: String,
    /// Grows whenever days are made anew; days and weeks of an older one are waste.
    pub generation: i64,
    /// From this moment, the start of a day, on days are complete, and so are weeks that begin then or later.
    pub days_from: Millis,
    /// Up to this moment, the start of an hour, there are hours instead of quarter-hours.
    pub hours_until: Millis,
}

impl ActiveModelBehavior for ActiveModel {}
