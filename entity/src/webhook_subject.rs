//! What the events of an endpoint are about, and the request that stands for it.

use sea_orm::entity::prelude::*;

use crate::*;

/// What the events of an endpoint are about, and the request that stands for it.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_subject")]
pub struct Model {
    /// The endpoint.
    #[sea_orm(primary_key, auto_increment = false)]
    pub endpoint_id: WebhookEndpointId,
    /// The sender's name for it: an incident's id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject: String,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The request; null before the event that makes one.
    pub request_id: Option<RequestId>,
    /// The status that the newest event which tells one gives it.
    pub status: Option<RequestStatus>,
    /// When that event happened, by the sender's clock.
    pub status_at: Option<Millis>,
    /// The urgency that the newest event which tells one gives it.
    pub priority: Option<Priority>,
    /// When that event happened, by the sender's clock.
    pub priority_at: Option<Millis>,
}

impl ActiveModelBehavior for ActiveModel {}
