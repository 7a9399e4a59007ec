//! Who works on a request: assignments, and the dispatches that follow from them.

use async_graphql::{Context, ID, Object};
use domain::request::query::{sees_private, waits_for};
use entity::{assignment, dispatch};

use super::Request;
use crate::graphql::actor::{self, Actor};
use crate::graphql::context::ContextExt as _;
use crate::graphql::coworker::Coworker;
use crate::graphql::error::{Error, Result};
use crate::graphql::kind::{DispatchState, DropReason, Trigger};
use crate::graphql::node;
use crate::graphql::page::connection;
use crate::graphql::run::Run;
use crate::graphql::scalar::{DateTime, int};

/// One assignment of a request. Assignments are kept for good.
pub struct Assignment(pub assignment::Model);

impl From<assignment::Model> for Assignment {
    fn from(row: assignment::Model) -> Self {
        Self(row)
    }
}

connection! {
    "A page of assignments."
    AssignmentConnection,
    "An assignment in a list."
    AssignmentEdge of Assignment,
    edges: "The assignments of this page with their cursors.",
    nodes: "The assignments of this page.",
    total: "How many assignments the whole list has. Counted only when asked for.",
    cursor: "Its place in this list, for `after` and `before`.",
    node: "The assignment.",
}

/// One assignment of a request. Assignments are kept for good.
#[Object]
impl Assignment {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        node::global(self.0.id)
    }

    /// The request that was assigned.
    async fn request(&self, ctx: &Context<'_>) -> Result<Request> {
        Request::referred(ctx, self.0.request_id).await
    }

    /// To whom; null: to nobody.
    async fn assignee(&self, ctx: &Context<'_>) -> Option<Result<Actor>> {
        let (kind, id) = self.0.assignee_kind.zip(self.0.assignee_id)?;
        Some(actor::named(ctx, kind, id).await.map_err(Error::from))
    }

    /// By whom.
    async fn assigned_by(&self, ctx: &Context<'_>) -> Result<Actor> {
        Ok(actor::named(ctx, self.0.assigned_by_kind, self.0.assigned_by_id).await?)
    }

    /// The run that assigned it; null where a coworker did not, and for callers with the role REQUESTER.
    async fn run(&self, ctx: &Context<'_>) -> Option<Result<Run>> {
        Run::if_visible(ctx, self.0.run_id).await
    }

    /// Why; null where no reason was given, and for callers with the role REQUESTER.
    async fn reason(&self, ctx: &Context<'_>) -> Option<&str> {
        // Coworkers write reasons for each other, as they write private notes.
        self.0
            .reason
            .as_deref()
            .filter(|_| sees_private(ctx.actor()))
    }

    /// Counts the assignments of the request. Runs that carry an earlier epoch can no longer write to it.
    async fn epoch(&self) -> i32 {
        int(self.0.epoch)
    }

    /// When.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }
}

/// Work for a coworker that waits to become a run. It has no number: a run has.
pub struct Dispatch(pub dispatch::Model);

/// Work for a coworker that waits to become a run. It has no number: a run has.
#[Object]
impl Dispatch {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        node::global(self.0.id)
    }

    /// The request to work on.
    async fn request(&self, ctx: &Context<'_>) -> Result<Request> {
        Request::referred(ctx, self.0.request_id).await
    }

    /// Who shall work on it.
    async fn coworker(&self, ctx: &Context<'_>) -> Result<Coworker> {
        Coworker::referred(ctx, self.0.coworker_id).await
    }

    /// What made it.
    async fn trigger(&self) -> Trigger {
        self.0.trigger.into()
    }

    /// Where it stands.
    async fn state(&self) -> DispatchState {
        self.0.state.into()
    }

    /// The run that it became; null unless STARTED, and for callers with the role REQUESTER.
    async fn run(&self, ctx: &Context<'_>) -> Option<Result<Run>> {
        Run::if_visible(ctx, self.0.run_id).await
    }

    /// The run whose end it waits for: one of the same coworker on the same request, or the one that handed the request over. Null if it only waits for a free worker, if it never starts because its coworker was taken out of work since, unless WAITING, and for callers with the role REQUESTER.
    async fn waits_for(&self, ctx: &Context<'_>) -> Option<Result<Run>> {
        let found = waits_for(ctx.store().read(), ctx.actor(), &self.0).await;
        found
            .map(|run| run.map(Run))
            .map_err(Error::from)
            .transpose()
    }

    /// Why it will never become a run; null unless DROPPED.
    async fn drop_reason(&self) -> Option<DropReason> {
        self.0.drop_reason.map(Into::into)
    }

    /// The assignment that it belongs to, as `Assignment.epoch`; null for mentions.
    async fn assignment_epoch(&self) -> Option<i32> {
        self.0.assignment_epoch.map(int)
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it was started or dropped; null while it waits.
    async fn decided_at(&self) -> Option<DateTime> {
        self.0.decided_at.map(DateTime)
    }
}
