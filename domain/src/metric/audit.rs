//! Whether the rollups hold what was folded into them: each bucket is compared with the rows themselves, and nothing is changed.
//!
//! It goes through time by the day, or by the week where weeks are kept, each in a snapshot of its own, so that it needs little
//! memory and runs beside a compactor.

mod row;

use std::collections::{BTreeMap, BTreeSet};

use entity::{
    Millis, RollupCube, RollupGrain, WorkspaceId, coworker, rollup_state, run, usage_ledger,
    usage_rollup,
};
use row::{Key, difference};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait, Condition, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use usage_rollup::Column as C;

use super::cover::{Reach, floor};
use super::fresh::{self, Called, Ended};
use super::measure::Sums;
use super::sketch::Durations;
use super::zone::{HOUR, Interval, QUARTER};
use crate::error::Result;
use crate::store::{Snapshot, Store};

const DAY: i64 = 24 * HOUR;

/// What came of the comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// How many rows there are, or should be.
    pub rows: usize,
    /// How many of them differ.
    pub different: usize,
    /// The first of these, a sentence each.
    pub named: Vec<String>,
}

/// Compares all rollups of a workspace with the rows that were folded; names at most so many differences.
///
/// # Errors
/// What the database said.
pub async fn audit(store: &Store, workspace: WorkspaceId, most: usize) -> Result<Audit> {
    let mut audit = Audit::default();
    for part in [Part::Fine, Part::Days, Part::Weeks] {
        let mut from = Millis(i64::MIN);
        loop {
            let slice = Slice {
                workspace,
                part,
                from,
            };
            let Some(found) = store.snapshot(slice).await? else {
                break;
            };
            audit.rows += found.rows;
            audit.different += found.differences.len();
            let room = most.saturating_sub(audit.named.len());
            audit.named.extend(found.differences.into_iter().take(room));
            from = found.next;
        }
    }
    Ok(audit)
}

/// Which buckets are looked at.
#[derive(Clone, Copy)]
enum Part {
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
struct Slice {
    workspace: WorkspaceId,
    part: Part,
    from: Millis,
}

struct Found {
    rows: usize,
    differences: Vec<String>,
    /// Where to go on.
    next: Millis,
}

/// Rows by their keys.
type Rows = BTreeMap<Key, (Sums, Durations)>;

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
        let reach = Reach::of(&state);
        // Days of a zone that this release does not know, or knows otherwise, are used by nobody.
        if self.part.is_of_zone() && reach.days_from != state.days_from {
            return Ok(None);
        }
        let Some(first) = self.first(tx, &state).await? else {
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
        let mut folded = Rows::new();
        let mut day = start;
        while day < end {
            let next = Ord::min(day.plus(DAY), end);
            self.fold(tx, &reach, (day, next), &mut folded).await?;
            day = next;
        }
        let stored = self.stored(tx, &state, (start, end)).await?;
        let keys: BTreeSet<&Key> = folded.keys().chain(stored.keys()).collect();
        let mut differences = Vec::new();
        for key in keys.iter().copied() {
            if let Some(what) = difference(stored.get(key), folded.get(key)) {
                differences.push((key, what));
            }
        }
        Ok(Some(Found {
            rows: keys.len(),
            differences: self.sentences(tx, &differences).await?,
            next: end,
        }))
    }
}

impl Slice {
    /// The rollups of this part that are in use.
    fn rollups(&self, state: &rollup_state::Model) -> Condition {
        let generation = if self.part.is_of_zone() {
            state.generation
        } else {
            0
        };
        Condition::all()
            .add(C::WorkspaceId.eq(self.workspace))
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
        reach: &Reach,
        (start, end): (Millis, Millis),
        rows: &mut Rows,
    ) -> Result<()> {
        let mut add = |at: Millis, key: Key, sums: Sums, durations: &Durations| {
            for key in self.keys(reach, at, key) {
                let row = rows.entry(key).or_default();
                row.0 += sums;
                row.1.merge(durations)?;
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
        let rates = fresh::rates(tx, &calls).await?;
        for called in &calls {
            let call = &called.call;
            let rates = call.price_id.and_then(|id| rates.get(&id).copied());
            let key = Key::of(
                call.coworker_id,
                &call.model,
                called.source,
                called.trigger,
                called.outcome,
            );
            let sums = Sums::of_call(call, rates);
            add(call.at, key, sums, &Durations::default())?;
        }
        let at = run::Column::EndedAt;
        let runs = fresh::ended(self.workspace)
            .filter(Expr::cust("run.rolled_up"))
            .filter(at.gte(start).and(at.lt(end)))
            .into_model::<Ended>()
            .all(tx)
            .await?;
        for run in &runs {
            let key = Key::of(
                run.coworker_id,
                &run.model,
                run.source,
                run.trigger,
                run.outcome,
            );
            let mut durations = Durations::default();
            durations.add(run.ended_at.since(run.started_at));
            add(run.ended_at, key, Sums::of_run(run), &durations)?;
        }
        Ok(())
    }

    /// The keys of the rows that hold what happened at a moment.
    fn keys(&self, reach: &Reach, at: Millis, key: Key) -> Vec<Key> {
        match self.part {
            Part::Fine if at < reach.hours_until => {
                vec![key.in_bucket(RollupGrain::Hour, floor(at, HOUR))]
            }
            Part::Fine => vec![key.in_bucket(RollupGrain::Quarter, floor(at, QUARTER))],
            Part::Days | Part::Weeks if reach.zone.day(at) < reach.days_from => Vec::new(),
            Part::Days => {
                let key = key.in_bucket(RollupGrain::Day, reach.zone.day(at));
                vec![key.narrow(), key]
            }
            Part::Weeks => {
                let week = Interval::Week.start(reach.zone, at);
                vec![key.in_bucket(RollupGrain::Week, week).narrow()]
            }
        }
    }

    async fn stored(
        &self,
        tx: &DatabaseTransaction,
        state: &rollup_state::Model,
        (start, end): (Millis, Millis),
    ) -> Result<Rows> {
        let rows = usage_rollup::Entity::find()
            .filter(self.rollups(state))
            .filter(C::Bucket.gte(start).and(C::Bucket.lt(end)))
            .all(tx)
            .await?;
        let rows = rows.into_iter().map(|row| {
            // Bytes that are no sketch are not those of any runs.
            let durations = Durations::read(row.durations.as_deref()).unwrap_or_default();
            (Sums::of_row(&row), durations, row)
        });
        Ok(rows
            .map(|(sums, durations, row)| (Key::of_row(row), (sums, durations)))
            .collect())
    }

    /// The differences in words.
    async fn sentences(
        &self,
        tx: &DatabaseTransaction,
        differences: &[(&Key, String)],
    ) -> Result<Vec<String>> {
        let ids: BTreeSet<_> = differences.iter().map(|(key, _)| key.coworker).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let rows = coworker::Entity::find()
            .filter(coworker::Column::WorkspaceId.eq(self.workspace))
            .filter(coworker::Column::Id.is_in(ids))
            .all(tx)
            .await?;
        let sentences = differences.iter().map(|(key, what)| {
            let of = rows.iter().find(|row| row.id == key.coworker);
            let of = of.map_or("nobody", |row| row.handle.as_str());
            format!("{}, of {of}: {what}", key.name())
        });
        Ok(sentences.collect())
    }
}
