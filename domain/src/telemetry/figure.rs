//! Figures: what this process did since it started, and how long it took.
//!
//! No label names a workspace, a coworker, a request or a person: whoever may look at a machine's figures may not for that
//! look at what people work on. Each label has few values: models and tools are those that the operator's settings and
//! people's configurations name, never what a model made up, and of these the first [`MODELS`] and [`TOOLS`] that a process
//! meets; all others are [`OTHER`](super::OTHER).

use std::time::Duration;

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use entity::Millis;
use sea_orm::{FromQueryResult, Statement};

use super::label::First;
use crate::error::Result;
use crate::model::Usage;
use crate::store::Store;

/// Runs that ended, by `result`: an outcome or a failure code.
pub const RUNS_ENDED: &str = "stint_runs_ended_total";
/// Runs under way in the whole installation, by `state`.
pub const RUNS_ACTIVE: &str = "stint_runs_active";
/// Dispatches that wait, in the whole installation.
pub const WAITING: &str = "stint_dispatches_waiting";
/// How long the oldest of them has waited, seconds.
pub const QUEUE_AGE: &str = "stint_queue_age_seconds";
/// Appends that another worker's lease, or a reassignment, fenced off.
pub const LEASES_LOST: &str = "stint_leases_lost_total";
/// Runs taken over from workers that were lost.
pub const TAKEOVERS: &str = "stint_takeovers_total";
/// How long model calls take, seconds, by `model` and `result`.
pub const MODEL_SECONDS: &str = "stint_model_call_duration_seconds";
/// How long the first token takes, seconds, by `model`.
pub const FIRST_TOKEN: &str = "stint_model_first_token_seconds";
/// How long tool calls take, seconds, by `tool` and `result`.
pub const TOOL_SECONDS: &str = "stint_tool_call_duration_seconds";
/// Tokens, by `model` and `kind`; the kinds do not overlap.
pub const TOKENS: &str = "stint_tokens_total";
/// What priced model calls cost, nano-USD, by `model`.
pub const COST: &str = "stint_cost_nano_usd_total";
/// Streams that somebody watches.
pub const WATCHERS: &str = "stint_watchers";
/// Writes that shared a transaction.
pub const BATCH: &str = "stint_write_batch_size";
/// How long GraphQL operations take, seconds, by `kind` and `result`.
pub const OPERATION: &str = "stint_graphql_operation_duration_seconds";

/// The most models that labels tell apart.
pub const MODELS: usize = 50;
/// The most tools that labels tell apart.
pub const TOOLS: usize = 200;

static MODEL: First = First::new(MODELS);
static TOOL: First = First::new(TOOLS);

/// The bounds of the buckets of histograms of times, seconds.
pub const TIMES: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0,
];
/// The bounds of the buckets of batch sizes.
pub const SIZES: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// Says what each figure is, for whoever collects them.
pub fn describe() {
    describe_counter!(RUNS_ENDED, "Runs that ended, by outcome or failure code.");
    describe_gauge!(
        RUNS_ACTIVE,
        "Runs under way in the whole installation, by state."
    );
    describe_gauge!(
        WAITING,
        "Dispatches that wait for a worker, in the whole installation."
    );
    describe_gauge!(
        QUEUE_AGE,
        Unit::Seconds,
        "How long the oldest waiting dispatch has waited, in the whole installation."
    );
    describe_counter!(
        LEASES_LOST,
        "Appends that were fenced off: another worker holds the run, or its request was assigned anew."
    );
    describe_counter!(TAKEOVERS, "Runs taken over from workers that were lost.");
    describe_histogram!(MODEL_SECONDS, Unit::Seconds, "How long model calls take.");
    describe_histogram!(
        FIRST_TOKEN,
        Unit::Seconds,
        "How long models take to their first token."
    );
    describe_histogram!(TOOL_SECONDS, Unit::Seconds, "How long tool calls take.");
    describe_counter!(
        TOKENS,
        "Tokens that models read and wrote; the kinds do not overlap."
    );
    describe_counter!(
        COST,
        "What priced model calls cost, in billionths of a US dollar."
    );
    describe_gauge!(
        WATCHERS,
        "Streams of runs and requests that somebody watches at this process."
    );
    describe_histogram!(BATCH, "Writes that shared a transaction.");
    describe_histogram!(
        OPERATION,
        Unit::Seconds,
        "How long GraphQL queries and mutations take."
    );
    // There from the start, so that their first change is seen.
    counter!(LEASES_LOST).absolute(0);
    counter!(TAKEOVERS).absolute(0);
    gauge!(WATCHERS).set(0.0);
}

/// A run ended.
pub fn run_ended(result: &'static str) {
    counter!(RUNS_ENDED, "result" => result).increment(1);
}

/// An append was fenced off.
pub fn lease_lost() {
    counter!(LEASES_LOST).increment(1);
}

/// Runs were taken over.
pub fn taken_over(runs: usize) {
    counter!(TAKEOVERS).increment(u64::try_from(runs).unwrap_or(u64::MAX));
}

/// A model call ended.
#[derive(Clone, Copy, Debug)]
pub struct ModelCalled<'a> {
    /// `provider:name`.
    pub model: &'a str,
    /// `ok`, or the class of the failure.
    pub result: &'static str,
    /// Milliseconds.
    pub latency_ms: i64,
    /// Milliseconds, if known.
    pub first_token_ms: Option<i64>,
    /// What it used, if known.
    pub usage: Option<Usage>,
    /// What it cost, nano-USD, if known.
    pub cost_nano: Option<i64>,
}

impl ModelCalled<'_> {
    /// Counts it.
    pub fn count(self) {
        let model = MODEL.of(self.model);
        histogram!(MODEL_SECONDS, "model" => model.clone(), "result" => self.result)
            .record(seconds(self.latency_ms));
        if let Some(ms) = self.first_token_ms {
            histogram!(FIRST_TOKEN, "model" => model.clone()).record(seconds(ms));
        }
        if let Some(usage) = self.usage {
            let kinds = [
                ("input", usage.input),
                ("cache_read", usage.cache_read),
                (
                    "cache_write",
                    usage.cache_write_short + usage.cache_write_long,
                ),
                ("output", usage.output),
            ];
            for (kind, tokens) in kinds {
                counter!(TOKENS, "model" => model.clone(), "kind" => kind).increment(whole(tokens));
            }
        }
        if let Some(cost) = self.cost_nano {
            counter!(COST, "model" => model).increment(whole(cost));
        }
    }
}

/// A tool was called: one of those that there are.
pub fn tool_called(tool: &str, result: &'static str, latency_ms: i64) {
    histogram!(TOOL_SECONDS, "tool" => TOOL.of(tool), "result" => result)
        .record(seconds(latency_ms));
}

/// Writes shared a transaction.
pub fn batch(jobs: usize) {
    #[expect(clippy::cast_precision_loss, reason = "at most 128")]
    histogram!(BATCH).record(jobs as f64);
}

/// A GraphQL operation ended.
pub fn operation(kind: &'static str, result: &'static str, took: Duration) {
    histogram!(OPERATION, "kind" => kind, "result" => result).record(took.as_secs_f64());
}

/// Somebody watches, as long as this is kept.
#[derive(Debug)]
pub struct Watcher(());

impl Watcher {
    /// One more.
    pub fn new() -> Self {
        gauge!(WATCHERS).increment(1.0);
        Self(())
    }
}

impl Default for Watcher {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        gauge!(WATCHERS).decrement(1.0);
    }
}

/// Sets the figures of the whole installation: how much work there is, as the database has it.
///
/// # Errors
/// What the database said.
pub async fn look(store: &Store) -> Result<()> {
    #[derive(FromQueryResult)]
    struct Work {
        running: i64,
        paused: i64,
        waiting: i64,
        oldest: Option<i64>,
    }
    // Each from an index that holds few other rows; the second condition is that of the index.
    let sql = "SELECT (SELECT COUNT(*) FROM run WHERE status = 'RUNNING') AS running, \
               (SELECT COUNT(*) FROM run WHERE status = 'PAUSED_FOR_APPROVAL' AND status IN ('RUNNING', 'PAUSED_FOR_APPROVAL')) AS paused, \
               (SELECT COUNT(*) FROM dispatch WHERE state = 'WAITING') AS waiting, \
               (SELECT MIN(created_at) FROM dispatch WHERE state = 'WAITING') AS oldest";
    let statement = Statement::from_string(store.backend(), sql);
    let Some(work) = Work::find_by_statement(statement).one(store.read()).await? else {
        return Ok(());
    };
    let age = work.oldest.map_or(0, |at| store.now().since(Millis(at)));
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    for (state, runs) in [("running", work.running), ("paused", work.paused)] {
        gauge!(RUNS_ACTIVE, "state" => state).set(runs as f64);
    }
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    gauge!(WAITING).set(work.waiting as f64);
    gauge!(QUEUE_AGE).set(seconds(age));
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "times are far below 2^53 ms")]
fn seconds(ms: i64) -> f64 {
    ms.max(0) as f64 / 1_000.0
}

fn whole(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
