//! One delivery to an endpoint. The first of each event is unique, which is what makes an event count once.

use sea_orm::entity::prelude::*;

use crate::*;

/// One delivery to an endpoint. The first of each event is unique, which is what makes an event count once.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_delivery")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: WebhookDeliveryId,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The endpoint.
    pub endpoint_id: WebhookEndpointId,
    /// The sender's id of the event; null where it was refused before that was known.
    pub event_id: Option<String>,
    /// The sender's word for what happened.
    pub event_type: Option<String>,
    /// What the event is about, as the sender names it: an incident.
    pub subject: Option<String>,
    /// The sender's id of the message, where it has one besides the event's.
    pub message_id: Option<String>,
    /// Whether the signature was verified.
    pub verified: bool,
    /// What became of it.
    pub outcome: WebhookOutcome,
    /// Why it was refused.
    pub refusal: Option<WebhookRefusal>,
    /// What became of it, in one sentence.
    #[sea_orm(column_type = "Text", nullable)]
    pub reason: Option<String>,
    /// The request that it made or belongs to.
    pub request_id: Option<RequestId>,
    /// The body, exactly as it came; null where it was not verified, is no text, or is older than what is kept.
    #[sea_orm(column_type = "Text", nullable)]
    pub payload: Option<String>,
    /// How many bytes the body had.
    pub size: i64,
    /// When it came.
    pub received_at: Millis,
}

impl ActiveModelBehavior for ActiveModel {}
