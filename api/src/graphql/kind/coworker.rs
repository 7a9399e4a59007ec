//! Closed sets about coworkers.

use async_graphql::Enum;

/// Where a coworker stands. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::CoworkerState")]
pub enum CoworkerState {
    /// Never published: takes no work.
    Draft,
    /// Takes work.
    Published,
    /// Was published, takes no new work.
    Unpublished,
}

/// Whether a person must approve a call. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "domain::coworker::tools::Approval")]
pub enum ToolApproval {
    /// Never.
    Never,
    /// Each time.
    Always,
    /// When the tool says that the call destroys something.
    WhenDestructive,
}

/// How bad a finding is. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "domain::coworker::lint::Severity")]
pub enum FindingSeverity {
    /// It will not work: publishing is refused, unless it is forced.
    Error,
    /// It may be meant like that.
    Warning,
}

/// The rules of the lint. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "domain::coworker::lint::Rule")]
pub enum FindingRule {
    /// A text names a tool that is not enabled, or a rule needs one.
    ToolNotEnabled,
    /// A text names a tool that does not exist. Words in double quotes are taken as no tool.
    ToolUnknown,
    /// The settings of tools name an action that does not exist.
    ActionUnknown,
    /// A tool of a tool server has the name of a tool of the playbook, and is called in its place.
    ToolShadowed,
    /// An out-of-scope rule routes to a coworker that does not exist, or to the coworker itself.
    RouteToNobody,
    /// An out-of-scope rule routes to a coworker that is not published.
    RouteToUnpublished,
    /// No end-of-run rule sets a status in which runs can leave a request.
    NoEndOfRunRule,
    /// Two end-of-run rules have the same words and set different statuses.
    EndOfRunAmbiguous,
    /// The identity has no scope.
    NoScope,
    /// The scope is nearly that of another published coworker: half of the words of the two in common are a warning, three quarters an error.
    ScopeCollision,
    /// The library has no skill with the handle.
    SkillUnknown,
    /// What runs may cost is limited, by `limits.maxCost` or a budget, and the model has no price. It can't be forced.
    UnpricedModel,
    /// The model's provider is not configured on the server that answers, which would execute its runs. Not looked for by a server that executes none.
    ProviderNotConfigured,
    /// The model's provider refuses a parameter as it is, alone or beside another one: its runs would fail with MODEL_ERROR.
    ParameterRefused,
}

/// How much a model shall reason. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "domain::model::Effort")]
pub enum ReasoningEffort {
    /// Not at all.
    None,
    /// As little as it can.
    Minimal,
    /// Little.
    Low,
    /// As it mostly does.
    Medium,
    /// Much.
    High,
    /// As much as it can.
    Max,
}

/// What people say is wrong with a coworker. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "domain::diagnose::Symptom")]
pub enum Symptom {
    /// It does work that it shouldn't. Told from 2 runs and 4 % of those examined on.
    OutsideGoal,
    /// It stops in the middle of a ticket. Told from 3 runs and 5 % of those examined on.
    StopsMidway,
    /// It takes the wrong action. Told from 3 runs and 4 % of those examined on.
    WrongAction,
    /// It can't find data that it should see. Told from 3 runs and 5 % of those examined on.
    MissingData,
    /// It mentions a tool that does not exist. Told from 2 runs and 4 % of those examined on, or where the goal or a skill names such a tool.
    UnknownTool,
    /// It reassigns when it shouldn't. Told from 2 runs and 4 % of those examined on.
    ReassignsWrongly,
    /// It doesn't reassign when it should. Told from 2 runs and 4 % of those examined on.
    FailsToReassign,
    /// Its costs climb week over week. Told from the cost per run of five whole weeks, of at least 5 runs each.
    CostsClimb,
}

/// How sure a diagnosis is. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "domain::diagnose::Confidence")]
pub enum DiagnosisConfidence {
    /// It may be chance: less than 5 % of the runs are affected for sure.
    Low,
    /// At least 5 % of the runs are affected, at a confidence of 95 %.
    Medium,
    /// At least 20 % of the runs are, or the configuration or a trend over all runs shows it.
    High,
}
