//! Closed sets about alerts.

use async_graphql::Enum;

/// What an alert tells of. The payload's `type` is the word in small letters with a full stop: `run.ended`. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::AlertKind")]
pub enum AlertKind {
    /// A run ended, whichever way; of one that failed too. `data.run` holds its number, status, outcome, failure code, reason, summary, tokens and cost.
    RunEnded,
    /// A run failed: for those who want to know of nothing else. `data` as for RUN_ENDED.
    RunFailed,
    /// A coworker asks whether it may make a call, and its run waits. `data.approval` holds the id, the tool and when it expires, `data.run` the run.
    ApprovalRequested,
    /// A request was resolved; once more each time that it was opened again. `data.request` holds its number, title, status, priority and labels.
    RequestResolved,
    /// Of a budget of a day or month so much is spent as the endpoint's `budgetPercent` says; looked for every minute, told once for each day or month and limit. `data.budget` holds scope, period, limit, spent and percent.
    BudgetNearing,
    /// A budget of a day or month is used up: a call could not be paid for, and dispatches are dropped. Told once for each day or month and limit. `data` as for BUDGET_NEARING.
    BudgetExhausted,
    /// The runs of a coworker cost, each, so much more than in the four weeks before as the endpoint's `climbPercent` says. Looked for once a day and at the start of a server, in weeks of the workspace's reporting time zone, told once for each coworker and week; this week and the weeks before must each have 10 runs. `data.trend` holds the cost per run, then and now.
    CostClimbing,
}

/// Where the delivery of an alert stands. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::AlertState")]
pub enum AlertState {
    /// It is to be sent, or to be sent again.
    Waiting,
    /// The receiver took it: it answered 2xx.
    Delivered,
    /// It was tried as often as it is, in vain. It can be replayed.
    GivenUp,
    /// Its endpoint was disabled before the receiver took it. It can be replayed once that is enabled again.
    Dropped,
}

/// Why an alert endpoint is told of nothing. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::AlertDisabled")]
pub enum AlertDisabledReason {
    /// An administrator disabled it.
    ByHand,
    /// The receiver answered 410 Gone.
    Gone,
    /// Whatever was sent to it failed for three days.
    Failing,
}
