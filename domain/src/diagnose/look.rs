//! Looks at what a coworker did, with each of the detectors.

use std::collections::BTreeSet;

use entity::{Millis, RunId, coworker, run_step};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use super::symptom::Symptom;
use super::weigh::{Diagnosis, weigh};
use super::{climb, detect, read};
use crate::access::{Action, Actor};
use crate::error::Result;
use crate::metric::zone::Zone;
use crate::store::Store;

/// What was looked at, and what is wrong.
#[derive(Clone, Debug)]
pub struct Diagnoses {
    /// How many runs were looked at: those that ended in the span, the newest [`MOST`].
    pub examined: usize,
    /// Whether these were all, and all that happened in and after them was looked at.
    pub is_complete: bool,
    /// What is wrong, the surest first.
    pub diagnoses: Vec<Diagnosis>,
    /// What can't be told of this span.
    pub undecided: Vec<Undecided>,
}

/// A symptom that can't be told: the span is too short, or too little happened in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// Which.
    pub symptom: Symptom,
    /// Why, in a sentence.
    pub reason: String,
}

/// Looks at what a coworker did in a span of time, and at what people did about it. Weeks begin as they do in `zone`.
///
/// # Errors
/// [`crate::Error::Forbidden`] without [`Action::MetricsRead`], [`Action::RunRead`] and [`Action::CoworkerRead`]; what the
/// database said.
pub async fn diagnose(
    store: &Store,
    actor: &Actor,
    coworker: &coworker::Model,
    (start, end): (Millis, Millis),
    zone: Zone,
) -> Result<Diagnoses> {
    for action in [Action::MetricsRead, Action::RunRead, Action::CoworkerRead] {
        actor.authorize(action)?;
    }
    let history = read::read(store, actor, coworker, (start, end)).await?;
    let slope = climb::slope(store, actor, coworker.id, end, start, zone).await?;
    let mut diagnoses: Vec<Diagnosis> = Symptom::ALL
        .into_iter()
        .filter_map(|symptom| {
            let found = match symptom {
                Symptom::OutsideGoal => detect::scope::outside_goal(&history),
                Symptom::StopsMidway => detect::end::stops_midway(&history),
                Symptom::WrongAction => detect::action::wrong_action(&history),
                Symptom::MissingData => detect::tool::missing_data(&history),
                Symptom::UnknownTool => detect::tool::unknown_tool(&history),
                Symptom::ReassignsWrongly => detect::scope::reassigns_wrongly(&history),
                Symptom::FailsToReassign => detect::scope::fails_to_reassign(&history),
                Symptom::CostsClimb => climb::costs_climb(slope.as_ref().ok()),
            };
            weigh(symptom, found, history.runs.len())
        })
        .collect();
    diagnoses.sort_by_key(|diagnosis| {
        (
            std::cmp::Reverse(diagnosis.confidence),
            std::cmp::Reverse(diagnosis.affected),
        )
    });
    steps(store, &mut diagnoses).await?;
    let undecided = Symptom::ALL.into_iter().filter_map(|symptom| {
        if diagnoses.iter().any(|found| found.symptom == symptom) {
            return None;
        }
        let reason = match symptom {
            Symptom::CostsClimb => slope.as_ref().err().cloned(),
            Symptom::OutsideGoal
            | Symptom::StopsMidway
            | Symptom::WrongAction
            | Symptom::MissingData
            | Symptom::UnknownTool
            | Symptom::ReassignsWrongly
            | Symptom::FailsToReassign => symptom.threshold().beyond(history.runs.len()),
        };
        reason.map(|reason| Undecided { symptom, reason })
    });
    Ok(Diagnoses {
        examined: history.runs.len(),
        is_complete: history.is_complete,
        undecided: undecided.collect(),
        diagnoses,
    })
}

/// Finds the steps that the evidence speaks of.
async fn steps(store: &Store, diagnoses: &mut [Diagnosis]) -> Result<()> {
    let evidence = || diagnoses.iter().flat_map(|diagnosis| &diagnosis.evidence);
    let runs: BTreeSet<RunId> = evidence()
        .filter(|item| item.seq.is_some())
        .filter_map(|item| item.run)
        .collect();
    if runs.is_empty() {
        return Ok(());
    }
    let rows = run_step::Entity::find()
        .filter(run_step::Column::RunId.is_in(runs))
        .order_by_asc(run_step::Column::RunId)
        .order_by_asc(run_step::Column::Idx)
        .all(store.read())
        .await?;
    for item in diagnoses
        .iter_mut()
        .flat_map(|diagnosis| &mut diagnosis.evidence)
    {
        let (Some(run), Some(seq)) = (item.run, item.seq) else {
            continue;
        };
        let of_event = |step: &&run_step::Model| {
            step.run_id == run && (step.first_seq..=step.last_seq).contains(&seq)
        };
        item.step = rows.iter().rev().find(of_event).cloned();
    }
    Ok(())
}
