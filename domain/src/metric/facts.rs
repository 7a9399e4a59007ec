//! Sums over spans of time, exact at the commit: rollups where whole buckets lie within a span, plus the rows that they
//! do not hold yet, all of one moment.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use entity::{Millis, RollupCube, RollupGrain, WorkspaceId, rollup_state, usage_rollup};
use futures_util::TryStreamExt as _;
use sea_orm::sea_query::{Expr, ExprTrait as _, Func, Query, SelectStatement};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, FromQueryResult,
    QueryResult, QuerySelect as _, StreamTrait as _,
};

use super::cover::{Piece, Reach, Weeks};
use super::fresh;
use super::group::{Dimension, Group, Which};
use super::measure::{Measure, Sums};
use super::parts::{Level, Part, Rows, of_each};
use super::query::whole;
use super::rims::{self, Summed};
use super::scattered::Scattered;
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
    /// The most points (of a group and an interval) in which there may be anything.
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
        let backend = ConnectionTrait::get_database_backend(tx);
        let known = self.known(tx).await?;
        let state = known.as_ref().map(|known| &known.state);
        // What ends now ends with the buckets of now: quarter-hours of a day, and rows at its rim, would be many times as many.
        let open = self
            .end()
            .filter(|_| known.as_ref().is_some_and(|known| !known.later));
        let intervals = self.intervals.iter().enumerate();
        let parts: Vec<Part> = match state {
            Some(state) => {
                let reach = Reach::of(state);
                // Only the smaller cube keeps them.
                let weeks = if self.is_full() {
                    Weeks::NotKept
                } else {
                    Weeks::Kept
                };
                let parts = intervals.flat_map(|(interval, (start, end))| {
                    let end = match open == Some(*end) {
                        true => reach.to_whole_days(*end),
                        false => *end,
                    };
                    reach
                        .cover(*start, end, weeks)
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
        let mut sums = Gathered {
            ask: self,
            facts: Facts::new(),
            points: 0,
        };
        let (whole, rims): (Vec<_>, Vec<_>) = parts
            .into_iter()
            .partition(|part| part.piece.grain.is_some());
        if let Some(state) = state.filter(|_| !whole.is_empty()) {
            self.rollups(tx, state, &whole, &mut sums).await?;
        }
        if self.measures.iter().any(|measure| !measure.is_of_runs()) {
            let summed = rims::calls(self, backend, &rims);
            let rims = self.sum_up(tx, summed, &rims, &mut sums).await?;
            let oldest = known.as_ref().and_then(|known| known.oldest_call);
            let rows = Scattered::of(self, &whole, rims, oldest);
            rows.calls(tx, &mut sums).await?;
        }
        if self.durations || self.measures.iter().any(Measure::is_of_runs) {
            let summed = rims::runs(self, backend, &rims);
            let rims = self.sum_up(tx, summed, &rims, &mut sums).await?;
            let oldest = known.as_ref().and_then(|known| known.oldest_run);
            let rows = Scattered::of(self, &whole, rims, oldest);
            rows.runs(tx, &mut sums).await?;
        }
        Ok(sums.facts)
    }
}

impl Ask {
    /// How far the rollups are; none: nothing was ever rolled up.
    async fn known(&self, tx: &DatabaseTransaction) -> Result<Option<Known>> {
        let backend = ConnectionTrait::get_database_backend(tx);
        let oldest = |rows: SelectStatement| Expr::SubQuery(None, Box::new(rows.into()));
        let oldest_run = oldest(fresh::oldest_run(backend, self.workspace));
        let oldest_call = oldest(fresh::oldest_call(backend, self.workspace));
        let later = match self.end() {
            Some(end) => fresh::is_any_since(backend, self.workspace, end),
            None => Expr::val(true),
        };
        let known = rollup_state::Entity::find_by_id(self.workspace)
            .expr_as(oldest_run, "oldest_run")
            .expr_as(oldest_call, "oldest_call")
            .expr_as(later, "later");
        Ok(known.into_model::<Known>().one(tx).await?)
    }

    /// The moment after the last interval.
    fn end(&self) -> Option<Millis> {
        self.intervals.iter().map(|(_, end)| *end).max()
    }

    /// Adds what whole buckets hold.
    async fn rollups(
        &self,
        tx: &DatabaseTransaction,
        state: &rollup_state::Model,
        parts: &[Part],
        facts: &mut Gathered<'_>,
    ) -> Result<()> {
        use usage_rollup::Column as C;
        let backend = ConnectionTrait::get_database_backend(tx);
        let filtered = |mut select: SelectStatement| {
            select
                .cond_where(C::WorkspaceId.eq(self.workspace))
                .cond_where(Level::is_meant())
                .cond_where(self.which.rollups.clone());
            select
        };
        let of_each = |select, kind| {
            let spans = parts.iter().map(|part| {
                let level = part.piece.grain.map(|grain| self.level(state, grain));
                part.placed(level)
            });
            let table = (usage_rollup::Entity, C::Bucket.into_expr());
            of_each(backend, spans, table, (select, kind), |_| {})
        };
        let each = self.measures.iter();
        let each = each.map(|measure| (*measure, measure.column().into_expr()));
        let sums = self.sums(backend, usage_rollup::Entity, each);
        let sums = of_each(filtered(sums), Rows::Summed);
        self.add_sums(tx, &sums, &self.measures, facts).await?;
        if self.durations {
            let mut select = filtered(self.groups(usage_rollup::Entity));
            select
                .column((usage_rollup::Entity, C::Durations))
                .and_where(C::Durations.is_not_null());
            let select = of_each(select, Rows::Each);
            let mut rows = tx.stream(&select).await?;
            while let Some(row) = rows.try_next().await? {
                let bytes: Vec<u8> = row.try_get("", "durations")?;
                let durations = Durations::read(Some(&bytes))?;
                facts.fact_of_row(&row)?.durations.merge(&durations)?;
            }
        }
        Ok(())
    }

    /// A statement that gives the groups of a table's rows.
    fn groups(&self, table: impl EntityTrait) -> SelectStatement {
        let columns = self.by.iter().map(|by| (table, by.column()));
        Query::select().columns(columns).to_owned()
    }

    /// A statement that sums up a table's rows, group by group: by what each of them adds to a measure.
    pub(super) fn sums(
        &self,
        backend: DbBackend,
        table: impl EntityTrait,
        each: impl Iterator<Item = (Measure, Expr)>,
    ) -> SelectStatement {
        let mut select = self.groups(table);
        for (measure, each) in each {
            let sum = match backend {
                DbBackend::Sqlite => whole(each.sum()),
                // Its own sum of whole numbers is a NUMERIC, which takes about a fifth of the statement's time.
                _ => Func::cust("whole_sum").arg(each).into(),
            };
            select.expr_as(sum, measure.column());
        }
        for by in &self.by {
            select.add_group_by([Expr::col((table, by.column()))]);
        }
        select
    }

    /// Adds what such a statement found.
    async fn add_sums(
        &self,
        tx: &DatabaseTransaction,
        select: &SelectStatement,
        measures: &[Measure],
        facts: &mut Gathered<'_>,
    ) -> Result<()> {
        let mut rows = tx.stream(select).await?;
        while let Some(row) = rows.try_next().await? {
            let fact = facts.fact_of_row(&row)?;
            for measure in measures {
                let name = sea_orm::IdenStatic::as_str(&measure.column());
                fact.sums[*measure] = fact.sums[*measure].saturating_add(row.try_get("", name)?);
            }
        }
        Ok(())
    }

    /// Adds the rows at the rims, if they can be summed up; gives those that are left, to be read one by one.
    async fn sum_up<'a>(
        &self,
        tx: &DatabaseTransaction,
        summed: Option<Summed>,
        rims: &'a [Part],
        facts: &mut Gathered<'_>,
    ) -> Result<&'a [Part]> {
        let Some(summed) = summed.filter(|_| !rims.is_empty()) else {
            return Ok(rims);
        };
        let Summed { measures, select } = summed;
        self.add_sums(tx, &select, &measures, facts).await?;
        Ok(&[])
    }

    /// Which rollups of a grain hold what is asked: only days and weeks are kept in the smaller cube.
    fn level(&self, state: &rollup_state::Model, grain: RollupGrain) -> Level {
        let (cube, generation) = match grain {
            RollupGrain::Day if self.is_full() => (RollupCube::Full, state.generation),
            RollupGrain::Week | RollupGrain::Day => (RollupCube::Coworker, state.generation),
            RollupGrain::Hour | RollupGrain::Quarter => (RollupCube::Full, 0),
        };
        Level {
            cube,
            grain,
            generation,
        }
    }

    /// Whether only the full cube keeps apart what is asked.
    fn is_full(&self) -> bool {
        self.which.of_calls(&self.by).is_none()
    }
}

/// How far the rollups are.
#[derive(FromQueryResult)]
struct Known {
    #[sea_orm(nested)]
    state: rollup_state::Model,
    /// When the first of the runs ended that they do not hold yet.
    oldest_run: Option<Millis>,
    /// When the first of such calls ended.
    oldest_call: Option<Millis>,
    /// Whether there may be anything after the last interval.
    later: bool,
}

/// Sums while they are gathered.
pub(super) struct Gathered<'a> {
    ask: &'a Ask,
    facts: Facts,
    points: usize,
}

impl Gathered<'_> {
    fn fact_of_row(&mut self, row: &QueryResult) -> Result<&mut Fact> {
        let place: i64 = row.try_get("", "place")?;
        let place = usize::try_from(place).map_err(Error::internal)?;
        self.fact_of(Group::of_row(&self.ask.by, row)?, place)
    }

    /// The sums of a group and an interval; an error as soon as there are more groups or points than are wanted.
    pub(super) fn fact_of(&mut self, group: Group, place: usize) -> Result<&mut Fact> {
        let Ask { most, points, .. } = self.ask;
        if self.facts.len() >= *most && !self.facts.contains_key(&group) {
            let message =
                format!("there are more than {most} groups; ask for fewer dimensions, or filter");
            return Err(Error::invalid("by", "TOO_MANY_POINTS", message));
        }
        match self.facts.entry(group).or_default().entry(place) {
            Entry::Occupied(fact) => Ok(fact.into_mut()),
            Entry::Vacant(_) if self.points >= *points => {
                let message = format!(
                    "there is something in more than {points} points; choose a longer interval, fewer dimensions, or a filter"
                );
                Err(Error::invalid("interval", "TOO_MANY_POINTS", message))
            }
            Entry::Vacant(place) => {
                self.points += 1;
                Ok(place.insert(Fact::default()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use entity::CoworkerId;
    use uuid::Uuid;

    use super::*;

    /// What is asked for decides how much may be found, not how much there is: at the limits all is well, past them it is an error
    /// that names what to change.
    #[test]
    fn more_groups_or_points_than_are_wanted_are_refused() {
        let ask = Ask {
            workspace: WorkspaceId(Uuid::nil()),
            intervals: Vec::new(),
            which: Arc::new(Which::default()),
            by: Vec::new(),
            measures: Vec::new(),
            durations: false,
            most: 2,
            points: 3,
        };
        let mut facts = Gathered {
            ask: &ask,
            facts: Facts::new(),
            points: 0,
        };
        let group = |n| Group {
            coworker: Some(CoworkerId(Uuid::from_u128(n))),
            ..Group::default()
        };
        for (n, place) in [(1, 0), (1, 7), (2, 0), (1, 7), (2, 0)] {
            facts
                .fact_of(group(n), place)
                .expect("within both limits")
                .sums[Measure::Runs] += 1;
        }
        let too_many = |found: Result<&mut Fact>| found.expect_err("past a limit").to_string();
        let points = too_many(facts.fact_of(group(2), 1));
        assert!(points.contains("more than 3 points"), "{points}");
        let groups = too_many(facts.fact_of(group(3), 0));
        assert!(groups.contains("more than 2 groups"), "{groups}");
        assert_eq!(facts.facts[&group(1)][&7].sums[Measure::Runs], 2);
    }
}
