//! How long runs took: a sketch that can be merged, with quantiles that are right to one per cent.

use sketches_ddsketch::{Config, DDSketch};

use crate::error::{Error, Result};

/// Durations of runs, in milliseconds: a DDSketch of one per cent. Most sums are asked for without them, and stay small.
#[derive(Clone, Default)]
pub struct Durations(Option<Box<DDSketch>>);

impl std::fmt::Debug for Durations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = self.0.as_ref().map_or(0, |sketch| sketch.count());
        write!(f, "Durations({count})")
    }
}

/// Of the library's own configuration, one per cent: the stored form holds no other.
fn empty() -> Box<DDSketch> {
    Box::new(DDSketch::new(Config::defaults()))
}

impl Durations {
    /// Adds the duration of one run.
    pub fn add(&mut self, ms: i64) {
        // A whole number of milliseconds that a run can take is exact as a float.
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        self.0.get_or_insert_with(empty).add(ms.max(0) as f64);
    }

    /// Adds those of another.
    ///
    /// # Errors
    /// [`Error::Internal`] for a sketch of another make.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        match (&mut self.0, &other.0) {
            (_, None) => Ok(()),
            (Some(mine), Some(theirs)) => mine.merge(theirs).map_err(Error::internal),
            (mine @ None, Some(theirs)) => {
                *mine = Some(theirs.clone());
                Ok(())
            }
        }
    }

    /// The duration, in milliseconds, that this part of the runs did not exceed; none without runs.
    pub fn quantile(&self, part: f64) -> Option<i64> {
        let found = self.0.as_ref()?.quantile(part).ok().flatten()?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a float that was made of whole milliseconds"
        )]
        Some(found.round() as i64)
    }

    /// As it is stored; none without runs.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        self.0.as_ref().map(|sketch| sketch.to_java_bytes())
    }

    /// As it was stored.
    ///
    /// # Errors
    /// [`Error::Internal`] for bytes that are no sketch.
    pub fn read(bytes: Option<&[u8]>) -> Result<Self> {
        let read = bytes.map(DDSketch::from_java_bytes).transpose();
        Ok(Self(read.map_err(Error::internal)?.map(Box::new)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_and_merged_has_the_quantiles_of_the_whole() {
        let (mut whole, mut merged) = (Durations::default(), Durations::default());
        for part in 0..10 {
            let mut one = Durations::default();
            for n in 0..1_000 {
                let ms = (n * 10 + part) * 37 % 600_000;
                one.add(ms);
                whole.add(ms);
            }
            let stored = one.bytes().expect("there are some");
            merged
                .merge(&Durations::read(Some(&stored)).expect("it reads"))
                .expect("they fit");
        }
        let mut sorted: Vec<i64> = (0..10_000).map(|n| n * 37 % 600_000).collect();
        sorted.sort_unstable();
        for (part, rank) in [(0.5, 4_999), (0.95, 9_499), (1.0, 9_999)] {
            assert_eq!(merged.quantile(part), whole.quantile(part));
            let (found, exact) = (merged.quantile(part).expect("there are some"), sorted[rank]);
            assert!(
                (found - exact).abs() <= exact / 100 + 1,
                "{part}: {found}, exactly {exact}"
            );
        }
        assert_eq!(Durations::read(None).expect("it reads").quantile(0.5), None);
    }
}
