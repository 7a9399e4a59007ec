//! Whether what a run costs climbs week over week, and what drives it.

use std::sync::Arc;

use entity::{CoworkerId, Millis, RunId, run};
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{Evidence, Found};
use crate::access::Actor;
use crate::error::Result;
use crate::metric::group::Which;
use crate::metric::measure::Measure;
use crate::metric::series::Span;
use crate::metric::trend::{CauseKind, Change, trend};
use crate::metric::zone::{Interval, Zone};
use crate::model::tokens::ComponentKind;
use crate::money::print_decimal;
use crate::run::envelope::timestamp;
use crate::run::query as runs;
use crate::store::Store;

/// How many whole weeks are compared.
const WEEKS: usize = 5;
/// The least runs of each of them.
const SAMPLE: i64 = 5;
/// By how much of the first week's cost per run the cost must grow each week.
const STEEP: f64 = 0.10;
/// Of the ten pairs of weeks, those in which the later must be dearer: of weeks that differ by chance alone, one of 24 has so many.
const RISING: usize = 9;
/// How many of the last week's dearest runs are shown.
const DEAREST: u64 = 3;

/// How the cost per run developed over the last whole weeks of a span.
#[derive(Clone, Debug)]
pub struct Slope {
    /// Nano-USD per run, week by week.
    pub costs: Vec<f64>,
    /// How much it grows each week, as a share of the first week's.
    pub growth: f64,
    /// In how many of the ten pairs of weeks the later is the dearer.
    pub rising: usize,
    /// What drove it most, if one cause can be named.
    pub cause: Option<CauseKind>,
    /// The dearest runs of the last week.
    dearest: Vec<(RunId, Millis, i64)>,
}

/// The slope over the last five whole weeks before `end`, or why there is none: the span is shorter, or one of the weeks has
/// fewer than 5 runs, or no cost that is known.
///
/// # Errors
/// What the database said.
pub(super) async fn slope(
    store: &Store,
    actor: &Actor,
    coworker: CoworkerId,
    end: Millis,
    start: Millis,
    zone: Zone,
) -> Result<std::result::Result<Slope, String>> {
    let mut first = Interval::Week.start(zone, end);
    for _ in 0..WEEKS {
        first = Interval::Week.start(zone, first.plus(-1));
    }
    // A span of fewer weeks says nothing of them.
    if first < start {
        let from = timestamp(first);
        return Ok(Err(format!(
            "The span holds fewer than {WEEKS} whole weeks: they begin at {from}, so range.start must not be later."
        )));
    }
    let span = Span {
        start: first,
        end,
        zone,
        which: Arc::new(Which::of_coworker(coworker)),
    };
    let changes: Vec<Change> = trend(store, actor, &span, Interval::Week, &[])
        .await?
        .into_iter()
        .flat_map(|trend| trend.changes)
        .collect();
    let Some(changes) = changes
        .len()
        .checked_sub(WEEKS - 1)
        .map(|from| &changes[from..])
    else {
        return Ok(Err(too_few(0)));
    };
    let weeks: Vec<_> = changes[..1]
        .iter()
        .map(|change| &change.before)
        .chain(changes.iter().map(|change| &change.now))
        .collect();
    let least = weeks.iter().map(|fact| fact.sums[Measure::Runs]).min();
    if let Some(runs) = least.filter(|runs| *runs < SAMPLE) {
        return Ok(Err(too_few(runs)));
    }
    if weeks.iter().any(|fact| fact.sums[Measure::Cost] <= 0) {
        return Ok(Err(format!(
            "In one of the last {WEEKS} whole weeks no model call has a cost; where the model has no price, set one with modelPriceSet."
        )));
    }
    let costs: Vec<f64> = weeks
        .iter()
        .map(|fact| float(fact.sums[Measure::Cost]) / float(fact.sums[Measure::Runs]))
        .collect();
    let slopes = slopes(&costs);
    let growth = median(&slopes) / costs[0];
    let rising = slopes.iter().filter(|slope| **slope > 0.0).count();
    let last = changes.last().map(|change| (change.start, change.end));
    let dearest = match last {
        Some(week) if climbs(growth, rising) => dearest(store, actor, coworker, week).await?,
        Some(_) | None => Vec::new(),
    };
    Ok(Ok(Slope {
        growth,
        rising,
        cause: driver(changes),
        costs,
        dearest,
    }))
}

/// Why a week with so few runs says nothing.
fn too_few(runs: i64) -> String {
    format!(
        "One of the last {WEEKS} whole weeks has {runs} runs that ended, and each must have at least {SAMPLE}."
    )
}

fn climbs(growth: f64, rising: usize) -> bool {
    growth > STEEP && rising >= RISING
}

/// The slopes between all pairs of points, smallest first; their median is Theil and Sen's: one odd week does not make a trend.
fn slopes(points: &[f64]) -> Vec<f64> {
    let mut slopes = Vec::new();
    for (i, a) in points.iter().enumerate() {
        for (j, b) in points.iter().enumerate().skip(i + 1) {
            slopes.push((b - a) / float(i64::try_from(j - i).unwrap_or(1)));
        }
    }
    slopes.sort_by(f64::total_cmp);
    slopes
}

fn median(slopes: &[f64]) -> f64 {
    match slopes.len() {
        0 => 0.0,
        n if n % 2 == 1 => slopes[n / 2],
        n => f64::midpoint(slopes[n / 2 - 1], slopes[n / 2]),
    }
}

#[expect(clippy::cast_precision_loss, reason = "only compared, in percent")]
fn float(whole: i64) -> f64 {
    whole as f64
}

/// What drove the cost most over these weeks; more runs are no reason why one costs more.
fn driver(changes: &[Change]) -> Option<CauseKind> {
    let mut sums: Vec<(CauseKind, i64)> = Vec::new();
    for cause in changes.iter().flat_map(|change| &change.causes) {
        if cause.kind == CauseKind::Runs {
            continue;
        }
        match sums.iter_mut().find(|(kind, _)| *kind == cause.kind) {
            Some((_, sum)) => *sum += cause.amount,
            None => sums.push((cause.kind, cause.amount)),
        }
    }
    sums.into_iter()
        .filter(|(_, sum)| *sum > 0)
        .max_by_key(|(_, sum)| *sum)
        .map(|(kind, _)| kind)
}

async fn dearest(
    store: &Store,
    actor: &Actor,
    coworker: CoworkerId,
    (start, end): (Millis, Millis),
) -> Result<Vec<(RunId, Millis, i64)>> {
    let rows: Vec<run::Model> = runs::visible(actor)
        .filter(run::Column::CoworkerId.eq(coworker))
        .filter(run::Column::EndedAt.gte(start))
        .filter(run::Column::EndedAt.lt(end))
        .order_by_desc(run::Column::CostNano)
        .order_by_desc(run::Column::Number)
        .limit(DEAREST)
        .all(store.read())
        .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| Some((row.id, row.ended_at?, row.cost_nano)))
        .collect())
}

/// Its costs climb week over week.
pub(super) fn costs_climb(slope: Option<&Slope>) -> Found {
    let mut found = Found::default();
    let Some(slope) = slope.filter(|slope| climbs(slope.growth, slope.rising)) else {
        return found;
    };
    // It is measured over all runs of the weeks, not judged from single ones.
    found.is_certain = true;
    for (run, at, cost) in &slope.dearest {
        found.evidence.push(Evidence {
            run: Some(*run),
            seq: None,
            step: None,
            at: *at,
            message: format!(
                "It cost {} USD; the cost per run grows by {:.0} % a week.",
                print_decimal(*cost),
                slope.growth * 100.0
            ),
        });
    }
    let (place, what) = place_of(slope.cause);
    found.advise(place, what)
}

/// Where to look for what drives the cost, and what to do about it.
fn place_of(cause: Option<CauseKind>) -> (&'static str, &'static str) {
    match cause {
        Some(CauseKind::Input(Some(ComponentKind::Goal | ComponentKind::Instructions))) => (
            "goal",
            "The goal grew, and every turn reads it: move procedures into skills, or split the coworker.",
        ),
        Some(CauseKind::Input(Some(ComponentKind::Identity | ComponentKind::Soul))) => (
            "soul",
            "Identity and soul grew, and every turn reads them: shorten them, and move procedures into skills.",
        ),
        Some(CauseKind::Input(Some(ComponentKind::Skill))) => (
            "skills",
            "Its skills grew, and every turn reads them: take away those that it does not need, or split the coworker.",
        ),
        Some(CauseKind::Input(Some(ComponentKind::ToolDefinition))) => (
            "tools",
            "The descriptions of its tools grew, and every turn reads them: enable only the actions that it needs, or split the coworker.",
        ),
        Some(CauseKind::Input(Some(ComponentKind::ToolResults))) => (
            "tools",
            "Its tools answer at greater length: ask them for less, or say in goal.flow which to call and which not.",
        ),
        Some(CauseKind::Input(Some(
            ComponentKind::History | ComponentKind::Notes | ComponentKind::Request,
        ))) => (
            "goal.flow",
            "It reads longer histories: its runs take more turns, or its requests grew. Give goal.flow fewer steps, or split the coworker.",
        ),
        Some(CauseKind::Input(None) | CauseKind::Output) => (
            "goal.flow",
            "It writes and reads more per run: give goal.flow fewer steps, move procedures into skills, or split the coworker.",
        ),
        Some(CauseKind::Cache) => (
            "goal",
            "Less of what it reads comes from the provider's cache: keep what changes from run to run out of goal, soul and skills.",
        ),
        Some(CauseKind::ModelMix | CauseKind::Price) => (
            "model",
            "The model became dearer, or a dearer one does the work: compare the prices of modelPrices, and choose another model.",
        ),
        Some(CauseKind::Runs) | None => (
            "goal",
            "Split the coworker, or move procedures into skills.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_driver_has_its_place_and_its_remedy() {
        use ComponentKind as C;
        let input = |kind| Some(CauseKind::Input(Some(kind)));
        for (cause, place, words) in [
            (input(C::Goal), "goal", "The goal grew"),
            (input(C::Instructions), "goal", "The goal grew"),
            (input(C::Identity), "soul", "Identity and soul grew"),
            (input(C::Soul), "soul", "Identity and soul grew"),
            (input(C::Skill), "skills", "Its skills grew"),
            (
                input(C::ToolDefinition),
                "tools",
                "The descriptions of its tools grew",
            ),
            (
                input(C::ToolResults),
                "tools",
                "Its tools answer at greater length",
            ),
            (input(C::History), "goal.flow", "It reads longer histories"),
            (input(C::Notes), "goal.flow", "It reads longer histories"),
            (input(C::Request), "goal.flow", "It reads longer histories"),
            (
                Some(CauseKind::Input(None)),
                "goal.flow",
                "It writes and reads more",
            ),
            (
                Some(CauseKind::Output),
                "goal.flow",
                "It writes and reads more",
            ),
            (Some(CauseKind::Cache), "goal", "Less of what it reads"),
            (
                Some(CauseKind::ModelMix),
                "model",
                "The model became dearer",
            ),
            (Some(CauseKind::Price), "model", "The model became dearer"),
            (None, "goal", "Split the coworker"),
        ] {
            let (found, what) = place_of(cause);
            assert_eq!(found, place, "{cause:?}");
            assert!(what.starts_with(words), "{cause:?}: {what}");
        }
    }

    #[test]
    fn one_odd_week_is_no_trend() {
        let growth = |points: &[f64]| median(&slopes(points));
        assert!((growth(&[1.0, 1.1, 1.2, 1.3, 1.4]) - 0.1).abs() < 1e-9);
        assert!(growth(&[1.0, 1.0, 9.0, 1.0, 1.0]).abs() < 1e-9);
        assert!(growth(&[5.0, 4.0, 3.0, 2.0, 1.0]) < 0.0);
    }
}
