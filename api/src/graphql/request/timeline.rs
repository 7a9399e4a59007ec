//! The timeline of a request.

use async_graphql::{Context, Interface, Object, Union};
use domain::page::Page;
use domain::request::TimelineData;
use domain::request::query as requests;
use entity::{ApprovalId, AssignmentId, DispatchId, NoteId, RunId, request_event};
use futures_util::future::try_join_all;

use super::{Assignment, Dispatch, Note, Request};
use crate::graphql::actor::{self, Actor};
use crate::graphql::approval::Approval;
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::Result;
use crate::graphql::kind::RequestStatus;
use crate::graphql::page::connection;
use crate::graphql::run::Run;
use crate::graphql::scalar::{DateTime, int};

/// One entry of a request's timeline. May grow: meet an unknown type with the fields of TimelineEntry.
#[derive(Union)]
pub enum TimelineItem {
    /// The request was made.
    RequestCreated(RequestCreated),
    /// A note was posted.
    NotePosted(NotePosted),
    /// The status changed.
    StatusChanged(StatusChanged),
    /// It was assigned.
    Assigned(Assigned),
    /// A run started.
    RunStarted(RunStarted),
    /// A run ended.
    RunEnded(RunEnded),
    /// A dispatch was dropped.
    DispatchDropped(DispatchDropped),
    /// No coworker goes on with it.
    LeftToPeople(LeftToPeople),
    /// Coworkers passed it on too often.
    Escalated(Escalated),
    /// It was decided about a call of a coworker.
    ApprovalDecided(ApprovalDecided),
}

/// What every entry of a request's timeline has.
#[derive(Interface)]
#[graphql(
    field(
        name = "sequence",
        ty = "i32",
        desc = "Its place in the request's timeline. The cursor of `requestTimeline`."
    ),
    field(name = "at", ty = "DateTime", desc = "When it happened."),
    field(name = "actor", ty = "Actor", desc = "Who did it."),
    field(
        name = "run",
        ty = "Option<Result<Run>>",
        desc = "The run that did it; null where a coworker did not, and for callers with the role REQUESTER."
    )
)]
pub enum TimelineEntry {
    /// The request was made.
    RequestCreated(RequestCreated),
    /// A note was posted.
    NotePosted(NotePosted),
    /// The status changed.
    StatusChanged(StatusChanged),
    /// It was assigned.
    Assigned(Assigned),
    /// A run started.
    RunStarted(RunStarted),
    /// A run ended.
    RunEnded(RunEnded),
    /// A dispatch was dropped.
    DispatchDropped(DispatchDropped),
    /// No coworker goes on with it.
    LeftToPeople(LeftToPeople),
    /// Coworkers passed it on too often.
    Escalated(Escalated),
    /// It was decided about a call of a coworker.
    ApprovalDecided(ApprovalDecided),
}

impl TimelineItem {
    /// The entry of a row.
    ///
    /// # Errors
    /// [`domain::Error::Internal`] for a row that can't be read.
    pub fn of(row: request_event::Model) -> Result<Self> {
        Ok(match TimelineData::from_row(&row.data)? {
            TimelineData::RequestCreated => RequestCreated { row }.into(),
            TimelineData::NotePosted {
                note,
                visibility: _,
            } => NotePosted { row, note }.into(),
            TimelineData::StatusChanged { before, after } => StatusChanged {
                row,
                before: before.into(),
                after: after.into(),
            }
            .into(),
            TimelineData::Assigned { assignment } => Assigned { row, assignment }.into(),
            TimelineData::RunStarted => RunStarted { row }.into(),
            TimelineData::RunEnded => RunEnded { row }.into(),
            TimelineData::DispatchDropped { dispatch } => DispatchDropped { row, dispatch }.into(),
            TimelineData::LeftToPeople { reason } => LeftToPeople { row, reason }.into(),
            TimelineData::ApprovalDecided { approval } => ApprovalDecided { row, approval }.into(),
            TimelineData::Escalated { assignment, runs } => Escalated {
                row,
                assignment,
                runs,
            }
            .into(),
        })
    }
}

connection! {
    "A page of a request's timeline."
    TimelineConnection,
    "An entry of a request's timeline in a list."
    TimelineEdge of TimelineItem,
    edges: "The entries of this page with their cursors.",
    nodes: "The entries of this page.",
    total: "How many entries the caller may see in the whole timeline. Counted only when asked for.",
    cursor: "Its place in this list, for `after` and `before`. The subscription `requestTimeline` takes the entry's sequence instead.",
    node: "The entry.",
}

impl TimelineConnection {
    /// The connection of a page of rows.
    ///
    /// # Errors
    /// As [`TimelineItem::of`].
    pub fn of(page: Page<request_event::Model>) -> Result<Self> {
        let Page {
            edges,
            has_next,
            has_previous,
            total,
        } = page;
        let edges = edges
            .into_iter()
            .map(|(cursor, row)| Ok((cursor, TimelineItem::of(row)?)))
            .collect::<Result<Vec<_>>>()?;
        Ok(Page {
            edges,
            has_next,
            has_previous,
            total,
        }
        .into())
    }
}

/// An entry: what all have, and what this one adds.
macro_rules! entries {
    ($(
        $doc:literal $name:ident { $($field:ident: $type:ty),* $(,)? }
        actor: $actor:literal, run: $run:literal $(,)?
        $({ $($extra:tt)* })?
    )+) => {$(
        #[doc = $doc]
        pub struct $name {
            row: request_event::Model,
            $($field: $type,)*
        }

        #[doc = $doc]
        #[Object]
        impl $name {
            /// Its place in the request's timeline. The cursor of `requestTimeline`.
            pub(crate) async fn sequence(&self) -> i32 {
                int(self.row.seq)
            }

            /// When it happened.
            pub(crate) async fn at(&self) -> DateTime {
                DateTime(self.row.at)
            }

            #[doc = $actor]
            pub(crate) async fn actor(&self, ctx: &Context<'_>) -> Result<Actor> {
                Ok(actor::named(ctx, self.row.actor_kind, self.row.actor_id).await?)
            }

            #[doc = $run]
            pub(crate) async fn run(&self, ctx: &Context<'_>) -> Option<Result<Run>> {
                Run::if_visible(ctx, self.row.run_id).await
            }

            $($($extra)*)?
        }
    )+};
}

entries! {
    "The request was made." RequestCreated {}
    actor: "Who made the request.", run: "Always null.",
    {
        /// The request.
        async fn request(&self, ctx: &Context<'_>) -> Result<Request> {
            Request::referred(ctx, self.row.request_id).await
        }
    }

    "A note was posted." NotePosted { note: NoteId }
    actor: "Who wrote the note.",
    run: "The run that wrote it; null where a coworker did not, and for callers with the role REQUESTER.",
    {
        /// The note.
        async fn note(&self, ctx: &Context<'_>) -> Result<Note> {
            Ok(Note(ctx.loaders().referred(self.note).await?))
        }
    }

    "The request's status changed." StatusChanged { before: RequestStatus, after: RequestStatus }
    actor: "Who changed it.",
    run: "The run that changed it; null where a coworker did not, and for callers with the role REQUESTER.",
    {
        /// The status before.
        async fn before(&self) -> RequestStatus {
            self.before
        }

        /// The status after.
        async fn after(&self) -> RequestStatus {
            self.after
        }
    }

    "The request was assigned." Assigned { assignment: AssignmentId }
    actor: "Who assigned it.",
    run: "The run that assigned it; null where a coworker did not, and for callers with the role REQUESTER.",
    {
        /// The assignment: to whom, and why.
        async fn assignment(&self, ctx: &Context<'_>) -> Result<Assignment> {
            Ok(Assignment(ctx.loaders().referred(self.assignment).await?))
        }
    }

    "A run started." RunStarted {}
    actor: "The coworker.", run: "The run that started; null for callers with the role REQUESTER.",

    "A run ended." RunEnded {}
    actor: "The coworker.", run: "The run that ended; null for callers with the role REQUESTER.",

    "Work for a coworker was dropped: there will be no run for it." DispatchDropped { dispatch: DispatchId }
    actor: "Who brought it about.",
    run: "The run that brought it about; null where a coworker did not, and for callers with the role REQUESTER.",
    {
        /// What was dropped, and why.
        async fn dispatch(&self, ctx: &Context<'_>) -> Result<Dispatch> {
            Ok(Dispatch(ctx.loaders().referred(self.dispatch).await?))
        }
    }

    "A person decided about a call of a coworker, or nobody did in time." ApprovalDecided { approval: ApprovalId }
    actor: "Who decided; Stint, where nobody did in time.", run: "Always null; the approval names its run.",
    {
        /// The call, and the decision; null for callers with the role REQUESTER.
        async fn approval(&self, ctx: &Context<'_>) -> Option<Result<Approval>> {
            Approval::if_visible(ctx, self.approval).await
        }
    }

    "The request is left to people: no coworker fits it clearly enough, one of them gave it to nobody, or the one that it was escalated to was taken out of work or had no money left." LeftToPeople { reason: String }
    actor: "Stint, or the coworker that gave it to nobody.",
    run: "The run that gave it to nobody; null where none did, and for callers with the role REQUESTER.",
    {
        /// Why; null for callers with the role REQUESTER.
        async fn reason(&self, ctx: &Context<'_>) -> Option<&str> {
            requests::sees_private(ctx.actor()).then_some(&self.reason)
        }
    }
}

/// Coworkers passed the request on too often without a person: it went to the workspace's escalation assignee, or to nobody.
pub struct Escalated {
    row: request_event::Model,
    assignment: Option<AssignmentId>,
    runs: Vec<RunId>,
}

/// Coworkers passed the request on too often without a person: it went to the workspace's escalation assignee, or to nobody.
#[Object]
impl Escalated {
    /// Its place in the request's timeline. The cursor of `requestTimeline`.
    pub(crate) async fn sequence(&self) -> i32 {
        int(self.row.seq)
    }

    /// When it happened.
    pub(crate) async fn at(&self) -> DateTime {
        DateTime(self.row.at)
    }

    /// Always Stint.
    pub(crate) async fn actor(&self, ctx: &Context<'_>) -> Result<Actor> {
        Ok(actor::named(ctx, self.row.actor_kind, self.row.actor_id).await?)
    }

    /// Always null.
    pub(crate) async fn run(&self, ctx: &Context<'_>) -> Option<Result<Run>> {
        Run::if_visible(ctx, self.row.run_id).await
    }

    /// To whom it went; null: to nobody, and a person must look.
    async fn to(&self, ctx: &Context<'_>) -> Result<Option<Actor>> {
        let Some(id) = self.assignment else {
            return Ok(None);
        };
        let made = ctx.loaders().referred(id).await?;
        Ok(match made.assignee_kind.zip(made.assignee_id) {
            Some((kind, id)) => Some(actor::named(ctx, kind, id).await?),
            None => None,
        })
    }

    /// The runs that followed each other since a person last touched the request, oldest first, the newest 100 at most; none for callers with the role REQUESTER.
    #[graphql(complexity = "1 + 10 * child_complexity")]
    async fn chain(&self, ctx: &Context<'_>) -> Result<Vec<Run>> {
        let found = try_join_all(self.runs.iter().map(|id| ctx.loaders().row(*id))).await?;
        Ok(found.into_iter().flatten().map(Run).collect())
    }
}
