//! Rows of rollups that are being added to.

use std::collections::BTreeMap;

use entity::{
    CoworkerId, Millis, Outcome, RequestSource, RollupCube, RollupGrain, Trigger, WorkspaceId,
    usage_rollup,
};
use sea_orm::sea_query::{Alias, Expr, ExprTrait as _, Func, OnConflict, Query, SelectStatement};
use sea_orm::{
    ActiveEnum as _, ColumnTrait as _, Condition, ConnectionTrait, DbBackend, EntityTrait,
    IdenStatic as _, QueryFilter, Value,
};
use serde_json::json;
use usage_rollup::Column as C;

use crate::error::{Error, Result};
use crate::metric::cover::floor;
use crate::metric::fresh::{Called, Ended};
use crate::metric::measure::{Measure, Sums};
use crate::metric::parts::{Level, Rows, each, listed, of_part, text, whole_number};
use crate::metric::sketch::Durations;
use crate::metric::zone::{Interval, QUARTER, Zone};

/// Rows of a statement: 38 values each, of the 32,766 that SQLite takes.
const ROWS: usize = 100;

/// Keys of a statement that reads rows.
const KEYS: usize = 1_000;

/// What a rollup's row is found by, within its workspace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::metric) struct Key {
    pub cube: RollupCube,
    pub grain: RollupGrain,
    pub generation: i64,
    pub bucket: Millis,
    pub coworker: CoworkerId,
    pub model: String,
    pub source: String,
    pub trigger: String,
    pub outcome: String,
}

/// Rows of rollups by their keys.
pub(in crate::metric) type Sheet = BTreeMap<Key, (Sums, Durations)>;

const KEY: [C; 10] = [
    C::WorkspaceId,
    C::Cube,
    C::Grain,
    C::Generation,
    C::Bucket,
    C::CoworkerId,
    C::Model,
    C::Source,
    C::Trigger,
    C::Outcome,
];

impl Key {
    /// The key of a row.
    pub fn of(row: usage_rollup::Model) -> Self {
        Self {
            cube: row.cube,
            grain: row.grain,
            generation: row.generation,
            bucket: row.bucket,
            coworker: row.coworker_id,
            model: row.model,
            source: row.source,
            trigger: row.trigger,
            outcome: row.outcome,
        }
    }

    /// The key of the quarter-hour of a model call, in the full cube.
    pub fn of_call(
        Called {
            call,
            source,
            trigger,
            outcome,
        }: &Called,
    ) -> Self {
        Self {
            coworker: call.coworker_id,
            model: call.model.clone(),
            ..Self::at(call.at, *source, *trigger, *outcome)
        }
    }

    /// The key of the quarter-hour of a run's end, in the full cube.
    pub fn of_run(Ended { run, source }: &Ended) -> Self {
        Self {
            coworker: run.coworker_id,
            model: run.model.clone(),
            ..Self::at(run.ended_at, *source, run.trigger, run.outcome)
        }
    }

    fn at(at: Millis, source: RequestSource, trigger: Trigger, outcome: Option<Outcome>) -> Self {
        Self {
            cube: RollupCube::Full,
            grain: RollupGrain::Quarter,
            generation: 0,
            bucket: floor(at, QUARTER),
            coworker: CoworkerId(uuid::Uuid::nil()),
            model: String::new(),
            source: source.as_str().into(),
            trigger: trigger.as_str().into(),
            outcome: outcome.map_or_else(String::new, |outcome| outcome.as_str().into()),
        }
    }

    /// The keys of a day that this is part of, in both cubes, and of its week, in the smaller one.
    pub fn of_day(&self, zone: Zone, generation: i64, day: Millis) -> [Self; 3] {
        let day = Self {
            grain: RollupGrain::Day,
            generation,
            bucket: day,
            ..self.clone()
        };
        let week = Self {
            grain: RollupGrain::Week,
            bucket: Interval::Week.start(zone, day.bucket),
            ..day.narrow()
        };
        [day.narrow(), day, week]
    }

    /// The key of the same bucket in the smaller cube.
    fn narrow(&self) -> Self {
        Self {
            cube: RollupCube::Coworker,
            source: String::new(),
            trigger: String::new(),
            outcome: String::new(),
            ..self.clone()
        }
    }

    fn values(&self, workspace: WorkspaceId) -> [Value; 10] {
        [
            workspace.into(),
            self.cube.to_value().into(),
            self.grain.to_value().into(),
            self.generation.into(),
            self.bucket.into(),
            self.coworker.into(),
            self.model.clone().into(),
            self.source.clone().into(),
            self.trigger.clone().into(),
            self.outcome.clone().into(),
        ]
    }
}

/// What is added, row by row.
#[derive(Default)]
pub(super) struct Book(Sheet);

impl Book {
    /// Adds sums and durations to a row.
    pub fn add(&mut self, key: Key, sums: Sums, durations: &Durations) -> Result<()> {
        let row = self.0.entry(key).or_default();
        row.0 += sums;
        row.1.merge(durations)
    }

    /// Adds all of it to the rows that are stored. The caller holds the workspace's state.
    pub async fn write<T: ConnectionTrait>(
        mut self,
        conn: &T,
        workspace: WorkspaceId,
    ) -> Result<()> {
        self.take_in(conn, workspace).await?;
        let mut rows = self.0.into_iter().peekable();
        while rows.peek().is_some() {
            let mut insert = Query::insert();
            insert.into_table(usage_rollup::Entity).columns(
                KEY.into_iter()
                    .chain(Measure::all().map(Measure::column))
                    .chain([C::Durations]),
            );
            for (key, (sums, durations)) in rows.by_ref().take(ROWS) {
                let measures = Measure::all().map(|measure| Value::from(sums[measure]));
                let values = key
                    .values(workspace)
                    .into_iter()
                    .chain(measures)
                    .chain([durations.bytes().into()]);
                insert.values_panic(values.map(Expr::val));
            }
            let sums = Measure::all().map(|measure| {
                let column = measure.column();
                let excluded = Expr::col((Alias::new("excluded"), column));
                (column, column.into_expr().add(excluded))
            });
            // Sketches can't be added up in SQL: those that were there are in the new ones already.
            let merged = Expr::cust("COALESCE(excluded.durations, usage_rollup.durations)");
            insert.on_conflict(
                OnConflict::columns(KEY)
                    .values(sums)
                    .value(C::Durations, merged)
                    .to_owned(),
            );
            conn.execute(&insert).await?;
        }
        Ok(())
    }

    /// Takes in the durations of the rows that are there already.
    async fn take_in<T: ConnectionTrait>(
        &mut self,
        conn: &T,
        workspace: WorkspaceId,
    ) -> Result<()> {
        let keys: Vec<Key> = self
            .0
            .iter()
            .filter(|(_, (_, durations))| durations.bytes().is_some())
            .map(|(key, _)| key.clone())
            .collect();
        for keys in keys.chunks(KEYS) {
            let stored = durations_of(conn.get_database_backend(), workspace, keys);
            for row in conn.query_all(&stored).await? {
                let place: i64 = row.try_get("", "place")?;
                let bytes: Vec<u8> = row.try_get("", C::Durations.as_str())?;
                let key = usize::try_from(place)
                    .ok()
                    .and_then(|place| keys.get(place));
                let row = key.and_then(|key| self.0.get_mut(key));
                let (_, durations) =
                    row.ok_or_else(|| Error::internal("a rollup that was not asked for"))?;
                durations.merge(&Durations::read(Some(&bytes))?)?;
            }
        }
        Ok(())
    }
}

/// The durations of the stored rows with these keys, each with the place of its key.
fn durations_of(backend: DbBackend, workspace: WorkspaceId, keys: &[Key]) -> SelectStatement {
    let list = keys.iter().enumerate().map(|(place, key)| {
        json!([
            place,
            key.cube.to_value(),
            key.grain.to_value(),
            key.generation,
            key.bucket.0,
            key.coworker.0.simple().to_string(),
            key.model,
            key.source,
            key.trigger,
            key.outcome,
        ])
    });
    let mut list = listed(backend, list);
    let coworker = match backend {
        DbBackend::Sqlite => Func::cust("unhex").arg(text(5)).into(),
        _ => text(5).cast_as("UUID"),
    };
    list.expr_as(whole_number(4), C::Bucket)
        .expr_as(coworker, C::CoworkerId);
    let texts = [C::Model, C::Source, C::Trigger, C::Outcome];
    let mut rows = Query::select();
    rows.column((usage_rollup::Entity, C::Durations))
        .cond_where(C::WorkspaceId.eq(workspace))
        .cond_where(Level::is_meant())
        .and_where(C::Durations.is_not_null());
    for (place, column) in (6..).zip(texts) {
        list.expr_as(text(place), column);
    }
    for column in [C::Bucket, C::CoworkerId].into_iter().chain(texts) {
        rows.and_where(column.into_expr().eq(of_part(column.as_str())));
    }
    each(
        backend,
        list,
        usage_rollup::Entity,
        (rows, Rows::Each),
        |_| {},
    )
}

/// The rows with these keys.
fn among(workspace: WorkspaceId, keys: &[Key]) -> Condition {
    // Not `(…) IN ((…), …)`: SQLite has no index for that.
    keys.iter().fold(Condition::any(), |any, key| {
        let values = KEY.into_iter().zip(key.values(workspace));
        any.add(values.fold(Condition::all(), |all, (column, value)| {
            all.add(column.into_expr().eq(value))
        }))
    })
}

/// Puts rows in the place of those that are `wrong`. The caller holds the workspace's state.
pub(in crate::metric) async fn replace<T: ConnectionTrait>(
    conn: &T,
    workspace: WorkspaceId,
    wrong: &[Key],
    right: Sheet,
) -> Result<()> {
    for keys in wrong.chunks(ROWS) {
        usage_rollup::Entity::delete_many()
            .filter(among(workspace, keys))
            .exec(conn)
            .await?;
    }
    Book(right).write(conn, workspace).await
}
