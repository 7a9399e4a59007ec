//! One isolated, bounded execution by one coworker on one request: the projection of its log.

use sea_orm::entity::prelude::*;

use crate::*;

/// One isolated, bounded execution by one coworker on one request: the projection of its log.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "run")]
pub struct Model {
    /// Its id, UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: RunId,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// Its number within the workspace: from 1, without gaps, in the order of `started_at`.
    pub number: i64,
    /// The request.
    pub request_id: RequestId,
    /// Who runs.
    pub coworker_id: CoworkerId,
    /// The version that is pinned for the whole run.
    pub coworker_version_id: CoworkerVersionId,
    /// The dispatch that it came from.
    pub dispatch_id: DispatchId,
    /// What triggered it.
    pub trigger: Trigger,
    /// The assignment epoch that it works under; null for mentions.
    pub assignment_epoch: Option<i64>,
    /// The model, `provider:name`.
    pub model: String,
    /// Where it stands.
    pub status: RunStatus,
    /// How it ended, when it completed.
    pub outcome: Option<Outcome>,
    /// Why it failed, when it failed.
    pub failure_code: Option<FailureCode>,
    /// The end-of-run rule that it met, in the words of the coworker's goal.
    #[sea_orm(column_type = "Text", nullable)]
    pub end_of_run_rule: Option<String>,
    /// The reason it gave for its end.
    #[sea_orm(column_type = "Text", nullable)]
    pub reason: Option<String>,
    /// What it did and why, and what comes next.
    #[sea_orm(column_type = "Text", nullable)]
    pub summary: Option<String>,
    /// Who wrote the summary.
    pub summary_author: Option<SummaryAuthor>,
    /// When a person asked to stop it.
    pub stop_requested_at: Option<Millis>,
    /// When it started.
    pub started_at: Millis,
    /// When it ended.
    pub ended_at: Option<Millis>,
    /// When its time is up, paused time excluded.
    pub deadline: Millis,
    /// From 1; counted before a worker begins.
    pub attempt: i32,
    /// Attempts since the log last made progress; the third one that dies poisons the run.
    pub idle_attempts: i32,
    /// The worker that holds it; null: nobody.
    pub lease_owner: Option<Uuid>,
    /// Grows with every change of hands; an append with an older one never commits.
    pub lease_epoch: i64,
    /// Until when it is held, by the database's clock.
    pub lease_until: Option<Millis>,
    /// The sequence of its newest event.
    pub last_seq: i64,
    /// The hash of its newest event (32 bytes).
    pub head_hash: Vec<u8>,
    /// Model turns so far.
    pub turn_count: i32,
    /// Tool calls so far, refused ones included.
    pub tool_call_count: i32,
    /// Steps so far.
    pub step_count: i32,
    /// Input tokens, cached ones included.
    pub input_tokens: i64,
    /// Output tokens, reasoning included.
    pub output_tokens: i64,
    /// Input tokens that came from the provider's cache.
    pub cached_tokens: i64,
    /// Output tokens that were reasoning.
    pub reasoning_tokens: i64,
    /// Input tokens that were written to the provider's cache.
    pub cache_write_tokens: i64,
    /// Cost of the priced calls, nano-USD.
    pub cost_nano: i64,
    /// Model calls without a price.
    pub unpriced_calls: i32,
    /// Model calls whose usage is not known.
    pub unknown_calls: i32,
    /// What the calls whose cost is not known stay charged at in budgets, nano-USD.
    pub estimated_nano: i64,
    /// What the model call under way may cost at the most, nano-USD; 0 while none is under way.
    pub reserved_nano: i64,
    /// Whether the rollups hold it; only of runs that ended.
    pub rolled_up: bool,
}

impl ActiveModelBehavior for ActiveModel {}
