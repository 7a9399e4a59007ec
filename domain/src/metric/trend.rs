//! How figures change from one interval to the next, and why.

use std::collections::BTreeMap;

use entity::Millis;

use super::facts::Fact;
use super::group::{Dimension, Group};
use super::measure::{Measure, Sums};
use super::series::{MOST_INTERVALS, Span, Wanted, bounded};
use super::zone::Interval;
use crate::access::{Action, Actor};
use crate::error::Result;
use crate::model::tokens::ComponentKind;
use crate::store::Store;

/// How one group changes.
#[derive(Clone, Debug)]
pub struct Trend {
    /// The group.
    pub group: Group,
    /// One for each whole interval of the span.
    pub changes: Vec<Change>,
}

/// How a group changed from one interval to the next.
#[derive(Clone, Debug)]
pub struct Change {
    /// The first moment of the later interval.
    pub start: Millis,
    /// The moment after its last.
    pub end: Millis,
    /// The interval before.
    pub before: Fact,
    /// The later one.
    pub now: Fact,
    /// Why the cost changed; together they are the change. None where one of the two costs is not known.
    pub causes: Vec<Cause>,
}

/// What made the cost change, and by how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What.
    pub kind: CauseKind,
    /// By so much, nano-USD.
    pub amount: i64,
}

/// What can make a cost change, in the order in which it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CauseKind {
    /// More or fewer runs.
    Runs,
    /// Other models do the work.
    ModelMix,
    /// More or fewer input tokens of one part of the prompts, per run; none: of parts that are not known.
    Input(Option<ComponentKind>),
    /// More or fewer output tokens per run.
    Output,
    /// More or less of the input comes from a cache.
    Cache,
    /// Models became cheaper or dearer.
    Price,
}

/// How the figures of a span change from interval to interval. Only whole intervals of the span are compared, each with the
/// one before, the first with the one before it, which may lie before the span.
///
/// # Errors
/// [`crate::Error::Forbidden`] without [`Action::MetricsRead`]; [`crate::Error::Invalid`] for more points than an answer holds.
pub async fn trend(
    store: &Store,
    actor: &Actor,
    span: &Span,
    interval: Interval,
    by: &[Dimension],
) -> Result<Vec<Trend>> {
    actor.authorize(Action::MetricsRead)?;
    let intervals = whole(span, interval)?;
    if intervals.len() < 2 {
        return Ok(Vec::new());
    }
    // The causes want figures by model, whatever the groups are.
    let mut dimensions = by.to_vec();
    if !dimensions.contains(&Dimension::Model) {
        dimensions.push(Dimension::Model);
    }
    let wanted = Wanted {
        measures: Measure::all().collect(),
        durations: false,
    };
    let facts = store
        .snapshot(span.ask(actor.workspace, intervals.clone(), dimensions, wanted))
        .await?;
    let mut groups: BTreeMap<Group, Vec<BTreeMap<String, Sums>>> = BTreeMap::new();
    for (group, facts) in facts {
        let model = group.model.clone().unwrap_or_default();
        let kept = Group {
            model: group.model.filter(|_| by.contains(&Dimension::Model)),
            ..group
        };
        let rows = groups
            .entry(kept)
            .or_insert_with(|| vec![BTreeMap::new(); intervals.len()]);
        for (place, fact) in facts {
            *rows[place].entry(model.clone()).or_default() += fact.sums;
        }
    }
    bounded(groups.len(), intervals.len())?;
    let trends = groups.into_iter().map(|(group, rows)| {
        let changes =
            rows.array_windows()
                .zip(&intervals[1..])
                .map(|([before, now], (start, end))| {
                    let fact = |models: &BTreeMap<String, Sums>| Fact {
                        sums: sum(models),
                        ..Fact::default()
                    };
                    Change {
                        start: *start,
                        end: *end,
                        before: fact(before),
                        now: fact(now),
                        causes: causes(before, now),
                    }
                });
        Trend {
            group,
            changes: changes.collect(),
        }
    });
    Ok(trends.collect())
}

/// The whole intervals of a span, and the one before them.
fn whole(span: &Span, interval: Interval) -> Result<Vec<(Millis, Millis)>> {
    let zone = span.zone;
    let mut first = interval.start(zone, span.start);
    if first < span.start {
        first = interval.next(zone, span.start);
    }
    let before = interval.start(zone, first.plus(-1));
    let mut parts = interval.parts(zone, before, span.end, MOST_INTERVALS)?;
    // The last may be cut.
    parts.retain(|(start, end)| interval.next(zone, *start) == *end);
    Ok(parts)
}

fn sum(models: &BTreeMap<String, Sums>) -> Sums {
    models.values().fold(Sums::default(), |mut sum, more| {
        sum += *more;
        sum
    })
}

/// Kinds of input tokens, with what they cost.
const KINDS: [(Measure, Measure); 3] = [
    (Measure::Input, Measure::CostInput),
    (Measure::CacheRead, Measure::CostCacheRead),
    (Measure::CacheWrite, Measure::CostCacheWrite),
];
/// Parts of the prompts, and those that are not known.
const PARTS: usize = ComponentKind::ALL.len() + 1;

/// What one model does in one interval, so that its cost is
/// `runs × share × (Σ input[part] × Σ mix[kind] × price[kind] + output × price_output)`.
#[derive(Clone, Copy, Default)]
struct Work {
    /// Its share of the priced model calls.
    share: f64,
    /// Input tokens by part of the prompts, and output tokens: per run, as if it did all of the work.
    input: [f64; PARTS],
    output: f64,
    /// The shares of the kinds of input tokens.
    mix: [f64; KINDS.len()],
    /// nano-USD per token; none: no such token was used.
    prices: [Option<f64>; KINDS.len()],
    price_output: Option<f64>,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "what is made of it is rounded to whole nano-USD, exact below 9 million USD"
)]
fn float(whole: i64) -> f64 {
    whole as f64
}

fn per(part: f64, whole: f64) -> Option<f64> {
    (whole != 0.0).then(|| part / whole)
}

impl Work {
    fn of(sums: &Sums, runs: f64, calls: f64) -> Self {
        let share = per(priced(sums), calls).unwrap_or_default();
        let per_run = |tokens: i64| per(float(tokens), runs * share).unwrap_or_default();
        let mut input = [0.0; PARTS];
        for (place, kind) in input.iter_mut().zip(ComponentKind::ALL) {
            *place = per_run(sums[Measure::Part(kind)]);
        }
        input[PARTS - 1] = per_run(sums.unattributed());
        let all = float(sums.input());
        Self {
            share,
            input,
            output: per_run(sums[Measure::Output]),
            mix: KINDS.map(|(tokens, _)| per(float(sums[tokens]), all).unwrap_or_default()),
            prices: KINDS.map(|(tokens, cost)| per(float(sums[cost]), float(sums[tokens]))),
            price_output: per(float(sums.cost_output()), float(sums[Measure::Output])),
        }
    }

    fn cost_per_run(&self) -> f64 {
        let price: f64 = self
            .mix
            .iter()
            .zip(self.prices)
            .map(|(part, price)| part * price.unwrap_or_default())
            .sum();
        let input: f64 = self.input.iter().sum();
        self.share * (input * price + self.output * self.price_output.unwrap_or_default())
    }
}

/// Model calls whose cost is known.
fn priced(sums: &Sums) -> f64 {
    float(sums[Measure::Calls] - sums[Measure::UnpricedCalls] - sums[Measure::UnknownCalls])
}

/// Why the cost changed. One after the other, in this order, what the interval before was is replaced by what the later one
/// is, and the difference that it makes is the cause's: the number of runs; the models' shares of the calls; the input tokens
/// per run, part by part; the output tokens per run; the shares of the cache; the prices. Each is rounded so that together
/// they are the change to the nano-dollar. Where one of the two had no runs or no priced calls, all of it is the runs';
/// where the cost of one is not known, nothing can be said.
fn causes(before: &BTreeMap<String, Sums>, now: &BTreeMap<String, Sums>) -> Vec<Cause> {
    let (old, new) = (sum(before), sum(now));
    let Some((old_cost, new_cost)) = old.cost().zip(new.cost()) else {
        return Vec::new();
    };
    let (old_runs, new_runs) = (float(old[Measure::Runs]), float(new[Measure::Runs]));
    let (old_calls, new_calls) = (priced(&old), priced(&new));
    if [old_runs, new_runs, old_calls, new_calls]
        .into_iter()
        .any(|count| count <= 0.0)
    {
        return only(CauseKind::Runs, new_cost - old_cost);
    }
    let models: Vec<&String> = before
        .keys()
        .chain(now.keys().filter(|model| !before.contains_key(*model)))
        .collect();
    let work = |sums: Option<&Sums>, runs, calls| {
        sums.filter(|sums| priced(sums) > 0.0)
            .map(|sums| Work::of(sums, runs, calls))
    };
    let mut works: Vec<(Work, Work)> = Vec::new();
    for model in models {
        let was = work(before.get(model), old_runs, old_calls);
        let is = work(now.get(model), new_runs, new_calls);
        // A model that only one of the intervals knows is taken as it is there, with no share in the other.
        let absent = |work: &Work| Work {
            share: 0.0,
            ..*work
        };
        match (was, is) {
            (Some(was), Some(is)) => works.push((was, is)),
            (Some(was), None) => works.push((was, absent(&was))),
            (None, Some(is)) => works.push((absent(&is), is)),
            (None, None) => {}
        }
    }
    let mut causes = Vec::new();
    let mut reached = old_cost;
    let mut step = |kind, works: &[(Work, Work)]| {
        let cost: f64 = works.iter().map(|(work, _)| work.cost_per_run()).sum();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "costs are far below 2^63 nano-USD"
        )]
        let cost = (new_runs * cost).round() as i64;
        causes.push(Cause {
            kind,
            amount: cost - reached,
        });
        reached = cost;
    };
    step(CauseKind::Runs, &works);
    works
        .iter_mut()
        .for_each(|(work, is)| work.share = is.share);
    step(CauseKind::ModelMix, &works);
    let parts = ComponentKind::ALL.into_iter().map(Some).chain([None]);
    for (place, part) in parts.enumerate() {
        works
            .iter_mut()
            .for_each(|(work, is)| work.input[place] = is.input[place]);
        step(CauseKind::Input(part), &works);
    }
    works.iter_mut().for_each(|(work, is)| {
        work.output = is.output;
        work.price_output = work.price_output.or(is.price_output);
    });
    step(CauseKind::Output, &works);
    works.iter_mut().for_each(|(work, is)| {
        work.mix = is.mix;
        // A kind that was not used before has the price that it has now.
        for (price, is) in work.prices.iter_mut().zip(is.prices) {
            *price = price.or(is);
        }
    });
    step(CauseKind::Cache, &works);
    causes.push(Cause {
        kind: CauseKind::Price,
        amount: new_cost - reached,
    });
    causes.retain(|cause| cause.amount != 0);
    causes
}

fn only(kind: CauseKind, amount: i64) -> Vec<Cause> {
    [Cause { kind, amount }]
        .into_iter()
        .filter(|cause| cause.amount != 0)
        .collect()
}

#[cfg(test)]
mod tests;
