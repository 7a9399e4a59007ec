//! A secret that alerts to an endpoint are signed with. Several are in force while they are rotated.

use sea_orm::entity::prelude::*;

use crate::*;

/// A secret that alerts to an endpoint are signed with. Several are in force while they are rotated.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "alert_secret")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AlertSecretId,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The endpoint.
    pub endpoint_id: AlertEndpointId,
    /// The secret, sealed (`domain::secret`).
    pub sealed: Vec<u8>,
    /// When it was made.
    pub created_at: Millis,
    /// When it ends; null: not before it is rotated.
    pub ends_at: Option<Millis>,
}

impl ActiveModelBehavior for ActiveModel {}
