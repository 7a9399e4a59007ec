//! Figures of a span of time: in total, and interval by interval.

use std::sync::Arc;

use entity::{Millis, WorkspaceId};

use super::facts::{Ask, Fact, Facts};
use super::group::{Dimension, Group, Which};
use super::measure::Measure;
use super::zone::{Interval, Zone};
use crate::access::{Action, Actor};
use crate::error::{Error, Result};
use crate::store::Store;

/// The most intervals of a series: three years of days, 45 days of hours.
pub const MOST_INTERVALS: usize = 1_100;
/// The most points of an answer.
pub const MOST_POINTS: usize = 50_000;
/// The most points that are read for an answer: a trend keeps models apart, which its answer need not.
const MOST_READ: usize = 4 * MOST_POINTS;
/// The most groups of an answer.
pub const MOST_GROUPS: usize = 1_000;

/// A span of time, and what counts in it: model calls and runs that ended in it.
#[derive(Clone, Debug)]
pub struct Span {
    /// The first moment.
    pub start: Millis,
    /// The moment after the last.
    pub end: Millis,
    /// Where its days begin.
    pub zone: Zone,
    /// Which runs and calls.
    pub which: Arc<Which>,
}

/// What of a fact is wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The measures.
    pub measures: Vec<Measure>,
    /// Whether the durations are.
    pub durations: bool,
}

/// One group of a series.
#[derive(Clone, Debug)]
pub struct Series {
    /// The group.
    pub group: Group,
    /// One for each interval, those in which nothing was included.
    pub points: Vec<Point>,
}

/// One interval of a series.
#[derive(Clone, Debug)]
pub struct Point {
    /// Its first moment.
    pub start: Millis,
    /// The moment after its last.
    pub end: Millis,
    /// What happened in it.
    pub fact: Fact,
}

impl Span {
    /// Asks for sums over intervals of a workspace.
    pub(super) fn ask(
        &self,
        workspace: WorkspaceId,
        intervals: Vec<(Millis, Millis)>,
        by: Vec<Dimension>,
        wanted: Wanted,
    ) -> Ask {
        Ask {
            workspace,
            intervals,
            which: self.which.clone(),
            by,
            measures: wanted.measures,
            durations: wanted.durations,
            most: MOST_GROUPS,
            points: MOST_READ,
        }
    }
}

/// The sums of a span.
///
/// # Errors
/// [`Error::Forbidden`] without [`Action::MetricsRead`].
pub async fn totals(store: &Store, actor: &Actor, span: &Span, wanted: Wanted) -> Result<Fact> {
    actor.authorize(Action::MetricsRead)?;
    let facts = store
        .snapshot(span.ask(
            actor.workspace,
            vec![(span.start, span.end)],
            Vec::new(),
            wanted,
        ))
        .await?;
    Ok(facts
        .into_values()
        .flat_map(std::collections::BTreeMap::into_values)
        .next()
        .unwrap_or_default())
}

/// The sums of a span, group by group and interval by interval.
///
/// # Errors
/// [`Error::Forbidden`] without [`Action::MetricsRead`]; [`Error::Invalid`] for more points than an answer holds.
pub async fn series(
    store: &Store,
    actor: &Actor,
    span: &Span,
    interval: Interval,
    by: &[Dimension],
    wanted: Wanted,
) -> Result<Vec<Series>> {
    actor.authorize(Action::MetricsRead)?;
    let intervals = interval.parts(span.zone, span.start, span.end, MOST_INTERVALS)?;
    let mut facts: Facts = store
        .snapshot(span.ask(actor.workspace, intervals.clone(), by.to_vec(), wanted))
        .await?;
    if by.is_empty() {
        // Without groups there is one series, also where nothing happened.
        facts.entry(Group::default()).or_default();
    }
    bounded(facts.len(), intervals.len())?;
    let series = facts.into_iter().map(|(group, mut facts)| Series {
        group,
        points: intervals
            .iter()
            .enumerate()
            .map(|(place, (start, end))| Point {
                start: *start,
                end: *end,
                fact: facts.remove(&place).unwrap_or_default(),
            })
            .collect(),
    });
    Ok(series.collect())
}

/// Refuses an answer that would be too long.
///
/// # Errors
/// [`Error::Invalid`].
pub(super) fn bounded(groups: usize, intervals: usize) -> Result<()> {
    if groups * intervals > MOST_POINTS {
        let message = format!(
            "{groups} groups of {intervals} intervals are more than {MOST_POINTS} points; choose a longer interval, fewer dimensions, or a filter"
        );
        return Err(Error::invalid("interval", "TOO_MANY_POINTS", message));
    }
    Ok(())
}
