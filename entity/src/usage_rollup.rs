//! What was used and what it cost within one bucket of time, by coworker and more: a fold over the ledger and the ended runs.

use sea_orm::entity::prelude::*;

use crate::*;

/// What was used and what it cost within one bucket of time, by coworker and more: a fold over the ledger and the ended runs.
///
/// A model call counts in the bucket in which it ended, a run in the bucket in which it ended.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "usage_rollup")]
pub struct Model {
    /// The workspace.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: WorkspaceId,
    /// By what else than the model the figures are kept apart.
    #[sea_orm(primary_key, auto_increment = false)]
    pub cube: RollupCube,
    /// How long the bucket is.
    #[sea_orm(primary_key, auto_increment = false)]
    pub grain: RollupGrain,
    /// Of days and weeks: for which making of them they were made, see [`rollup_state::Model::generation`]. Else 0.
    #[sea_orm(primary_key, auto_increment = false)]
    pub generation: i64,
    /// The bucket's first moment.
    #[sea_orm(primary_key, auto_increment = false)]
    pub bucket: Millis,
    /// The coworker.
    #[sea_orm(primary_key, auto_increment = false)]
    pub coworker_id: CoworkerId,
    /// The model.
    #[sea_orm(primary_key, auto_increment = false)]
    pub model: String,
    /// Where the request came from; empty where the cube does not keep it apart.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source: String,
    /// What started the run; empty where the cube does not keep it apart.
    #[sea_orm(primary_key, auto_increment = false)]
    pub trigger: String,
    /// How the run ended; empty for runs that failed, and where the cube does not keep it apart.
    #[sea_orm(primary_key, auto_increment = false)]
    pub outcome: String,
    /// Runs that ended.
    pub runs: i64,
    /// Of these, those that completed.
    pub completed: i64,
    /// Of these, those that failed.
    pub failed: i64,
    /// Their model turns.
    pub turns: i64,
    /// Their tool calls, refused ones included.
    pub tool_calls: i64,
    /// Model calls.
    pub calls: i64,
    /// Of these, those without a price.
    pub unpriced_calls: i64,
    /// Of these, those whose usage is not known.
    pub unknown_calls: i64,
    /// Input tokens that were neither read from nor written to a cache.
    pub input_tokens: i64,
    /// Input tokens read from a cache.
    pub cache_read_tokens: i64,
    /// Input tokens written to a cache.
    pub cache_write_tokens: i64,
    /// Output tokens, reasoning included.
    pub output_tokens: i64,
    /// Output tokens that were reasoning.
    pub reasoning_tokens: i64,
    /// What the priced calls cost, nano-USD.
    pub cost_nano: i64,
    /// Of it, what input outside of caches cost.
    pub cost_input_nano: i64,
    /// Of it, what reading from caches cost.
    pub cost_cache_read_nano: i64,
    /// Of it, what writing to caches cost.
    pub cost_cache_write_nano: i64,
    /// What the calls whose cost is not known may have cost at the most, nano-USD; not in the cost.
    pub estimated_nano: i64,
    /// Input tokens of the coworkers' identities.
    pub part_identity: i64,
    /// Input tokens of their souls.
    pub part_soul: i64,
    /// Input tokens of their goals.
    pub part_goal: i64,
    /// Input tokens of what Stint tells every coworker.
    pub part_instructions: i64,
    /// Input tokens of their skills.
    pub part_skills: i64,
    /// Input tokens of the definitions of tools.
    pub part_tools: i64,
    /// Input tokens of requests.
    pub part_request: i64,
    /// Input tokens of notes.
    pub part_notes: i64,
    /// Input tokens of what models said earlier.
    pub part_history: i64,
    /// Input tokens of what tools answered.
    pub part_results: i64,
    /// How long the runs took, milliseconds, as a DDSketch; null where no run ended.
    pub durations: Option<Vec<u8>>,
}

impl ActiveModelBehavior for ActiveModel {}
