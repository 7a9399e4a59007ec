//! A run's row as its log says it should be.

use entity::{FailureCode, Millis, Outcome, RunStatus, SummaryAuthor, run};

/// What a run's row holds of its log; [`crate::run::rebuild`] computes the same from the events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projection {
    /// See [`entity::run::Model`] for this and all other fields.
    pub status: RunStatus,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Why it failed.
    pub failure_code: Option<FailureCode>,
    /// The end-of-run rule met.
    pub end_of_run_rule: Option<String>,
    /// The reason given.
    pub reason: Option<String>,
    /// The summary.
    pub summary: Option<String>,
    /// Who wrote it.
    pub summary_author: Option<SummaryAuthor>,
    /// When a stop was asked for.
    pub stop_requested_at: Option<Millis>,
    /// When it ended.
    pub ended_at: Option<Millis>,
    /// When its time is up.
    pub deadline: Millis,
    /// The newest event.
    pub last_seq: i64,
    /// Its hash.
    pub head_hash: Vec<u8>,
    /// Model turns.
    pub turn_count: i32,
    /// Tool calls.
    pub tool_call_count: i32,
    /// Steps.
    pub step_count: i32,
    /// Input tokens, cached ones included.
    pub input_tokens: i64,
    /// Output tokens.
    pub output_tokens: i64,
    /// Tokens read from a cache.
    pub cached_tokens: i64,
    /// Reasoning tokens.
    pub reasoning_tokens: i64,
    /// Tokens written to a cache.
    pub cache_write_tokens: i64,
    /// Cost of the priced calls.
    pub cost_nano: i64,
    /// Calls without a price.
    pub unpriced_calls: i32,
    /// Calls without known usage.
    pub unknown_calls: i32,
    /// What calls without a known cost stay charged at.
    pub estimated_nano: i64,
    /// What the model call under way may cost at the most.
    pub reserved_nano: i64,
}

impl Projection {
    /// The run's row with this projection.
    pub fn onto(self, row: run::Model) -> run::Model {
        let Self {
            status,
            outcome,
            failure_code,
            end_of_run_rule,
            reason,
            summary,
            summary_author,
            stop_requested_at,
            ended_at,
            deadline,
            last_seq,
            head_hash,
            turn_count,
            tool_call_count,
            step_count,
            input_tokens,
            output_tokens,
            cached_tokens,
            reasoning_tokens,
            cache_write_tokens,
            cost_nano,
            unpriced_calls,
            unknown_calls,
            estimated_nano,
            reserved_nano,
        } = self;
        run::Model {
            status,
            outcome,
            failure_code,
            end_of_run_rule,
            reason,
            summary,
            summary_author,
            stop_requested_at,
            ended_at,
            deadline,
            last_seq,
            head_hash,
            turn_count,
            tool_call_count,
            step_count,
            input_tokens,
            output_tokens,
            cached_tokens,
            reasoning_tokens,
            cache_write_tokens,
            cost_nano,
            unpriced_calls,
            unknown_calls,
            estimated_nano,
            reserved_nano,
            ..row
        }
    }
}
