//! What one worker may still reserve of budgets, in memory.
//!
//! What is free and what is being written down is never more than the slice's row says, as long as the row counts:
//! so whoever adds the rows up knows the most that may come.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use entity::{CoworkerId, Millis, WorkspaceId};
use parking_lot::Mutex;
use sea_orm::{ConnectionTrait, QueryResult};
use tokio::sync::Notify;
use uuid::Uuid;

use super::account::{Account, Hold, Taking};
use super::take::{Ask, GiveBack, Refusal, TakeSlices, Taken};
use super::{Key, Scope};
use crate::error::Result;
use crate::store::{Store, statement};

/// How long it is taken as known which budgets have a limit.
const KNOWN: Duration = Duration::from_secs(1);
/// How long a call waits at the most for others to give back what they do not use.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often money is asked for in vain.
const PAUSE: Duration = Duration::from_millis(100);
/// The most workspaces whose budgets are kept in mind.
const WORKSPACES: usize = 1_000;

/// What one worker may still reserve.
#[derive(Debug)]
pub struct Purse {
    worker: Uuid,
    /// How long slices count; half of it they are used.
    pub(super) lease: Duration,
    pub(super) accounts: Mutex<HashMap<Key, Account>>,
    /// One take at a time for a workspace.
    taking: Mutex<HashMap<WorkspaceId, Arc<tokio::sync::Mutex<()>>>>,
    /// A coworker's calls, one after the other; its closing turns beside them.
    queues: Mutex<HashMap<(CoworkerId, bool), Arc<Queue>>>,
    known: Mutex<Known>,
    /// Rung when a call has ended.
    pub(super) settled: Notify,
}

/// A budget, and what may be spent of it, nano-USD.
type Limited = (Key, i64);
/// Of each workspace: when it was read, and what has a limit.
type Known = HashMap<WorkspaceId, (Instant, Arc<Vec<Limited>>)>;
/// Where calls wait for money. The newest refusal: when it was said, and to a call that needed how much.
type Queue = tokio::sync::Mutex<Option<(Instant, i64, Refusal)>>;

/// What became of a reservation.
#[derive(Debug)]
pub enum Reserved {
    /// No budget applies.
    Free,
    /// The call may cost so much.
    Held(Hold),
    /// What is left of a budget is not enough.
    Refused(Refusal),
}

impl Purse {
    /// An empty one. `lease`: how long a run is held without renewal; slices outlive it.
    pub fn new(worker: Uuid, lease: Duration) -> Self {
        Self {
            worker,
            lease: (lease * 4).max(Duration::from_secs(60)),
            accounts: Mutex::default(),
            taking: Mutex::default(),
            queues: Mutex::default(),
            known: Mutex::default(),
            settled: Notify::new(),
        }
    }

    /// Reserves what a call of a coworker's model may cost, in every budget that applies: `want` if it can be had,
    /// `least` at least. Waits a while for calls under way to give back what they do not use.
    ///
    /// # Errors
    /// What the database said.
    pub async fn reserve(
        self: &Arc<Self>,
        store: &Store,
        whose @ (workspace, coworker): (WorkspaceId, CoworkerId),
        (want, least): (i64, i64),
        closing: bool,
    ) -> Result<Reserved> {
        let came = Instant::now();
        let mut budgets = self.budgets(store, whose).await?;
        if budgets.is_empty() {
            return Ok(Reserved::Free);
        }
        let queue = self
            .queues
            .lock()
            .entry((coworker, closing))
            .or_default()
            .clone();
        let turnstile = self.taking.lock().entry(workspace).or_default().clone();
        // Whoever is first in the queue asks for all: the others cost nothing meanwhile, and need no answer of their
        // own where it would be the same.
        let mut refused = queue.lock().await;
        if let Some((at, least_then, refusal)) = &*refused
            && *least_then <= least
            && (refusal.lasting && came < *at || came.elapsed() >= PATIENCE && at.elapsed() < PAUSE)
        {
            return Ok(Reserved::Refused(*refusal));
        }
        let mut asked: Option<Instant> = None;
        loop {
            let keys: Vec<Key> = budgets.iter().map(|(key, _)| *key).collect();
            if keys.is_empty() {
                return Ok(Reserved::Free);
            }
            let settled = self.settled.notified();
            if let Some(hold) = self.at_hand(&keys, want, closing, store.now()) {
                return Ok(Reserved::Held(hold));
            }
            let patient = came.elapsed() < PATIENCE;
            if !patient || asked.is_none_or(|at| at.elapsed() >= PAUSE) {
                asked = Some(Instant::now());
                let _one = turnstile.lock().await;
                // Another coworker's call may have taken enough for both meanwhile.
                if let Some(hold) = self.at_hand(&keys, want, closing, store.now()) {
                    return Ok(Reserved::Held(hold));
                }
                let take = Take {
                    workspace,
                    keys,
                    want,
                    least,
                    closing,
                    patient,
                };
                match self.take(store, take).await? {
                    Some(Reserved::Refused(refusal)) => {
                        *refused = Some((Instant::now(), least, refusal));
                        return Ok(Reserved::Refused(refusal));
                    }
                    Some(reserved) => return Ok(reserved),
                    None => {}
                }
            }
            tokio::select! {
                () = settled => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
            budgets = self.budgets(store, whose).await?;
        }
    }

    /// The budgets that apply to a coworker, with their limits, as they were a second ago at the most.
    ///
    /// # Errors
    /// What the database said.
    pub async fn budgets(
        &self,
        store: &Store,
        (workspace, coworker): (WorkspaceId, CoworkerId),
    ) -> Result<Vec<(Key, i64)>> {
        let known = self.limited(store, workspace).await?;
        let applies = |(key, _): &&Limited| match key.scope {
            Scope::Coworker(id) => id == coworker,
            Scope::Workspace(_) => true,
        };
        Ok(known.iter().filter(applies).copied().collect())
    }

    /// Reserves out of what is there; none if it is not enough.
    fn at_hand(
        self: &Arc<Self>,
        keys: &[Key],
        want: i64,
        closing: bool,
        now: Millis,
    ) -> Option<Hold> {
        let mut accounts = self.accounts.lock();
        let enough = keys.iter().all(|key| {
            let account = accounts.get(key);
            account.is_some_and(|account| account.counts(*key, now) && account.free >= want)
        });
        if !enough {
            return None;
        }
        for key in keys {
            if let Some(account) = accounts.get_mut(key) {
                account.free -= want;
                account.pending += want;
            }
        }
        drop(accounts);
        Some(self.hold(keys.to_vec(), want, closing))
    }

    fn hold(self: &Arc<Self>, keys: Vec<Key>, amount: i64, closing: bool) -> Hold {
        Hold {
            purse: self.clone(),
            keys,
            amount,
            closing,
            written: false,
        }
    }

    /// Takes slices; none if it is to be tried again.
    async fn take(self: &Arc<Self>, store: &Store, take: Take) -> Result<Option<Reserved>> {
        let Take {
            workspace,
            mut keys,
            want,
            least,
            closing,
            patient,
        } = take;
        // The order of locks.
        keys.sort_unstable_by_key(|key| (key.scope.id(), key.period));
        let taking = self.begin(&keys, store.now());
        let taken_at = Instant::now();
        let command = TakeSlices {
            worker: self.worker,
            workspace,
            asks: taking.asks.clone(),
            want,
            least,
            closing,
            patient,
            lease_ms: i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX),
        };
        match store.write(command).await? {
            Taken::Granted(granted) => {
                taking.finish(&granted, taken_at);
                let hold = self.hold(keys, granted.amount, closing);
                Ok(Some(Reserved::Held(hold)))
            }
            Taken::Busy => Ok(None),
            Taken::Refused(refusal) => Ok(Some(Reserved::Refused(refusal))),
        }
    }

    /// Takes in hand what is free; what does not count any more is let go.
    fn begin(&self, keys: &[Key], now: Millis) -> Taking<'_> {
        let mut accounts = self.accounts.lock();
        let ask = |key: &Key| {
            let account = accounts.entry(*key).or_insert_with(Account::new);
            if !account.counts(*key, now) {
                account.free = 0;
            }
            let free = std::mem::take(&mut account.free);
            account.pending += free;
            account.taking = true;
            let held = account.held();
            // The row says this from now on, or still says more.
            account.reported = held;
            Ask {
                key: *key,
                free,
                held,
            }
        };
        let asks = keys.iter().map(ask).collect();
        drop(accounts);
        Taking { purse: self, asks }
    }

    /// The budgets of a workspace and its coworkers that have a limit.
    async fn limited(&self, store: &Store, workspace: WorkspaceId) -> Result<Arc<Vec<Limited>>> {
        if let Some((read_at, keys)) = self.known.lock().get(&workspace)
            && read_at.elapsed() < KNOWN
        {
            return Ok(keys.clone());
        }
        let read_at = Instant::now();
        let keys = Arc::new(limits(store, workspace).await?);
        let mut known = self.known.lock();
        if known.len() >= WORKSPACES {
            known.clear();
        }
        known.insert(workspace, (read_at, keys.clone()));
        Ok(keys)
    }

    /// Gives everything back. Nothing may be reserved any more.
    ///
    /// # Errors
    /// What the database said; then the slices' time runs out.
    pub async fn give_back(&self, store: &Store) -> Result<()> {
        let left: Vec<(Key, i64)> = {
            let mut accounts = self.accounts.lock();
            if accounts.is_empty() {
                return Ok(());
            }
            let left = accounts
                .drain()
                .map(|(key, mut account)| (key, account.held()));
            left.filter(|(_, nano)| *nano > 0).collect()
        };
        let (worker, lease_ms) = (self.worker, self.lease.as_millis());
        let lease_ms = i64::try_from(lease_ms).unwrap_or(i64::MAX);
        let command = GiveBack {
            worker,
            left,
            lease_ms,
        };
        store.write(command).await
    }
}

/// The budgets of a workspace and its coworkers that have a limit, each with its limit, nano-USD.
///
/// # Errors
/// What the database said.
pub async fn limits(store: &Store, workspace: WorkspaceId) -> Result<Vec<(Key, i64)>> {
    let sql = "SELECT id, daily_budget_nano, monthly_budget_nano, 1 AS one FROM coworker \
               WHERE workspace_id = ? AND (daily_budget_nano IS NOT NULL OR monthly_budget_nano IS NOT NULL) \
               UNION ALL SELECT id, daily_budget_nano, monthly_budget_nano, 0 FROM workspace \
               WHERE id = ? AND (daily_budget_nano IS NOT NULL OR monthly_budget_nano IS NOT NULL)";
    let values = [workspace.into(), workspace.into()];
    let rows = store
        .read()
        .query_all_raw(statement(store.backend(), sql, values))
        .await?;
    let mut keys = Vec::new();
    for row in rows {
        keys.extend(limited(&row)?);
    }
    Ok(keys)
}

/// What is to be taken.
struct Take {
    workspace: WorkspaceId,
    keys: Vec<Key>,
    want: i64,
    least: i64,
    closing: bool,
    patient: bool,
}

fn limited(row: &QueryResult) -> Result<impl Iterator<Item = Limited>> {
    let id: Uuid = row.try_get("", "id")?;
    let one: i32 = row.try_get("", "one")?;
    let scope = if one == 1 {
        Scope::Coworker(CoworkerId(id))
    } else {
        Scope::Workspace(WorkspaceId(id))
    };
    let daily = row.try_get("", "daily_budget_nano")?;
    let monthly = row.try_get("", "monthly_budget_nano")?;
    Ok(Key::limited(scope, daily, monthly))
}
