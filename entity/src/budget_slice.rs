//! A slice of a budget that a worker may reserve calls out of.

use sea_orm::entity::prelude::*;

use crate::*;

/// A slice of a budget that a worker may reserve calls out of.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "budget_slice")]
pub struct Model {
    /// Whose budget: the id of a coworker, or of a workspace.
    #[sea_orm(primary_key, auto_increment = false)]
    pub scope_id: Uuid,
    /// For which span of time.
    #[sea_orm(primary_key, auto_increment = false)]
    pub period: BudgetPeriod,
    /// The worker.
    #[sea_orm(primary_key, auto_increment = false)]
    pub worker_id: Uuid,
    /// What the worker may still reserve, at the most, nano-USD.
    pub free_nano: i64,
    /// Until when it counts, by the database's clock.
    pub lease_until: Millis,
    /// The worker's take that wrote it, by its number: an earlier one that is committed later changes nothing.
    pub seq: i64,
}

impl ActiveModelBehavior for ActiveModel {}
