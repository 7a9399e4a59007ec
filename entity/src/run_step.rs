//! One step of a run as people read it: the header of a range of events.

use sea_orm::entity::prelude::*;

use crate::*;

/// One step of a run as people read it: the header of a range of events.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "run_step")]
pub struct Model {
    /// The run.
    #[sea_orm(primary_key, auto_increment = false)]
    pub run_id: RunId,
    /// From 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub idx: i32,
    /// What kind of step.
    pub kind: StepKind,
    /// One line.
    pub title: String,
    /// The tool call's id, for steps that belong to one.
    pub call_id: Option<String>,
    /// Whether it ended badly.
    pub failed: bool,
    /// When it began.
    pub started_at: Millis,
    /// When it ended; null while it goes on.
    pub ended_at: Option<Millis>,
    /// The first event that it is made of.
    pub first_seq: i64,
    /// The last event that it is made of so far.
    pub last_seq: i64,
}

impl ActiveModelBehavior for ActiveModel {}
