//! The closed sets, as the contract names and describes them: the words that rows hold, and no others.

mod alert;
mod coworker;
mod hook;
mod metric;
mod request;
mod run;

pub use alert::{AlertDisabledReason, AlertKind, AlertState};
pub use coworker::{
    CoworkerState, DiagnosisConfidence, FindingRule, FindingSeverity, ReasoningEffort, Symptom,
    ToolApproval,
};
pub use hook::{WebhookKind, WebhookOutcome, WebhookRefusal};
pub use metric::{
    CostCauseKind, MetricsDimension, MetricsInterval, Pricing, TokenKind, UsageComponentKind,
};
pub use request::{
    DispatchState, DropReason, NoteVisibility, Priority, RequestSource, RequestStatus, Trigger,
};
pub use run::{
    ApprovalDecision, ApprovalState, DeltaKind, RunFailureCode, RunOutcome, RunStatus, StepKind,
    SummaryAuthor, Takeover,
};

use async_graphql::Enum;
use async_graphql::resolver_utils::EnumType;

/// The kinds of actors. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::ActorKind")]
pub enum ActorKind {
    /// A human being.
    Person,
    /// An AI coworker.
    Coworker,
    /// An automation that uses an API key of its own.
    Workflow,
    /// An outside system, such as a monitoring service, or Stint itself.
    System,
}

/// Which way to sort.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "domain::page::Direction")]
pub enum OrderDirection {
    /// Smallest, earliest, first in the alphabet.
    Asc,
    /// Largest, latest, last in the alphabet.
    Desc,
}

/// What an API key may do. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::Role")]
pub enum Role {
    /// Everything, including keys and prices.
    Admin,
    /// Works on requests.
    Agent,
    /// Reads everything, changes nothing.
    Analyst,
    /// Makes requests and sees only their own.
    Requester,
}

impl FindingRule {
    /// The word that programs know it by.
    pub fn word(self) -> &'static str {
        let items = <Self as EnumType>::items().iter();
        let mut named = items.filter(|item| item.value == self);
        named.next().map_or("", |item| item.name)
    }
}

macro_rules! words {
    ($($name:ident of $row:ident),+ $(,)?) => {$(
        impl $name {
            /// The word that rows hold.
            pub fn word(self) -> &'static str {
                entity::$row::from(self).as_str()
            }
        }
    )+};
}

words! {
    ActorKind of ActorKind,
    RequestStatus of RequestStatus,
    Priority of Priority,
    RequestSource of RequestSource,
    NoteVisibility of NoteVisibility,
    Trigger of Trigger,
    CoworkerState of CoworkerState,
    ApprovalState of ApprovalState,
    RunStatus of RunStatus,
    RunOutcome of Outcome,
    RunFailureCode of FailureCode,
    StepKind of StepKind,
    WebhookOutcome of WebhookOutcome,
    AlertKind of AlertKind,
    AlertState of AlertState,
}
