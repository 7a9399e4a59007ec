//! Runs, live.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Context, ID, SimpleObject, Subscription};
use domain::access::{Action, Actor};
use domain::run::log::Logged;
use domain::run::query as runs;
use domain::run::tail::{self, Tail};
use domain::store::Store;
use entity::{RunId, RunStatus, run};
use futures_util::stream::{self, Stream, StreamExt as _};
use sea_orm::{ColumnTrait, QueryFilter, QuerySelect};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::Instant;

use super::{Run, RunEvent, RunFilter, Step};
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{Error, Result};
use crate::graphql::filter::condition;
use crate::graphql::node;
use crate::graphql::scalar::int;

/// Changes of one run within this time become one item.
const PACE: Duration = Duration::from_millis(250);
/// Runs that are read in one statement.
const CHUNK: usize = 500;

/// Runs, live.
#[derive(Default)]
pub struct RunSubscription;

#[Subscription]
impl RunSubscription {
    /// A run as people read it: one item per event that touches a step, with the step as it stood after that event. First what already happened after the cursor, then live; completes after the run's end.
    async fn run_steps(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The run's global id.")] run_id: ID,
        #[graphql(
            desc = "The cursor of the last item that the caller has; 0 for all.",
            default = 0
        )]
        after: i32,
    ) -> Result<impl Stream<Item = Result<StepChange>> + use<>> {
        let tail = tail::steps(
            ctx.store(),
            ctx.actor(),
            node::parse_field(&run_id, "runId")?,
            after.into(),
        )
        .await?;
        Ok(follow(tail).filter_map(async |item| item.map(StepChange::of).transpose()))
    }

    /// A run's raw log: first what already happened after the cursor, then live; completes after the run's end.
    async fn run_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The run's global id.")] run_id: ID,
        #[graphql(
            desc = "The sequence of the last event that the caller has; 0 for all.",
            default = 0
        )]
        after: i32,
    ) -> Result<impl Stream<Item = Result<RunEvent>> + use<>> {
        let tail = tail::events(
            ctx.store(),
            ctx.actor(),
            node::parse_field(&run_id, "runId")?,
            after.into(),
        )
        .await?;
        Ok(follow(tail).map(|item| item.map(RunEvent::Shared)))
    }

    /// A board of runs: at the start every run under way that matches, then each run that matches or did, whenever it changes. Changes of
    /// one run are merged into at most one item per 250 ms, with its latest state. Items may repeat and there is no cursor: after a
    /// reconnect, query again.
    async fn run_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which runs; all without it.")] filter: Option<RunFilter>,
    ) -> Result<impl Stream<Item = Result<RunChange>> + use<>> {
        ctx.actor().authorize(Action::RunRead)?;
        // Registered before looking: what changes from here on is heard.
        let heard = ctx.store().bus().here().board();
        let mut board = Board {
            store: ctx.store().clone(),
            actor: ctx.actor().clone(),
            filter,
            heard,
            shown: HashSet::new(),
            next_look: Instant::now(),
        };
        // Read once before the stream stands, so that a wrong filter is refused at once.
        let first = board.under_way().await?;
        let changes = stream::unfold(Some(board), async |board| {
            let mut board = board?;
            match board.changes().await {
                Ok(Some(changes)) => Some((Ok(changes), Some(board))),
                Ok(None) => None,
                Err(error) => Some((Err(Error::from(error)), None)),
            }
        });
        let changes = stream::once(async { Ok(first) }).chain(changes);
        Ok(changes.flat_map(|batch| match batch {
            Ok(changes) => stream::iter(changes.into_iter().map(Ok).collect::<Vec<_>>()),
            Err(error) => stream::iter(vec![Err(error)]),
        }))
    }
}

/// A tail as a stream. It ends with the run, or with one error that names the last cursor.
fn follow(tail: Tail) -> impl Stream<Item = Result<Arc<Logged>>> + use<> {
    stream::unfold(Some(tail), async |tail| {
        let mut tail = tail?;
        match tail.next().await {
            Ok(Some(item)) => Some((Ok(item), Some(tail))),
            Ok(None) => None,
            Err(error) => Some((Err(Error::from(error).at(tail.cursor())), None)),
        }
    })
}

/// A step that an event of its run touched.
#[derive(SimpleObject)]
pub struct StepChange {
    /// The sequence of the event: what `runSteps` takes to go on from here.
    pub cursor: i32,
    /// The step as it stood after that event.
    pub step: Step,
}

impl StepChange {
    fn of(item: Arc<Logged>) -> Option<Self> {
        Some(Self {
            cursor: int(item.event.seq),
            step: item.step.clone()?.into(),
        })
    }
}

/// A run that changed, for boards.
#[derive(SimpleObject)]
pub struct RunChange {
    /// The run as it is now.
    pub run: Run,
    /// Whether it matches the filter; false: it did and no longer does, so take it off the board.
    pub matches: bool,
}

/// What one watcher of a board has seen.
struct Board {
    store: Store,
    actor: Actor,
    filter: Option<RunFilter>,
    heard: Receiver<RunId>,
    /// The runs that matched when they were last shown, unless they have ended: those never change again.
    shown: HashSet<RunId>,
    next_look: Instant,
}

impl Board {
    async fn under_way(&mut self) -> domain::Result<Vec<RunChange>> {
        let rows = runs::visible(&self.actor)
            .filter(condition(self.filter.as_ref(), self.store.now())?)
            .filter(run::Column::Status.is_in([RunStatus::Running, RunStatus::PausedForApproval]))
            .all(self.store.read())
            .await?;
        self.shown.extend(rows.iter().map(|row| row.id));
        Ok(rows
            .into_iter()
            .map(|row| RunChange {
                run: Run(row),
                matches: true,
            })
            .collect())
    }

    /// The next changes, at most every [`PACE`]; none once the bus is gone.
    async fn changes(&mut self) -> domain::Result<Option<Vec<RunChange>>> {
        loop {
            let Some(changed) = self.listen().await? else {
                return Ok(None);
            };
            let mut changes = Vec::new();
            for ids in changed.chunks(CHUNK) {
                changes.extend(self.look(ids).await?);
            }
            if !changes.is_empty() {
                return Ok(Some(changes));
            }
        }
    }

    /// Waits for changed runs. One that falls behind looks at everything that it may have missed.
    async fn listen(&mut self) -> domain::Result<Option<Vec<RunId>>> {
        let (mut changed, mut behind) = (HashSet::new(), false);
        match self.heard.recv().await {
            Ok(run) => drop(changed.insert(run)),
            Err(RecvError::Lagged(_)) => behind = true,
            Err(RecvError::Closed) => return Ok(None),
        }
        tokio::time::sleep_until(self.next_look).await;
        self.next_look = Instant::now() + PACE;
        loop {
            match self.heard.try_recv() {
                Ok(run) => drop(changed.insert(run)),
                Err(TryRecvError::Lagged(_)) => behind = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        if behind {
            changed.extend(self.shown.iter().copied());
            let active = runs::visible(&self.actor)
                .filter(
                    run::Column::Status.is_in([RunStatus::Running, RunStatus::PausedForApproval]),
                )
                .select_only()
                .column(run::Column::Id);
            changed.extend(active.into_tuple::<RunId>().all(self.store.read()).await?);
        }
        Ok(Some(changed.into_iter().collect()))
    }

    async fn look(&mut self, ids: &[RunId]) -> domain::Result<Vec<RunChange>> {
        let these = runs::visible(&self.actor).filter(run::Column::Id.is_in(ids.iter().copied()));
        let matching: HashSet<RunId> = these
            .clone()
            .filter(condition(self.filter.as_ref(), self.store.now())?)
            .select_only()
            .column(run::Column::Id)
            .into_tuple()
            .all(self.store.read())
            .await?
            .into_iter()
            .collect();
        let mut changes = Vec::new();
        for row in these.all(self.store.read()).await? {
            let matches = matching.contains(&row.id);
            let matched = self.shown.remove(&row.id);
            if matches && row.status.is_active() {
                self.shown.insert(row.id);
            }
            if matches || matched {
                changes.push(RunChange {
                    run: Run(row),
                    matches,
                });
            }
        }
        Ok(changes)
    }
}
