//! One watcher of a board: which of the runs that it shows have changed.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use domain::access::Actor;
use domain::run::query as runs;
use domain::store::Store;
use entity::{Millis, RunId, run};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, FromQueryResult, QueryFilter, QuerySelect};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

use super::subscription::RunChange;
use super::{Run, RunFilter};
use crate::graphql::filter::condition;

/// Changes of one run within this time become one item.
const PACE: Duration = Duration::from_millis(250);
/// Changes of several runs within this time are read together.
const GATHER: Duration = Duration::from_millis(20);
/// What was heard may have been committed that long before, milliseconds.
const MARGIN: i64 = 5_000;
/// Runs that are read in one statement.
const CHUNK: usize = 500;

/// What one watcher of a board has seen.
pub(in crate::graphql) struct Board {
    store: Store,
    actor: Actor,
    filter: Option<RunFilter>,
    heard: Receiver<RunId>,
    /// The runs that matched when they were last shown, unless they have ended: those never change again.
    shown: HashSet<RunId>,
    /// Runs that have changed, and when they may be looked at.
    changed: HashMap<RunId, Instant>,
    /// Up to when it has heard all.
    heard_until: Millis,
    /// When those were looked at that may not be looked at again yet.
    looked: HashMap<RunId, Instant>,
}

impl Board {
    /// Registered before the first look: what changes from here on is heard.
    pub(in crate::graphql) fn new(store: Store, actor: Actor, filter: Option<RunFilter>) -> Self {
        Self {
            heard: store.bus().here().board(),
            heard_until: store.now(),
            store,
            actor,
            filter,
            shown: HashSet::new(),
            changed: HashMap::new(),
            looked: HashMap::new(),
        }
    }

    /// The active runs that match.
    pub(super) async fn under_way(&mut self) -> domain::Result<Vec<RunChange>> {
        let rows = runs::visible(&self.actor)
            .filter(condition(self.filter.as_ref(), self.store.now())?)
            .filter(runs::is_active())
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

    /// The next changes, of each run at most one per [`PACE`]; none once the bus is gone.
    pub(in crate::graphql) async fn changes(&mut self) -> domain::Result<Option<Vec<RunChange>>> {
        loop {
            let heard = match self.changed.values().min().copied() {
                None => Some(self.heard.recv().await),
                Some(at) => tokio::select! {
                    heard = self.heard.recv() => Some(heard),
                    () = sleep_until(at) => None,
                },
            };
            match heard {
                Some(Ok(run)) => {
                    self.has_changed(run);
                    if self.heard.is_empty() {
                        self.heard_until = self.store.now();
                    }
                }
                Some(Err(RecvError::Lagged(_))) => self.fell_behind().await?,
                Some(Err(RecvError::Closed)) => return Ok(None),
                None => {
                    let changes = self.look().await?;
                    if !changes.is_empty() {
                        return Ok(Some(changes));
                    }
                }
            }
        }
    }

    fn has_changed(&mut self, run: RunId) {
        let soon = Instant::now() + GATHER;
        let allowed = self.looked.get(&run).map(|at| *at + PACE);
        let at = allowed.map_or(soon, |allowed| allowed.max(soon));
        self.changed.entry(run).or_insert(at);
    }

    /// It did not hear everything: whatever is active, is shown or has ended since may have changed.
    async fn fell_behind(&mut self) -> domain::Result<()> {
        let since = self.heard_until.plus(-MARGIN);
        let active = runs::visible(&self.actor)
            .filter(
                Condition::any()
                    .add(runs::is_active())
                    .add(run::Column::EndedAt.gte(since)),
            )
            .select_only()
            .column(run::Column::Id);
        let active = active.into_tuple::<RunId>().all(self.store.read()).await?;
        let shown: Vec<RunId> = self.shown.iter().copied().collect();
        for run in active.into_iter().chain(shown) {
            self.has_changed(run);
        }
        Ok(())
    }

    async fn look(&mut self) -> domain::Result<Vec<RunChange>> {
        let now = Instant::now();
        let due: Vec<RunId> = self
            .changed
            .extract_if(|_, at| *at <= now)
            .map(|(run, _)| run)
            .collect();
        self.looked.retain(|_, at| *at + PACE > now);
        self.looked.extend(due.iter().map(|run| (*run, now)));
        let mut changes = Vec::new();
        for ids in due.chunks(CHUNK) {
            self.compare(ids, &mut changes).await?;
        }
        Ok(changes)
    }

    async fn compare(&mut self, ids: &[RunId], changes: &mut Vec<RunChange>) -> domain::Result<()> {
        // One statement: a run that changes between two of them would match by the one and not by the other.
        let condition = condition(self.filter.as_ref(), self.store.now())?;
        let matches: Expr = Expr::case(condition, 1).finally(0).into();
        let seen = runs::visible(&self.actor)
            .filter(run::Column::Id.is_in(ids.iter().copied()))
            .column_as(matches, "matches")
            .into_model::<Seen>()
            .all(self.store.read())
            .await?;
        for Seen { row, matches } in seen {
            let matches = matches == 1;
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
        Ok(())
    }
}

/// A run, and whether it matches.
#[derive(FromQueryResult)]
struct Seen {
    #[sea_orm(nested)]
    row: run::Model,
    matches: i32,
}
