//! An address that an outside system sends events to.

use sea_orm::entity::prelude::*;

use crate::*;

/// An address that an outside system sends events to.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_endpoint")]
pub struct Model {
    /// Its id, which whoever sees its requests sees too.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: WebhookEndpointId,
    /// The last part of the path that its deliveries come to, unique; only those who manage endpoints see it.
    pub address: String,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// What the system is called: the requester's name on its requests.
    pub name: String,
    /// What form the deliveries have.
    pub kind: WebhookKind,
    /// How a delivery is read, JSON (`domain::hook::Mapping`); null for PagerDuty.
    #[sea_orm(column_type = "Text", nullable)]
    pub mapping: Option<String>,
    /// Whether it takes deliveries.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
}

impl ActiveModelBehavior for ActiveModel {}
