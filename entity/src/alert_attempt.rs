//! One try to deliver an alert, and what became of it.

use sea_orm::entity::prelude::*;

use crate::*;

/// One try to deliver an alert, and what became of it.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "alert_attempt")]
pub struct Model {
    /// The delivery.
    #[sea_orm(primary_key, auto_increment = false)]
    pub delivery_id: AlertDeliveryId,
    /// From 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i32,
    /// When it was sent.
    pub at: Millis,
    /// How long it took, milliseconds.
    pub duration_ms: i64,
    /// The HTTP status that came back; null: none did.
    pub status: Option<i32>,
    /// Why it failed, in one sentence; null: it did not.
    #[sea_orm(column_type = "Text", nullable)]
    pub error: Option<String>,
    /// How the answer began; null: none came, or it was no text.
    #[sea_orm(column_type = "Text", nullable)]
    pub response: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}
