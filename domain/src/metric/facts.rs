//! Sums over spans of time, exact at the commit: rollups where whole buckets lie within a span, plus the rows that they
//! do not hold yet, all of one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use entity::{
    Millis, RollupCube, RollupGrain, WorkspaceId, rollup_state, run, usage_ledger, usage_rollup,
};
use futures_util::TryStreamExt as _;
use sea_orm::sea_query::{ExprTrait as _, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryResult,
    StreamTrait as _,
};

use super::cover::{Piece, Reach, Weeks};
use super::fresh::{self, Called, Ended};
use super::group::{Dimension, Group, Which};
use super::measure::{Measure, Sums};
use super::parts::{Part, Placed, Rows, of_each};
use super::query::whole;
use super::sketch::Durations;
use crate::error::{Error, Result};
use crate::store::Snapshot;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The intervals, which do not overlap.
    pub intervals: Vec<(Millis, Millis)>,
    /// Which runs and calls.
    pub which: Arc<Which>,
    /// By what they are kept apart.
    pub by: Vec<Dimension>,
    /// What is summed up; the others stay 0.
    pub measures: Vec<Measure>,
    /// Whether durations are wanted too.
    pub durations: bool,
    /// The most groups that are wanted.
    pub most: usize,
    /// The most points (of a group and an interval) of one grain in which there may be anything.
    pub points: usize,
}

/// Sums of one group: for each interval that has any, by its place.
pub type Facts = BTreeMap<Group, BTreeMap<usize, Fact>>;

/// Sums of one group and one interval.
#[derive(Clone, Debug, Default)]
pub struct Fact {
    /// The sums.
    pub sums: Sums,
    /// How long the runs took, if that was asked.
    pub durations: Durations,
}

impl Snapshot for Ask {
    type Output = Facts;

    async fn read(&self, tx: &DatabaseTransaction) -> Result<Facts> {
        let state = rollup_state::Entity::find_by_id(self.workspace)
            .one(tx)
            .await?;
        let intervals = self.intervals.iter().enumerate();
        let parts: Vec<Part> = match &state {
            Some(state) => {
                let reach = Reach::of(state);
                // Only the smaller cube keeps them.
                let weeks = if self.is_full() {
                    Weeks::NotKept
                } else {
                    Weeks::Kept
                };
                let parts = intervals.flat_map(|(interval, (start, end))| {
                    reach
                        .cover(*start, *end, weeks)
                        .into_iter()
                        .map(move |piece| Part { interval, piece })
                });
                parts.collect()
            }
            // Nothing was ever rolled up.
            None => intervals
                .map(|(interval, (start, end))| Part {
                    interval,
                    piece: Piece {
                        grain: None,
                        start: *start,
                        end: *end,
                    },
                })
                .collect(),
        };
        let mut facts = Facts::new();
        for grain in [
            RollupGrain::Week,
            RollupGrain::Day,
            RollupGrain::Hour,
            RollupGrain::Quarter,
        ] {
            let parts = of(&parts, Some(grain));
            if let Some(state) = state.as_ref().filter(|_| !parts.is_empty()) {
                self.rollups(tx, state, grain, &parts, &mut facts).await?;
            }
        }
        let whole: Vec<Part> = parts
            .iter()
            .filter(|part| part.piece.grain.is_some())
            .copied()
            .collect();
        self.rows(tx, &whole, true, &mut facts).await?;
        self.rows(tx, &of(&parts, None), false, &mut facts).await?;
        Ok(facts)
    }
}

fn of(parts: &[Part], grain: Option<RollupGrain>) -> Vec<Part> {
    parts
        .iter()
        .filter(|part| part.piece.grain == grain)
        .copied()
        .collect()
}

impl Ask {
    async fn rollups(
        &self,
        tx: &DatabaseTransaction,
        state: &rollup_state::Model,
        grain: RollupGrain,
        parts: &[Part],
        facts: &mut Facts,
    ) -> Result<()> {
        use usage_rollup::Column as C;
        let backend = ConnectionTrait::get_database_backend(tx);
        // Only days and weeks are kept in the smaller cube.
        let (cube, generation) = match grain {
            RollupGrain::Day if self.is_full() => (RollupCube::Full, state.generation),
            RollupGrain::Week | RollupGrain::Day => (RollupCube::Coworker, state.generation),
            RollupGrain::Hour | RollupGrain::Quarter => (RollupCube::Full, 0),
        };
        let mut select = Query::select();
        select
            .columns(self.by.iter().map(|by| (usage_rollup::Entity, by.column())))
            .cond_where(C::WorkspaceId.eq(self.workspace))
            .cond_where(C::Cube.eq(cube))
            .cond_where(C::Grain.eq(grain))
            .cond_where(C::Generation.eq(generation))
            .cond_where(self.which.rollups.clone());
        let mut sums = select.clone();
        for measure in &self.measures {
            sums.expr_as(whole(measure.column().into_expr().sum()), measure.column());
        }
        for by in &self.by {
            sums.add_group_by([by.column().into_expr()]);
        }
        let of_each = |rows, kind| {
            let table = (usage_rollup::Entity, C::Bucket.into_expr());
            let spans = parts.iter().map(Placed::from);
            of_each(backend, spans, table, (rows, kind), |_| {})
        };
        let sums = of_each(sums, Rows::Summed);
        let mut rows = tx.stream(&sums).await?;
        let mut points = 0;
        while let Some(row) = rows.try_next().await? {
            points += 1;
            if points > self.points {
                let message = format!(
                    "there is something in more than {} points; choose a longer interval, fewer dimensions, or a filter",
                    self.points
                );
                return Err(Error::invalid("interval", "TOO_MANY_POINTS", message));
            }
            let fact = self.fact(&row, facts)?;
            for measure in &self.measures {
                let name = sea_orm::IdenStatic::as_str(&measure.column());
                fact.sums[*measure] = fact.sums[*measure].saturating_add(row.try_get("", name)?);
            }
        }
        drop(rows);
        if self.durations {
            select
                .column((usage_rollup::Entity, C::Durations))
                .and_where(C::Durations.is_not_null());
            let select = of_each(select, Rows::Each);
            let mut rows = tx.stream(&select).await?;
            while let Some(row) = rows.try_next().await? {
                let bytes: Vec<u8> = row.try_get("", "durations")?;
                let durations = Durations::read(Some(&bytes))?;
                self.fact(&row, facts)?.durations.merge(&durations)?;
            }
        }
        Ok(())
    }

    /// Whether only the full cube keeps apart what is asked.
    fn is_full(&self) -> bool {
        self.which.full || self.by.iter().any(|by| !by.is_everywhere())
    }

    fn fact<'a>(&self, row: &QueryResult, facts: &'a mut Facts) -> Result<&'a mut Fact> {
        let place: i64 = row.try_get("", "place")?;
        let place = usize::try_from(place).map_err(Error::internal)?;
        self.fact_of(Group::of_row(&self.by, row)?, place, facts)
    }

    /// The sums of a group and an interval; an error as soon as there are more groups than are wanted.
    fn fact_of<'a>(
        &self,
        group: Group,
        place: usize,
        facts: &'a mut Facts,
    ) -> Result<&'a mut Fact> {
        if facts.len() >= self.most && !facts.contains_key(&group) {
            let message = format!(
                "there are more than {} groups; ask for fewer dimensions, or filter",
                self.most
            );
            return Err(Error::invalid("by", "TOO_MANY_POINTS", message));
        }
        Ok(facts.entry(group).or_default().entry(place).or_default())
    }

    /// Adds rows one by one: those that no rollup holds (`fresh`), or all of them.
    async fn rows(
        &self,
        tx: &DatabaseTransaction,
        parts: &[Part],
        fresh: bool,
        facts: &mut Facts,
    ) -> Result<()> {
        if parts.is_empty() {
            return Ok(());
        }
        // Rows that no rollup holds are few: all of the span are looked at. Those at its rim are many, so only they are.
        let spans = match fresh {
            true => hull(parts).into_iter().collect(),
            false => joined(parts),
        };
        let of_calls = |measure| !Measure::RUNS.contains(measure);
        let of_runs = |measure| Measure::RUNS.contains(measure);
        // One by one: of many at once the planner holds that all of the workspace is fewer.
        for span in spans {
            if self.measures.iter().any(of_calls) {
                self.calls(tx, parts, span, fresh, facts).await?;
            }
            if self.durations || self.measures.iter().any(of_runs) {
                self.ended(tx, parts, span, fresh, facts).await?;
            }
        }
        Ok(())
    }

    async fn calls(
        &self,
        tx: &DatabaseTransaction,
        parts: &[Part],
        (start, end): (Millis, Millis),
        fresh: bool,
        facts: &mut Facts,
    ) -> Result<()> {
        let mut select = fresh::called()
            .filter(usage_ledger::Column::WorkspaceId.eq(self.workspace))
            .filter(self.which.runs.clone())
            .filter(usage_ledger::Column::At.gte(start))
            .filter(usage_ledger::Column::At.lt(end));
        if fresh {
            select = select.filter(fresh::of_ledger());
        }
        let mut last = None;
        loop {
            let page = fresh::page(select.clone(), last);
            let calls = page.into_model::<Called>().all(tx).await?;
            let rates = fresh::rates(tx, &calls).await?;
            for Called {
                call,
                source,
                trigger,
                outcome,
            } in &calls
            {
                let Some(place) = place_of(parts, call.at) else {
                    continue;
                };
                let group = Group::of(
                    &self.by,
                    call.coworker_id,
                    &call.model,
                    *source,
                    *trigger,
                    *outcome,
                );
                let rates = call.price_id.and_then(|id| rates.get(&id).copied());
                self.fact_of(group, place, facts)?.sums += Sums::of_call(call, rates);
            }
            last = match calls.last() {
                Some(Called { call, .. }) if calls.len() == fresh::PAGE => {
                    Some((call.at, call.run_id, call.seq))
                }
                Some(_) | None => return Ok(()),
            };
        }
    }

    async fn ended(
        &self,
        tx: &DatabaseTransaction,
        parts: &[Part],
        (start, end): (Millis, Millis),
        fresh: bool,
        facts: &mut Facts,
    ) -> Result<()> {
        let mut select = fresh::ended(self.workspace)
            .filter(self.which.runs.clone())
            .filter(run::Column::EndedAt.gte(start))
            .filter(run::Column::EndedAt.lt(end));
        if fresh {
            select = select.filter(fresh::of_runs());
        }
        let mut runs = select.into_model::<Ended>().stream(tx).await?;
        while let Some(run) = runs.try_next().await? {
            let Some(place) = place_of(parts, run.ended_at) else {
                continue;
            };
            let group = Group::of(
                &self.by,
                run.coworker_id,
                &run.model,
                run.source,
                run.trigger,
                run.outcome,
            );
            let fact = self.fact_of(group, place, facts)?;
            fact.sums += Sums::of_run(&run);
            if self.durations {
                fact.durations.add(run.ended_at.since(run.started_at));
            }
        }
        Ok(())
    }
}

/// From the first moment of the parts to their last.
fn hull(parts: &[Part]) -> Option<(Millis, Millis)> {
    let (first, last) = (parts.first()?, parts.last()?);
    Some((first.piece.start, last.piece.end))
}

/// The spans that parts make up where they follow each other.
fn joined(parts: &[Part]) -> Vec<(Millis, Millis)> {
    let mut spans: Vec<(Millis, Millis)> = Vec::new();
    for part in parts {
        match spans.last_mut() {
            Some((_, end)) if *end == part.piece.start => *end = part.piece.end,
            _ => spans.push((part.piece.start, part.piece.end)),
        }
    }
    spans
}

/// The interval of the part in which a moment lies; parts are in the order of time.
fn place_of(parts: &[Part], at: Millis) -> Option<usize> {
    let after = parts.partition_point(|part| part.piece.start <= at);
    let part = parts.get(after.checked_sub(1)?)?;
    (at < part.piece.end).then_some(part.interval)
}
