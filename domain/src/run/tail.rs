//! Following a run's log or a request's timeline: history, then live. Every item after the cursor,
//! once, in order, or one error; never silence.
//!
//! A watcher registers, pages the database until its cursor lies in the ring of what this process has
//! seen, then follows the ring; who falls out of it pages again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use entity::{RequestId, RunId, request, request_event, run, run_event};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use tokio_util::sync::CancellationToken;

use super::envelope;
use super::log::Logged;
use super::query::is_active;
use super::step::Steps;
use crate::access::Actor;
use crate::bus::Signal;
use crate::bus::local::{Next, Watched};
use crate::error::{Error, Result};
use crate::store::Store;

/// Events of one page, and the most that a watcher holds in memory.
const PAGE: u64 = 200;
/// How often the safety net looks.
const LOOK: Duration = Duration::from_secs(1);

/// Follows a run's log.
#[derive(Debug)]
pub struct Tail {
    store: Store,
    run: RunId,
    cursor: i64,
    watched: Watched<RunId, Logged>,
    ready: VecDeque<Arc<Logged>>,
    /// The fold of the steps up to `.0`, if steps are followed and the database had to be read.
    fold: Option<(i64, Steps)>,
    with_steps: bool,
    ended: bool,
}

/// Follows a run's raw log after `after`.
///
/// # Errors
/// [`Error::NotFound`] for a run that the actor may not see; [`Error::Invalid`] with `INVALID_CURSOR`
/// for a cursor that the run has not reached.
pub async fn events(store: &Store, actor: &Actor, run: RunId, after: i64) -> Result<Tail> {
    Tail::open(store, actor, run, after, false).await
}

/// Follows a run's steps: as [`events`], but only events that touch a step, with that step as it was
/// then.
///
/// # Errors
/// As [`events`].
pub async fn steps(store: &Store, actor: &Actor, run: RunId, after: i64) -> Result<Tail> {
    Tail::open(store, actor, run, after, true).await
}

impl Tail {
    async fn open(
        store: &Store,
        actor: &Actor,
        run: RunId,
        after: i64,
        with_steps: bool,
    ) -> Result<Self> {
        // Registered before looking: what is appended from here on rings.
        let watched = store.bus().here().watch_run(run);
        let row = super::query::visible(actor)
            .filter(run::Column::Id.eq(run))
            .one(store.read())
            .await?;
        let row = row.ok_or(Error::NotFound { what: "Run" })?;
        if after < 0 || after > row.last_seq {
            return Err(bad_cursor(
                &format!("Run-{} has {} events", row.number, row.last_seq),
                after,
            ));
        }
        watched.known(row.last_seq);
        let ended = !row.status.is_active() && after == row.last_seq;
        let (store, ready) = (store.clone(), VecDeque::new());
        Ok(Self {
            store,
            run,
            cursor: after,
            watched,
            ready,
            fold: None,
            with_steps,
            ended,
        })
    }

    /// The sequence of the last item that was given.
    pub fn cursor(&self) -> i64 {
        self.cursor
    }

    /// The next item; none after the run's end.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the database does not answer; the cursor stays where it was.
    pub async fn next(&mut self) -> Result<Option<Arc<Logged>>> {
        loop {
            if self.ended {
                return Ok(None);
            }
            if let Some(item) = self.ready.pop_front() {
                self.cursor = item.event.seq;
                self.ended = matches!(item.event.kind.as_str(), "run.completed" | "run.failed");
                if self.with_steps && item.step.is_none() {
                    continue;
                }
                return Ok(Some(item));
            }
            match self.watched.after(self.cursor, PAGE as usize) {
                Next::Items(items) => self.ready.extend(items),
                Next::Nothing => self.watched.past(self.cursor).await,
                Next::Database => self.read_page().await?,
            }
        }
    }

    async fn read_page(&mut self) -> Result<()> {
        if self.with_steps {
            self.catch_up().await?;
        }
        for row in page(self.store.read(), self.run, self.cursor).await? {
            let step = match &mut self.fold {
                Some((seq, steps)) if self.with_steps => {
                    *seq = row.seq;
                    fold(steps, &row)?
                }
                Some(_) | None => None,
            };
            self.ready.push_back(Arc::new(Logged { event: row, step }));
        }
        if self.ready.is_empty() {
            return Err(Error::internal("a run's log is shorter than it was"));
        }
        Ok(())
    }

    /// Folds what lies before the cursor, which the watcher has seen or does not want.
    async fn catch_up(&mut self) -> Result<()> {
        let (mut seq, mut steps) = self.fold.take().unwrap_or_default();
        while seq < self.cursor {
            let rows = page(self.store.read(), self.run, seq).await?;
            if rows.is_empty() {
                return Err(Error::internal("a run's log is shorter than it was"));
            }
            for row in rows.iter().take_while(|row| row.seq <= self.cursor) {
                fold(&mut steps, row)?;
                seq = row.seq;
            }
        }
        self.fold = Some((seq, steps));
        Ok(())
    }
}

fn fold(steps: &mut Steps, row: &run_event::Model) -> Result<Option<entity::run_step::Model>> {
    let event = envelope::event(row).map_err(Error::internal)?;
    Ok(steps.apply(row.run_id, row.seq, row.at, &event).cloned())
}

async fn page<C: ConnectionTrait>(
    conn: &C,
    run: RunId,
    after: i64,
) -> Result<Vec<run_event::Model>> {
    let page = run_event::Entity::find()
        .filter(run_event::Column::RunId.eq(run))
        .filter(run_event::Column::Seq.gt(after))
        .order_by_asc(run_event::Column::Seq)
        .limit(PAGE);
    Ok(page.all(conn).await?)
}

/// Follows a request's timeline.
#[derive(Debug)]
pub struct Timeline {
    store: Store,
    request: RequestId,
    cursor: i64,
    watched: Watched<RequestId, request_event::Model>,
    ready: VecDeque<Arc<request_event::Model>>,
}

/// Follows a request's timeline after `after`.
///
/// # Errors
/// As [`events`].
pub async fn timeline(
    store: &Store,
    actor: &Actor,
    request: RequestId,
    after: i64,
) -> Result<Timeline> {
    let watched = store.bus().here().watch_request(request);
    let row = crate::request::query::get(store.read(), actor, request).await?;
    if after < 0 || after > row.last_seq {
        return Err(bad_cursor(
            &format!("REQ-{} has {} entries", row.number, row.last_seq),
            after,
        ));
    }
    watched.known(row.last_seq);
    Ok(Timeline {
        store: store.clone(),
        request,
        cursor: after,
        watched,
        ready: VecDeque::new(),
    })
}

impl Timeline {
    /// The next entry. A request's timeline has no end.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the database does not answer.
    pub async fn next(&mut self) -> Result<Arc<request_event::Model>> {
        loop {
            if let Some(row) = self.ready.pop_front() {
                self.cursor = row.seq;
                return Ok(row);
            }
            match self.watched.after(self.cursor, PAGE as usize) {
                Next::Items(items) => self.ready.extend(items),
                Next::Nothing => self.watched.past(self.cursor).await,
                Next::Database => self.read_page().await?,
            }
        }
    }

    async fn read_page(&mut self) -> Result<()> {
        let page = request_event::Entity::find()
            .filter(request_event::Column::RequestId.eq(self.request))
            .filter(request_event::Column::Seq.gt(self.cursor))
            .order_by_asc(request_event::Column::Seq)
            .limit(PAGE);
        let rows = page.all(self.store.read()).await?;
        self.ready.extend(rows.into_iter().map(Arc::new));
        if self.ready.is_empty() {
            return Err(Error::internal(
                "a request's timeline is shorter than it was",
            ));
        }
        Ok(())
    }
}

fn bad_cursor(has: &str, after: i64) -> Error {
    Error::invalid(
        "after",
        "INVALID_CURSOR",
        format!("{has}; after: {after} is not a place in it"),
    )
}

/// Looks once a second for all that is watched here, whether or not the bus rang, and at once when it may have missed
/// something: one query for the
/// runs, one for the requests, and where other processes write too, one for the boards.
pub async fn keep_looking(store: Store, stop: CancellationToken) {
    let mut boards = Boards::default();
    let due = async || {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = store.bus().here().missed() => {}
        }
    };
    while stop.run_until_cancelled(due()).await.is_some() {
        let looked = async {
            look(&store).await?;
            boards.look(&store).await
        };
        if let Err(err) = looked.await {
            tracing::warn!(%err, "watched runs could not be looked at; trying again");
        }
    }
}

/// One look of [`keep_looking`] at what is watched by itself.
///
/// # Errors
/// What the database said.
pub async fn look(store: &Store) -> Result<()> {
    let here = store.bus().here();
    let runs = here.watched_runs();
    if !runs.is_empty() {
        let found: Vec<(RunId, i64)> = run::Entity::find()
            .select_only()
            .columns([run::Column::Id, run::Column::LastSeq])
            .filter(run::Column::Id.is_in(runs))
            .into_tuple()
            .all(store.read())
            .await?;
        found
            .into_iter()
            .for_each(|(run, seq)| here.found_run(run, seq));
    }
    let requests = here.watched_requests();
    if !requests.is_empty() {
        let found: Vec<(RequestId, i64)> = request::Entity::find()
            .select_only()
            .columns([request::Column::Id, request::Column::LastSeq])
            .filter(request::Column::Id.is_in(requests))
            .into_tuple()
            .all(store.read())
            .await?;
        found
            .into_iter()
            .for_each(|(request, seq)| here.deliver(Signal::Request { request, seq }));
    }
    Ok(())
}

/// How far back a look at the boards reaches for runs that have ended, milliseconds: commits and clocks of
/// other processes may lag that much.
const ENDED: i64 = 10_000;

/// What the boards of this process may have heard of.
#[derive(Debug, Default)]
struct Boards {
    known: HashMap<RunId, i64>,
}

impl Boards {
    /// Tells the boards of runs that another process moved. An embedded database has no other process.
    async fn look(&mut self, store: &Store) -> Result<()> {
        let here = store.bus().here();
        if store.backend() == DbBackend::Sqlite || !here.has_boards() {
            self.known.clear();
            return Ok(());
        }
        let since = store.now().plus(-ENDED);
        let found: Vec<(RunId, i64)> = run::Entity::find()
            .select_only()
            .columns([run::Column::Id, run::Column::LastSeq])
            .filter(
                Condition::any()
                    .add(is_active())
                    .add(run::Column::EndedAt.gte(since)),
            )
            .into_tuple()
            .all(store.read())
            .await?;
        let first = self.known.is_empty();
        let now: HashMap<RunId, i64> = found.into_iter().collect();
        for (run, seq) in &now {
            if !first && self.known.get(run) != Some(seq) {
                here.found_on_boards(*run);
            }
        }
        self.known = now;
        Ok(())
    }
}
