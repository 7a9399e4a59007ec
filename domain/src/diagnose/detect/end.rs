//! How its runs come to an end.

use entity::{FailureCode, Outcome, RequestStatus, Trigger};

use super::most;
use crate::diagnose::Found;
use crate::diagnose::history::{History, Undone, Worked};

/// Why a run stopped in the middle.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stop {
    Limit,
    NoRule,
    Again,
}

/// It stops in the middle of a ticket.
pub(in crate::diagnose) fn stops_midway(history: &History) -> Found {
    let mut found = Found::default();
    let mut stops = Vec::new();
    for run in &history.runs {
        let Some((stop, message)) = stopped(history, run) else {
            continue;
        };
        found.add(run, None, run.ended_at, message);
        stops.push(stop);
    }
    match most(stops.into_iter()) {
        Some((Stop::Limit, _)) => found.advise(
            "limits",
            "Its limits are too narrow for the work, or its goal too wide: raise the limit that is named, or split the coworker. Give goal.flow fewer steps, and say when to stop.",
        ),
        Some((Stop::NoRule | Stop::Again, _)) | None => found.advise(
            "goal.endOfRun",
            "Add a rule to goal.endOfRun for each way in which its work can end, with the status that the request gets then; the runs that are named met none.",
        ),
    }
}

fn stopped(history: &History, run: &Worked) -> Option<(Stop, String)> {
    let limit = match run.run.failure_code {
        Some(FailureCode::LimitTurns) => Some("turns"),
        Some(FailureCode::LimitToolCalls) => Some("tool calls"),
        Some(FailureCode::LimitTime) => Some("time"),
        Some(FailureCode::LimitTokens) => Some("tokens"),
        Some(FailureCode::LimitCost) => Some("cost"),
        Some(
            FailureCode::ModelError
            | FailureCode::BudgetExhausted
            | FailureCode::Stopped
            | FailureCode::Poisoned
            | FailureCode::VersionUnsupported
            | FailureCode::Internal,
        )
        | None => None,
    };
    if let Some(limit) = limit {
        return Some((Stop::Limit, format!("Its limit of {limit} ended it.")));
    }
    // What it was called away from, or could not do, it did not leave in the middle; mentions change no status.
    match run.run.outcome {
        Some(Outcome::Replied | Outcome::Resolved | Outcome::AwaitingReply) => {}
        Some(Outcome::HandedOff | Outcome::Declined | Outcome::Blocked | Outcome::Superseded)
        | None => return None,
    }
    run.run.assignment_epoch?;
    let rules = &history.config_of(run).goal.end_of_run;
    let in_the_middle = match run.status {
        RequestStatus::Open | RequestStatus::InProgress => true,
        RequestStatus::Pending | RequestStatus::Resolved | RequestStatus::Closed => false,
    };
    if run.run.end_of_run_rule.is_none() && in_the_middle && !rules.is_empty() {
        let message =
            "It ended by none of its end-of-run rules, and its request was left in progress.";
        return Some((Stop::NoRule, message.into()));
    }
    let own = history.coworker.id;
    let again = run.later().any(|undone| match undone {
        Undone::Run {
            id,
            coworker,
            trigger: Trigger::Mention | Trigger::Assigned,
            ..
        } => *coworker == own && *id != run.run.id,
        Undone::Run { .. } | Undone::Status { .. } | Undone::Assigned { .. } => false,
    });
    (again && in_the_middle).then(|| {
        let message =
            "It left its request in progress, and someone had to set it to work on it again.";
        (Stop::Again, message.into())
    })
}
