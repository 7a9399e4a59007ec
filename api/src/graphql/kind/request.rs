//! Closed sets about requests.

use async_graphql::Enum;

/// Where a request stands. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::RequestStatus")]
pub enum RequestStatus {
    /// Nobody works on it yet.
    Open,
    /// Someone works on it, or must pick it up again.
    InProgress,
    /// It waits for an answer of the requester.
    Pending,
    /// Done; may be opened again.
    Resolved,
    /// Done for good.
    Closed,
}

/// How urgent a request is. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::Priority")]
pub enum Priority {
    /// Can wait.
    Low,
    /// The usual.
    Normal,
    /// Before the usual ones.
    High,
    /// Now.
    Urgent,
}

/// Where a request came from. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::RequestSource")]
pub enum RequestSource {
    /// A person made it.
    Employee,
    /// A workflow made it.
    Workflow,
    /// An outside system made it.
    System,
}

/// Who may read a note. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::NoteVisibility")]
pub enum NoteVisibility {
    /// Everyone who sees the request, the requester included.
    Public,
    /// Everyone who sees the request, except callers with the role REQUESTER.
    Private,
}

/// What started a run. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::Trigger")]
pub enum Trigger {
    /// A new request came to the workspace's Triage coworker.
    Intake,
    /// The request was routed to the coworker by its identity.
    Routed,
    /// A person, a workflow or a system assigned the request to the coworker.
    Assigned,
    /// Another coworker handed the request over.
    Handoff,
    /// A person mentioned the coworker in a note.
    Mention,
    /// The requester answered a question of the coworker.
    Reply,
}

/// Where a dispatch stands. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::DispatchState")]
pub enum DispatchState {
    /// Waits for a worker, or for the coworker's run on the same request to end.
    Waiting,
    /// Became a run.
    Started,
    /// Will never become a run.
    Dropped,
}

/// Why a dispatch will never become a run. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::DropReason")]
pub enum DropReason {
    /// The coworker was not published, or was taken out of work while this waited.
    NotPublished,
    /// The request was assigned anew.
    Superseded,
    /// The request was resolved or closed meanwhile.
    RequestClosed,
    /// The request went through too many runs since a person last touched it.
    HopLimit,
    /// The coworker's or the workspace's budget is used up until the next day or month begins (UTC), or until it is raised.
    BudgetExhausted,
    /// What runs may cost is limited, and the coworker's model has no price.
    UnpricedModel,
}
