//! What the board shows, as the database has it.

use std::collections::HashMap;
use std::sync::Arc;

use domain::access::Actor;
use domain::metric::group::Which;
use domain::metric::measure::Measure;
use domain::metric::series::{self, Point, Span, Wanted};
use domain::metric::zone::{HOUR, Interval, Zone};
use domain::run::query::{self, is_active};
use domain::store::Store;
use entity::{
    DispatchState, Millis, RunStatus, coworker, dispatch, request, run, run_step, workspace,
};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};

/// The most runs of a list.
const MOST: u64 = 20;
/// The hours of cost.
const HOURS: i64 = 24;

/// What there is to see.
pub(super) struct Board {
    /// The workspace's name.
    pub(super) workspace: String,
    /// When it was looked.
    pub(super) now: Millis,
    /// How many runs work, and how many wait for a person.
    pub(super) running: u64,
    pub(super) paused: u64,
    /// How many dispatches wait, and since when the oldest does.
    pub(super) waiting: u64,
    pub(super) oldest: Option<Millis>,
    /// Runs under way, the newest first.
    pub(super) active: Vec<Row>,
    /// Runs that ended, the newest first.
    pub(super) ended: Vec<Row>,
    /// Nano-USD by hour, the oldest first, and the calls whose cost is not known; the last hour is not over.
    pub(super) costs: Vec<(i64, i64)>,
    /// Why there is nothing newer to see.
    pub(super) trouble: Option<String>,
}

/// A run.
pub(super) struct Row {
    pub(super) run: run::Model,
    pub(super) coworker: String,
    pub(super) title: String,
    /// What it does, or did last.
    pub(super) step: String,
}

impl Board {
    pub(super) async fn look(store: &Store, actor: &Actor) -> domain::Result<Self> {
        let (db, now) = (store.read(), store.now());
        let ids = workspace::Entity::find_by_id(actor.workspace)
            .one(db)
            .await?;
        let active = query::visible(actor)
            .filter(is_active())
            .order_by_desc(run::Column::Number)
            .limit(MOST)
            .all(db)
            .await?;
        let ended = query::visible(actor)
            .filter(run::Column::EndedAt.is_not_null())
            .order_by_desc(run::Column::EndedAt)
            .limit(MOST)
            .all(db)
            .await?;
        // Those under way first: an index holds no others.
        let of = |status: RunStatus| {
            let active = query::visible(actor).filter(is_active());
            active.filter(run::Column::Status.eq(status))
        };
        let waiting = dispatch::Entity::find()
            .filter(dispatch::Column::WorkspaceId.eq(actor.workspace))
            .filter(dispatch::Column::State.eq(DispatchState::Waiting));
        let oldest = waiting
            .clone()
            .select_only()
            .column_as(dispatch::Column::CreatedAt.min(), "oldest")
            .into_tuple::<Option<Millis>>()
            .one(db)
            .await?;
        let wanted = Wanted {
            measures: Measure::COST.to_vec(),
            durations: false,
        };
        let first = Interval::Hour.start(Zone::UTC, now.plus(-(HOURS - 1) * HOUR));
        let span = Span {
            start: first,
            end: now.plus(1),
            zone: Zone::UTC,
            which: Arc::new(Which::default()),
        };
        let costs = series::series(store, actor, &span, Interval::Hour, &[], wanted).await?;
        let costs = costs.into_iter().flat_map(|series| series.points);
        Ok(Self {
            workspace: ids.map_or_else(String::new, |row| row.name),
            now,
            running: of(RunStatus::Running).count(db).await?,
            paused: of(RunStatus::PausedForApproval).count(db).await?,
            waiting: waiting.count(db).await?,
            oldest: oldest.flatten(),
            active: rows(store, active).await?,
            ended: rows(store, ended).await?,
            costs: costs.map(cost).collect(),
            trouble: None,
        })
    }
}

/// What the calls of an hour cost, and how many of them have no known cost.
fn cost(hour: Point) -> (i64, i64) {
    let sums = hour.fact.sums;
    let open = sums[Measure::UnpricedCalls] + sums[Measure::UnknownCalls];
    (sums[Measure::Cost], open)
}

async fn rows(store: &Store, runs: Vec<run::Model>) -> domain::Result<Vec<Row>> {
    let db = store.read();
    let coworkers = coworker::Entity::find()
        .filter(coworker::Column::Id.is_in(runs.iter().map(|run| run.coworker_id)))
        .all(db)
        .await?;
    let requests = request::Entity::find()
        .filter(request::Column::Id.is_in(runs.iter().map(|run| run.request_id)))
        .all(db)
        .await?;
    let steps = run_step::Entity::find()
        .filter(run_step::Column::RunId.is_in(runs.iter().map(|run| run.id)))
        .order_by_asc(run_step::Column::RunId)
        .order_by_asc(run_step::Column::Idx)
        .all(db)
        .await?;
    let handles: HashMap<_, _> = coworkers
        .into_iter()
        .map(|row| (row.id, row.handle))
        .collect();
    let titles: HashMap<_, _> = requests
        .into_iter()
        .map(|row| (row.id, row.title))
        .collect();
    // The last one of each stays.
    let last: HashMap<_, _> = steps
        .into_iter()
        .map(|row| (row.run_id, row.title))
        .collect();
    let row = |run: run::Model| Row {
        coworker: handles.get(&run.coworker_id).cloned().unwrap_or_default(),
        title: titles.get(&run.request_id).cloned().unwrap_or_default(),
        step: last.get(&run.id).cloned().unwrap_or_default(),
        run,
    };
    Ok(runs.into_iter().map(row).collect())
}
