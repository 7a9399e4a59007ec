//! Requests, and what hangs on them.

mod assignment;
mod filter;
mod mutation;
mod note;
mod query;
mod subscription;
mod timeline;

use async_graphql::{Context, ID, Object, SimpleObject};
use domain::access::Action;
use domain::hook::query as hooks;
use domain::metric::query::{Scope, Totals};
use domain::request::{query as requests, status};
use domain::run::query as runs;
use entity::{RequestId, request};

pub use assignment::{Assignment, AssignmentConnection, Dispatch};
pub use filter::{NoteFilter, NoteOrder, RequestFilter, RequestOrder};
pub use mutation::{RequestMutation, assignee_in};
pub use note::{Note, NoteConnection};
pub use query::RequestQuery;
pub use subscription::RequestSubscription;
pub use timeline::{TimelineConnection, TimelineEntry, TimelineItem};

use super::actor::{self, Actor};
use super::context::{ContextExt as _, cursor_key, slice};
use super::error::{Error, Result};
use super::filter::condition;
use super::hook::{WebhookDeliveryConnection, WebhookDeliveryFilter};
use super::kind::{Pricing, Priority, RequestSource, RequestStatus};
use super::loader::TotalsOf;
use super::metric::{Cost, Recorded, Usage};
use super::node;
use super::page::{connection, page_points};
use super::run::{RunConnection, RunFilter, RunOrder};
use super::scalar::{DateTime, int};

/// A piece of work: a ticket that an employee, a workflow or a system brought in.
pub struct Request(pub request::Model);

impl From<request::Model> for Request {
    fn from(row: request::Model) -> Self {
        Self(row)
    }
}

impl Request {
    /// The request that another row refers to.
    ///
    /// # Errors
    /// What the database answers.
    pub async fn referred(ctx: &Context<'_>, id: RequestId) -> Result<Self> {
        Ok(Self(ctx.loaders().referred(id).await?))
    }

    async fn totals(&self, ctx: &Context<'_>) -> Result<Totals> {
        Ok(ctx
            .loaders()
            .row(TotalsOf(self.0.id))
            .await?
            .unwrap_or_default())
    }
}

connection! {
    "A page of requests."
    RequestConnection,
    "A request in a list."
    RequestEdge of Request,
    edges: "The requests of this page with their cursors.",
    nodes: "The requests of this page.",
    total: "How many requests the whole list has. Counted only when asked for.",
    cursor: "Its place in this list, for `after` and `before`.",
    node: "The request.",
}

/// A piece of work: a ticket that an employee, a workflow or a system brought in.
#[Object]
impl Request {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        node::global(self.0.id)
    }

    /// Its number within the workspace, from 1.
    async fn number(&self) -> i32 {
        int(self.0.number)
    }

    /// Its number as people write it: `REQ-12`.
    async fn identifier(&self) -> String {
        format!("REQ-{}", self.0.number)
    }

    /// What it is about, in one line.
    async fn title(&self) -> &str {
        &self.0.title
    }

    /// The whole text, as it was written.
    async fn description(&self) -> &str {
        &self.0.description
    }

    /// Where it stands.
    async fn status(&self) -> RequestStatus {
        self.0.status.into()
    }

    /// How urgent it is.
    async fn priority(&self) -> Priority {
        self.0.priority.into()
    }

    /// Where it came from.
    async fn source(&self) -> RequestSource {
        self.0.source.into()
    }

    /// Who made it.
    async fn requester(&self, ctx: &Context<'_>) -> Result<Actor> {
        Ok(actor::named(ctx, self.0.requester_kind, self.0.requester_id).await?)
    }

    /// Who works on it; null: nobody.
    async fn assignee(&self, ctx: &Context<'_>) -> Option<Result<Actor>> {
        let (kind, id) = self.0.assignee_kind.zip(self.0.assignee_id)?;
        Some(actor::named(ctx, kind, id).await.map_err(Error::from))
    }

    /// Its page in the workspace's own frontend; null where the operator has set no address for one.
    async fn url(&self, ctx: &Context<'_>) -> Option<String> {
        ctx.shared()
            .ui_url
            .as_ref()
            .map(|url| url.replace("{number}", &self.0.number.to_string()))
    }

    /// Its labels, in the order given.
    async fn labels(&self) -> Result<Vec<String>> {
        let labels = serde_json::from_str(&self.0.labels).map_err(domain::Error::internal)?;
        Ok(labels)
    }

    /// Whether no coworker goes on with it, so that a person must look: it fits none, one of them gave it to nobody, they passed it on too often, or the one that it went to without a person's choice was taken out of work first or had no money left. A person's note, assignment or status ends this.
    async fn needs_person(&self) -> bool {
        self.0.needs_person
    }

    /// Its notes, oldest first unless ordered otherwise; private ones only for those who may read them.
    #[graphql(
        complexity = "page_points!(__ctx, __variables_definition, __field, child_complexity)"
    )]
    #[expect(clippy::too_many_arguments, reason = "the contract's own arguments")]
    async fn notes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which notes; all without it.")] filter: Option<NoteFilter>,
        #[graphql(desc = "What to sort by; oldest first without it.")] order: Option<
            Vec<NoteOrder>,
        >,
        #[graphql(
            desc = "How many from the start of the list: 0 to 100, 50 when neither `first` nor `last` is given."
        )]
        first: Option<i32>,
        #[graphql(desc = "Only what follows this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end of the list: 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what precedes this cursor.")] before: Option<String>,
    ) -> Result<NoteConnection> {
        let slice = slice(ctx, first, after, last, before)?;
        let filter = condition(filter.as_ref(), ctx.store().now())?;
        let order: Vec<_> = order.iter().flatten().map(|order| order.key()).collect();
        let (db, key) = (ctx.store().read(), cursor_key(ctx).await?);
        Ok(
            requests::notes(db, ctx.actor(), key, self.0.id, filter, &order, &slice)
                .await?
                .into(),
        )
    }

    /// All that happened to it, oldest first; private notes only for those who may read them.
    #[graphql(
        complexity = "page_points!(__ctx, __variables_definition, __field, child_complexity)"
    )]
    async fn timeline(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "How many from the start of the list: 0 to 100, 50 when neither `first` nor `last` is given."
        )]
        first: Option<i32>,
        #[graphql(desc = "Only what follows this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end of the list: 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what precedes this cursor.")] before: Option<String>,
    ) -> Result<TimelineConnection> {
        let slice = slice(ctx, first, after, last, before)?;
        let (db, key) = (ctx.store().read(), cursor_key(ctx).await?);
        TimelineConnection::of(requests::timeline(db, ctx.actor(), key, self.0.id, &slice).await?)
    }

    /// The runs that worked on it, newest first unless ordered otherwise; none for callers with the role REQUESTER.
    #[graphql(
        complexity = "page_points!(__ctx, __variables_definition, __field, child_complexity)"
    )]
    #[expect(clippy::too_many_arguments, reason = "the contract's own arguments")]
    async fn runs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which runs; all without it.")] filter: Option<RunFilter>,
        #[graphql(desc = "What to sort by, most significant first; newest first without it.")]
        order: Option<Vec<RunOrder>>,
        #[graphql(
            desc = "How many from the start of the list: 0 to 100, 50 when neither `first` nor `last` is given."
        )]
        first: Option<i32>,
        #[graphql(desc = "Only what follows this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end of the list: 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what precedes this cursor.")] before: Option<String>,
    ) -> Result<RunConnection> {
        let slice = slice(ctx, first, after, last, before)?;
        RunConnection::of(ctx, runs::Of::Request(self.0.id), filter, order, slice).await
    }

    /// To whom it was assigned, by whom and why: oldest first.
    #[graphql(
        complexity = "page_points!(__ctx, __variables_definition, __field, child_complexity)"
    )]
    async fn assignments(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "How many from the start of the list: 0 to 100, 50 when neither `first` nor `last` is given."
        )]
        first: Option<i32>,
        #[graphql(desc = "Only what follows this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end of the list: 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what precedes this cursor.")] before: Option<String>,
    ) -> Result<AssignmentConnection> {
        let slice = slice(ctx, first, after, last, before)?;
        let (db, key) = (ctx.store().read(), cursor_key(ctx).await?);
        Ok(
            requests::assignments(db, ctx.actor(), key, self.0.id, &slice)
                .await?
                .into(),
        )
    }

    /// What outside systems sent about it through webhooks, as they sent it, oldest first; none for callers with the role REQUESTER.
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
        WebhookDeliveryConnection::of(ctx, hooks::Of::Request(self.0.id), filter, slice).await
    }

    /// The work that waits to become a run, oldest first.
    #[graphql(complexity = "1 + 5 * child_complexity")]
    async fn waiting(&self, ctx: &Context<'_>) -> Result<Vec<Dispatch>> {
        let rows = requests::waiting(ctx.store().read(), ctx.actor(), self.0.id).await?;
        Ok(rows.into_iter().map(Dispatch).collect())
    }

    /// What all of its runs used. Null, with the error FORBIDDEN, for callers with the role REQUESTER.
    async fn usage(&self, ctx: &Context<'_>) -> Option<Result<Usage>> {
        let usage = |totals| Usage::of_totals(Scope::Request(self.0.id), &totals);
        Some(self.totals(ctx).await.map(usage))
    }

    /// What all of its runs cost. Null, with the error FORBIDDEN, for callers with the role REQUESTER.
    async fn cost(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At which prices.", default_with = "Pricing::AtRun")] pricing: Pricing,
    ) -> Option<Result<Cost>> {
        let cost = |totals| Cost::of(Scope::Request(self.0.id), pricing, Recorded::from(&totals));
        Some(self.totals(ctx).await.map(cost))
    }

    /// The statuses that it can get from the one that it has, by `requestUpdate` and for everyone alike: from OPEN, IN_PROGRESS and PENDING
    /// each of the others, RESOLVED and CLOSED included; from RESOLVED to OPEN, IN_PROGRESS and CLOSED; from CLOSED to none. Whether the caller may set
    /// one is `permissions.requestUpdate`.
    async fn allowed_statuses(&self) -> Vec<RequestStatus> {
        let allowed = status::allowed(self.0.status);
        allowed.iter().map(|status| (*status).into()).collect()
    }

    /// What the caller may do with it.
    async fn permissions(&self, ctx: &Context<'_>) -> RequestPermissions {
        let actor = ctx.actor();
        RequestPermissions {
            request_update: actor.may(Action::RequestUpdate),
            request_assign: actor.may(Action::RequestAssign),
            note_create: actor.may(Action::NotePublic),
            note_create_private: actor.may(Action::NotePrivate),
        }
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }

    /// When it was resolved; null while it is not.
    async fn resolved_at(&self) -> Option<DateTime> {
        self.0.resolved_at.map(DateTime)
    }
}

/// What the caller may do with a request. Each field is named after the mutation that it speaks of.
#[derive(SimpleObject)]
pub struct RequestPermissions {
    /// Whether `requestUpdate` would be allowed.
    pub request_update: bool,
    /// Whether `requestAssign` would be allowed.
    pub request_assign: bool,
    /// Whether `noteCreate` would be allowed, with a public note at least.
    pub note_create: bool,
    /// Whether `noteCreate` would be allowed with a private note.
    pub note_create_private: bool,
}
