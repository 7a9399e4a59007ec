//! A run as people read it. Headers are rows; a body is read from the log when a field asks for it.

use async_graphql::{Context, ID, Interface, Object, SimpleObject};
use domain::run::step::{Body, CallError};
use domain::tool::Encoding;
use entity::{StepKind as Kind, run_step};

use super::body::{Header, called, said, taken_over, thought};
use super::{Run, RunEvent};
use crate::graphql::approval::Approval;
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{Error, Result};
use crate::graphql::kind::{
    RequestStatus, RunFailureCode, RunOutcome, StepKind, Takeover, Trigger,
};
use crate::graphql::node;
use crate::graphql::page::connection;
use crate::graphql::request::{Assignment, Note};
use crate::graphql::scalar::{DateTime, Duration};

/// One step of a run as people read it. The header is cheap; what a type adds to it is read from the log only when selected.
#[derive(Interface)]
#[graphql(
    field(name = "id", ty = "ID", desc = "The global id."),
    field(name = "index", ty = "i32", desc = "Its place in the run, from 1."),
    field(name = "kind", ty = "StepKind", desc = "What kind of step it is."),
    field(
        name = "title",
        ty = "String",
        desc = "One line that says what happened."
    ),
    field(name = "started_at", ty = "DateTime", desc = "When it began."),
    field(
        name = "ended_at",
        ty = "Option<DateTime>",
        desc = "When it ended; null while it goes on."
    ),
    field(name = "failed", ty = "bool", desc = "Whether it ended badly."),
    field(
        name = "events",
        ty = "Vec<RunEvent>",
        desc = "The raw events that it is made of, in order."
    )
)]
pub enum Step {
    /// The run began.
    RunStartedStep(RunStartedStep),
    /// A worker took over.
    AttemptStep(AttemptStep),
    /// The model thought.
    ThinkingStep(ThinkingStep),
    /// A tool was called.
    ToolCallStep(ToolCallStep),
    /// A note was posted.
    NoteStep(NoteStep),
    /// The status changed.
    StatusChangeStep(StatusChangeStep),
    /// The request was handed off.
    HandoffStep(HandoffStep),
    /// A person was asked to approve a call.
    ApprovalStep(ApprovalStep),
    /// The run ended.
    DoneStep(DoneStep),
}

impl From<run_step::Model> for Step {
    fn from(row: run_step::Model) -> Self {
        let kind = row.kind;
        let header = Header::from(row);
        match kind {
            Kind::RunStarted => RunStartedStep(header).into(),
            Kind::Attempt => AttemptStep(header).into(),
            Kind::Thinking => ThinkingStep(header).into(),
            Kind::ToolCall => ToolCallStep(header).into(),
            Kind::Note => NoteStep(header).into(),
            Kind::StatusChange => StatusChangeStep(header).into(),
            Kind::Handoff => HandoffStep(header).into(),
            Kind::Approval => ApprovalStep(header).into(),
            Kind::Done => DoneStep(header).into(),
        }
    }
}

connection! {
    "A page of a run's steps."
    StepConnection,
    "A step in a list."
    StepEdge of Step,
    edges: "The steps of this page with their cursors.",
    nodes: "The steps of this page.",
    total: "How many steps the whole list has. Counted only when asked for.",
    cursor: "Its place in this list, for `after` and `before`.",
    node: "The step.",
}

/// A type of step: the header, and what this one adds.
macro_rules! steps {
    ($($doc:literal $name:ident $kind:literal { $($extra:tt)* })+) => {$(
        #[doc = $doc]
        pub struct $name(Header);

        #[doc = $doc]
        #[Object]
        impl $name {
            /// The global id.
            pub(crate) async fn id(&self) -> ID {
                node::global_step(self.0.row.run_id, self.0.row.idx)
            }

            /// Its place in the run, from 1.
            pub(crate) async fn index(&self) -> i32 {
                self.0.row.idx
            }

            #[doc = $kind]
            pub(crate) async fn kind(&self) -> StepKind {
                self.0.row.kind.into()
            }

            /// One line that says what happened.
            pub(crate) async fn title(&self) -> String {
                self.0.row.title.clone()
            }

            /// When it began.
            pub(crate) async fn started_at(&self) -> DateTime {
                DateTime(self.0.row.started_at)
            }

            /// When it ended; null while it goes on.
            pub(crate) async fn ended_at(&self) -> Option<DateTime> {
                self.0.row.ended_at.map(DateTime)
            }

            /// Whether it ended badly.
            pub(crate) async fn failed(&self) -> bool {
                self.0.row.failed
            }

            /// The raw events that it is made of, in order.
            #[graphql(complexity = "1 + 3 * child_complexity")]
            pub(crate) async fn events(&self, ctx: &Context<'_>) -> Result<Vec<RunEvent>> {
                Ok(self.0.events(ctx).await?.into_iter().map(|(row, _)| RunEvent::from(row)).collect())
            }

            $($extra)*
        }
    )+};
}

steps! {
    "The run began." RunStartedStep "Always RUN_STARTED." {
        /// What started the run.
        async fn trigger(&self, ctx: &Context<'_>) -> Result<Trigger> {
            Ok(Run::referred(ctx, self.0.row.run_id).await?.0.trigger.into())
        }

        /// The model, as prices and metrics name it: `scripted`.
        async fn model(&self, ctx: &Context<'_>) -> Result<String> {
            Ok(Run::referred(ctx, self.0.row.run_id).await?.0.model)
        }
    }

    "A worker took the run over from another that was lost." AttemptStep "Always ATTEMPT." {
        /// The attempt that began, from 2.
        async fn attempt(&self, ctx: &Context<'_>) -> Result<i32> {
            Ok(taken_over(&self.0, ctx).await?.attempt)
        }

        /// Why the run changed hands.
        async fn reason(&self, ctx: &Context<'_>) -> Result<Takeover> {
            Ok(taken_over(&self.0, ctx).await?.reason.into())
        }
    }

    "The model thought: one turn." ThinkingStep "Always THINKING." {
        /// The coworker's reasoning; null until the model has answered, or where it gave none.
        async fn thinking(&self, ctx: &Context<'_>) -> Option<Result<String>> {
            said(thought(&self.0, ctx).await.map(|thought| thought.thinking.clone()))
        }

        /// What the model said besides; null until it has answered, or where it said nothing.
        async fn text(&self, ctx: &Context<'_>) -> Option<Result<String>> {
            said(thought(&self.0, ctx).await.map(|thought| thought.text.clone()))
        }

        /// Why there is no answer; null unless the model failed.
        async fn error(&self, ctx: &Context<'_>) -> Option<Result<String>> {
            said(thought(&self.0, ctx).await.map(|thought| thought.error.unwrap_or_default().to_owned()))
        }
    }

    "A tool was called." ToolCallStep "Always TOOL_CALL." {
        /// The tool's name, as the model called it.
        async fn tool(&self, ctx: &Context<'_>) -> Result<String> {
            Ok(called(&self.0, ctx).await?.tool.to_owned())
        }

        /// The exact arguments as the model wrote them, which is what was sent to the tool. An MCP server gets the same values in the protocol's own spelling.
        async fn request(&self, ctx: &Context<'_>) -> Result<String> {
            Ok(called(&self.0, ctx).await?.request.to_owned())
        }

        /// The exact text that came back, also where the call failed with it; null while the call is open, or where nothing came back, or more than the tool may answer. Secrets that it was called with are replaced by `‹secret:name›`. Of an MCP server over HTTP that answers with a JSON document instead of a stream of events: the result as the protocol's SDK writes it again, with the same values.
        async fn response(&self, ctx: &Context<'_>) -> Option<Result<String>> {
            called(&self.0, ctx).await.map(|call| call.response.map(str::to_owned)).transpose()
        }

        /// Whether `response` is base64 (RFC 4648), because what came back is no text (UTF-8).
        async fn response_is_base64(&self, ctx: &Context<'_>) -> Result<bool> {
            Ok(matches!(called(&self.0, ctx).await?.encoding, Some(Encoding::Base64)))
        }

        /// What went wrong: the tool failed, the call was refused, or its outcome is unknown. Null if nothing did.
        async fn error(&self, ctx: &Context<'_>) -> Option<Result<ToolError>> {
            called(&self.0, ctx).await.map(|call| call.error.map(ToolError::from)).transpose()
        }

        /// How long the call took; null while it is open.
        async fn duration(&self, ctx: &Context<'_>) -> Option<Result<Duration>> {
            called(&self.0, ctx).await.map(|call| call.duration_ms.map(Duration)).transpose()
        }
    }

    "A note was posted." NoteStep "Always NOTE." {
        /// The note; null for those who may not read it.
        async fn note(&self, ctx: &Context<'_>) -> Option<Result<Note>> {
            let id = match self.0.body(ctx).await {
                Ok(Body::Note(posted)) => posted.note,
                Ok(_) => return Some(Err(self.0.unlike())),
                Err(error) => return Some(Err(error)),
            };
            ctx.loaders().row(id).await.map(|row| row.map(Note)).map_err(Error::from).transpose()
        }
    }

    "The request's status changed." StatusChangeStep "Always STATUS_CHANGE." {
        /// The status before.
        async fn before(&self, ctx: &Context<'_>) -> Result<RequestStatus> {
            let Body::StatusChange(change) = self.0.body(ctx).await? else { return Err(self.0.unlike()) };
            Ok(change.before.into())
        }

        /// The status after.
        async fn after(&self, ctx: &Context<'_>) -> Result<RequestStatus> {
            let Body::StatusChange(change) = self.0.body(ctx).await? else { return Err(self.0.unlike()) };
            Ok(change.after.into())
        }
    }

    "The request was assigned to someone else." HandoffStep "Always HANDOFF." {
        /// The assignment: to whom, and why.
        async fn assignment(&self, ctx: &Context<'_>) -> Result<Assignment> {
            let Body::Handoff(handoff) = self.0.body(ctx).await? else { return Err(self.0.unlike()) };
            Ok(Assignment(ctx.loaders().referred(handoff.assignment).await?))
        }
    }

    "A person was asked to approve a call, and the run waited." ApprovalStep "Always APPROVAL." {
        /// What was asked, and what was decided.
        async fn approval(&self, ctx: &Context<'_>) -> Result<Approval> {
            let Body::Approval(asked) = self.0.body(ctx).await? else { return Err(self.0.unlike()) };
            Ok(Approval(ctx.loaders().referred(asked.approval).await?))
        }
    }

    "The run ended." DoneStep "Always DONE." {
        /// How the run ended; null if it failed.
        async fn outcome(&self, ctx: &Context<'_>) -> Option<Result<RunOutcome>> {
            Run::referred(ctx, self.0.row.run_id).await.map(|run| run.0.outcome.map(Into::into)).transpose()
        }

        /// Why the run failed; null if it completed.
        async fn failure_code(&self, ctx: &Context<'_>) -> Option<Result<RunFailureCode>> {
            Run::referred(ctx, self.0.row.run_id).await.map(|run| run.0.failure_code.map(Into::into)).transpose()
        }

        /// The reason given.
        async fn reason(&self, ctx: &Context<'_>) -> Result<String> {
            let Body::Done { reason, summary: _ } = self.0.body(ctx).await? else { return Err(self.0.unlike()) };
            Ok(reason.clone())
        }

        /// What the run did and why, and what comes next, in short.
        async fn summary(&self, ctx: &Context<'_>) -> Result<String> {
            let Body::Done { summary, reason: _ } = self.0.body(ctx).await? else { return Err(self.0.unlike()) };
            Ok(summary.clone())
        }
    }
}

impl From<run_step::Model> for ToolCallStep {
    fn from(row: run_step::Model) -> Self {
        Self(row.into())
    }
}

/// What went wrong with a tool call.
#[derive(SimpleObject)]
pub struct ToolError {
    /// What went wrong, for programs: OFFLINE, TIMED_OUT, FAILED, BAD_RESPONSE, REFUSED or OUTCOME_UNKNOWN. May grow.
    pub code: String,
    /// What went wrong, for people.
    pub message: String,
}

impl From<&CallError> for ToolError {
    fn from(CallError { code, message }: &CallError) -> Self {
        Self {
            code: code.to_uppercase(),
            message: message.clone(),
        }
    }
}
