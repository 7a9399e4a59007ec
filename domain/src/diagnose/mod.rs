//! What goes wrong with a coworker: the eight symptoms that people report, each with a detector over its runs' logs and over
//! what people did afterwards.
//!
//! A detector is a pure function from the [`History`] of a coworker to evidence. [`diagnose`] reads that history, and says
//! how much of it is affected, where in the configuration to look, and what to change.

mod climb;
mod detect;
mod history;
mod text;

use std::collections::BTreeSet;

use entity::{Millis, RunId, coworker, run_step};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

pub use climb::Slope;
pub use history::{History, MOST, Undone, Worked};

use crate::access::{Action, Actor};
use crate::error::Result;
use crate::metric::zone::Zone;
use crate::store::Store;

/// The most pieces of evidence of one diagnosis; the newest are kept.
pub const SHOWN: usize = 10;
/// How many runs must show a symptom before it is one: a single run proves nothing.
const LEAST: usize = 2;
/// Of the runs that are looked at, the share that must show it.
const SHARE: f64 = 0.05;
/// How long after a run a person's correction still speaks of it, milliseconds: 24 hours.
pub const WINDOW: i64 = 24 * 3_600_000;

/// What people say is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Symptom {
    /// It does work that it shouldn't.
    OutsideGoal,
    /// It stops in the middle of a ticket.
    StopsMidway,
    /// It takes the wrong action.
    WrongAction,
    /// It can't find data that it should see.
    MissingData,
    /// It mentions a tool that does not exist.
    UnknownTool,
    /// It reassigns when it shouldn't.
    ReassignsWrongly,
    /// It doesn't reassign when it should.
    FailsToReassign,
    /// Its costs climb week over week.
    CostsClimb,
}

impl Symptom {
    /// Every symptom, in the order in which people meet them.
    pub const ALL: [Self; 8] = [
        Self::OutsideGoal,
        Self::StopsMidway,
        Self::WrongAction,
        Self::MissingData,
        Self::UnknownTool,
        Self::ReassignsWrongly,
        Self::FailsToReassign,
        Self::CostsClimb,
    ];

    /// What is looked for, in a sentence for the person who reads the diagnosis.
    pub const fn signal(self) -> &'static str {
        match self {
            Self::OutsideGoal => {
                "It resolved or answered a request whose words match an out-of-scope text or a non-goal of its own, or called a tool whose name a non-goal speaks of."
            }
            Self::StopsMidway => {
                "A limit ended the run; or it ended without an end-of-run rule and left its request in progress; or it left it in progress and was set to work on it again within 24 hours."
            }
            Self::WrongAction => {
                "A person took back a status that it had set, within 24 hours; or denied a call; or the same call was refused twice in a run."
            }
            Self::MissingData => {
                "It asked for a tool that is there and not enabled for it; or a tool could not be reached; or looked something up at least twice and found nothing."
            }
            Self::UnknownTool => {
                "It called a tool that does not exist; or its goal or skills name one that does not exist, or is not enabled for it."
            }
            Self::ReassignsWrongly => {
                "It handed a request off, and within 24 hours a person or a workflow gave it back, or whoever got it declined."
            }
            Self::FailsToReassign => {
                "It kept a request that a person gave to another coworker within 24 hours; or declined one that an out-of-scope rule routes elsewhere."
            }
            Self::CostsClimb => {
                "The cost per run grew by more than 10 % a week over five whole weeks of at least 5 runs each (the median of the slopes between all pairs of weeks), and in 9 of the 10 pairs the later week was the dearer."
            }
        }
    }
}

/// How sure a diagnosis is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// It may be chance: less than 5 % of runs are surely affected.
    Low,
    /// At least 5 % of runs are affected, at a confidence of 95 %.
    Medium,
    /// At least 20 % of runs are, or the configuration itself shows it.
    High,
}

/// Something that is wrong.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// What.
    pub symptom: Symptom,
    /// How many of the runs show it; of costs that climb, how many dear runs are shown.
    pub affected: usize,
    /// How sure it is.
    pub confidence: Confidence,
    /// Where in the configuration to look: `goal.outOfScope`.
    pub place: String,
    /// What to change, in a sentence or two.
    pub suggestion: String,
    /// What shows it, newest first; at most [`SHOWN`].
    pub evidence: Vec<Evidence>,
}

/// Something that shows a symptom.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// The run; none: the configuration shows it.
    pub run: Option<RunId>,
    /// The event of the run's log.
    pub seq: Option<i64>,
    /// The step that the event belongs to.
    pub step: Option<run_step::Model>,
    /// When.
    pub at: Millis,
    /// What happened, in a sentence.
    pub message: String,
}

/// What one detector found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// What shows it.
    evidence: Vec<Evidence>,
    /// Where to look and what to change, of the cause that most evidence speaks for.
    place: String,
    suggestion: String,
    /// Whether it is sure whatever the number of runs.
    is_certain: bool,
}

/// What was looked at, and what is wrong.
#[derive(Clone, Debug)]
pub struct Diagnoses {
    /// How many runs were looked at: those that ended in the span, the newest [`MOST`].
    pub examined: usize,
    /// Whether these were all.
    pub is_complete: bool,
    /// What is wrong, the surest first.
    pub diagnoses: Vec<Diagnosis>,
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
    let history = history::read(store, actor, coworker, (start, end)).await?;
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
                Symptom::CostsClimb => climb::costs_climb(slope.as_ref()),
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
    Ok(Diagnoses {
        examined: history.runs.len(),
        is_complete: history.is_complete,
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

/// Whether what was found is a symptom, and how sure that is.
fn weigh(symptom: Symptom, mut found: Found, examined: usize) -> Option<Diagnosis> {
    if found.evidence.is_empty() {
        return None;
    }
    let runs: BTreeSet<RunId> = found.evidence.iter().filter_map(|item| item.run).collect();
    let affected = runs.len();
    let surely = lower_bound(affected, examined);
    if !found.is_certain && (affected < LEAST || ratio(affected, examined) < SHARE) {
        return None;
    }
    let confidence = match surely {
        _ if found.is_certain => Confidence::High,
        share if share >= 0.20 => Confidence::High,
        share if share >= 0.05 => Confidence::Medium,
        _ => Confidence::Low,
    };
    found
        .evidence
        // What the configuration shows comes first: it is what makes a diagnosis certain.
        .sort_by_key(|item| std::cmp::Reverse((item.run.is_none(), item.at, item.seq)));
    found.evidence.truncate(SHOWN);
    Some(Diagnosis {
        symptom,
        affected,
        confidence,
        place: found.place,
        suggestion: found.suggestion,
        evidence: found.evidence,
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts of at most a thousand")]
fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// The share that is surely affected: the lower end of Wilson's interval at 95 %.
#[expect(clippy::cast_precision_loss, reason = "counts of at most a thousand")]
fn lower_bound(part: usize, whole: usize) -> f64 {
    const Z: f64 = 1.96;
    if whole == 0 {
        return 0.0;
    }
    let (n, p) = (whole as f64, ratio(part, whole));
    let middle = p + Z * Z / (2.0 * n);
    let spread = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    (middle - spread) / (1.0 + Z * Z / n)
}

impl Found {
    /// Adds what an event of a run shows.
    fn add(&mut self, run: &Worked, seq: Option<i64>, at: Millis, message: impl Into<String>) {
        self.evidence.push(Evidence {
            run: Some(run.run.id),
            seq,
            step: None,
            at,
            message: message.into(),
        });
    }

    /// Says where to look and what to change.
    fn advise(mut self, place: impl Into<String>, suggestion: impl Into<String>) -> Self {
        self.place = place.into();
        self.suggestion = suggestion.into();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_sure_a_share_is_grows_with_the_runs() {
        assert!(lower_bound(1, 2) < 0.20, "{}", lower_bound(1, 2));
        assert!(lower_bound(50, 100) > 0.40);
        assert!(lower_bound(0, 100) < 1e-9);
        assert!(lower_bound(0, 0) == 0.0);
        assert!(lower_bound(2, 40) < 0.05 && lower_bound(20, 200) > 0.05);
    }
}
