//! One event of a run's log. Append-only: rows never change.

use sea_orm::entity::prelude::*;

use crate::*;

/// One event of a run's log. Append-only: rows never change.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "run_event")]
pub struct Model {
    /// The run.
    #[sea_orm(primary_key, auto_increment = false)]
    pub run_id: RunId,
    /// From 1, without holes.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    /// The event's own id.
    pub event_id: EventId,
    /// Its type, for example `run.started`.
    pub kind: String,
    /// When it happened; never goes back within a run.
    pub at: Millis,
    /// The event as one line of JSON, exactly as written.
    #[sea_orm(column_type = "Text")]
    pub body: String,
    /// SHA-256 of the previous event's hash and this body (32 bytes).
    pub hash: Vec<u8>,
}

impl ActiveModelBehavior for ActiveModel {}
