//! What a detector found, and whether it is a symptom.

use std::collections::BTreeSet;

use entity::{Millis, RunId, run_step};

use super::history::Worked;
use super::symptom::{Confidence, Symptom};

/// The most pieces of evidence of one diagnosis; the newest are kept.
pub const SHOWN: usize = 10;

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
    pub(super) evidence: Vec<Evidence>,
    /// Where to look and what to change, of the cause that most evidence speaks for.
    place: String,
    suggestion: String,
    /// Whether it is sure whatever the number of runs.
    pub(super) is_certain: bool,
}

/// Whether what was found is a symptom, and how sure that is.
pub(super) fn weigh(symptom: Symptom, mut found: Found, examined: usize) -> Option<Diagnosis> {
    if found.evidence.is_empty() {
        return None;
    }
    let runs: BTreeSet<RunId> = found.evidence.iter().filter_map(|item| item.run).collect();
    let affected = runs.len();
    let surely = lower_bound(affected, examined);
    if !found.is_certain && !symptom.threshold().is_reached(affected, examined) {
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
    pub(super) fn add(
        &mut self,
        run: &Worked,
        seq: Option<i64>,
        at: Millis,
        message: impl Into<String>,
    ) {
        self.evidence.push(Evidence {
            run: Some(run.run.id),
            seq,
            step: None,
            at,
            message: message.into(),
        });
    }

    /// Says where to look and what to change.
    pub(super) fn advise(
        mut self,
        place: impl Into<String>,
        suggestion: impl Into<String>,
    ) -> Self {
        self.place = place.into();
        self.suggestion = suggestion.into();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnosis_is_as_sure_as_its_share_of_runs() {
        let of = |affected: u128, examined| {
            let mut found = Found::default();
            found.evidence.extend((0..affected).map(|n| Evidence {
                run: Some(RunId(uuid::Uuid::from_u128(n))),
                seq: None,
                step: None,
                at: Millis(0),
                message: String::new(),
            }));
            weigh(Symptom::UnknownTool, found, examined).map(|found| found.confidence)
        };
        assert_eq!(of(0, 100), None);
        assert_eq!(of(3, 100), None);
        assert_eq!(of(4, 100), Some(Confidence::Low));
        assert_eq!(of(12, 100), Some(Confidence::Medium));
        assert_eq!(of(30, 100), Some(Confidence::High));
    }

    #[test]
    fn how_sure_a_share_is_grows_with_the_runs() {
        assert!(lower_bound(1, 2) < 0.20, "{}", lower_bound(1, 2));
        assert!(lower_bound(50, 100) > 0.40);
        assert!(lower_bound(0, 100) < 1e-9);
        assert!(lower_bound(0, 0) == 0.0);
        assert!(lower_bound(2, 40) < 0.05 && lower_bound(20, 200) > 0.05);
    }
}
