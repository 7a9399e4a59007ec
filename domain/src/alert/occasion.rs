//! What there is to tell, and its words.

use std::sync::Arc;

use entity::{
    ActorKind, AlertKind, ApprovalState, BudgetPeriod, CoworkerId, Millis, RequestId, RunId,
    WorkspaceId, request, run,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::budget::{Key, Scope, resets, starts};
use crate::money::print_decimal;
use crate::run::envelope::timestamp;
use crate::run::log::{Log, Logged};
use crate::store::Tx;
use crate::text::cut_bytes;

/// The most bytes of a text of many lines, such as a summary.
const TEXT: usize = 4 * 1024;

/// Something that endpoints are told of.
#[derive(Clone, Debug)]
pub struct Occasion {
    /// What kind of thing.
    pub kind: AlertKind,
    /// Where.
    pub workspace: WorkspaceId,
    /// When.
    pub at: Millis,
    /// What makes it the same thing: an endpoint is told once of each.
    pub(super) fact: String,
    /// The run that it concerns.
    pub(super) run: Option<RunId>,
    /// The request that it concerns.
    pub(super) request: Option<RequestId>,
    /// The coworker that it concerns.
    pub(super) coworker: Option<CoworkerId>,
    /// How far it has come, percent, where an endpoint says from where on it wants to know.
    pub(super) percent: Option<i64>,
    /// What is said of it besides the request and the coworker.
    pub(super) data: Map<String, Value>,
}

/// An id as the API shows it. The API's own list of prefixes is `api::graphql::node`; a test compares the two.
pub(super) fn global(prefix: &str, id: Uuid) -> String {
    format!("{prefix}_{}", id.simple())
}

/// The word that the payload has for a kind: `run.ended`.
pub(super) fn word(kind: AlertKind) -> &'static str {
    match kind {
        AlertKind::RunEnded => "run.ended",
        AlertKind::RunFailed => "run.failed",
        AlertKind::ApprovalRequested => "approval.requested",
        AlertKind::RequestResolved => "request.resolved",
        AlertKind::BudgetNearing => "budget.nearing",
        AlertKind::BudgetExhausted => "budget.exhausted",
        AlertKind::CostClimbing => "cost.climbing",
    }
}

fn usd(nano: i64) -> Value {
    json!({ "amount": print_decimal(nano), "currency": "USD" })
}

fn said(text: Option<&String>) -> Value {
    text.map(|text| cut_bytes(text, TEXT)).into()
}

/// What an append to a run's log is to tell.
pub(crate) fn of_log(tx: &Tx, log: &Log, staged: &[Arc<Logged>]) {
    for Logged { event, .. } in staged.iter().map(|logged| &**logged) {
        let kinds: &[AlertKind] = match event.kind.as_str() {
            "run.completed" => &[AlertKind::RunEnded],
            "run.failed" => &[AlertKind::RunEnded, AlertKind::RunFailed],
            "approval.requested" => &[AlertKind::ApprovalRequested],
            _ => continue,
        };
        for kind in kinds {
            let row = log.run();
            tx.alert(row.workspace_id, *kind, || of_run(log, *kind, event.at));
        }
    }
}

fn of_run(log: &Log, kind: AlertKind, at: Millis) -> Occasion {
    let row = log.projection().onto(log.run().clone());
    let mut data = Map::new();
    let mut fact = format!("{}:{}", word(kind), row.id);
    data.insert("run".into(), run(&row));
    if kind == AlertKind::ApprovalRequested {
        let mut rows = log.approvals().rows().iter().rev();
        let asked = rows.find(|row| row.state == ApprovalState::Pending);
        if let Some(asked) = asked {
            fact = format!("{}:{}", word(kind), asked.id);
            let approval = json!({
                "id": global("apr", asked.id.0),
                "tool": asked.tool,
                "expiresAt": timestamp(asked.expires_at),
            });
            data.insert("approval".into(), approval);
        }
    }
    Occasion {
        kind,
        workspace: row.workspace_id,
        at,
        fact,
        run: Some(row.id),
        request: Some(row.request_id),
        coworker: Some(row.coworker_id),
        percent: None,
        data,
    }
}

fn run(row: &run::Model) -> Value {
    let mut cost = usd(row.cost_nano);
    cost["unpricedCalls"] = row.unpriced_calls.into();
    cost["unknownCalls"] = row.unknown_calls.into();
    json!({
        "id": global("run", row.id.0),
        "number": row.number,
        "identifier": format!("Run-{}", row.number),
        "status": row.status.as_str(),
        "outcome": row.outcome.map(entity::Outcome::as_str),
        "failureCode": row.failure_code.map(entity::FailureCode::as_str),
        "trigger": row.trigger.as_str(),
        "startedAt": timestamp(row.started_at),
        "endedAt": row.ended_at.map(timestamp),
        "reason": said(row.reason.as_ref()),
        "summary": said(row.summary.as_ref()),
        "turnCount": row.turn_count,
        "toolCallCount": row.tool_call_count,
        "inputTokens": row.input_tokens,
        "outputTokens": row.output_tokens,
        "cachedTokens": row.cached_tokens,
        "cost": cost,
    })
}

/// A request is resolved, as its row says now.
pub(crate) fn resolved(row: &request::Model, at: Millis) -> Occasion {
    let coworker = row
        .assignee_id
        .filter(|_| row.assignee_kind == Some(ActorKind::Coworker));
    Occasion {
        kind: AlertKind::RequestResolved,
        workspace: row.workspace_id,
        at,
        // It may be opened again, and resolved again.
        fact: format!("request.resolved:{}:{}", row.id, row.last_seq),
        run: None,
        request: Some(row.id),
        coworker: coworker.map(CoworkerId),
        percent: None,
        data: Map::new(),
    }
}

/// A budget of `limit` is used up.
pub(crate) fn used_up(
    workspace: WorkspaceId,
    key: Key,
    limit: i64,
    spent: i64,
    at: Millis,
) -> Occasion {
    of_budget(AlertKind::BudgetExhausted, workspace, key, limit, spent, at)
}

/// Of a budget of `limit` so much is spent.
pub(super) fn of_budget(
    kind: AlertKind,
    workspace: WorkspaceId,
    key: Key,
    limit: i64,
    spent: i64,
    at: Millis,
) -> Occasion {
    let (scope, coworker) = match key.scope {
        Scope::Coworker(id) => ("COWORKER", Some(id)),
        Scope::Workspace(_) => ("WORKSPACE", None),
    };
    let percent = percent(spent, limit);
    let begun = starts(key.period, at);
    let said = json!({
        "scope": scope,
        "period": BudgetPeriod::as_str(key.period),
        "limit": usd(limit),
        "spent": usd(spent),
        "percent": percent,
        "startsAt": timestamp(begun),
        "resetsAt": timestamp(resets(key.period, at)),
    });
    Occasion {
        kind,
        workspace,
        at,
        // A budget that was raised can be used up again.
        fact: format!(
            "{}:{}:{}:{}:{limit}",
            word(kind),
            key.scope.id(),
            BudgetPeriod::as_str(key.period),
            begun.0
        ),
        run: None,
        request: None,
        coworker,
        percent: Some(percent),
        data: Map::from_iter([("budget".to_owned(), said)]),
    }
}

/// A part in whole percent, rounded down.
pub(super) fn percent(part: i64, whole: i64) -> i64 {
    let percent = i128::from(part) * 100 / i128::from(whole.max(1));
    i64::try_from(percent).unwrap_or(i64::MAX)
}

/// What a coworker's runs cost, this week and in the weeks before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Climb {
    /// The coworker.
    pub(super) coworker: CoworkerId,
    /// When the week began.
    pub(super) week: Millis,
    /// Runs and their cost, this week.
    pub(super) now: (i64, i64),
    /// Runs and their cost, in the weeks before.
    pub(super) before: (i64, i64),
}

impl Climb {
    /// By how much a run costs more, percent; none where that can't be said.
    pub(super) fn percent(&self) -> Option<i64> {
        let ((runs, cost), (runs_before, cost_before)) = (self.now, self.before);
        let now = i128::from(cost) * i128::from(runs_before);
        let before = i128::from(cost_before) * i128::from(runs);
        let percent = (before > 0).then(|| now * 100 / before - 100)?;
        Some(i64::try_from(percent).unwrap_or(i64::MAX))
    }

    /// It as something to tell.
    pub(super) fn occasion(&self, workspace: WorkspaceId, at: Millis) -> Option<Occasion> {
        let percent = self.percent()?;
        let Self {
            coworker,
            week,
            now,
            before,
        } = *self;
        let per_run = |(runs, cost): (i64, i64)| usd(cost / runs.max(1));
        let trend = json!({
            "weekStart": timestamp(week),
            "weeksBefore": super::watch::WEEKS,
            "costPerRun": per_run(now),
            "costPerRunBefore": per_run(before),
            "percent": percent,
            "runs": now.0,
            "runsBefore": before.0,
        });
        Some(Occasion {
            kind: AlertKind::CostClimbing,
            workspace,
            at,
            fact: format!("{}:{coworker}:{}", word(AlertKind::CostClimbing), week.0),
            run: None,
            request: None,
            coworker: Some(coworker),
            percent: Some(percent),
            data: Map::from_iter([("trend".to_owned(), trend)]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_climb_is_measured_by_the_run() {
        let climb = |now, before| {
            let (coworker, week) = (CoworkerId(Uuid::nil()), Millis(0));
            Climb {
                coworker,
                week,
                now,
                before,
            }
            .percent()
        };
        // Twice as many runs for twice the money is no climb.
        assert_eq!(climb((20, 200), (10, 100)), Some(0));
        assert_eq!(climb((10, 125), (10, 100)), Some(25));
        assert_eq!(climb((10, 50), (40, 400)), Some(-50));
        assert_eq!(climb((10, i64::MAX), (10, 1)), Some(i64::MAX));
        assert_eq!(climb((10, 100), (10, 0)), None);
        assert_eq!(climb((0, 0), (10, 100)), None);
    }

    #[test]
    fn a_part_is_rounded_down() {
        assert_eq!(percent(799, 1_000), 79);
        assert_eq!(percent(800, 1_000), 80);
        assert_eq!(percent(i64::MAX, i64::MAX), 100);
    }
}
