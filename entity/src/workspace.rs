//! A tenant: people, coworkers, requests and runs belong to exactly one.

use sea_orm::entity::prelude::*;

use crate::*;

/// A tenant: people, coworkers, requests and runs belong to exactly one.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "workspace")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: WorkspaceId,
    /// Its name, unique on this installation.
    #[sea_orm(unique)]
    pub name: String,
    /// The number of the newest run; 0 before the first. Taken in the transaction that starts a run.
    pub last_run_number: i64,
    /// When the newest run started: `started_at` never goes back within a workspace.
    pub last_started_at: Millis,
    /// The number of the newest request; 0 before the first.
    pub last_request_number: i64,
    /// Runs that may follow each other on one request without a person touching it.
    pub hop_budget: i32,
    /// What kind of actor gets a request that went past the hop budget; null: nobody.
    pub escalation_kind: Option<ActorKind>,
    /// Who gets it.
    pub escalation_id: Option<Uuid>,
    /// What all runs of a day (UTC) may cost, nano-USD; null: no limit.
    pub daily_budget_nano: Option<i64>,
    /// The same for a month (UTC).
    pub monthly_budget_nano: Option<i64>,
    /// Key of the checksums in this workspace's cursors (32 bytes).
    pub cursor_key: Vec<u8>,
    /// When it was made.
    pub created_at: Millis,
}

impl ActiveModelBehavior for ActiveModel {}
