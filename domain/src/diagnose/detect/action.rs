//! What it does that people take back, or that is not let through.

use std::collections::BTreeMap;

use entity::{ActorKind, Millis, RequestStatus};

use super::most;
use crate::diagnose::history::{History, Undone, Worked};
use crate::diagnose::{Found, WINDOW};
use crate::run::event::{Event, Refusal};

/// What was wrong about an action.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Wrong {
    Status,
    Call(String),
}

/// It takes the wrong action.
pub(in crate::diagnose) fn wrong_action(history: &History) -> Found {
    let mut found = Found::default();
    let mut wrongs = Vec::new();
    for run in &history.runs {
        status(run, &mut found, &mut wrongs);
        calls(run, &mut found, &mut wrongs);
    }
    match most(wrongs.into_iter()) {
        Some((Wrong::Call(tool), _)) => found.advise(
            "goal.flow",
            format!(
                "Read the thinking before the calls of {tool}; say in goal.flow when it is right to call it, and with what, and in goal.nonGoals when not. Until then, let a person approve it (tools: approval ALWAYS)."
            ),
        ),
        Some((Wrong::Status, _)) | None => found.advise(
            "goal.flow",
            "Read the thinking before the status was set; say in goal.flow what must be checked before, and in goal.endOfRun exactly when the status is right.",
        ),
    }
}

/// A status that a person took back.
fn status(run: &Worked, found: &mut Found, wrongs: &mut Vec<Wrong>) {
    let own: Vec<(Millis, RequestStatus, RequestStatus)> = run
        .after
        .iter()
        .filter_map(|undone| match undone {
            Undone::Status {
                at,
                by: ActorKind::Coworker,
                run: Some(id),
                before,
                after,
            } if *id == run.run.id => Some((*at, *before, *after)),
            Undone::Status { .. } | Undone::Assigned { .. } | Undone::Run { .. } => None,
        })
        .collect();
    // Only the status that it left behind can be taken back; before the last, it changed its mind by itself.
    let Some((set_at, before, set)) = own.last().copied() else {
        return;
    };
    // The next change alone: what another run set meanwhile is not this one's.
    let is_own = |undone: &Undone| matches!(undone, Undone::Status { run: Some(id), .. } if *id == run.run.id);
    let last = run.after.iter().rposition(is_own).map_or(0, |at| at + 1);
    let mut later = run.after[last..].iter();
    let next = later.find(|undone| matches!(undone, Undone::Status { .. }));
    let taken_back = next.and_then(|undone| match undone {
        Undone::Status {
            at,
            by: ActorKind::Person,
            after: is,
            ..
        } if *at <= set_at.plus(WINDOW) => {
            (*is == before || is_less_done(*is, set)).then_some((*at, *is))
        }
        Undone::Status { .. } | Undone::Assigned { .. } | Undone::Run { .. } => None,
    });
    // Whoever answers a question moves the request on, and takes nothing back.
    if let Some((at, is)) = taken_back.filter(|_| set != RequestStatus::Pending) {
        found.add(
            run,
            None,
            at,
            format!(
                "It set the status {}, and a person set it back to {}.",
                set.as_str(),
                is.as_str()
            ),
        );
        wrongs.push(Wrong::Status);
    }
}

const fn is_less_done(status: RequestStatus, than: RequestStatus) -> bool {
    rank(status) < rank(than)
}

const fn rank(status: RequestStatus) -> u8 {
    match status {
        RequestStatus::Open => 0,
        RequestStatus::InProgress | RequestStatus::Pending => 1,
        RequestStatus::Resolved | RequestStatus::Closed => 2,
    }
}

/// Calls that a person denied, and calls that were refused again and again.
fn calls(run: &Worked, found: &mut Found, wrongs: &mut Vec<Wrong>) {
    let mut refused: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (seq, at, event) in &run.events {
        let Event::ToolRefused(refusal) = event else {
            continue;
        };
        let is_choice = match refusal.reason {
            // Of what it can't have, other symptoms tell; an end that comes in between is nobody's choice.
            Refusal::Unknown
            | Refusal::NotEnabled
            | Refusal::Limit
            | Refusal::OnlyFinish
            | Refusal::Expired => false,
            Refusal::Denied => {
                found.add(
                    run,
                    Some(*seq),
                    *at,
                    format!("A person denied its call of {}.", refusal.tool),
                );
                wrongs.push(Wrong::Call(refusal.tool.clone()));
                false
            }
            Refusal::BadArguments
            | Refusal::NotAssignee
            | Refusal::Conflict
            | Refusal::NotApproved => true,
        };
        if !is_choice {
            continue;
        }
        let count = refused
            .entry((refusal.tool.as_str(), refusal.arguments.as_str()))
            .or_default();
        *count += 1;
        if *count == 2 {
            found.add(
                run,
                Some(*seq),
                *at,
                format!(
                    "It made the same call of {} again after it was refused: {}",
                    refusal.tool, refusal.message
                ),
            );
            wrongs.push(Wrong::Call(refusal.tool.clone()));
        }
    }
}
