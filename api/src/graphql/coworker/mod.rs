//! Coworkers, their versions and what they are made of.

mod config;
mod diagnose;
mod filter;
mod finding;
mod input;
mod mutation;
mod publish;
mod query;
mod tools;
mod version;

use async_graphql::{Context, ID, Object, SimpleObject};
use domain::access::Action;
use domain::budget::Scope;
use domain::coworker::Config;
use domain::coworker::query as coworkers;
use domain::run::query as runs;
use entity::{CoworkerId, coworker, coworker_version};

pub use config::{CoworkerConfig, CoworkerGoal, CoworkerIdentity, CoworkerLimits, CoworkerModel};
pub use diagnose::{CoworkerDiagnostics, Diagnosis, DiagnosisEvidence};
pub use filter::{CoworkerFilter, CoworkerOrder};
pub use finding::{CoworkerDiff, Finding};
pub use mutation::CoworkerMutation;
pub use publish::PublishMutation;
pub use query::CoworkerQuery;
pub use tools::CoworkerToolServer;
pub use version::{CoworkerVersion, CoworkerVersionConnection};

use super::budget::{self, Budget};
use super::context::{ContextExt as _, cursor_key, slice};
use super::error::{Error, Result};
use super::kind::{ActorKind, CoworkerState};
use super::metric::{Metrics, MetricsFilter, TimeRangeInput};
use super::node;
use super::page::{connection, page_points};
use super::run::{RunConnection, RunFilter, RunOrder};
use super::scalar::{DateTime, TimeZone};

/// An AI coworker.
pub struct Coworker(pub coworker::Model);

impl From<coworker::Model> for Coworker {
    fn from(row: coworker::Model) -> Self {
        Self(row)
    }
}

impl Coworker {
    /// The coworker that another row refers to.
    ///
    /// # Errors
    /// What the database answers.
    pub async fn referred(ctx: &Context<'_>, id: CoworkerId) -> Result<Self> {
        Ok(Self(ctx.loaders().referred(id).await?))
    }

    /// The configuration in force.
    async fn config(&self, ctx: &Context<'_>) -> Result<CoworkerConfig> {
        let version = self.current(ctx).await?;
        Ok(CoworkerConfig(Config::from_row(
            version
                .as_ref()
                .map_or(&self.0.draft, |version| &version.config),
        )?))
    }

    /// The version that new runs pin. Other versions are hidden from those who may not look at coworkers,
    /// so nothing is read before that is asked.
    async fn current(&self, ctx: &Context<'_>) -> Result<Option<coworker_version::Model>> {
        ctx.actor().authorize(Action::CoworkerRead)?;
        match self.0.version_id {
            Some(id) => Ok(Some(ctx.loaders().referred(id).await?)),
            None => Ok(None),
        }
    }
}

connection! {
    "A page of coworkers."
    CoworkerConnection,
    "A coworker in a list."
    CoworkerEdge of Coworker,
    edges: "The coworkers of this page with their cursors.",
    nodes: "The coworkers of this page.",
    total: "How many coworkers the whole list has. Counted only when asked for.",
    cursor: "Its place in this list, for `after` and `before`.",
    node: "The coworker.",
}

/// An AI coworker: a teammate with an identity, a goal and a history of versions. Its configuration is edited as a draft; publishing turns
/// the draft into an immutable version, which new runs pin.
#[Object]
impl Coworker {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        node::global(self.0.id)
    }

    /// The name to show.
    pub(crate) async fn display_name(&self) -> String {
        self.0.name.clone()
    }

    /// Always COWORKER.
    pub(crate) async fn kind(&self) -> ActorKind {
        ActorKind::Coworker
    }

    /// Its name.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Its short name, unique in the workspace. `@handle` in a note mentions it.
    async fn handle(&self) -> &str {
        &self.0.handle
    }

    /// Where it stands.
    async fn state(&self) -> CoworkerState {
        self.0.state.into()
    }

    /// Whether it is the workspace's Triage coworker, which gets each new request that names no assignee. There is at most one.
    async fn is_triage(&self) -> bool {
        self.0.is_triage
    }

    /// The version that new runs pin; null before the first publication. Null, with the error FORBIDDEN, for callers with the role REQUESTER.
    async fn version(&self, ctx: &Context<'_>) -> Option<Result<CoworkerVersion>> {
        self.current(ctx)
            .await
            .map(|version| version.map(CoworkerVersion))
            .transpose()
    }

    /// Its published versions, newest first; none for callers with the role REQUESTER.
    #[graphql(
        complexity = "page_points!(__ctx, __variables_definition, __field, child_complexity)"
    )]
    async fn versions(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "How many from the start of the list: 0 to 100, 50 when neither `first` nor `last` is given."
        )]
        first: Option<i32>,
        #[graphql(desc = "Only what follows this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end of the list: 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what precedes this cursor.")] before: Option<String>,
    ) -> Result<CoworkerVersionConnection> {
        let slice = slice(ctx, first, after, last, before)?;
        let (db, key) = (ctx.store().read(), cursor_key(ctx).await?);
        Ok(coworkers::versions(db, ctx.actor(), key, self.0.id, &slice)
            .await?
            .into())
    }

    /// The configuration as it is being edited: what `coworkerPublish` would publish. Null, with the error FORBIDDEN, for callers with the role REQUESTER.
    async fn draft(&self, ctx: &Context<'_>) -> Option<Result<CoworkerConfig>> {
        let draft = ctx
            .actor()
            .authorize(Action::CoworkerRead)
            .and_then(|()| Config::from_row(&self.0.draft));
        Some(draft.map(CoworkerConfig).map_err(Error::from))
    }

    /// Who it is, in the configuration in force: that of `version`, or the draft before the first publication. Null, with the error FORBIDDEN, for callers with the role REQUESTER.
    async fn identity(&self, ctx: &Context<'_>) -> Option<Result<CoworkerIdentity>> {
        Some(
            self.config(ctx)
                .await
                .map(|config| config.0.identity.into()),
        )
    }

    /// How it speaks and behaves, in the configuration in force. Null, with the error FORBIDDEN, for callers with the role REQUESTER.
    async fn soul(&self, ctx: &Context<'_>) -> Option<Result<String>> {
        Some(self.config(ctx).await.map(|config| config.0.soul))
    }

    /// What it works towards, in the configuration in force. Null, with the error FORBIDDEN, for callers with the role REQUESTER.
    async fn goal(&self, ctx: &Context<'_>) -> Option<Result<CoworkerGoal>> {
        Some(self.config(ctx).await.map(|config| config.0.goal.into()))
    }

    /// The handles of its skills, in the configuration in force. Null, with the error FORBIDDEN, for callers with the role REQUESTER.
    async fn skills(&self, ctx: &Context<'_>) -> Option<Result<Vec<String>>> {
        Some(self.config(ctx).await.map(|config| config.0.skills))
    }

    /// Its tools, each action enabled or not, in the configuration in force. Null, with the error FORBIDDEN, for callers with the role REQUESTER.
    async fn tools(&self, ctx: &Context<'_>) -> Option<Result<Vec<CoworkerToolServer>>> {
        Some(self.config(ctx).await.map(|config| tools::of(&config.0)))
    }

    /// The model that thinks for it, in the configuration in force. Null, with the error FORBIDDEN, for callers with the role REQUESTER.
    async fn model(&self, ctx: &Context<'_>) -> Option<Result<CoworkerModel>> {
        Some(self.config(ctx).await.map(|config| config.0.model.into()))
    }

    /// Where its runs must come to an end, in the configuration in force. Null, with the error FORBIDDEN, for callers with the role REQUESTER.
    async fn limits(&self, ctx: &Context<'_>) -> Option<Result<CoworkerLimits>> {
        Some(self.config(ctx).await.map(|config| config.0.limits.into()))
    }

    /// What all its runs together may cost by day and month, in the version in force, and what of it is used. Null, with the error FORBIDDEN, for callers with the role REQUESTER.
    #[graphql(complexity = "budget::LOOK + child_complexity")]
    async fn budget(&self, ctx: &Context<'_>) -> Option<Result<Budget>> {
        let (daily, monthly) = (self.0.daily_budget_nano, self.0.monthly_budget_nano);
        Some(Budget::of(ctx, Scope::Coworker(self.0.id), daily, monthly).await)
    }

    /// What is wrong or doubtful with its draft, as it stands among the others now: errors first, at most 100. Null, with the error FORBIDDEN, for callers with the role REQUESTER.
    #[graphql(complexity = "finding::LOOK + child_complexity")]
    async fn lint(&self, ctx: &Context<'_>) -> Option<Result<Vec<Finding>>> {
        let store = ctx.store();
        let providers = ctx.shared().providers.clone();
        let (actor, now) = (ctx.actor(), store.now());
        let found = coworkers::findings(store.read(), actor, &self.0, now, providers).await;
        Some(found.map(finding::all).map_err(Error::from))
    }

    /// What changed between two of its configurations. Null, with the error FORBIDDEN, for callers with the role REQUESTER, and NOT_FOUND where there is no such version.
    #[graphql(complexity = "finding::LOOK + child_complexity")]
    async fn diff(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The number of the version before; without it, the version in force.")]
        from: Option<i32>,
        #[graphql(desc = "The number of the version after; without it, the draft.")] to: Option<
            i32,
        >,
    ) -> Option<Result<CoworkerDiff>> {
        Some(CoworkerDiff::of(ctx, &self.0, from, to).await)
    }

    /// Its runs, newest first unless ordered otherwise; none for callers with the role REQUESTER.
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
        RunConnection::of(ctx, runs::Of::Coworker(self.0.id), filter, order, slice).await
    }

    /// What it did and what it cost in a span of time. Null, with the error FORBIDDEN, for callers with the role REQUESTER.
    async fn metrics(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The span of time.")] range: TimeRangeInput,
        #[graphql(
            desc = "Where days, weeks and months begin; in the workspace's reporting time zone without it."
        )]
        time_zone: Option<TimeZone>,
    ) -> Option<Result<Metrics>> {
        let filter = MetricsFilter::of_coworker(node::global(self.0.id));
        Some(Metrics::of(ctx, range, time_zone, Some(&filter)).await)
    }

    /// What goes wrong with it, and what to change: eight symptoms, looked for in the logs of its runs and in what people did within 24 hours
    /// after them. Null, with the error FORBIDDEN, for callers with the role REQUESTER.
    #[graphql(complexity = "diagnose::LOOK + child_complexity")]
    async fn diagnostics(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The span of time in which runs ended; rising costs are looked for in its last five whole weeks, which `-P43D` holds on any day."
        )]
        range: TimeRangeInput,
        #[graphql(desc = "Where weeks begin; in the workspace's reporting time zone without it.")]
        time_zone: Option<TimeZone>,
    ) -> Option<Result<CoworkerDiagnostics>> {
        Some(CoworkerDiagnostics::of(ctx, &self.0, range, time_zone).await)
    }

    /// What the caller may do with it.
    async fn permissions(&self, ctx: &Context<'_>) -> CoworkerPermissions {
        let actor = ctx.actor();
        CoworkerPermissions {
            coworker_update: actor.may(Action::CoworkerWrite),
            coworker_publish: actor.may(Action::CoworkerPublish),
            coworker_rollback: actor.may(Action::CoworkerPublish),
            coworker_unpublish: actor.may(Action::CoworkerPublish),
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
}

/// What the caller may do with a coworker. Each field is named after the mutation that it speaks of.
#[derive(SimpleObject)]
pub struct CoworkerPermissions {
    /// Whether `coworkerUpdate` would be allowed.
    pub coworker_update: bool,
    /// Whether `coworkerPublish` would be allowed.
    pub coworker_publish: bool,
    /// Whether `coworkerRollback` would be allowed.
    pub coworker_rollback: bool,
    /// Whether `coworkerUnpublish` would be allowed.
    pub coworker_unpublish: bool,
}
