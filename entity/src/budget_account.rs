//! A budget that runs asked for: what slices of it are taken under, one at a time.

use sea_orm::entity::prelude::*;

use crate::*;

/// A budget that runs asked for: what slices of it are taken under, one at a time.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "budget_account")]
pub struct Model {
    /// Whose: the id of a coworker, or of a workspace.
    #[sea_orm(primary_key, auto_increment = false)]
    pub scope_id: Uuid,
    /// For which span of time.
    #[sea_orm(primary_key, auto_increment = false)]
    pub period: BudgetPeriod,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// When the day or month began that was asked for last.
    pub starts_at: Millis,
    /// When the day or month began in which it was used up; null: it is not.
    pub exhausted: Option<Millis>,
}

impl ActiveModelBehavior for ActiveModel {}
