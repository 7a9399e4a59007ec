//! A day, or a week, of rollups beside what was folded into them.

use std::collections::{BTreeMap, BTreeSet};

use entity::{
    Millis, RollupCube, RollupGrain, WorkspaceId, coworker, rollup_state, run, usage_ledger,
    usage_rollup,
};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait, Condition, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use usage_rollup::Column as C;

use super::row::{Stored, difference, name};
use crate::error::Result;
use crate::metric::cover::{Reach, floor};
use crate::metric::fresh::{self, CallRates, Called, Ended};
use crate::metric::measure::Sums;
use crate::metric::rollup::{Key, Sheet, keys_of, replace, wait_for};
use crate::metric::sketch::Durations;
use crate::metric::zone::{HOUR, Interval};
use crate::store::{Command, Needs, Snapshot, Tx, plan_for_this};

const DAY: i64 = 24 * HOUR;

/// Which buckets are looked at.
#[derive(Clone, Copy)]
pub(super) enum Part {
    /// Hours and quarter-hours, by the day of UTC.
    Fine,
    /// Days of the reporting zone.
    Days,
    /// Its weeks.
    Weeks,
}

impl Part {
    fn grains(self) -> &'static [RollupGrain] {
        match self {
            Self::Fine => &[RollupGrain::Hour, RollupGrain::Quarter],
            Self::Days => &[RollupGrain::Day],
            Self::Weeks => &[RollupGrain::Week],
        }
    }

    /// Whether the reporting zone says where its buckets begin.
    fn is_of_zone(self) -> bool {
        match self {
            Self::Fine => false,
            Self::Days | Self::Weeks => true,
        }
    }
}

/// The first day, or week, from a moment on in which there is anything.
pub(super) struct Slice {
    pub workspace: WorkspaceId,
    pub part: Part,
    pub from: Millis,
}

/// What is told of a slice.
pub(super) struct Found {
    /// How many rows there are, or should be.
    pub rows: usize,
    /// How those that differ do, a sentence each.
    pub differences: Vec<String>,
    /// Where to go on.
    pub next: Millis,
}

/// What there is in a slice, and what there should be.
struct Pair {
    stored: BTreeMap<Key, Stored>,
    folded: Sheet,
    /// How many there are, or should be.
    rows: usize,
    /// The keys of those that differ, and how.
    different: Vec<(Key, String)>,
    /// The moment after the slice.
    end: Millis,
}

impl Snapshot for Slice {
    type Output = Option<Found>;

    async fn read(&self, tx: &DatabaseTransaction) -> Result<Option<Found>> {
        let state = rollup_state::Entity::find_by_id(self.workspace)
            .one(tx)
            .await?;
        // Nothing was ever rolled up.
        let Some(state) = state else {
            return Ok(None);
        };
        match self.pair(tx, &state).await? {
            Some(pair) => Ok(Some(self.found(tx, pair).await?)),
            None => Ok(None),
        }
    }
}

impl Command for Slice {
    type Output = Option<Found>;

    async fn run(&self, tx: &Tx) -> Result<Option<Found>> {
        let state = wait_for(tx, self.workspace).await?;
        let conn = tx.writing().await?;
        plan_for_this(conn).await?;
        let Some(mut pair) = self.pair(conn, &state).await? else {
            return Ok(None);
        };
        let (mut wrong, mut right) = (Vec::new(), Sheet::new());
        for (key, _) in &pair.different {
            if pair.stored.contains_key(key) {
                wrong.push(key.clone());
            }
            right.extend(pair.folded.remove_entry(key));
        }
        replace(conn, self.workspace, &wrong, right).await?;
        Ok(Some(self.found(conn, pair).await?))
    }

    fn repeatable(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}

impl Slice {
    /// What there is in the slice and what there should be; none if there is nothing from here on.
    async fn pair(
        &self,
        tx: &DatabaseTransaction,
        state: &rollup_state::Model,
    ) -> Result<Option<Pair>> {
        let reach = Reach::of(state);
        // Days of a zone that this release does not know, or knows otherwise, are used by nobody.
        if self.part.is_of_zone() && reach.days_from != state.days_from {
            return Ok(None);
        }
        let Some(first) = self.first(tx, state).await? else {
            return Ok(None);
        };
        let (start, end) = match self.part {
            Part::Fine => (floor(first, DAY), floor(first, DAY).plus(DAY)),
            Part::Days => (reach.zone.day(first), reach.zone.next_day(first)),
            Part::Weeks => (
                Interval::Week.start(reach.zone, first),
                Interval::Week.next(reach.zone, first),
            ),
        };
        let mut folded = Sheet::new();
        let mut day = start;
        while day < end {
            let next = Ord::min(day.plus(DAY), end);
            self.fold(tx, state, (day, next), &mut folded).await?;
            day = next;
        }
        let stored = self.stored(tx, state, (start, end)).await?;
        let keys: BTreeSet<&Key> = folded.keys().chain(stored.keys()).collect();
        let rows = keys.len();
        let different = keys.into_iter().filter_map(|key| {
            let what = difference(stored.get(key), folded.get(key))?;
            Some((key.clone(), what))
        });
        Ok(Some(Pair {
            rows,
            different: different.collect(),
            stored,
            folded,
            end,
        }))
    }

    /// The rollups of this part that are in use.
    fn rollups(&self, state: &rollup_state::Model) -> Condition {
        let generation = if self.part.is_of_zone() {
            state.generation
        } else {
            0
        };
        Condition::all()
            .add(C::WorkspaceId.eq(self.workspace))
            // All of them, for the index: the key has it before the rest.
            .add(C::Cube.is_in(RollupCube::ALL.iter().copied()))
            .add(C::Grain.is_in(self.part.grains().iter().copied()))
            .add(C::Generation.eq(generation))
    }

    /// The first moment at which there is anything, stored or folded.
    async fn first(
        &self,
        tx: &DatabaseTransaction,
        state: &rollup_state::Model,
    ) -> Result<Option<Millis>> {
        // What lies before is in no day.
        let from = if self.part.is_of_zone() {
            Ord::max(self.from, state.days_from)
        } else {
            self.from
        };
        let mut bucket: Option<Millis> = None;
        // One by one: the key has them before the bucket.
        for cube in RollupCube::ALL {
            for grain in self.part.grains() {
                let first: Option<Millis> = usage_rollup::Entity::find()
                    .select_only()
                    .column(C::Bucket)
                    .filter(self.rollups(state))
                    .filter(C::Cube.eq(*cube).and(C::Grain.eq(*grain)))
                    .filter(C::Bucket.gte(self.from))
                    .order_by_asc(C::Bucket)
                    .limit(1)
                    .into_tuple()
                    .one(tx)
                    .await?;
                bucket = [bucket, first].into_iter().flatten().min();
            }
        }
        let call: Option<Millis> = usage_ledger::Entity::find()
            .select_only()
            .column(usage_ledger::Column::At)
            .filter(usage_ledger::Column::WorkspaceId.eq(self.workspace))
            .filter(usage_ledger::Column::At.gte(from))
            .filter(Expr::cust("rolled_up"))
            .order_by_asc(usage_ledger::Column::At)
            .limit(1)
            .into_tuple()
            .one(tx)
            .await?;
        let run: Option<Millis> = run::Entity::find()
            .select_only()
            .column(run::Column::EndedAt)
            .filter(run::Column::WorkspaceId.eq(self.workspace))
            .filter(run::Column::EndedAt.gte(from))
            .filter(Expr::cust("rolled_up"))
            .order_by_asc(run::Column::EndedAt)
            .limit(1)
            .into_tuple()
            .one(tx)
            .await?;
        Ok([bucket, call, run].into_iter().flatten().min())
    }

    /// Adds up the rows of a span that were folded.
    async fn fold(
        &self,
        tx: &DatabaseTransaction,
        state: &rollup_state::Model,
        (start, end): (Millis, Millis),
        rows: &mut Sheet,
    ) -> Result<()> {
        let reach = Reach::of(state);
        let mut add = |at: Millis, key: Key, sums: Sums, durations: &Durations| {
            for key in keys_of(state, &reach, at, key) {
                if self.part.grains().contains(&key.grain) {
                    let row = rows.entry(key).or_default();
                    row.0 += sums;
                    row.1.merge(durations)?;
                }
            }
            Ok::<_, crate::Error>(())
        };
        let at = usage_ledger::Column::At;
        let calls = fresh::called()
            .filter(usage_ledger::Column::WorkspaceId.eq(self.workspace))
            .filter(Expr::cust("usage_ledger.rolled_up"))
            .filter(at.gte(start).and(at.lt(end)))
            .into_model::<Called>()
            .all(tx)
            .await?;
        let rates = CallRates::of_calls(tx, calls.iter().map(|called| &called.call)).await?;
        for called in &calls {
            let call = &called.call;
            let sums = Sums::of_call(call, rates.rates(call));
            add(call.at, Key::of_call(called), sums, &Durations::default())?;
        }
        let at = run::Column::EndedAt;
        let runs = fresh::ended(self.workspace)
            .filter(Expr::cust("run.rolled_up"))
            .filter(at.gte(start).and(at.lt(end)))
            .into_model::<Ended>()
            .all(tx)
            .await?;
        for ended in &runs {
            let run = &ended.run;
            let mut durations = Durations::default();
            durations.add(run.ended_at.since(run.started_at));
            add(
                run.ended_at,
                Key::of_run(ended),
                Sums::of_run(run),
                &durations,
            )?;
        }
        Ok(())
    }

    async fn stored(
        &self,
        tx: &DatabaseTransaction,
        state: &rollup_state::Model,
        (start, end): (Millis, Millis),
    ) -> Result<BTreeMap<Key, Stored>> {
        let rows = usage_rollup::Entity::find()
            .filter(self.rollups(state))
            .filter(C::Bucket.gte(start).and(C::Bucket.lt(end)))
            .all(tx)
            .await?;
        let rows = rows.into_iter().map(|row| {
            let stored = Stored {
                sums: Sums::of_row(&row),
                durations: Durations::read(row.durations.as_deref()).ok(),
            };
            (Key::of(row), stored)
        });
        Ok(rows.collect())
    }

    /// What is told of a slice: its differences in words.
    async fn found(&self, tx: &DatabaseTransaction, pair: Pair) -> Result<Found> {
        let ids: BTreeSet<_> = pair.different.iter().map(|(key, _)| key.coworker).collect();
        let coworkers = match ids.is_empty() {
            true => Vec::new(),
            false => {
                let rows = coworker::Entity::find()
                    .filter(coworker::Column::WorkspaceId.eq(self.workspace))
                    .filter(coworker::Column::Id.is_in(ids));
                rows.all(tx).await?
            }
        };
        let sentences = pair.different.iter().map(|(key, what)| {
            let of = coworkers.iter().find(|row| row.id == key.coworker);
            let of = of.map_or("nobody", |row| row.handle.as_str());
            format!("{}, of {of}: {what}", name(key))
        });
        Ok(Found {
            rows: pair.rows,
            differences: sentences.collect(),
            next: pair.end,
        })
    }
}
