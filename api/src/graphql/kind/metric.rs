//! Closed sets about tokens and cost.

use async_graphql::Enum;

/// Which prices a cost is calculated with.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pricing {
    /// The price that was in force at the time of each call, as it was recorded.
    AtRun,
    /// The price that is in force now.
    Current,
}

/// The kinds of tokens that are priced. They do not overlap. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "domain::metric::cost::TokenKind")]
pub enum TokenKind {
    /// Input that was neither read from a cache nor written to one.
    Input,
    /// Input that was served from a cache.
    CacheRead,
    /// Input that was written to a short-lived cache.
    CacheWriteShort,
    /// Input that was written to a long-lived cache.
    CacheWriteLong,
    /// Output, reasoning included.
    Output,
}

/// What part of a prompt tokens belong to. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "domain::model::tokens::ComponentKind")]
pub enum UsageComponentKind {
    /// The coworker's role, its scope and what is out of it.
    Identity,
    /// The coworker's soul.
    Soul,
    /// The coworker's goal: purpose, flow, non-goals, where to route, how runs end.
    Goal,
    /// What Stint tells every coworker.
    Instructions,
    /// A skill, by name.
    Skill,
    /// The definition of a tool, by name.
    ToolDefinition,
    /// The request, and the outcomes of earlier runs on it.
    Request,
    /// The request's notes.
    Notes,
    /// What the model said and asked for earlier in the run.
    History,
    /// What tools answered earlier in the run.
    ToolResults,
}

/// How long the intervals of a series are.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "domain::metric::zone::Interval")]
pub enum MetricsInterval {
    /// An hour of the zone's clocks; where they are put back or forth by less than an hour, one is shorter or longer.
    Hour,
    /// A day, of 23 to 25 hours where clocks are changed.
    Day,
    /// A week as ISO 8601 has it: from Monday on.
    Week,
    /// A month.
    Month,
}

/// By what figures are kept apart. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "domain::metric::group::Dimension")]
pub enum MetricsDimension {
    /// By the coworker.
    Coworker,
    /// By the model.
    Model,
    /// By where the request came from.
    Source,
    /// By what started the run.
    Trigger,
    /// By how the run ended.
    Outcome,
}

/// What made the cost change, in the order in which causes are looked at. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum CostCauseKind {
    /// More or fewer runs, each of which cost what it did before.
    Runs,
    /// Other models do the work: their shares of the priced model calls.
    ModelMix,
    /// More or fewer input tokens per run, of one part of the prompts.
    InputTokens,
    /// More or fewer output tokens per run.
    OutputTokens,
    /// More or less of the input is read from a cache, or written to one.
    Cache,
    /// The price of a token changed; also where calls were not priced before.
    Price,
}
