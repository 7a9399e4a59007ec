//! What happens to a run as a whole: its start, its attempts and turns, its end.

use entity::{
    ActorKind, CoworkerId, CoworkerVersionId, DispatchId, FailureCode, Millis, Outcome, RequestId,
    RunId, SummaryAuthor, Trigger, WorkspaceId,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::coworker::config::Limits;

/// An actor, as events name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorRef {
    /// What kind of actor.
    pub kind: ActorKind,
    /// Its id.
    pub id: Uuid,
    /// The handle or name at that time.
    pub name: String,
}

/// The request of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRef {
    /// Its id.
    pub id: RequestId,
    /// Its number.
    pub number: i64,
    /// Its title at that time.
    pub title: String,
}

/// The coworker of a run and the version that is pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoworkerRef {
    /// Its id.
    pub id: CoworkerId,
    /// Its handle at that time.
    pub handle: String,
    /// The version's id.
    pub version_id: CoworkerVersionId,
    /// The version's number.
    pub version: i32,
    /// Whether it was the workspace's Triage coworker then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_triage: bool,
}

/// See [`Event::RunStarted`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunStarted {
    /// The run's id; its number is in the envelope.
    pub run: RunId,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The request.
    pub request: RequestRef,
    /// Who runs.
    pub coworker: CoworkerRef,
    /// What triggered it.
    pub trigger: Trigger,
    /// The dispatch that became this run.
    pub dispatch: DispatchId,
    /// The assignment epoch; none for mentions.
    pub assignment_epoch: Option<i64>,
    /// The model.
    pub model: String,
    /// The limits.
    pub limits: Limits,
    /// When its time is up.
    pub deadline: Millis,
}

/// See [`Event::AttemptStarted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptStarted {
    /// From 2: the first one is the run's start.
    pub attempt: i32,
    /// Why another worker took over.
    pub reason: Takeover,
}

/// Why a run changed hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Takeover {
    /// The worker's lease ran out: it died, froze or lost the database.
    LeaseExpired,
    /// The worker gave it back in order, or never learned that it had it.
    HandedBack,
    /// It was held past its deadline.
    Overdue,
}

/// See [`Event::TurnStarted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnStarted {
    /// From 1.
    pub turn: i32,
}

/// See [`Event::StopRequested`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRequested {
    /// By whom.
    pub by: ActorRef,
    /// Why.
    pub reason: Option<String>,
}

/// See [`Event::LimitReached`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitReached {
    /// Which: the failure code that the run will end with.
    pub limit: FailureCode,
    /// The value reached: turns, calls, milliseconds, tokens or nano-USD.
    pub value: i64,
    /// The limit, same unit.
    pub maximum: i64,
    /// Which budget, in words, where it is one: `the workspace's daily budget`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<String>,
    /// The model, where it is the limit of money that nobody can keep because the model has no price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpriced: Option<String>,
}

/// See [`Event::SummaryWritten`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SummaryWritten {
    /// The text.
    pub text: String,
    /// By whom.
    pub author: SummaryAuthor,
}

/// See [`Event::RunCompleted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunCompleted {
    /// How it ended.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
    /// The end-of-run rule met.
    pub rule: Option<String>,
    /// What the run used.
    pub totals: Totals,
}

/// See [`Event::RunFailed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFailed {
    /// Why, for programs.
    pub code: FailureCode,
    /// Why, for people.
    pub reason: String,
    /// What the run used.
    pub totals: Totals,
}

/// What a run used, summed over its log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Model turns.
    pub turns: i32,
    /// Tool calls, refused ones included.
    pub tool_calls: i32,
    /// Input tokens, cached ones included.
    pub input_tokens: i64,
    /// Output tokens, reasoning included.
    pub output_tokens: i64,
    /// Input tokens read from a cache.
    pub cached_tokens: i64,
    /// Output tokens that were reasoning.
    pub reasoning_tokens: i64,
    /// Input tokens written to a cache.
    pub cache_write_tokens: i64,
    /// Cost of the priced calls, nano-USD.
    pub cost_nano: i64,
    /// Calls without a price.
    pub unpriced_calls: i32,
    /// Calls whose usage is not known.
    pub unknown_calls: i32,
    /// What the calls whose cost is not known stay charged at in budgets, nano-USD.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub estimated_nano: i64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes what it may skip by reference"
)]
fn is_zero(nano: &i64) -> bool {
    *nano == 0
}
