//! Reading webhook endpoints and what was delivered to them.

use entity::{
    RequestId, WebhookDeliveryId, WebhookEndpointId, webhook_delivery, webhook_endpoint,
    webhook_secret,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, Select,
};

use crate::access::{Action, Actor};
use crate::error::{Error, Result};
use crate::page::{self, Direction, List, Page, Slice, by_moment};
use crate::request::query::nothing;
use crate::store::Store;

/// The endpoints of the actor's workspace. For the names of systems only, as [`crate::key::query::named`].
pub fn named(actor: &Actor) -> Select<webhook_endpoint::Entity> {
    webhook_endpoint::Entity::find()
        .filter(webhook_endpoint::Column::WorkspaceId.eq(actor.workspace))
}

/// The endpoints that the actor may see.
pub fn visible(actor: &Actor) -> Select<webhook_endpoint::Entity> {
    if actor.may(Action::HookManage) {
        named(actor)
    } else {
        named(actor).filter(nothing())
    }
}

/// One endpoint.
///
/// # Errors
/// [`Error::NotFound`], also for one that the actor may not see.
pub async fn get<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    id: WebhookEndpointId,
) -> Result<webhook_endpoint::Model> {
    visible(actor)
        .filter(webhook_endpoint::Column::Id.eq(id))
        .one(db)
        .await?
        .ok_or(Error::NotFound {
            what: "WebhookEndpoint",
        })
}

/// How many endpoints the workspace has.
///
/// # Errors
/// What the database said.
pub async fn count<C: ConnectionTrait>(db: &C, actor: &Actor) -> Result<u64> {
    Ok(named(actor).count(db).await?)
}

/// A page of the workspace's endpoints, newest first.
///
/// # Errors
/// [`Error::Forbidden`] without [`Action::HookManage`]; otherwise as [`page::page`].
pub async fn page<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    cursor_key: Vec<u8>,
    slice: &Slice,
) -> Result<Page<webhook_endpoint::Model>> {
    actor.authorize(Action::HookManage)?;
    let list = List {
        cursor_key,
        name: "webhookEndpoints".into(),
    };
    let order = [(EndpointKey::CreatedAt, Direction::Desc)];
    page::page(db, &list, visible(actor), &order, slice).await
}

/// The secrets of a visible endpoint that are in force, newest first; never their texts.
///
/// # Errors
/// What the database said.
pub async fn secrets(
    store: &Store,
    endpoint: &webhook_endpoint::Model,
) -> Result<Vec<webhook_secret::Model>> {
    super::secret::in_force(store.read(), endpoint, store.now()).await
}

/// The deliveries that the actor may see: of visible requests, and for those who manage endpoints all.
pub fn visible_deliveries(actor: &Actor) -> Select<webhook_delivery::Entity> {
    let select = webhook_delivery::Entity::find()
        .filter(webhook_delivery::Column::WorkspaceId.eq(actor.workspace));
    match (
        actor.may(Action::HookManage),
        actor.may(Action::RequestReadAll),
    ) {
        (true, _) => select,
        (false, true) => select.filter(webhook_delivery::Column::RequestId.is_not_null()),
        (false, false) => select.filter(nothing()),
    }
}

/// One delivery.
///
/// # Errors
/// [`Error::NotFound`], also for one that the actor may not see.
pub async fn get_delivery<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    id: WebhookDeliveryId,
) -> Result<webhook_delivery::Model> {
    visible_deliveries(actor)
        .filter(webhook_delivery::Column::Id.eq(id))
        .one(db)
        .await?
        .ok_or(Error::NotFound {
            what: "WebhookDelivery",
        })
}

/// Whose deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Those of an endpoint, newest first.
    Endpoint(WebhookEndpointId),
    /// Those that belong to a request, oldest first.
    Request(RequestId),
}

/// A page of deliveries.
///
/// # Errors
/// As [`page::page`].
pub async fn deliveries<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    cursor_key: Vec<u8>,
    of: Of,
    filter: Condition,
    slice: &Slice,
) -> Result<Page<webhook_delivery::Model>> {
    use webhook_delivery::Column as C;
    let (name, own, direction) = match of {
        Of::Endpoint(id) => (
            format!("endpoint.deliveries:{id}"),
            C::EndpointId.eq(id),
            Direction::Desc,
        ),
        Of::Request(id) => (
            format!("request.deliveries:{id}"),
            C::RequestId.eq(id),
            Direction::Asc,
        ),
    };
    let list = List { cursor_key, name };
    let select = visible_deliveries(actor).filter(own).filter(filter);
    let order = [(DeliveryKey::ReceivedAt, direction)];
    page::page(db, &list, select, &order, slice).await
}

by_moment! {
    /// What endpoints are sorted by.
    EndpointKey of webhook_endpoint by
    /// When it was made.
    CreatedAt = "createdAt", created_at
}

by_moment! {
    /// What deliveries are sorted by.
    DeliveryKey of webhook_delivery by
    /// When it came.
    ReceivedAt = "receivedAt", received_at
}
