//! Closed sets about runs.

use async_graphql::Enum;

/// Where an approval stands. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::ApprovalState")]
pub enum ApprovalState {
    /// A person must decide.
    Pending,
    /// The call may be made, once.
    Approved,
    /// The call must not be made.
    Denied,
    /// Nobody decided in time.
    Expired,
    /// The run ended before anybody decided: it was stopped, or the request was assigned anew or closed.
    Void,
}

/// What someone decides about a call.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "domain::run::approval::Decision")]
pub enum ApprovalDecision {
    /// It may be made, once, exactly as it is shown.
    Approve,
    /// It must not be made.
    Deny,
}

/// Where a run stands: exactly these four.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::RunStatus")]
pub enum RunStatus {
    /// It works.
    Running,
    /// It ended with an outcome.
    Completed,
    /// It ended with a failure code.
    Failed,
    /// It waits for a person's decision.
    PausedForApproval,
}

/// How a completed run ended. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::Outcome")]
pub enum RunOutcome {
    /// The request is resolved.
    Resolved,
    /// It answered.
    Replied,
    /// It assigned the request to someone else.
    HandedOff,
    /// It asked the requester and waits for the answer.
    AwaitingReply,
    /// It can't handle the request, and says why.
    Declined,
    /// Something outside is not available; someone must pick the request up again. Whatever its outcome, a run that did not hand its request on leaves it IN_PROGRESS with a public note where a tool that it called did not answer.
    Blocked,
    /// The request was assigned anew while it ran.
    Superseded,
}

/// Why a run failed. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::FailureCode")]
pub enum RunFailureCode {
    /// The model could not be reached or gave no usable answer.
    ModelError,
    /// Its turns were used up.
    LimitTurns,
    /// Its tool calls were used up.
    LimitToolCalls,
    /// Its time was used up.
    LimitTime,
    /// Its tokens were used up.
    LimitTokens,
    /// Its money was used up.
    LimitCost,
    /// The budget of the coworker or of the workspace was used up.
    BudgetExhausted,
    /// Someone stopped it.
    Stopped,
    /// It killed its worker three times.
    Poisoned,
    /// It was begun by a release that this one can't continue.
    VersionUnsupported,
    /// A fault of Stint itself.
    Internal,
}

/// Who wrote a run's summary.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::SummaryAuthor")]
pub enum SummaryAuthor {
    /// The coworker itself, in its closing turn.
    Coworker,
    /// Stint, because no closing turn was possible.
    System,
}

/// The kinds of steps. May grow: meet an unknown type with the fields of Step.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::StepKind")]
pub enum StepKind {
    /// The run began.
    RunStarted,
    /// A worker took the run over from another that was lost.
    Attempt,
    /// The model thought.
    Thinking,
    /// A tool was called.
    ToolCall,
    /// A note was posted.
    Note,
    /// The request's status changed.
    StatusChange,
    /// The request was assigned to someone else.
    Handoff,
    /// A person was asked to approve a call.
    Approval,
    /// The run ended.
    Done,
}

/// Why a run changed hands. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "domain::run::event::Takeover")]
pub enum Takeover {
    /// The worker's lease ran out: it died, froze or lost the database.
    LeaseExpired,
    /// The worker gave the run back in order.
    HandedBack,
    /// The run was held past its deadline.
    Overdue,
}

/// What a model is writing. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "domain::bus::delta::DeltaKind")]
pub enum DeltaKind {
    /// Its reasoning.
    Thinking,
    /// What it says.
    Text,
    /// The arguments of a tool call, JSON that is not whole yet.
    ToolCall,
}
