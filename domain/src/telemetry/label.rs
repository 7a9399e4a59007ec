//! Values of labels that configurations name: however many there are, a process tells only the first of them apart.

use std::collections::BTreeSet;

use parking_lot::RwLock;

use crate::text::cut_bytes;

/// What stands for all values that came too late.
pub const OTHER: &str = "other";
/// The longest value, bytes.
const LONGEST: usize = 100;

/// The first values of a label.
#[derive(Debug)]
pub(super) struct First {
    most: usize,
    seen: RwLock<BTreeSet<String>>,
}

impl First {
    pub(super) const fn new(most: usize) -> Self {
        Self {
            most,
            seen: RwLock::new(BTreeSet::new()),
        }
    }

    /// The value as the label has it: itself, or [`OTHER`].
    pub(super) fn of(&self, value: &str) -> String {
        let value = cut_bytes(value, LONGEST);
        if self.seen.read().contains(&value) {
            return value;
        }
        let mut seen = self.seen.write();
        if seen.len() < self.most {
            seen.insert(value.clone());
        }
        match seen.contains(&value) {
            true => value,
            false => OTHER.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_so_many_values_and_one_more_for_all_others() {
        let first = First::new(2);
        let of = ["a", "b", "c", "a", "d", "b"].map(|value| first.of(value));
        assert_eq!(of, ["a", "b", OTHER, "a", OTHER, "b"]);
        assert!(first.of(&"x".repeat(1_000)).len() <= LONGEST);
        assert_eq!(First::new(1).of(&"x".repeat(1_000)).len(), LONGEST);
    }
}
