//! Rows of rollups: what they are called, and how they differ.

use entity::RollupGrain;
use sea_orm::IdenStatic as _;

use crate::metric::measure::{Measure, Sums};
use crate::metric::rollup::Key;
use crate::metric::sketch::Durations;
use crate::run::envelope::timestamp;

/// Which row it is, as people read it; what it does not keep apart is left out.
pub(super) fn name(key: &Key) -> String {
    let grain = match key.grain {
        RollupGrain::Quarter => "quarter-hour",
        RollupGrain::Hour => "hour",
        RollupGrain::Day => "day",
        RollupGrain::Week => "week",
    };
    let words = [&key.model, &key.source, &key.trigger, &key.outcome];
    let words: Vec<&str> = words
        .into_iter()
        .map(String::as_str)
        .filter(|word| !word.is_empty())
        .collect();
    let from = timestamp(key.bucket);
    format!("the {grain} from {from}, {}", words.join(", "))
}

/// A row as it stands.
pub(super) struct Stored {
    pub sums: Sums,
    /// None: what stands there is no sketch.
    pub durations: Option<Durations>,
}

/// How a row differs from what was folded into it.
pub(super) fn difference(
    stored: Option<&Stored>,
    folded: Option<&(Sums, Durations)>,
) -> Option<String> {
    let (stored, folded) = match (stored, folded) {
        (Some(stored), Some(folded)) => (stored, folded),
        (Some(_), None) => return Some("nothing was folded into it".into()),
        (None, Some(_)) => return Some("it is not there".into()),
        (None, None) => return None,
    };
    let mut words: Vec<String> = Measure::all()
        .filter(|measure| stored.sums[*measure] != folded.0[*measure])
        .map(|measure| {
            let (is, should) = (stored.sums[measure], folded.0[measure]);
            format!("{} is {is} instead of {should}", measure.column().as_str())
        })
        .collect();
    match &stored.durations {
        None => words.push("durations can't be read".into()),
        Some(durations) if durations.bytes() != folded.1.bytes() => {
            words.push("durations are others".into());
        }
        Some(_) => {}
    }
    (!words.is_empty()).then(|| words.join(", "))
}
