//! Numbers as people read them.

use std::time::Duration;

/// Samples, in microseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<u32>);

impl Samples {
    /// Adds one.
    pub(crate) fn push(&mut self, sample: Duration) {
        self.0
            .push(u32::try_from(sample.as_micros()).unwrap_or(u32::MAX));
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds all of another's.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// The sample that `percent` of all do not exceed, in milliseconds.
    pub(crate) fn percentile(&mut self, percent: usize) -> f64 {
        if self.0.is_empty() {
            return f64::NAN;
        }
        let at = (self.0.len() * percent).div_ceil(100).max(1) - 1;
        let (_, sample, _) = self.0.select_nth_unstable(at);
        f64::from(*sample) / 1000.0
    }

    /// `p50 / p99 ms`.
    pub(crate) fn p50_p99(&mut self) -> String {
        format!(
            "{} / {} ms",
            digits(self.percentile(50)),
            digits(self.percentile(99))
        )
    }
}

/// Three significant digits, with commas between thousands.
pub(crate) fn digits(number: f64) -> String {
    if !number.is_finite() {
        return "–".into();
    }
    if number < 9.995 {
        return format!("{number:.2}");
    }
    if number < 99.95 {
        return format!("{number:.1}");
    }
    let whole = format!("{number:.0}");
    let mut text = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The middle one of several, with the lowest and the highest.
pub(crate) fn middle(mut numbers: Vec<f64>) -> String {
    numbers.sort_by(f64::total_cmp);
    match numbers.as_slice() {
        [] => digits(f64::NAN),
        [only] => digits(*only),
        [first, .., last] => format!(
            "**{}** ({}–{})",
            digits(numbers[numbers.len() / 2]),
            digits(*first),
            digits(*last)
        ),
    }
}
