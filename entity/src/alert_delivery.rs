//! One alert on its way to one endpoint: written with what it tells of, sent afterwards.

use sea_orm::entity::prelude::*;

use crate::*;

/// One alert on its way to one endpoint: written with what it tells of, sent afterwards.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "alert_delivery")]
pub struct Model {
    /// Its id, by which the receiver knows it too.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AlertDeliveryId,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The endpoint.
    pub endpoint_id: AlertEndpointId,
    /// What it tells of.
    pub kind: AlertKind,
    /// What makes it the same: an endpoint is told once of each.
    pub fact: String,
    /// The run that it tells of.
    pub run_id: Option<RunId>,
    /// The request that it tells of.
    pub request_id: Option<RequestId>,
    /// The coworker that it tells of.
    pub coworker_id: Option<CoworkerId>,
    /// The body, byte by byte as it is sent.
    #[sea_orm(column_type = "Text")]
    pub body: String,
    /// Where it stands.
    pub state: AlertState,
    /// How often it was tried, replays included.
    pub attempts: i32,
    /// How often of these since it was made or last replayed.
    pub round: i32,
    /// When it is to be tried next; where it is settled, when it last was.
    pub due_at: Millis,
    /// Grows with every claim: who holds an older one has lost it.
    pub claims: i64,
    /// Until when it is held by whoever claimed it.
    pub lease_until: Option<Millis>,
    /// When it was made.
    pub created_at: Millis,
    /// When it was settled; null while it waits.
    pub settled_at: Option<Millis>,
}

impl ActiveModelBehavior for ActiveModel {}
