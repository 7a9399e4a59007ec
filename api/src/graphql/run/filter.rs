//! Which runs, steps and events, and in which order.

use async_graphql::{InputObject, OneofObject};
use domain::page::Direction;
use domain::run::query::{EventKey, RunKey, StepKey};
use entity::{CoworkerId, RequestId, RunId, run, run_event, run_step};
use sea_orm::Condition;

use crate::graphql::filter::{
    BooleanComparator, DateTimeComparator, DecimalComparator, Filter, IdComparator,
    Int64Comparator, IntComparator, NullableDateTimeComparator, RunFailureCodeComparator,
    RunOutcomeComparator, RunStatusComparator, StepKindComparator, StringComparator, Terms,
    TriggerComparator, Where,
};
use crate::graphql::kind::OrderDirection;

/// Which runs. Fields given together must all hold.
#[derive(InputObject, Clone, Debug)]
pub struct RunFilter {
    /// By global id.
    pub id: Option<IdComparator>,
    /// By number.
    pub number: Option<IntComparator>,
    /// By status.
    pub status: Option<RunStatusComparator>,
    /// By outcome; runs without one match only `neq`, `nin` and `null`.
    pub outcome: Option<RunOutcomeComparator>,
    /// By failure code; runs without one match only `neq`, `nin` and `null`.
    pub failure_code: Option<RunFailureCodeComparator>,
    /// By what started it.
    pub trigger: Option<TriggerComparator>,
    /// By the global id of the coworker.
    pub coworker: Option<IdComparator>,
    /// By the global id of the request.
    pub request: Option<IdComparator>,
    /// By the model, as prices and metrics name it.
    pub model: Option<StringComparator>,
    /// By when it started.
    pub started_at: Option<DateTimeComparator>,
    /// By when it ended.
    pub ended_at: Option<NullableDateTimeComparator>,
    /// By model turns.
    pub turn_count: Option<IntComparator>,
    /// By tool calls.
    pub tool_call_count: Option<IntComparator>,
    /// By input tokens.
    pub input_tokens: Option<Int64Comparator>,
    /// By output tokens.
    pub output_tokens: Option<Int64Comparator>,
    /// By recorded cost of the priced calls, USD.
    pub cost: Option<DecimalComparator>,
    /// All of these must hold.
    pub and: Option<Vec<RunFilter>>,
    /// At least one of these must hold.
    pub or: Option<Vec<RunFilter>>,
    /// This must not hold.
    pub not: Option<Box<RunFilter>>,
}

impl Filter for RunFilter {
    fn condition(&self, terms: &mut Terms) -> domain::Result<Condition> {
        use run::Column as C;
        let mut all = Where::new(terms);
        all.by_id::<RunId>(&self.id, C::Id)?;
        all.by(&self.number, C::Number)?;
        all.by(&self.status, C::Status)?;
        all.by(&self.outcome, C::Outcome)?;
        all.by(&self.failure_code, C::FailureCode)?;
        all.by(&self.trigger, C::Trigger)?;
        all.by_id::<CoworkerId>(&self.coworker, C::CoworkerId)?;
        all.by_id::<RequestId>(&self.request, C::RequestId)?;
        all.by(&self.model, C::Model)?;
        all.by(&self.started_at, C::StartedAt)?;
        all.by(&self.ended_at, C::EndedAt)?;
        all.by(&self.turn_count, C::TurnCount)?;
        all.by(&self.tool_call_count, C::ToolCallCount)?;
        all.by(&self.input_tokens, C::InputTokens)?;
        all.by(&self.output_tokens, C::OutputTokens)?;
        all.by(&self.cost, C::CostNano)?;
        all.branches(&self.and, &self.or, &self.not)?;
        Ok(all.done())
    }
}

/// One thing to sort runs by.
#[derive(OneofObject, Clone, Copy, Debug)]
pub enum RunOrder {
    /// By number, which is also the order in which they started.
    Number(OrderDirection),
    /// By when it started.
    StartedAt(OrderDirection),
    /// By when it ended; runs that go on come last in ASC and first in DESC.
    EndedAt(OrderDirection),
    /// By model turns.
    TurnCount(OrderDirection),
    /// By tool calls.
    ToolCallCount(OrderDirection),
    /// By input tokens.
    InputTokens(OrderDirection),
    /// By output tokens.
    OutputTokens(OrderDirection),
    /// By recorded cost of the priced calls.
    Cost(OrderDirection),
}

impl RunOrder {
    /// The key and its direction.
    pub fn key(self) -> (RunKey, Direction) {
        match self {
            Self::Number(direction) => (RunKey::Number, direction.into()),
            Self::StartedAt(direction) => (RunKey::StartedAt, direction.into()),
            Self::EndedAt(direction) => (RunKey::EndedAt, direction.into()),
            Self::TurnCount(direction) => (RunKey::TurnCount, direction.into()),
            Self::ToolCallCount(direction) => (RunKey::ToolCallCount, direction.into()),
            Self::InputTokens(direction) => (RunKey::InputTokens, direction.into()),
            Self::OutputTokens(direction) => (RunKey::OutputTokens, direction.into()),
            Self::Cost(direction) => (RunKey::Cost, direction.into()),
        }
    }
}

/// Which steps. Fields given together must all hold.
#[derive(InputObject, Clone, Debug)]
pub struct StepFilter {
    /// By place in the run.
    pub index: Option<IntComparator>,
    /// By kind.
    pub kind: Option<StepKindComparator>,
    /// By title.
    pub title: Option<StringComparator>,
    /// By whether it ended badly.
    pub failed: Option<BooleanComparator>,
    /// By when it began.
    pub started_at: Option<DateTimeComparator>,
    /// All of these must hold.
    pub and: Option<Vec<StepFilter>>,
    /// At least one of these must hold.
    pub or: Option<Vec<StepFilter>>,
    /// This must not hold.
    pub not: Option<Box<StepFilter>>,
}

impl Filter for StepFilter {
    fn condition(&self, terms: &mut Terms) -> domain::Result<Condition> {
        use run_step::Column as C;
        let mut all = Where::new(terms);
        all.by(&self.index, C::Idx)?;
        all.by(&self.kind, C::Kind)?;
        all.by(&self.title, C::Title)?;
        all.by(&self.failed, C::Failed)?;
        all.by(&self.started_at, C::StartedAt)?;
        all.branches(&self.and, &self.or, &self.not)?;
        Ok(all.done())
    }
}

/// One thing to sort steps by.
#[derive(OneofObject, Clone, Copy, Debug)]
pub enum StepOrder {
    /// By place in the run.
    Index(OrderDirection),
}

impl StepOrder {
    /// The key and its direction.
    pub fn key(self) -> (StepKey, Direction) {
        match self {
            Self::Index(direction) => (StepKey, direction.into()),
        }
    }
}

/// Which events. Fields given together must all hold.
#[derive(InputObject, Clone, Debug)]
pub struct RunEventFilter {
    /// By place in the log.
    pub sequence: Option<IntComparator>,
    /// By type, for example `tool.completed`.
    pub r#type: Option<StringComparator>,
    /// By when it happened.
    pub at: Option<DateTimeComparator>,
    /// All of these must hold.
    pub and: Option<Vec<RunEventFilter>>,
    /// At least one of these must hold.
    pub or: Option<Vec<RunEventFilter>>,
    /// This must not hold.
    pub not: Option<Box<RunEventFilter>>,
}

impl Filter for RunEventFilter {
    fn condition(&self, terms: &mut Terms) -> domain::Result<Condition> {
        use run_event::Column as C;
        let mut all = Where::new(terms);
        all.by(&self.sequence, C::Seq)?;
        all.by(&self.r#type, C::Kind)?;
        all.by(&self.at, C::At)?;
        all.branches(&self.and, &self.or, &self.not)?;
        Ok(all.done())
    }
}

/// One thing to sort events by.
#[derive(OneofObject, Clone, Copy, Debug)]
pub enum RunEventOrder {
    /// By place in the log.
    Sequence(OrderDirection),
}

impl RunEventOrder {
    /// The key and its direction.
    pub fn key(self) -> (EventKey, Direction) {
        match self {
            Self::Sequence(direction) => (EventKey, direction.into()),
        }
    }
}
