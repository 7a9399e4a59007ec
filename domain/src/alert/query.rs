//! Reading alert endpoints and what was sent to them.

use std::collections::HashMap;

use entity::{
    AlertDeliveryId, AlertEndpointId, alert_attempt, alert_delivery, alert_endpoint, alert_secret,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    Select,
};

use crate::access::{Action, Actor};
use crate::error::{Error, Result};
use crate::page::{self, Direction, List, Page, Slice, by_moment};
use crate::request::query::nothing;
use crate::store::Store;

/// The most tries of a delivery that are shown.
pub const TRIES: u64 = 50;

/// The endpoints that the actor may see.
pub fn visible(actor: &Actor) -> Select<alert_endpoint::Entity> {
    let select = alert_endpoint::Entity::find()
        .filter(alert_endpoint::Column::WorkspaceId.eq(actor.workspace));
    if actor.may(Action::AlertManage) {
        select
    } else {
        select.filter(nothing())
    }
}

/// One endpoint.
///
/// # Errors
/// [`Error::NotFound`], also for one that the actor may not see.
pub async fn get<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    id: AlertEndpointId,
) -> Result<alert_endpoint::Model> {
    visible(actor)
        .filter(alert_endpoint::Column::Id.eq(id))
        .one(db)
        .await?
        .ok_or(Error::NotFound {
            what: "AlertEndpoint",
        })
}

/// A page of the workspace's endpoints, newest first.
///
/// # Errors
/// [`Error::Forbidden`] without [`Action::AlertManage`]; otherwise as [`page::page`].
pub async fn page<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    cursor_key: Vec<u8>,
    slice: &Slice,
) -> Result<Page<alert_endpoint::Model>> {
    actor.authorize(Action::AlertManage)?;
    let list = List {
        cursor_key,
        name: "alertEndpoints".into(),
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
    endpoint: &alert_endpoint::Model,
) -> Result<Vec<alert_secret::Model>> {
    super::secret::in_force(store.read(), endpoint, store.now()).await
}

/// The deliveries that the actor may see.
pub fn visible_deliveries(actor: &Actor) -> Select<alert_delivery::Entity> {
    let select = alert_delivery::Entity::find()
        .filter(alert_delivery::Column::WorkspaceId.eq(actor.workspace));
    if actor.may(Action::AlertManage) {
        select
    } else {
        select.filter(nothing())
    }
}

/// One delivery.
///
/// # Errors
/// [`Error::NotFound`], also for one that the actor may not see.
pub async fn get_delivery<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    id: AlertDeliveryId,
) -> Result<alert_delivery::Model> {
    visible_deliveries(actor)
        .filter(alert_delivery::Column::Id.eq(id))
        .one(db)
        .await?
        .ok_or(Error::NotFound {
            what: "AlertDelivery",
        })
}

/// A page of an endpoint's deliveries, newest first.
///
/// # Errors
/// As [`page::page`].
pub async fn deliveries<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    cursor_key: Vec<u8>,
    endpoint: AlertEndpointId,
    filter: Condition,
    slice: &Slice,
) -> Result<Page<alert_delivery::Model>> {
    let list = List {
        cursor_key,
        name: format!("alertEndpoint.deliveries:{endpoint}"),
    };
    let select = visible_deliveries(actor)
        .filter(alert_delivery::Column::EndpointId.eq(endpoint))
        .filter(filter);
    let order = [(DeliveryKey::CreatedAt, Direction::Desc)];
    page::page(db, &list, select, &order, slice).await
}

/// The newest [`TRIES`] tries of each of these deliveries, which are visible, newest first.
///
/// # Errors
/// What the database said.
pub async fn tries<C: ConnectionTrait>(
    db: &C,
    deliveries: &[AlertDeliveryId],
) -> Result<HashMap<AlertDeliveryId, Vec<alert_attempt::Model>>> {
    use alert_attempt::Column as C;
    // There are as many of a delivery as its schedule has, except where somebody replayed it again and again.
    let newest = alert_delivery::Entity::find()
        .select_only()
        .column(alert_delivery::Column::Id)
        .column(alert_delivery::Column::Attempts)
        .filter(alert_delivery::Column::Id.is_in(deliveries.iter().copied()))
        .into_tuple::<(AlertDeliveryId, i32)>()
        .all(db)
        .await?;
    let each = newest.iter().filter(|(_, attempts)| *attempts > 0);
    let which = each.fold(None, |any: Option<Condition>, (id, attempts)| {
        let from = i64::from(*attempts) - TRIES as i64;
        let own = Condition::all()
            .add(C::DeliveryId.eq(*id))
            .add(C::Number.gt(from));
        Some(any.unwrap_or_else(Condition::any).add(own))
    });
    let mut found: HashMap<AlertDeliveryId, Vec<alert_attempt::Model>> = HashMap::new();
    let Some(which) = which else {
        return Ok(found);
    };
    let rows = alert_attempt::Entity::find()
        .filter(which)
        .order_by_desc(C::Number)
        .all(db)
        .await?;
    for row in rows {
        found.entry(row.delivery_id).or_default().push(row);
    }
    Ok(found)
}

by_moment! {
    /// What endpoints are sorted by.
    EndpointKey of alert_endpoint by
    /// When it was made.
    CreatedAt = "createdAt", created_at
}

by_moment! {
    /// What deliveries are sorted by.
    DeliveryKey of alert_delivery by
    /// When it was made.
    CreatedAt = "createdAt", created_at
}
