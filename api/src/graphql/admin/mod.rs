//! Administration: the caller, the workspace, API keys, prices.

mod mutation;
mod price;
mod query;

use async_graphql::{Context, ID, Object};
use domain::budget::Scope;
use domain::price::aliases;
use entity::{api_key, model_price, workspace};

pub use mutation::AdminMutation;
pub use price::PriceMutation;
pub use query::{AdminQuery, Viewer};

use super::actor::{self, Actor, System, Workflow};
use super::budget::{self, Budget};
use super::context::ContextExt as _;
use super::error::Result;
use super::kind::Role;
use super::node;
use super::page::connection;
use super::scalar::{DateTime, Decimal, Int64, TimeZone};

/// A tenant.
pub struct Workspace(pub workspace::Model);

/// A tenant: people, coworkers, requests and runs belong to exactly one.
#[Object]
impl Workspace {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        node::global(self.0.id)
    }

    /// Its name.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// How many runs may follow each other on one request, of whatever coworkers, without a person's touch: a note, an assignment or a status
    /// set with a person's own key. 12, unless it was changed. What would be one run more goes to the escalation assignee instead.
    async fn hop_budget(&self) -> i32 {
        self.0.hop_budget
    }

    /// Who gets a request that went past the hop budget. Null: nobody; it is open then, and `needsPerson`. So it is while this is a coworker
    /// that is not published.
    async fn escalation_assignee(&self, ctx: &Context<'_>) -> Result<Option<Actor>> {
        Ok(match self.0.escalation_kind.zip(self.0.escalation_id) {
            Some((kind, id)) => Some(actor::named(ctx, kind, id).await?),
            None => None,
        })
    }

    /// The reporting time zone: where days, weeks and months of metrics begin unless a query says otherwise. UTC, unless it was changed.
    async fn time_zone(&self, ctx: &Context<'_>) -> Result<TimeZone> {
        let zone = domain::metric::rollup::zone_of(ctx.store().read(), self.0.id).await?;
        Ok(TimeZone(zone))
    }

    /// What all runs together may cost by day and month, and what of it is used. Null, with the error FORBIDDEN, for callers with the role REQUESTER.
    #[graphql(complexity = "budget::LOOK + child_complexity")]
    async fn budget(&self, ctx: &Context<'_>) -> Option<Result<Budget>> {
        let (daily, monthly) = (self.0.daily_budget_nano, self.0.monthly_budget_nano);
        Some(Budget::of(ctx, Scope::Workspace(self.0.id), daily, monthly).await)
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }
}

/// A credential.
pub struct ApiKey(pub api_key::Model);

impl From<api_key::Model> for ApiKey {
    fn from(row: api_key::Model) -> Self {
        Self(row)
    }
}

connection! {
    "A page of API keys."
    ApiKeyConnection,
    "An API key in a list."
    ApiKeyEdge of ApiKey,
    edges: "The API keys of this page with their cursors.",
    nodes: "The API keys of this page.",
    total: "How many API keys the whole list has. Counted only when asked for.",
    cursor: "Its place in this list, for `after` and `before`.",
    node: "The API key.",
}

/// A credential. Its secret is never stored and never shown again.
#[Object]
impl ApiKey {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        node::global(self.0.id)
    }

    /// What it is called.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What it may do.
    async fn role(&self) -> Role {
        self.0.role.into()
    }

    /// For whom it acts.
    async fn actor(&self, ctx: &Context<'_>) -> Result<Actor> {
        Ok(match (self.0.principal_kind, self.0.person_id) {
            (kind, Some(person)) => actor::named(ctx, kind, person.0).await?,
            (entity::ActorKind::Workflow, None) => Workflow(self.0.clone()).into(),
            (
                entity::ActorKind::System | entity::ActorKind::Person | entity::ActorKind::Coworker,
                None,
            ) => System::Key(self.0.clone()).into(),
        })
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it ends by itself; null: never.
    async fn expires_at(&self) -> Option<DateTime> {
        self.0.expires_at.map(DateTime)
    }

    /// When it was revoked; null: it was not.
    async fn revoked_at(&self) -> Option<DateTime> {
        self.0.revoked_at.map(DateTime)
    }
}

/// What a model costs from a moment on.
pub struct ModelPrice(pub model_price::Model);

/// What a model costs from a moment on. Prices are added, never changed. Stint ships with the list prices of well-known models; a price
/// of the workspace's own comes before them, from its own moment on.
#[Object]
impl ModelPrice {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        node::global(self.0.id)
    }

    /// The model, as runs and metrics name it: `provider:name`, or `scripted`.
    async fn model(&self) -> &str {
        &self.0.model
    }

    /// Other names under which the same model is served, such as a deployment's.
    async fn aliases(&self) -> Vec<String> {
        aliases(&self.0)
    }

    /// The provider's service tier: `standard`, or what the provider calls another one, such as `priority` or `flex`.
    async fn service_tier(&self) -> &str {
        &self.0.service_tier
    }

    /// The row prices calls whose prompt has more tokens than this, cached ones included: the whole call. 0: all that no other row of the same moment is about.
    async fn prompt_over(&self) -> Int64 {
        Int64(self.0.prompt_over)
    }

    /// From when on it holds.
    async fn effective_from(&self) -> DateTime {
        DateTime(self.0.effective_from)
    }

    /// USD per million uncached input tokens.
    async fn input(&self) -> Decimal {
        Decimal(self.0.input)
    }

    /// USD per million input tokens read from a cache; null: not offered, or not known. A call that uses a kind without a rate is unpriced.
    async fn cache_read(&self) -> Option<Decimal> {
        self.0.cache_read.map(Decimal)
    }

    /// USD per million input tokens written to a short-lived cache; null as above.
    async fn cache_write_short(&self) -> Option<Decimal> {
        self.0.cache_write_short.map(Decimal)
    }

    /// USD per million input tokens written to a long-lived cache; null as above.
    async fn cache_write_long(&self) -> Option<Decimal> {
        self.0.cache_write_long.map(Decimal)
    }

    /// USD per million output tokens, reasoning included.
    async fn output(&self) -> Decimal {
        Decimal(self.0.output)
    }

    /// Where the figures come from.
    async fn source(&self) -> &str {
        &self.0.source
    }
}
