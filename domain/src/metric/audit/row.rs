//! Rows of rollups, by what they are found by, and how they differ.

use entity::{
    CoworkerId, Millis, Outcome, RequestSource, RollupCube, RollupGrain, Trigger, usage_rollup,
};
use sea_orm::IdenStatic as _;

use crate::metric::measure::{Measure, Sums};
use crate::metric::sketch::Durations;
use crate::run::envelope::timestamp;

/// What a rollup's row is found by, within its workspace and generation.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    bucket: Millis,
    grain: RollupGrain,
    cube: RollupCube,
    pub coworker: CoworkerId,
    model: String,
    source: String,
    trigger: String,
    outcome: String,
}

impl Key {
    pub fn of(
        coworker: CoworkerId,
        model: &str,
        source: RequestSource,
        trigger: Trigger,
        outcome: Option<Outcome>,
    ) -> Self {
        Self {
            bucket: Millis(0),
            grain: RollupGrain::Quarter,
            cube: RollupCube::Full,
            coworker,
            model: model.to_owned(),
            source: source.as_str().into(),
            trigger: trigger.as_str().into(),
            outcome: outcome.map_or_else(String::new, |outcome| outcome.as_str().into()),
        }
    }

    pub fn of_row(row: usage_rollup::Model) -> Self {
        Self {
            bucket: row.bucket,
            grain: row.grain,
            cube: row.cube,
            coworker: row.coworker_id,
            model: row.model,
            source: row.source,
            trigger: row.trigger,
            outcome: row.outcome,
        }
    }

    pub fn in_bucket(self, grain: RollupGrain, bucket: Millis) -> Self {
        Self {
            bucket,
            grain,
            ..self
        }
    }

    /// The same in the smaller cube.
    pub fn narrow(&self) -> Self {
        Self {
            cube: RollupCube::Coworker,
            source: String::new(),
            trigger: String::new(),
            outcome: String::new(),
            ..self.clone()
        }
    }

    /// Which row it is, as people read it; what it does not keep apart is left out.
    pub fn name(&self) -> String {
        let grain = match self.grain {
            RollupGrain::Quarter => "quarter-hour",
            RollupGrain::Hour => "hour",
            RollupGrain::Day => "day",
            RollupGrain::Week => "week",
        };
        let words = [&self.model, &self.source, &self.trigger, &self.outcome];
        let words: Vec<&str> = words
            .into_iter()
            .map(String::as_str)
            .filter(|word| !word.is_empty())
            .collect();
        let from = timestamp(self.bucket);
        format!("the {grain} from {from}, {}", words.join(", "))
    }
}

/// How a row differs from what was folded into it.
pub(super) fn difference(
    stored: Option<&(Sums, Durations)>,
    folded: Option<&(Sums, Durations)>,
) -> Option<String> {
    let (stored, folded) = match (stored, folded) {
        (Some(stored), Some(folded)) => (stored, folded),
        (Some(_), None) => return Some("nothing was folded into it".into()),
        (None, Some(_)) => return Some("it is not there".into()),
        (None, None) => return None,
    };
    let mut words: Vec<String> = Measure::all()
        .filter(|measure| stored.0[*measure] != folded.0[*measure])
        .map(|measure| {
            let (name, of) = (measure.column(), |row: &(Sums, Durations)| row.0[measure]);
            format!(
                "{} is {} instead of {}",
                name.as_str(),
                of(stored),
                of(folded)
            )
        })
        .collect();
    if stored.1.bytes() != folded.1.bytes() {
        words.push("durations are others".into());
    }
    (!words.is_empty()).then(|| words.join(", "))
}
