//! The detectors: pure functions from what a coworker did to what shows a symptom.

pub(super) mod action;
pub(super) mod end;
pub(super) mod scope;
pub(super) mod tool;

use std::collections::BTreeMap;

/// What most of them have in common, with how many have it; the first by name where several do.
fn most<K: Ord>(items: impl Iterator<Item = K>) -> Option<(K, usize)> {
    let mut counts: BTreeMap<K, usize> = BTreeMap::new();
    for item in items {
        *counts.entry(item).or_default() += 1;
    }
    counts.into_iter().rev().max_by_key(|(_, count)| *count)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_most_frequent_is_found() {
        assert_eq!(
            super::most(["b", "a", "b", "c", "c"].into_iter()),
            Some(("b", 2))
        );
        assert_eq!(super::most(std::iter::empty::<&str>()), None);
    }
}
