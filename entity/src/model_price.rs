//! What a model costs from a moment on.

use sea_orm::entity::prelude::*;

use crate::*;

/// What a model costs from a moment on.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "model_price")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ModelPriceId,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The model, `provider:name`.
    pub model: String,
    /// Other names of the model: a JSON array of texts.
    #[sea_orm(column_type = "Text")]
    pub aliases: String,
    /// The provider's service tier: `standard`, or `priority`, `flex`, `batch`.
    pub service_tier: String,
    /// The row prices calls whose prompt is longer than so many tokens, whole; the model's other rows of the
    /// same moment price the shorter ones.
    pub prompt_over: i64,
    /// From when on it holds.
    pub effective_from: Millis,
    /// nano-USD per million uncached input tokens.
    pub input: i64,
    /// nano-USD per million input tokens read from the cache; null: not offered, or not known.
    pub cache_read: Option<i64>,
    /// nano-USD per million input tokens written to the short-lived cache; null: not offered, or not known.
    pub cache_write_short: Option<i64>,
    /// nano-USD per million input tokens written to the long-lived cache; null: not offered, or not known.
    pub cache_write_long: Option<i64>,
    /// nano-USD per million output tokens.
    pub output: i64,
    /// Where the figures come from.
    pub source: String,
    /// When the row was made.
    pub created_at: Millis,
}

impl ActiveModelBehavior for ActiveModel {}
