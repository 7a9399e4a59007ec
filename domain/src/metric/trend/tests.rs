use proptest::prelude::*;

use super::*;

/// Runs, calls, uncached input, cache reads, output; then nano-USD per token of each kind.
fn sums(runs: i64, calls: i64, tokens: [i64; 3], prices: [i64; 3]) -> Sums {
    let mut sums = Sums::default();
    sums[Measure::Runs] = runs;
    sums[Measure::Calls] = calls;
    for (measure, count) in [Measure::Input, Measure::CacheRead, Measure::Output]
        .into_iter()
        .zip(tokens)
    {
        sums[measure] = count;
    }
    sums[Measure::CostInput] = tokens[0] * prices[0];
    sums[Measure::CostCacheRead] = tokens[1] * prices[1];
    sums[Measure::Cost] = tokens
        .iter()
        .zip(prices)
        .map(|(count, price)| count * price)
        .sum();
    sums
}

fn with(mut sums: Sums, part: ComponentKind, tokens: i64) -> Sums {
    sums[Measure::Part(part)] = tokens;
    sums
}

fn one(model: &str, sums: Sums) -> BTreeMap<String, Sums> {
    BTreeMap::from([(model.to_owned(), sums)])
}

fn shown(before: &BTreeMap<String, Sums>, now: &BTreeMap<String, Sums>) -> Vec<(CauseKind, i64)> {
    let found = causes(before, now);
    let total: i64 = found.iter().map(|cause| cause.amount).sum();
    assert_eq!(
        total,
        sum(now)[Measure::Cost] - sum(before)[Measure::Cost],
        "the parts are the whole"
    );
    found
        .into_iter()
        .map(|cause| (cause.kind, cause.amount))
        .collect()
}

#[test]
fn twice_the_runs_cost_twice_as_much() {
    let before = one("a", sums(10, 20, [1_000, 0, 100], [2, 0, 10]));
    let now = one("a", sums(20, 40, [2_000, 0, 200], [2, 0, 10]));
    // 1,000 × 2 + 100 × 10 = 3,000 before.
    assert_eq!(shown(&before, &now), [(CauseKind::Runs, 3_000)]);
}

#[test]
fn a_longer_goal_is_the_goals() {
    let before = one(
        "a",
        with(
            sums(10, 10, [1_000, 0, 0], [2, 0, 0]),
            ComponentKind::Goal,
            400,
        ),
    );
    let now = one(
        "a",
        with(
            sums(10, 10, [1_300, 0, 0], [2, 0, 0]),
            ComponentKind::Goal,
            700,
        ),
    );
    // 300 more tokens of the goal at 2 nano-USD.
    assert_eq!(
        shown(&before, &now),
        [(CauseKind::Input(Some(ComponentKind::Goal)), 600)]
    );
}

#[test]
fn what_the_cache_no_longer_gives_and_what_got_dearer_are_told_apart() {
    let before = one("a", sums(10, 10, [200, 800, 100], [10, 1, 20]));
    let now = one("a", sums(10, 10, [600, 400, 100], [12, 1, 20]));
    // Before 200 × 10 + 800 × 1 + 100 × 20 = 4,800. With the shares of now at the prices of before
    // 600 × 10 + 400 × 1 + 2,000 = 8,400. At the prices of now 600 × 12 + 400 + 2,000 = 9,600.
    assert_eq!(
        shown(&before, &now),
        [(CauseKind::Cache, 3_600), (CauseKind::Price, 1_200)]
    );
}

#[test]
fn work_that_goes_to_a_dearer_model_is_the_mix() {
    let mut before = one("cheap", sums(8, 8, [800, 0, 0], [1, 0, 0]));
    before.insert("dear".into(), sums(2, 2, [200, 0, 0], [5, 0, 0]));
    let mut now = one("cheap", sums(5, 5, [500, 0, 0], [1, 0, 0]));
    now.insert("dear".into(), sums(5, 5, [500, 0, 0], [5, 0, 0]));
    // 800 + 1,000 before, 500 + 2,500 now.
    assert_eq!(shown(&before, &now), [(CauseKind::ModelMix, 1_200)]);
}

#[test]
fn a_model_that_is_new_is_the_mix_and_so_is_one_that_is_gone() {
    let before = one("old", sums(10, 10, [1_000, 0, 50], [2, 0, 4]));
    let now = one("new", sums(10, 10, [900, 0, 50], [3, 0, 4]));
    assert_eq!(shown(&before, &now), [(CauseKind::ModelMix, 2_900 - 2_200)]);
}

#[test]
fn causes_are_found_one_after_the_other() {
    let before = one(
        "a",
        with(
            sums(10, 10, [1_000, 0, 100], [2, 0, 10]),
            ComponentKind::History,
            1_000,
        ),
    );
    let now = one(
        "a",
        with(
            sums(20, 60, [4_000, 0, 300], [3, 0, 10]),
            ComponentKind::History,
            4_000,
        ),
    );
    // Before 3,000. Twice the runs: 6,000. Per run 200 tokens of history instead of 100: 20 × 100 × 2 = 4,000 more.
    // Output per run 15 instead of 10: 20 × 5 × 10 = 1,000 more. Then 4,000 tokens dearer by 1.
    assert_eq!(
        shown(&before, &now),
        [
            (CauseKind::Runs, 3_000),
            (CauseKind::Input(Some(ComponentKind::History)), 4_000),
            (CauseKind::Output, 1_000),
            (CauseKind::Price, 4_000),
        ]
    );
}

#[test]
fn where_nothing_was_before_all_of_it_is_the_runs() {
    let now = one("a", sums(3, 3, [100, 0, 0], [2, 0, 0]));
    assert_eq!(shown(&BTreeMap::new(), &now), [(CauseKind::Runs, 200)]);
    assert_eq!(shown(&now, &BTreeMap::new()), [(CauseKind::Runs, -200)]);
    assert_eq!(shown(&BTreeMap::new(), &BTreeMap::new()), []);
}

#[test]
fn of_a_cost_that_is_not_known_nothing_is_said() {
    let before = one("a", sums(3, 3, [100, 0, 0], [2, 0, 0]));
    let mut unpriced = sums(3, 3, [100, 0, 0], [0, 0, 0]);
    unpriced[Measure::UnpricedCalls] = 3;
    let now = one("a", unpriced);
    assert_eq!(causes(&before, &now), []);
    assert_eq!(causes(&now, &before), []);
}

prop_compose! {
    fn some()(runs in 0_i64..50, calls in 0_i64..200, tokens in prop::array::uniform3(0_i64..5_000_000), prices in prop::array::uniform3(0_i64..30_000), goal in 0_i64..1_000) -> Sums {
        with(sums(runs, calls, tokens, prices), ComponentKind::Goal, goal.min(tokens[0]))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_causes_are_the_change_to_the_nano_dollar(
        before in prop::collection::btree_map("[abc]", some(), 0..4), now in prop::collection::btree_map("[abc]", some(), 0..4),
    ) {
        let found = causes(&before, &now);
        let total: i64 = found.iter().map(|cause| cause.amount).sum();
        prop_assert_eq!(total, sum(&now)[Measure::Cost] - sum(&before)[Measure::Cost]);
        let mut order: Vec<_> = found.iter().map(|cause| cause.kind).collect();
        order.dedup();
        prop_assert_eq!(order.len(), found.len());
    }
}
