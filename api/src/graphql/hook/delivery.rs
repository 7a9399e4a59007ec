//! The log of deliveries.

use async_graphql::{Context, ID, InputObject, Object};
use domain::hook::query as hooks;
use domain::page::Slice;
use entity::{WebhookDeliveryId, webhook_delivery};
use sea_orm::Condition;

use crate::graphql::context::{ContextExt as _, cursor_key};
use crate::graphql::error::{Error, Result};
use crate::graphql::filter::{
    BooleanComparator, DateTimeComparator, Filter, IdComparator, Terms, WebhookOutcomeComparator,
    Where, condition,
};
use crate::graphql::kind::{WebhookOutcome, WebhookRefusal};
use crate::graphql::node;
use crate::graphql::page::connection;
use crate::graphql::request::Request;
use crate::graphql::scalar::{DateTime, Json, int};

/// One delivery to a webhook endpoint.
pub struct WebhookDelivery(pub webhook_delivery::Model);

impl From<webhook_delivery::Model> for WebhookDelivery {
    fn from(row: webhook_delivery::Model) -> Self {
        Self(row)
    }
}

connection! {
    "A page of deliveries."
    WebhookDeliveryConnection,
    "A delivery in a list."
    WebhookDeliveryEdge of WebhookDelivery,
    edges: "The deliveries of this page with their cursors.",
    nodes: "The deliveries of this page.",
    total: "How many deliveries the whole list has. Counted only when asked for.",
    cursor: "Its place in this list, for `after` and `before`.",
    node: "The delivery.",
}

impl WebhookDeliveryConnection {
    /// A page of the deliveries of an endpoint or a request.
    ///
    /// # Errors
    /// As [`hooks::deliveries`].
    pub async fn of(
        ctx: &Context<'_>,
        of: hooks::Of,
        filter: Option<WebhookDeliveryFilter>,
        slice: Slice,
    ) -> Result<Self> {
        let filter = condition(filter.as_ref(), ctx.store().now())?;
        let (db, key) = (ctx.store().read(), cursor_key(ctx).await?);
        Ok(hooks::deliveries(db, ctx.actor(), key, of, filter, &slice)
            .await?
            .into())
    }
}

/// One delivery to a webhook endpoint.
#[Object]
impl WebhookDelivery {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        node::global(self.0.id)
    }

    /// What the endpoint that it came to is called.
    async fn endpoint_name(&self, ctx: &Context<'_>) -> Result<String> {
        Ok(ctx.loaders().referred(self.0.endpoint_id).await?.name)
    }

    /// What became of it.
    async fn outcome(&self) -> WebhookOutcome {
        self.0.outcome.into()
    }

    /// Why it was refused; null if it was not.
    async fn refusal(&self) -> Option<WebhookRefusal> {
        self.0.refusal.map(Into::into)
    }

    /// What became of it, in one sentence, where the outcome does not say it all.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// Whether its signature was verified.
    async fn verified(&self) -> bool {
        self.0.verified
    }

    /// The sender's id of the event: however often it is delivered, it counts once. Null where it was refused before that was known.
    async fn event_id(&self) -> Option<&str> {
        self.0.event_id.as_deref()
    }

    /// The sender's word for what happened, for example `incident.triggered`.
    async fn event_type(&self) -> Option<&str> {
        self.0.event_type.as_deref()
    }

    /// What the event is about, as the sender names it: for PagerDuty the incident's id.
    async fn subject(&self) -> Option<&str> {
        self.0.subject.as_deref()
    }

    /// The sender's id of the message: `X-Webhook-Id` or `webhook-id`.
    async fn message_id(&self) -> Option<&str> {
        self.0.message_id.as_deref()
    }

    /// The request that it made or belongs to.
    async fn request(&self, ctx: &Context<'_>) -> Option<Result<Request>> {
        let id = self.0.request_id?;
        let row = ctx.loaders().row(id).await;
        row.map(|row| row.map(Request))
            .map_err(Error::from)
            .transpose()
    }

    /// The body, parsed; null where `raw` is, or where it is no JSON.
    async fn payload(&self) -> Option<Json> {
        serde_json::from_str(self.0.payload.as_deref()?)
            .ok()
            .map(Json)
    }

    /// The body, byte by byte as it came. Null where the signature was not verified, for duplicates, for what is no text, and once it is older than the installation keeps it (`--keep-deliveries`): 30 days or more. The delivery that made a request keeps its body.
    async fn raw(&self) -> Option<&str> {
        self.0.payload.as_deref()
    }

    /// How many bytes the body had.
    async fn size(&self) -> i32 {
        int(self.0.size)
    }

    /// When it came.
    async fn received_at(&self) -> DateTime {
        DateTime(self.0.received_at)
    }
}

/// Which deliveries. Fields given together must all hold.
#[derive(InputObject, Clone, Debug)]
pub struct WebhookDeliveryFilter {
    /// By global id.
    pub id: Option<IdComparator>,
    /// By what became of it.
    pub outcome: Option<WebhookOutcomeComparator>,
    /// By whether the signature was verified.
    pub verified: Option<BooleanComparator>,
    /// By when it came.
    pub received_at: Option<DateTimeComparator>,
    /// All of these must hold.
    pub and: Option<Vec<WebhookDeliveryFilter>>,
    /// At least one of these must hold.
    pub or: Option<Vec<WebhookDeliveryFilter>>,
    /// This must not hold.
    pub not: Option<Box<WebhookDeliveryFilter>>,
}

impl Filter for WebhookDeliveryFilter {
    fn condition(&self, terms: &mut Terms) -> domain::Result<Condition> {
        use webhook_delivery::Column as C;
        let mut all = Where::new(terms);
        all.by_id::<WebhookDeliveryId>(&self.id, C::Id)?;
        all.by(&self.outcome, C::Outcome)?;
        all.by(&self.verified, C::Verified)?;
        all.by(&self.received_at, C::ReceivedAt)?;
        all.branches(&self.and, &self.or, &self.not)?;
        Ok(all.done())
    }
}
