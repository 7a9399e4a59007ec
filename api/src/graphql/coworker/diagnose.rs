//! What goes wrong with a coworker, and what to change.

use async_graphql::{Context, Object, SimpleObject};
use domain::diagnose::{self, Diagnoses, Undecided, diagnose};
use domain::metric::rollup;
use entity::coworker;

use crate::graphql::context::ContextExt as _;
use crate::graphql::error::Result;
use crate::graphql::kind::{DiagnosisConfidence, Symptom};
use crate::graphql::metric::TimeRangeInput;
use crate::graphql::run::{Run, Step};
use crate::graphql::scalar::{DateTime, TimeZone, int};

/// The points of a diagnosis: it reads up to a thousand runs.
pub const LOOK: usize = 200;

/// What was looked at, and what is wrong.
#[derive(SimpleObject)]
pub struct CoworkerDiagnostics {
    /// How many runs were looked at: those that ended in the span, the newest 1000 of them.
    pub examined_runs: i32,
    /// Whether these were all of the span, and all that happened in and after them was looked at: of 50 runs, up to 50000 events and as
    /// many entries of their requests' timelines, and none longer than 16 KiB, answers of tools aside.
    pub is_complete: bool,
    /// What is wrong, the surest first. A symptom is told when a number and a share of the runs examined show it (each symptom says how
    /// many), or when the configuration itself does.
    pub diagnoses: Vec<Diagnosis>,
    /// Symptoms that can't be told of this span, though they may be there: it is too short for them, or too little happened in it.
    pub undecided: Vec<UndecidedSymptom>,
}

/// A symptom that can't be told of a span.
#[derive(SimpleObject)]
pub struct UndecidedSymptom {
    /// Which.
    pub symptom: Symptom,
    /// Why, in a sentence.
    pub reason: String,
}

impl From<Undecided> for UndecidedSymptom {
    fn from(Undecided { symptom, reason }: Undecided) -> Self {
        Self {
            symptom: symptom.into(),
            reason,
        }
    }
}

impl CoworkerDiagnostics {
    /// Looks at what a coworker did in a span of time.
    ///
    /// # Errors
    /// `FORBIDDEN` for those who may not see metrics and runs; `BAD_USER_INPUT` for a span that can't be meant.
    pub async fn of(
        ctx: &Context<'_>,
        coworker: &coworker::Model,
        range: TimeRangeInput,
        zone: Option<TimeZone>,
    ) -> Result<Self> {
        let (store, actor) = (ctx.store(), ctx.actor());
        let span = range.resolve(store.now())?;
        let zone = match zone {
            Some(zone) => zone.0,
            None => rollup::zone_of(store.read(), actor.workspace).await?,
        };
        let Diagnoses {
            examined,
            is_complete,
            diagnoses,
            undecided,
        } = diagnose(store, actor, coworker, span, zone).await?;
        let diagnoses = diagnoses.into_iter().map(|row| Diagnosis { row, examined });
        Ok(Self {
            examined_runs: count(examined),
            is_complete,
            diagnoses: diagnoses.collect(),
            undecided: undecided.into_iter().map(UndecidedSymptom::from).collect(),
        })
    }
}

fn count(number: usize) -> i32 {
    int(i64::try_from(number).unwrap_or(i64::MAX))
}

/// Something that is wrong.
pub struct Diagnosis {
    row: diagnose::Diagnosis,
    examined: usize,
}

/// Something that is wrong with a coworker, what shows it, and what to change.
#[Object]
impl Diagnosis {
    /// What.
    async fn symptom(&self) -> Symptom {
        self.row.symptom.into()
    }

    /// What was looked for, in a sentence.
    async fn signal(&self) -> &str {
        self.row.symptom.signal()
    }

    /// How many of the runs examined show it. COSTS_CLIMB is measured over all runs of five weeks: for it, how many of the last week's
    /// dearest runs are shown, at most 3.
    async fn affected_runs(&self) -> i32 {
        count(self.row.affected)
    }

    /// How many runs were examined.
    async fn examined_runs(&self) -> i32 {
        count(self.examined)
    }

    /// How sure it is.
    async fn confidence(&self) -> DiagnosisConfidence {
        self.row.confidence.into()
    }

    /// Where in the coworker's configuration to look, with places in lists counted from 0: `goal.outOfScope[1]`.
    async fn place(&self) -> &str {
        &self.row.place
    }

    /// What to change, in a sentence or two.
    async fn suggestion(&self) -> &str {
        &self.row.suggestion
    }

    /// What shows it, newest first; at most 10.
    async fn evidence(&self) -> Vec<DiagnosisEvidence> {
        self.row
            .evidence
            .iter()
            .cloned()
            .map(DiagnosisEvidence)
            .collect()
    }
}

/// Something that shows a symptom.
pub struct DiagnosisEvidence(diagnose::Evidence);

/// Something that shows a symptom: a step of a run, a run, or a place of the configuration.
#[Object]
impl DiagnosisEvidence {
    /// The run; null where the configuration itself shows it.
    async fn run(&self, ctx: &Context<'_>) -> Option<Result<Run>> {
        Run::if_visible(ctx, self.0.run).await
    }

    /// The step of the run, if it is one step that shows it.
    async fn step(&self) -> Option<Step> {
        self.0.step.clone().map(Step::from)
    }

    /// When it happened.
    async fn at(&self) -> DateTime {
        DateTime(self.0.at)
    }

    /// What happened, in a sentence.
    async fn message(&self) -> &str {
        &self.0.message
    }
}
