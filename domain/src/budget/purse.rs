//! What one worker may still reserve of budgets, in memory.
//!
//! What is free and what is being written down is never more than the slice's row says, as long as the row counts:
//! so whoever adds the rows up knows the most that may come.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use entity::{CoworkerId, Millis, WorkspaceId};
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedMutexGuard, oneshot};
use tokio::time::timeout;
use uuid::Uuid;

use super::account::{Account, Hold, Taking};
use super::known::{Known, Limited};
use super::rows::{GiveBack, OVERTAKEN};
use super::take::{Ask, Refusal, TakeSlices, Taken};
use super::{Key, Scope};
use crate::error::{Error, Result};
use crate::store::Store;

/// How long a call waits at the most for others to give back what they do not use.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often money is asked for in vain.
const PAUSE: Duration = Duration::from_millis(100);
/// The most budgets, queues and workspaces that are kept in mind while nobody uses them.
const IDLE: usize = 1_000;
/// How long a take that is under way may keep others from going away.
const FAREWELL: Duration = Duration::from_secs(5);

/// What one worker may still reserve.
#[derive(Debug)]
pub struct Purse {
    worker: Uuid,
    /// How long slices count; half of it they are used.
    pub(super) lease: Duration,
    pub(super) accounts: Mutex<HashMap<Key, Account>>,
    /// One take at a time for a workspace.
    taking: Mutex<HashMap<WorkspaceId, Arc<Turnstile>>>,
    /// The number of the newest take.
    takes: AtomicI64,
    /// A coworker's calls, one after the other; its closing turns beside them.
    queues: Mutex<HashMap<(CoworkerId, bool), Arc<Queue>>>,
    known: Known,
    /// Rung when a call has ended.
    pub(super) settled: Notify,
}

/// Whoever takes slices is in it until it is known what became of them.
type Turnstile = tokio::sync::Mutex<()>;
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
            takes: AtomicI64::new(0),
            queues: Mutex::default(),
            known: Known::default(),
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
        let queue = used(&self.queues, (coworker, closing));
        let turnstile = used(&self.taking, workspace);
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
                let one = turnstile.clone().lock_owned().await;
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
                match self.take(store, take, one).await? {
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
        let known = self.known.limited(store, workspace).await?;
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
        let mut not_after = Millis(i64::MAX);
        for key in keys {
            if let Some(account) = accounts.get_mut(key) {
                account.free -= want;
                account.pending += want;
                not_after = not_after.min(account.not_after);
            }
        }
        drop(accounts);
        Some(Hold::new(self, keys.to_vec(), want, closing, not_after))
    }

    /// Takes slices; none if it is to be tried again. It goes on in a task of its own, which leaves the turnstile when
    /// it is known what became of it: what a caller gave up must not be committed beside what the next one takes.
    async fn take(
        self: &Arc<Self>,
        store: &Store,
        take: Take,
        one: OwnedMutexGuard<()>,
    ) -> Result<Option<Reserved>> {
        let (purse, store) = (self.clone(), store.clone());
        let (reply, answer) = oneshot::channel();
        tokio::spawn(async move {
            let taken = purse.take_now(&store, take).await;
            drop(one);
            if let Err(Ok(Some(Reserved::Held(hold)))) = reply.send(taken) {
                hold.unused();
            }
        });
        let gone = |_| {
            Err(Error::internal(
                "slices of a budget were taken, and no answer came",
            ))
        };
        answer.await.unwrap_or_else(gone)
    }

    async fn take_now(self: &Arc<Self>, store: &Store, take: Take) -> Result<Option<Reserved>> {
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
            seq: self.takes.fetch_add(1, Ordering::Relaxed) + 1,
        };
        match store.write(command).await {
            Ok(Taken::Granted(granted)) => {
                let not_after = taking.finish(&granted, taken_at);
                let hold = Hold::new(self, keys, granted.amount, closing, not_after);
                Ok(Some(Reserved::Held(hold)))
            }
            Ok(Taken::Busy)
            | Err(Error::Conflict {
                code: OVERTAKEN, ..
            }) => Ok(None),
            Ok(Taken::Refused(refusal)) => Ok(Some(Reserved::Refused(refusal))),
            Err(err) => Err(err),
        }
    }

    /// Takes in hand what is free; what does not count any more is let go.
    fn begin(&self, keys: &[Key], now: Millis) -> Taking<'_> {
        let mut accounts = self.accounts.lock();
        if accounts.len() >= IDLE {
            accounts.retain(|_, account| account.is_used());
        }
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

    /// Gives everything back. Nothing may be reserved any more.
    ///
    /// # Errors
    /// What the database said; then the slices' time runs out.
    pub async fn give_back(&self, store: &Store) -> Result<()> {
        // What was given up in the middle of a take is known first.
        let turnstiles: Vec<_> = self.taking.lock().values().cloned().collect();
        for turnstile in turnstiles {
            drop(timeout(FAREWELL, turnstile.lock()).await);
        }
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
            seq: self.takes.fetch_add(1, Ordering::Relaxed) + 1,
        };
        store.write(command).await
    }
}

/// What somebody is about to use. What nobody uses is forgotten before there is too much of it.
fn used<K: Eq + Hash, T: Default>(all: &Mutex<HashMap<K, Arc<T>>>, key: K) -> Arc<T> {
    let mut all = all.lock();
    if all.len() >= IDLE && !all.contains_key(&key) {
        all.retain(|_, one| Arc::strong_count(one) > 1);
    }
    all.entry(key).or_default().clone()
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
