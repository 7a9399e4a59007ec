//! A secret that deliveries to an endpoint are signed with. Several are in force while they are rotated.

use sea_orm::entity::prelude::*;

use crate::*;

/// A secret that deliveries to an endpoint are signed with. Several are in force while they are rotated.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_secret")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: WebhookSecretId,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The endpoint.
    pub endpoint_id: WebhookEndpointId,
    /// The secret, sealed (`domain::secret`).
    pub sealed: Vec<u8>,
    /// When it was made.
    pub created_at: Millis,
    /// When it ends; null: not before it is rotated.
    pub ends_at: Option<Millis>,
}

impl ActiveModelBehavior for ActiveModel {}
