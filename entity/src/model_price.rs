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
    /// From when on it holds.
    pub effective_from: Millis,
    /// nano-USD per million uncached input tokens.
    pub input: i64,
    /// nano-USD per million input tokens read from the cache.
    pub cache_read: i64,
    /// nano-USD per million input tokens written to the short-lived cache.
    pub cache_write_short: i64,
    /// nano-USD per million input tokens written to the long-lived cache.
    pub cache_write_long: i64,
    /// nano-USD per million output tokens.
    pub output: i64,
    /// Where the figures come from.
    pub source: String,
    /// When the row was made.
    pub created_at: Millis,
}

impl ActiveModelBehavior for ActiveModel {}
