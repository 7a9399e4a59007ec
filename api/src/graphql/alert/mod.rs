//! Alert endpoints, and what is sent to them.

mod delivery;
mod mutation;

use async_graphql::{Context, ID, Object};
use domain::alert::{query as alerts, wishes};
use entity::{alert_endpoint, alert_secret};

pub use delivery::{AlertDelivery, AlertDeliveryConnection, AlertDeliveryFilter};
pub use mutation::AlertMutation;

use super::context::{ContextExt as _, cursor_key, slice};
use super::coworker::Coworker;
use super::error::Result;
use super::kind::{AlertDisabledReason, AlertKind};
use super::node;
use super::page::{connection, items_points, page_points};
use super::scalar::DateTime;

/// About how many coworkers an endpoint names, for the points of a query.
const COWORKERS: usize = 5;

/// An address of an outside system that is told of what happens here.
pub struct AlertEndpoint(pub alert_endpoint::Model);

impl From<alert_endpoint::Model> for AlertEndpoint {
    fn from(row: alert_endpoint::Model) -> Self {
        Self(row)
    }
}

connection! {
    "A page of alert endpoints."
    AlertEndpointConnection,
    "An alert endpoint in a list."
    AlertEndpointEdge of AlertEndpoint,
    edges: "The alert endpoints of this page with their cursors.",
    nodes: "The alert endpoints of this page.",
    total: "How many alert endpoints the whole list has. Counted only when asked for.",
    cursor: "Its place in this list, for `after` and `before`.",
    node: "The alert endpoint.",
}

/// An address of an outside system that is told of what happens here, by signed webhooks (Standard Webhooks 1.0).
#[Object]
impl AlertEndpoint {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        node::global(self.0.id)
    }

    /// What it is called.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Where alerts are sent to, by `POST`. Only the role ADMIN sees it.
    async fn url(&self) -> &str {
        &self.0.url
    }

    /// Of what it is told.
    async fn kinds(&self) -> Result<Vec<AlertKind>> {
        let kinds = wishes::kinds_of(&self.0.kinds)?;
        Ok(kinds.into_iter().map(Into::into).collect())
    }

    /// Only of what concerns one of these coworkers; empty: of all. A budget of the workspace concerns none of them, a request the one that it is assigned to.
    #[graphql(complexity = "items_points(COWORKERS, child_complexity)")]
    async fn coworkers(&self, ctx: &Context<'_>) -> Result<Vec<Coworker>> {
        let mut coworkers = Vec::new();
        for id in wishes::coworkers_of(&self.0)? {
            coworkers.extend(ctx.loaders().row(id).await?.map(Coworker));
        }
        Ok(coworkers)
    }

    /// Only of what concerns a request with at least one of these labels; empty: of all. Budgets and costs concern no request.
    async fn labels(&self) -> Result<Vec<String>> {
        Ok(wishes::labels_of(&self.0)?)
    }

    /// From which share of a budget on it is told of BUDGET_NEARING, percent.
    async fn budget_percent(&self) -> i32 {
        self.0.budget_percent
    }

    /// From which rise of the cost per run on it is told of COST_CLIMBING, percent.
    async fn climb_percent(&self) -> i32 {
        self.0.climb_percent
    }

    /// Whether it is told of anything.
    async fn enabled(&self) -> bool {
        self.0.enabled
    }

    /// Why it is not; null while it is enabled.
    async fn disabled_reason(&self) -> Option<AlertDisabledReason> {
        self.0.disabled.map(Into::into)
    }

    /// Since when it is not; null while it is enabled.
    async fn disabled_at(&self) -> Option<DateTime> {
        self.0.disabled_at.map(DateTime)
    }

    /// Since when whatever is sent to it fails; null: the last try did not, or nothing was sent yet. After three days, with failed tries on at least three days and ten of them at least, it is disabled.
    async fn failing_since(&self) -> Option<DateTime> {
        self.0.failing_since.map(DateTime)
    }

    /// Until when nothing is sent to it, because it asked for that: it answered 429 or 503 with `Retry-After`, of which a day is heeded. Null: it did not, or that is over. Enabling it, or giving it another address, ends it.
    async fn rests_until(&self, ctx: &Context<'_>) -> Option<DateTime> {
        let until = self
            .0
            .rests_until
            .filter(|until| *until > ctx.store().now());
        until.map(DateTime)
    }

    /// The secrets that sign, newest first; never their texts. While they are rotated there are several, and a message has a signature by each.
    async fn secrets(&self, ctx: &Context<'_>) -> Result<Vec<AlertSecret>> {
        let rows = alerts::secrets(ctx.store(), &self.0).await?;
        Ok(rows.into_iter().map(AlertSecret).collect())
    }

    /// What it was told of, newest first. Deliveries that wait for nothing leave the log once they are two days older than the installation keeps them (`--keep-deliveries`): 32 days or more.
    #[graphql(
        complexity = "page_points!(__ctx, __variables_definition, __field, child_complexity)"
    )]
    async fn deliveries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which deliveries; all without it.")] filter: Option<AlertDeliveryFilter>,
        #[graphql(
            desc = "How many from the start of the list: 0 to 100, 50 when neither `first` nor `last` is given."
        )]
        first: Option<i32>,
        #[graphql(desc = "Only what follows this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end of the list: 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what precedes this cursor.")] before: Option<String>,
    ) -> Result<AlertDeliveryConnection> {
        let slice = slice(ctx, first, after, last, before)?;
        AlertDeliveryConnection::of(ctx, self.0.id, filter, slice).await
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}

/// A secret of an alert endpoint.
pub struct AlertSecret(alert_secret::Model);

/// A secret that alerts to an endpoint are signed with. Its text is never shown again.
#[Object]
impl AlertSecret {
    /// When it was made.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// Until when it signs, because a newer one takes its place; null: it is the newest.
    async fn ends_at(&self) -> Option<DateTime> {
        self.0.ends_at.map(DateTime)
    }
}

/// Queries for alert endpoints.
#[derive(Default)]
pub struct AlertQuery;

#[Object]
impl AlertQuery {
    /// The workspace's alert endpoints, newest first. Secrets are never among them. Null, with the error FORBIDDEN, for callers without the role ADMIN.
    #[graphql(
        complexity = "page_points!(__ctx, __variables_definition, __field, child_complexity)"
    )]
    async fn alert_endpoints(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "How many from the start of the list: 0 to 100, 50 when neither `first` nor `last` is given."
        )]
        first: Option<i32>,
        #[graphql(desc = "Only what follows this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end of the list: 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what precedes this cursor.")] before: Option<String>,
    ) -> Option<Result<AlertEndpointConnection>> {
        let page = async {
            let slice = slice(ctx, first, after, last, before)?;
            let key = cursor_key(ctx).await?;
            Ok(alerts::page(ctx.store().read(), ctx.actor(), key, &slice)
                .await?
                .into())
        };
        Some(page.await)
    }
}
