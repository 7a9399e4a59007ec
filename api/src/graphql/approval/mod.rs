//! Approvals: calls that a person must look at before they are made.

mod filter;
mod mutation;
mod query;
mod subscription;

use async_graphql::{Context, ID, Object, SimpleObject};
use domain::access::Action;
use domain::page::Slice;
use domain::run::approval::query as approvals;
use entity::{ApprovalId, RunId, approval};

pub use filter::ApprovalFilter;
pub use mutation::ApprovalMutation;
pub use query::ApprovalQuery;
pub use subscription::ApprovalSubscription;

use super::actor::{self, Actor};
use super::context::{ContextExt as _, cursor_key};
use super::coworker::Coworker;
use super::error::{Error, Result};
use super::filter::condition;
use super::kind::ApprovalState;
use super::node;
use super::page::connection;
use super::request::Request;
use super::run::{Run, ToolCallStep};
use super::scalar::DateTime;

/// One call of a tool that a person must approve before it is made. Its run is paused meanwhile.
pub struct Approval(pub approval::Model);

impl From<approval::Model> for Approval {
    fn from(row: approval::Model) -> Self {
        Self(row)
    }
}

impl Approval {
    /// The approval that another row names, if the caller may see it.
    pub async fn if_visible(ctx: &Context<'_>, id: ApprovalId) -> Option<Result<Self>> {
        let found = ctx.loaders().row(id).await.map_err(Error::from);
        found.map(|row| row.map(Self)).transpose()
    }
}

connection! {
    "A page of approvals."
    ApprovalConnection,
    "An approval in a list."
    ApprovalEdge of Approval,
    edges: "The approvals of this page with their cursors.",
    nodes: "The approvals of this page.",
    total: "How many approvals the whole list has. Counted only when asked for.",
    cursor: "Its place in this list, for `after` and `before`.",
    node: "The approval.",
}

impl ApprovalConnection {
    /// A page of the workspace's approvals, or of one run's, newest first.
    ///
    /// # Errors
    /// As [`approvals::page`], and what is wrong with the filter.
    pub async fn of(
        ctx: &Context<'_>,
        run: Option<RunId>,
        state: Option<ApprovalState>,
        filter: Option<ApprovalFilter>,
        slice: Slice,
    ) -> Result<Self> {
        let mut filter = condition(filter.as_ref(), ctx.store().now())?;
        if let Some(state) = state {
            filter = filter.add(filter::in_state(state));
        }
        let (db, key) = (ctx.store().read(), cursor_key(ctx).await?);
        Ok(approvals::page(db, ctx.actor(), key, run, filter, &slice)
            .await?
            .into())
    }
}

/// One call of a tool that a person must approve before it is made. Its run is paused meanwhile.
#[Object]
impl Approval {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        node::global(self.0.id)
    }

    /// The run that waits for it.
    async fn run(&self, ctx: &Context<'_>) -> Result<Run> {
        Run::referred(ctx, self.0.run_id).await
    }

    /// The request that the run works on.
    async fn request(&self, ctx: &Context<'_>) -> Result<Request> {
        Request::referred(ctx, self.0.request_id).await
    }

    /// Who wants to make the call.
    async fn coworker(&self, ctx: &Context<'_>) -> Result<Coworker> {
        Coworker::referred(ctx, self.0.coworker_id).await
    }

    /// The tool that would be called.
    async fn tool(&self) -> &str {
        &self.0.tool
    }

    /// The exact text that would be sent to the tool: this and nothing else is approved.
    async fn arguments(&self) -> &str {
        &self.0.arguments
    }

    /// The call itself, as a step of the run; null until it was made, or refused.
    #[graphql(complexity = "1 + child_complexity")]
    async fn tool_call(&self, ctx: &Context<'_>) -> Option<Result<ToolCallStep>> {
        let found = approvals::call_step(ctx.store().read(), &self.0).await;
        let found = found.map_err(Error::from);
        found.map(|row| row.map(ToolCallStep::from)).transpose()
    }

    /// SHA-256 of the tool's name, description and parameters, in hexadecimal: a tool that changes meanwhile is not called.
    async fn schema_hash(&self) -> &str {
        &self.0.schema_hash
    }

    /// SHA-256, in hexadecimal, of the canonical JSON of `arguments`, `call`, `expires_at` (milliseconds), `run`, `schema`, `tool` and
    /// `workspace`: what the approval is bound to.
    async fn digest(&self) -> &str {
        &self.0.digest
    }

    /// Where it stands.
    async fn state(&self) -> ApprovalState {
        self.0.state.into()
    }

    /// When it was asked for.
    async fn requested_at(&self) -> DateTime {
        DateTime(self.0.requested_at)
    }

    /// From when on it can't be approved any more; then the call is not made, the coworker is told so, and the run goes on.
    async fn expires_at(&self) -> DateTime {
        DateTime(self.0.expires_at)
    }

    /// Who decided; null while nobody has.
    async fn decided_by(&self, ctx: &Context<'_>) -> Result<Option<Actor>> {
        Ok(match self.0.decided_by_kind.zip(self.0.decided_by_id) {
            Some((kind, id)) => Some(actor::named(ctx, kind, id).await?),
            None => None,
        })
    }

    /// When it was approved or denied, expired, or became void; null while it is pending.
    async fn decided_at(&self) -> Option<DateTime> {
        self.0.decided_at.map(DateTime)
    }

    /// Why, as whoever decided put it; a coworker whose call was denied is told.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// When the call was made, which it is only once; null: not yet, or never.
    async fn used_at(&self) -> Option<DateTime> {
        self.0.used_at.map(DateTime)
    }

    /// What the caller may do with it.
    async fn permissions(&self, ctx: &Context<'_>) -> ApprovalPermissions {
        let open =
            self.0.state == entity::ApprovalState::Pending && self.0.expires_at > ctx.store().now();
        ApprovalPermissions {
            approval_decide: open && ctx.actor().may(Action::ApprovalDecide),
        }
    }
}

/// What the caller may do with an approval. Each field is named after the mutation that it speaks of.
#[derive(SimpleObject)]
pub struct ApprovalPermissions {
    /// Whether `approvalDecide` would be allowed; never for one that is decided, expired or void.
    pub approval_decide: bool,
}
