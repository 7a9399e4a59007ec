//! Stint's schema, one set of migrations for SQLite and PostgreSQL.
//!
//! The migrations are the truth; a drift test selects every entity on a freshly migrated database
//! of each kind. This crate stands alone: it never imports `entity`, so that a migration means the
//! same for ever.

mod m20261122_000001_foundation;
mod m20261122_000002_hooks;
mod m20261122_000003_making;
mod m20261122_000004_routing;
mod m20261122_000005_ended;
mod m20261122_000006_addresses;
mod m20261122_000007_tool_servers;
mod m20261122_000008_approvals;
mod m20261122_000009_prices;
mod m20261122_000010_terms;
mod m20261122_000011_budgets;
mod m20261122_000013_rollups;
mod m20261123_000014_alerts;
mod m20261123_000015_traces;
mod m20261123_000016_ended;
mod m20261123_000017_slices;
mod m20261123_000019_rests;
mod m20261123_000020_weeks;
mod m20261123_000021_whole_sum;
mod m20261123_000022_fresh_calls;
mod sql;

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::{MigrationTrait, async_trait};

/// All migrations, oldest first.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261122_000001_foundation::Migration),
            Box::new(m20261122_000002_hooks::Migration),
            Box::new(m20261122_000003_making::Migration),
            Box::new(m20261122_000004_routing::Migration),
            Box::new(m20261122_000005_ended::Migration),
            Box::new(m20261122_000006_addresses::Migration),
            Box::new(m20261122_000007_tool_servers::Migration),
            Box::new(m20261122_000008_approvals::Migration),
            Box::new(m20261122_000009_prices::Migration),
            Box::new(m20261122_000010_terms::Migration),
            Box::new(m20261122_000011_budgets::Migration),
            Box::new(m20261122_000013_rollups::Migration),
            Box::new(m20261123_000014_alerts::Migration),
            Box::new(m20261123_000015_traces::Migration),
            Box::new(m20261123_000016_ended::Migration),
            Box::new(m20261123_000017_slices::Migration),
            Box::new(m20261123_000019_rests::Migration),
            Box::new(m20261123_000020_weeks::Migration),
            Box::new(m20261123_000021_whole_sum::Migration),
            Box::new(m20261123_000022_fresh_calls::Migration),
        ]
    }
}
