//! What one model call used and cost. Append-only; rollups are a fold over it.

use sea_orm::entity::prelude::*;

use crate::*;

/// What one model call used and cost. Append-only; rollups are a fold over it.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "usage_ledger")]
pub struct Model {
    /// The run.
    #[sea_orm(primary_key, auto_increment = false)]
    pub run_id: RunId,
    /// The event that recorded the call.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The coworker.
    pub coworker_id: CoworkerId,
    /// The model, `provider:name`.
    pub model: String,
    /// The provider's service tier, as prices name it.
    pub service_tier: String,
    /// When the call ended.
    pub at: Millis,
    /// Whether the provider reported the usage; false: the figures are unknown.
    pub known: bool,
    /// Input tokens that were neither read from nor written to a cache.
    pub input_tokens: i64,
    /// Input tokens read from the cache.
    pub cache_read_tokens: i64,
    /// Input tokens written to the short-lived cache.
    pub cache_write_short_tokens: i64,
    /// Input tokens written to the long-lived cache.
    pub cache_write_long_tokens: i64,
    /// Output tokens, reasoning included.
    pub output_tokens: i64,
    /// Output tokens that were reasoning.
    pub reasoning_tokens: i64,
    /// The price row that was in force; null: unpriced.
    pub price_id: Option<ModelPriceId>,
    /// Cost in nano-USD; null: unpriced or unknown.
    pub cost_nano: Option<i64>,
    /// What the call stays charged at in budgets, because its cost is not known, nano-USD.
    pub reserved_nano: Option<i64>,
    /// Input tokens by component of the prompt, a JSON object that adds up to all of them; empty: unknown.
    #[sea_orm(column_type = "Text")]
    pub components: String,
    /// Whether a rollup already holds it.
    pub rolled_up: bool,
}

impl ActiveModelBehavior for ActiveModel {}
