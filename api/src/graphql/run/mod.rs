//! Runs: what they are, their steps, their raw log.

mod board;
mod body;
mod delta;
mod event;
mod filter;
mod mutation;
mod query;
mod step;
mod subscription;

use async_graphql::{Context, ID, Object, SimpleObject};
use domain::access::Action;
use domain::metric::query::Scope;
use domain::page::Slice;
use domain::run::query as runs;
use entity::{RunId, run};

pub(super) use board::Board;
pub use delta::RunDelta;
pub use event::{RunEvent, RunEventConnection};
pub use filter::{RunEventFilter, RunEventOrder, RunFilter, RunOrder, StepFilter, StepOrder};
pub use mutation::RunMutation;
pub use query::RunQuery;
pub use step::{
    ApprovalStep, AttemptStep, DoneStep, HandoffStep, NoteStep, RunStartedStep, StatusChangeStep,
    Step, StepConnection, ThinkingStep, ToolCallStep,
};
pub use subscription::RunSubscription;

use super::approval::{ApprovalConnection, ApprovalFilter};
use super::context::{ContextExt as _, cursor_key, slice};
use super::coworker::{Coworker, CoworkerVersion};
use super::error::{Error, Result};
use super::filter::condition;
use super::kind::{Pricing, RunFailureCode, RunOutcome, RunStatus, SummaryAuthor, Trigger};
use super::metric::{Cost, Recorded, Usage};
use super::node;
use super::page::{connection, page_points};
use super::request::Request;
use super::scalar::{DateTime, Duration, int};

/// The largest log that `Run.raw` holds, bytes.
const RAW: i64 = 4 << 20;

/// One isolated, bounded execution by one coworker on one request.
pub struct Run(pub run::Model);

impl From<run::Model> for Run {
    fn from(row: run::Model) -> Self {
        Self(row)
    }
}

impl Run {
    /// The run that another row names, if it names one and the caller may see runs.
    pub async fn if_visible(ctx: &Context<'_>, id: Option<RunId>) -> Option<Result<Self>> {
        let found = ctx.loaders().row(id?).await.map_err(Error::from);
        found.map(|row| row.map(Self)).transpose()
    }

    /// The run that another row refers to.
    ///
    /// # Errors
    /// What the database answers.
    pub async fn referred(ctx: &Context<'_>, id: RunId) -> Result<Self> {
        Ok(Self(ctx.loaders().referred(id).await?))
    }
}

connection! {
    "A page of runs."
    RunConnection,
    "A run in a list."
    RunEdge of Run,
    edges: "The runs of this page with their cursors.",
    nodes: "The runs of this page.",
    total: "How many runs the whole list has. Counted only when asked for.",
    cursor: "Its place in this list, for `after` and `before`.",
    node: "The run.",
}

impl RunConnection {
    /// A page of the workspace's, a request's or a coworker's runs.
    ///
    /// # Errors
    /// As [`runs::page`], and what is wrong with the filter.
    pub async fn of(
        ctx: &Context<'_>,
        of: runs::Of,
        filter: Option<RunFilter>,
        order: Option<Vec<RunOrder>>,
        slice: Slice,
    ) -> Result<Self> {
        let filter = condition(filter.as_ref(), ctx.store().now())?;
        let order: Vec<_> = order.iter().flatten().map(|order| order.key()).collect();
        let (db, key) = (ctx.store().read(), cursor_key(ctx).await?);
        Ok(runs::page(db, ctx.actor(), key, of, filter, &order, &slice)
            .await?
            .into())
    }
}

/// One isolated, bounded execution by one coworker on one request.
#[Object]
impl Run {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        node::global(self.0.id)
    }

    /// Its number within the workspace: from 1, without gaps, in the order of `startedAt`.
    async fn number(&self) -> i32 {
        int(self.0.number)
    }

    /// Its number as people write it: `Run-83`.
    async fn identifier(&self) -> String {
        format!("Run-{}", self.0.number)
    }

    /// Where it stands.
    async fn status(&self) -> RunStatus {
        self.0.status.into()
    }

    /// How it ended; null unless COMPLETED.
    async fn outcome(&self) -> Option<RunOutcome> {
        self.0.outcome.map(Into::into)
    }

    /// Why it failed; null unless FAILED.
    async fn failure_code(&self) -> Option<RunFailureCode> {
        self.0.failure_code.map(Into::into)
    }

    /// The reason given for its end; null while it goes on.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// What started it.
    async fn trigger(&self) -> Trigger {
        self.0.trigger.into()
    }

    /// The request that it works on.
    async fn request(&self, ctx: &Context<'_>) -> Result<Request> {
        Request::referred(ctx, self.0.request_id).await
    }

    /// Who works.
    async fn coworker(&self, ctx: &Context<'_>) -> Result<Coworker> {
        Coworker::referred(ctx, self.0.coworker_id).await
    }

    /// The version of the coworker that it pins from start to end.
    async fn coworker_version(&self, ctx: &Context<'_>) -> Result<CoworkerVersion> {
        Ok(CoworkerVersion(
            ctx.loaders().referred(self.0.coworker_version_id).await?,
        ))
    }

    /// The model, as prices and metrics name it: `scripted`.
    async fn model(&self) -> &str {
        &self.0.model
    }

    /// When it started.
    async fn started_at(&self) -> DateTime {
        DateTime(self.0.started_at)
    }

    /// When it ended; null while it goes on.
    async fn ended_at(&self) -> Option<DateTime> {
        self.0.ended_at.map(DateTime)
    }

    /// How long it took; null while it goes on.
    async fn duration(&self) -> Option<Duration> {
        self.0
            .ended_at
            .map(|end| Duration(end.since(self.0.started_at)))
    }

    /// Which attempt is under way, from 1: a new one begins when a worker takes it over from another that was lost.
    async fn attempt(&self) -> i32 {
        self.0.attempt
    }

    /// What it did and why, and what comes next, in short. Null while it goes on, never empty after.
    async fn summary(&self) -> Option<&str> {
        self.0.summary.as_deref()
    }

    /// Who wrote the summary; null while there is none.
    async fn summary_author(&self) -> Option<SummaryAuthor> {
        self.0.summary_author.map(Into::into)
    }

    /// The end-of-run rule that it met, in the words of the coworker's goal; null where it met none.
    async fn end_of_run_rule(&self) -> Option<&str> {
        self.0.end_of_run_rule.as_deref()
    }

    /// The steps as people read them, in order. Headers are cheap; the bodies are read only when selected.
    #[graphql(
        complexity = "page_points!(__ctx, __variables_definition, __field, child_complexity)"
    )]
    #[expect(clippy::too_many_arguments, reason = "the contract's own arguments")]
    async fn steps(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which steps; all without it.")] filter: Option<StepFilter>,
        #[graphql(desc = "What to sort by; first to last without it.")] order: Option<
            Vec<StepOrder>,
        >,
        #[graphql(
            desc = "How many from the start of the list: 0 to 100, 50 when neither `first` nor `last` is given."
        )]
        first: Option<i32>,
        #[graphql(desc = "Only what follows this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end of the list: 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what precedes this cursor.")] before: Option<String>,
    ) -> Result<StepConnection> {
        let slice = slice(ctx, first, after, last, before)?;
        let filter = condition(filter.as_ref(), ctx.store().now())?;
        let order: Vec<_> = order.iter().flatten().map(|order| order.key()).collect();
        let (db, key) = (ctx.store().read(), cursor_key(ctx).await?);
        Ok(runs::steps(db, key, self.0.id, filter, &order, &slice)
            .await?
            .into())
    }

    /// The raw log, in order: everything, exactly as it was recorded. It never changes.
    #[graphql(
        complexity = "page_points!(__ctx, __variables_definition, __field, child_complexity)"
    )]
    #[expect(clippy::too_many_arguments, reason = "the contract's own arguments")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which events; all without it.")] filter: Option<RunEventFilter>,
        #[graphql(desc = "What to sort by; first to last without it.")] order: Option<
            Vec<RunEventOrder>,
        >,
        #[graphql(
            desc = "How many from the start of the list: 0 to 100, 50 when neither `first` nor `last` is given."
        )]
        first: Option<i32>,
        #[graphql(desc = "Only what follows this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end of the list: 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what precedes this cursor.")] before: Option<String>,
    ) -> Result<RunEventConnection> {
        let slice = slice(ctx, first, after, last, before)?;
        let filter = condition(filter.as_ref(), ctx.store().now())?;
        let order: Vec<_> = order.iter().flatten().map(|order| order.key()).collect();
        let (db, key) = (ctx.store().read(), cursor_key(ctx).await?);
        Ok(runs::events(db, key, self.0.id, filter, &order, &slice)
            .await?
            .into())
    }

    /// The calls that people were asked to approve, newest first.
    #[graphql(
        complexity = "page_points!(__ctx, __variables_definition, __field, child_complexity)"
    )]
    async fn approvals(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which approvals; all without it.")] filter: Option<ApprovalFilter>,
        #[graphql(
            desc = "How many from the start of the list: 0 to 100, 50 when neither `first` nor `last` is given."
        )]
        first: Option<i32>,
        #[graphql(desc = "Only what follows this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end of the list: 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what precedes this cursor.")] before: Option<String>,
    ) -> Result<ApprovalConnection> {
        let slice = slice(ctx, first, after, last, before)?;
        ApprovalConnection::of(ctx, Some(self.0.id), None, filter, slice).await
    }

    /// The whole raw log as JSON lines. Null, with the error PAYLOAD_TOO_LARGE, above 4 MiB; `GET /runs/{number}/raw` streams a log of any size.
    #[graphql(complexity = 500)]
    async fn raw(&self, ctx: &Context<'_>) -> Option<Result<String>> {
        Some(raw(ctx, &self.0).await.map_err(Error::from))
    }

    /// The sequence of its newest event: what `runEvents` takes to go on from here.
    async fn last_sequence(&self) -> i32 {
        int(self.0.last_seq)
    }

    /// Model turns so far.
    async fn turn_count(&self) -> i32 {
        self.0.turn_count
    }

    /// Tool calls so far, refused ones included.
    async fn tool_call_count(&self) -> i32 {
        self.0.tool_call_count
    }

    /// Steps so far.
    async fn step_count(&self) -> i32 {
        self.0.step_count
    }

    /// The tokens that it used so far.
    async fn usage(&self) -> Usage {
        Usage::from(&self.0)
    }

    /// What it cost so far.
    async fn cost(
        &self,
        #[graphql(desc = "At which prices.", default_with = "Pricing::AtRun")] pricing: Pricing,
    ) -> Cost {
        Cost::of(Scope::Run(self.0.id), pricing, Recorded::from(&self.0))
    }

    /// The run before it on the same request; null if it is the first.
    async fn previous_run(&self, ctx: &Context<'_>) -> Option<Result<Run>> {
        neighbour(ctx, &self.0, false).await
    }

    /// The run after it on the same request; null if it is the last.
    async fn next_run(&self, ctx: &Context<'_>) -> Option<Result<Run>> {
        neighbour(ctx, &self.0, true).await
    }

    /// What the caller may do with it.
    async fn permissions(&self, ctx: &Context<'_>) -> RunPermissions {
        RunPermissions {
            run_stop: ctx.actor().may(Action::RunStop) && self.0.status.is_active(),
        }
    }
}

async fn neighbour(ctx: &Context<'_>, run: &run::Model, after: bool) -> Option<Result<Run>> {
    let found = runs::neighbour(ctx.store().read(), ctx.actor(), run, after).await;
    found
        .map(|row| row.map(Run))
        .map_err(Error::from)
        .transpose()
}

async fn raw(ctx: &Context<'_>, run: &run::Model) -> domain::Result<String> {
    let lines = runs::raw(ctx.store().read(), run.id, RAW).await?;
    lines.ok_or_else(|| {
        let message = format!(
            "the log is larger than 4 MiB: fetch it from /runs/{}/raw",
            run.number
        );
        domain::Error::invalid("raw", "PAYLOAD_TOO_LARGE", message)
    })
}

/// What the caller may do with a run. Each field is named after the mutation that it speaks of.
#[derive(SimpleObject)]
pub struct RunPermissions {
    /// Whether `runStop` would be allowed; never for a run that has ended.
    pub run_stop: bool,
}
