//! Webhook endpoints, and what outside systems deliver to them.

mod delivery;
mod mapping;
mod mutation;

use async_graphql::{Context, ID, Object};
use domain::hook::query as hooks;
use entity::{webhook_endpoint, webhook_secret};

pub use delivery::{WebhookDelivery, WebhookDeliveryConnection, WebhookDeliveryFilter};
pub use mapping::WebhookMapping;
pub use mutation::HookMutation;

use super::context::{ContextExt as _, cursor_key, slice};
use super::error::Result;
use super::kind::WebhookKind;
use super::node;
use super::page::{connection, page_points};
use super::scalar::DateTime;

/// An address that an outside system sends its events to.
pub struct WebhookEndpoint(pub webhook_endpoint::Model);

impl From<webhook_endpoint::Model> for WebhookEndpoint {
    fn from(row: webhook_endpoint::Model) -> Self {
        Self(row)
    }
}

connection! {
    "A page of webhook endpoints."
    WebhookEndpointConnection,
    "A webhook endpoint in a list."
    WebhookEndpointEdge of WebhookEndpoint,
    edges: "The webhook endpoints of this page with their cursors.",
    nodes: "The webhook endpoints of this page.",
    total: "How many webhook endpoints the whole list has. Counted only when asked for.",
    cursor: "Its place in this list, for `after` and `before`.",
    node: "The webhook endpoint.",
}

/// An address that an outside system sends its events to.
#[Object]
impl WebhookEndpoint {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        node::global(self.0.id)
    }

    /// What the system is called: the requester of its requests has this name.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What form the deliveries have.
    async fn kind(&self) -> WebhookKind {
        self.0.kind.into()
    }

    /// Whether it takes deliveries.
    async fn enabled(&self) -> bool {
        self.0.enabled
    }

    /// The path of its address on this server: `/hooks/in_…`. It can't be told from the id, and only the role ADMIN sees it.
    async fn path(&self) -> String {
        format!("/hooks/{}", self.0.address)
    }

    /// How its payloads are read; null for PagerDuty.
    async fn mapping(&self) -> Option<Result<WebhookMapping>> {
        let text = self.0.mapping.as_deref()?;
        let read = domain::hook::Mapping::from_row(text).map(WebhookMapping::from);
        Some(read.map_err(Into::into))
    }

    /// The secrets in force, newest first; never their texts. Empty: it refuses every delivery until it is given one.
    async fn secrets(&self, ctx: &Context<'_>) -> Result<Vec<WebhookSecret>> {
        let rows = hooks::secrets(ctx.store(), &self.0).await?;
        Ok(rows.into_iter().map(WebhookSecret).collect())
    }

    /// What came to it, newest first: every delivery with what became of it. Of refused signatures at most 60 a minute are logged. Duplicates and refusals leave the log once they are older than the installation keeps them (`--keep-deliveries`): 30 days or more.
    #[graphql(
        complexity = "page_points!(__ctx, __variables_definition, __field, child_complexity)"
    )]
    async fn deliveries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which deliveries; all without it.")] filter: Option<
            WebhookDeliveryFilter,
        >,
        #[graphql(
            desc = "How many from the start of the list: 0 to 100, 50 when neither `first` nor `last` is given."
        )]
        first: Option<i32>,
        #[graphql(desc = "Only what follows this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end of the list: 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what precedes this cursor.")] before: Option<String>,
    ) -> Result<WebhookDeliveryConnection> {
        let slice = slice(ctx, first, after, last, before)?;
        WebhookDeliveryConnection::of(ctx, hooks::Of::Endpoint(self.0.id), filter, slice).await
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

/// A secret of an endpoint.
pub struct WebhookSecret(webhook_secret::Model);

/// A secret that deliveries to an endpoint are signed with. Its text is never shown again.
#[Object]
impl WebhookSecret {
    /// When it was made.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it ends, because a newer one has taken its place; null: it is the newest.
    async fn ends_at(&self) -> Option<DateTime> {
        self.0.ends_at.map(DateTime)
    }
}

/// Queries for webhook endpoints.
#[derive(Default)]
pub struct HookQuery;

#[Object]
impl HookQuery {
    /// The workspace's webhook endpoints, newest first. Secrets are never among them. Null, with the error FORBIDDEN, for callers without the role ADMIN.
    #[graphql(
        complexity = "page_points!(__ctx, __variables_definition, __field, child_complexity)"
    )]
    async fn webhook_endpoints(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "How many from the start of the list: 0 to 100, 50 when neither `first` nor `last` is given."
        )]
        first: Option<i32>,
        #[graphql(desc = "Only what follows this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end of the list: 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what precedes this cursor.")] before: Option<String>,
    ) -> Option<Result<WebhookEndpointConnection>> {
        let page = async {
            let slice = slice(ctx, first, after, last, before)?;
            let key = cursor_key(ctx).await?;
            Ok(hooks::page(ctx.store().read(), ctx.actor(), key, &slice)
                .await?
                .into())
        };
        Some(page.await)
    }
}
