//! The log of what was sent.

use async_graphql::{Context, ID, InputObject, Object};
use domain::alert::query as alerts;
use domain::page::Slice;
use entity::{
    AlertDeliveryId, AlertEndpointId, AlertState as State, alert_attempt, alert_delivery,
};
use sea_orm::Condition;

use super::AlertEndpoint;
use crate::graphql::context::{ContextExt as _, cursor_key};
use crate::graphql::coworker::Coworker;
use crate::graphql::error::{Error, Result};
use crate::graphql::filter::{
    AlertKindComparator, AlertStateComparator, DateTimeComparator, Filter, IdComparator, Terms,
    Where, condition,
};
use crate::graphql::kind::{AlertKind, AlertState};
use crate::graphql::loader::TriesOf;
use crate::graphql::node;
use crate::graphql::page::{connection, items_points};
use crate::graphql::request::Request;
use crate::graphql::run::Run;
use crate::graphql::scalar::{DateTime, Duration, Json};

/// About how many tries a delivery has, for the points of a query.
const TRIES: usize = 2;

/// One alert on its way to one endpoint.
pub struct AlertDelivery(pub alert_delivery::Model);

impl From<alert_delivery::Model> for AlertDelivery {
    fn from(row: alert_delivery::Model) -> Self {
        Self(row)
    }
}

connection! {
    "A page of deliveries of alerts."
    AlertDeliveryConnection,
    "A delivery of an alert in a list."
    AlertDeliveryEdge of AlertDelivery,
    edges: "The deliveries of this page with their cursors.",
    nodes: "The deliveries of this page.",
    total: "How many deliveries the whole list has. Counted only when asked for.",
    cursor: "Its place in this list, for `after` and `before`.",
    node: "The delivery.",
}

impl AlertDeliveryConnection {
    /// A page of the deliveries to an endpoint.
    ///
    /// # Errors
    /// As [`alerts::deliveries`].
    pub async fn of(
        ctx: &Context<'_>,
        endpoint: AlertEndpointId,
        filter: Option<AlertDeliveryFilter>,
        slice: Slice,
    ) -> Result<Self> {
        let filter = condition(filter.as_ref(), ctx.store().now())?;
        let (db, key) = (ctx.store().read(), cursor_key(ctx).await?);
        let page = alerts::deliveries(db, ctx.actor(), key, endpoint, filter, &slice).await?;
        Ok(page.into())
    }
}

/// One alert on its way to one endpoint. It is written together with what it tells of and sent afterwards, at least once: a receiver that gets it twice knows it by its id.
#[Object]
impl AlertDelivery {
    /// The global id; also the header `webhook-id` of every try.
    pub(crate) async fn id(&self) -> ID {
        node::global(self.0.id)
    }

    /// The endpoint.
    async fn endpoint(&self, ctx: &Context<'_>) -> Result<AlertEndpoint> {
        let row = ctx.loaders().referred(self.0.endpoint_id).await?;
        Ok(AlertEndpoint(row))
    }

    /// What it tells of.
    async fn kind(&self) -> AlertKind {
        self.0.kind.into()
    }

    /// Where it stands.
    async fn state(&self) -> AlertState {
        self.0.state.into()
    }

    /// The run that it tells of.
    async fn run(&self, ctx: &Context<'_>) -> Option<Result<Run>> {
        let row = ctx.loaders().row(self.0.run_id?).await;
        row.map(|row| row.map(Run)).map_err(Error::from).transpose()
    }

    /// The request that it tells of.
    async fn request(&self, ctx: &Context<'_>) -> Option<Result<Request>> {
        let row = ctx.loaders().row(self.0.request_id?).await;
        row.map(|row| row.map(Request))
            .map_err(Error::from)
            .transpose()
    }

    /// The coworker that it tells of.
    async fn coworker(&self, ctx: &Context<'_>) -> Option<Result<Coworker>> {
        let row = ctx.loaders().row(self.0.coworker_id?).await;
        row.map(|row| row.map(Coworker))
            .map_err(Error::from)
            .transpose()
    }

    /// The body: `type`, `timestamp` and `data`.
    async fn payload(&self) -> Json {
        Json(serde_json::from_str(&self.0.body).unwrap_or_default())
    }

    /// The body, byte by byte as it is sent and signed.
    async fn raw(&self) -> &str {
        &self.0.body
    }

    /// How often it was tried, replays included.
    async fn attempt_count(&self) -> i32 {
        self.0.attempts
    }

    /// The tries, newest first, at most 50.
    #[graphql(complexity = "items_points(TRIES, child_complexity)")]
    async fn attempts(&self, ctx: &Context<'_>) -> Result<Vec<AlertAttempt>> {
        let rows = ctx.loaders().row(TriesOf(self.0.id)).await?;
        let rows = rows.unwrap_or_default();
        Ok(rows.into_iter().map(AlertAttempt).collect())
    }

    /// When it is tried next; null once it waits for nothing.
    async fn next_attempt_at(&self) -> Option<DateTime> {
        (self.0.state == State::Waiting).then_some(DateTime(self.0.due_at))
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When the receiver took it, or it was given up or dropped; null while it waits.
    async fn settled_at(&self) -> Option<DateTime> {
        self.0.settled_at.map(DateTime)
    }
}

/// A try to deliver an alert.
pub struct AlertAttempt(alert_attempt::Model);

/// One try to deliver an alert, and what became of it.
#[Object]
impl AlertAttempt {
    /// The how manieth it was, from 1.
    async fn number(&self) -> i32 {
        self.0.number
    }

    /// When it was sent.
    async fn at(&self) -> DateTime {
        DateTime(self.0.at)
    }

    /// How long it took.
    async fn duration(&self) -> Duration {
        Duration(self.0.duration_ms)
    }

    /// The HTTP status that came back; null: none did.
    async fn status(&self) -> Option<i32> {
        self.0.status
    }

    /// Why it failed, in one sentence; null: it did not.
    async fn error(&self) -> Option<&str> {
        self.0.error.as_deref()
    }

    /// How the answer began, at most 1 KiB; null: none came, it was empty, or it was no text.
    async fn response(&self) -> Option<&str> {
        self.0.response.as_deref()
    }
}

/// Which deliveries. Fields given together must all hold.
#[derive(InputObject, Clone, Debug)]
pub struct AlertDeliveryFilter {
    /// By global id.
    pub id: Option<IdComparator>,
    /// By what it tells of.
    pub kind: Option<AlertKindComparator>,
    /// By where it stands.
    pub state: Option<AlertStateComparator>,
    /// By when it was made.
    pub created_at: Option<DateTimeComparator>,
    /// All of these must hold.
    pub and: Option<Vec<AlertDeliveryFilter>>,
    /// At least one of these must hold.
    pub or: Option<Vec<AlertDeliveryFilter>>,
    /// This must not hold.
    pub not: Option<Box<AlertDeliveryFilter>>,
}

impl Filter for AlertDeliveryFilter {
    fn condition(&self, terms: &mut Terms) -> domain::Result<Condition> {
        use alert_delivery::Column as C;
        let mut all = Where::new(terms);
        all.by_id::<AlertDeliveryId>(&self.id, C::Id)?;
        all.by(&self.kind, C::Kind)?;
        all.by(&self.state, C::State)?;
        all.by(&self.created_at, C::CreatedAt)?;
        all.branches(&self.and, &self.or, &self.not)?;
        Ok(all.done())
    }
}
