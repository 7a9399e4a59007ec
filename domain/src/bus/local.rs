//! One process's end of the bus: who waits for what.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use entity::{RequestId, RunId, request_event};
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast, watch};
use uuid::Uuid;

use super::Signal;
use super::delta;
use crate::run::log::Logged;

/// Items of what is watched that are kept in memory; who falls further behind pages the database.
const RING: usize = 256;
/// Changes that a slow board may fall behind before it has to query again.
const BOARD: usize = 4096;

/// Where this process's tasks wait for changes.
#[derive(Debug)]
pub struct Local {
    work: watch::Sender<u64>,
    prices: watch::Sender<u64>,
    tools: watch::Sender<u64>,
    alerts: watch::Sender<u64>,
    board: broadcast::Sender<RunId>,
    runs: Channels<RunId, Logged>,
    requests: Channels<RequestId, request_event::Model>,
    interrupts: Mutex<HashMap<RunId, Arc<Notify>>>,
    /// A run was rung that nobody executes here: it may be free.
    unheld: AtomicBool,
    deltas: Arc<delta::Channels>,
    /// Signals may have been missed.
    missed: Notify,
}

impl Default for Local {
    fn default() -> Self {
        Self {
            work: watch::Sender::new(0),
            prices: watch::Sender::new(0),
            tools: watch::Sender::new(0),
            alerts: watch::Sender::new(0),
            board: broadcast::Sender::new(BOARD),
            runs: Channels::default(),
            requests: Channels::default(),
            interrupts: Mutex::default(),
            unheld: AtomicBool::new(false),
            deltas: Arc::default(),
            missed: Notify::new(),
        }
    }
}

impl Local {
    /// An end of a bus that has other ends.
    pub(super) fn with(deltas: delta::Channels) -> Self {
        Self {
            deltas: Arc::new(deltas),
            ..Self::default()
        }
    }

    /// Rung when there may be work.
    pub fn work(&self) -> watch::Receiver<u64> {
        self.work.subscribe()
    }

    /// Rung when prices changed; the number grows with each change.
    pub fn prices(&self) -> watch::Receiver<u64> {
        self.prices.subscribe()
    }

    /// Rung when servers of tools or their secrets changed; the number grows with each change.
    pub fn tools(&self) -> watch::Receiver<u64> {
        self.tools.subscribe()
    }

    /// Rung when there may be alerts to send.
    pub fn alerts(&self) -> watch::Receiver<u64> {
        self.alerts.subscribe()
    }

    /// Every run whose log grew. A receiver that lags must query again.
    pub fn board(&self) -> broadcast::Receiver<RunId> {
        self.board.subscribe()
    }

    /// Registers interest in a run's log. Register before you look.
    pub fn watch_run(&self, run: RunId) -> Watched<RunId, Logged> {
        self.runs.watch(run)
    }

    /// Registers interest in a request's timeline. Register before you look.
    pub fn watch_request(&self, request: RequestId) -> Watched<RequestId, request_event::Model> {
        self.requests.watch(request)
    }

    /// What models write in this process, for those who watch it.
    pub fn deltas(&self) -> &Arc<delta::Channels> {
        &self.deltas
    }

    /// The watched runs, for the safety net that looks without having been rung.
    pub fn watched_runs(&self) -> Vec<RunId> {
        self.runs.0.lock().keys().copied().collect()
    }

    /// The watched requests, for the safety net.
    pub fn watched_requests(&self) -> Vec<RequestId> {
        self.requests.0.lock().keys().copied().collect()
    }

    /// Waits until signals of other processes may have been missed: whoever looks from time to time looks now.
    pub async fn missed(&self) {
        self.missed.notified().await;
    }

    /// What other processes signalled may not have come here: all that waits looks.
    pub(super) fn miss(&self) {
        self.missed.notify_one();
        let nobody = entity::WorkspaceId(Uuid::nil());
        for signal in [
            Signal::Work,
            Signal::Prices(nobody),
            Signal::Tools(nobody),
            Signal::Alerts,
        ] {
            self.deliver(signal);
        }
        self.unheld.store(true, Ordering::Relaxed);
    }

    /// Registers the task that executes a run; it is notified when it shall look at the log.
    pub fn executing(&self, run: RunId) -> Arc<Notify> {
        self.interrupts.lock().entry(run).or_default().clone()
    }

    /// The run is not executed here any more; gives whether it was rung and whoever executed it did not look.
    pub fn executed(&self, run: RunId) -> bool {
        let notify = self.interrupts.lock().remove(&run);
        notify.is_some_and(|notify| notify.notified().now_or_never().is_some())
    }

    /// Whether a run was rung since the last time that nobody executes here: it may be free to be taken over.
    pub fn take_unheld(&self) -> bool {
        self.unheld.swap(false, Ordering::Relaxed)
    }

    /// Hands committed events to the run's watchers, if it has any.
    pub(super) fn publish(&self, run: RunId, items: &[Arc<Logged>]) {
        if items.is_empty() {
            return;
        }
        self.runs.publish(run, items.iter().cloned());
        // Nobody may look at boards right now.
        self.board.send(run).ok();
    }

    /// Hands committed entries of timelines to those who watch them.
    pub(super) fn publish_entries(&self, entries: Vec<request_event::Model>) {
        for entry in entries {
            self.requests.publish(entry.request_id, [Arc::new(entry)]);
        }
    }

    /// Whether somebody looks at a board.
    pub(crate) fn has_boards(&self) -> bool {
        self.board.receiver_count() > 0
    }

    /// The safety net found that a run's log has grown to `seq`: its watchers may not know yet.
    pub(crate) fn found_run(&self, run: RunId, seq: i64) {
        self.runs.rise(run, seq);
    }

    /// The safety net found runs that boards may not have heard of.
    pub(crate) fn found_on_boards(&self, run: RunId) {
        self.board.send(run).ok();
    }

    pub(crate) fn deliver(&self, signal: Signal) {
        match signal {
            Signal::Work => self.work.send_modify(|n| *n += 1),
            Signal::Prices(_) => self.prices.send_modify(|n| *n += 1),
            Signal::Tools(_) => self.tools.send_modify(|n| *n += 1),
            Signal::Alerts => self.alerts.send_modify(|n| *n += 1),
            Signal::Run { run, seq } => {
                self.runs.rise(run, seq);
                self.board.send(run).ok();
            }
            Signal::Request { request, seq } => self.requests.rise(request, seq),
            Signal::Interrupt(run) => {
                if let Some(notify) = self.interrupts.lock().get(&run) {
                    notify.notify_one();
                } else {
                    self.unheld.store(true, Ordering::Relaxed);
                }
            }
        }
    }
}

/// The channels of what is being watched; one lives as long as somebody watches.
#[derive(Debug)]
struct Channels<K, T>(Arc<Mutex<HashMap<K, Arc<Channel<T>>>>>);

impl<K, T> Default for Channels<K, T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash + Copy, T: Item> Channels<K, T> {
    fn watch(&self, key: K) -> Watched<K, T> {
        let mut channels = self.0.lock();
        let channel = channels.entry(key).or_default().clone();
        // Counted while the map is locked, so that the last one to leave can't remove it meanwhile.
        let seen = channel.seq.subscribe();
        Watched {
            key,
            channel,
            seen,
            channels: self.0.clone(),
        }
    }

    fn rise(&self, key: K, seq: i64) {
        let channel = self.0.lock().get(&key).cloned();
        if let Some(channel) = channel {
            channel.rise(seq);
        }
    }

    fn publish(&self, key: K, items: impl IntoIterator<Item = Arc<T>>) {
        let channel = self.0.lock().get(&key).cloned();
        if let Some(channel) = channel {
            let last = channel.ring.lock().push(items);
            channel.rise(last);
        }
    }
}

/// What rings hold: items of a log, numbered without gaps.
pub trait Item {
    /// Its sequence.
    fn seq(&self) -> i64;
}

impl Item for Logged {
    fn seq(&self) -> i64 {
        self.event.seq
    }
}

impl Item for request_event::Model {
    fn seq(&self) -> i64 {
        self.seq
    }
}

#[derive(Debug)]
struct Channel<T> {
    seq: watch::Sender<i64>,
    ring: Mutex<Ring<T>>,
}

impl<T> Default for Channel<T> {
    fn default() -> Self {
        Self {
            seq: watch::Sender::new(0),
            ring: Mutex::new(Ring {
                items: VecDeque::new(),
            }),
        }
    }
}

impl<T> Channel<T> {
    fn rise(&self, seq: i64) {
        self.seq.send_if_modified(|known| {
            let higher = seq > *known;
            *known = (*known).max(seq);
            higher
        });
    }
}

/// The newest items of what is watched: consecutive, and only what this process has seen.
#[derive(Debug)]
struct Ring<T> {
    items: VecDeque<Arc<T>>,
}

impl<T: Item> Ring<T> {
    /// Adds items; gives the sequence of the newest of them.
    fn push(&mut self, items: impl IntoIterator<Item = Arc<T>>) -> i64 {
        let mut newest = 0;
        for item in items {
            newest = newest.max(item.seq());
            let next = self.items.back().map(|last| last.seq() + 1);
            match next {
                Some(next) if item.seq() < next => continue,
                // A hole: someone else appended. What was before it is in the database.
                Some(next) if item.seq() > next => self.items.clear(),
                Some(_) | None => {}
            }
            if self.items.len() == RING {
                self.items.pop_front();
            }
            self.items.push_back(item);
        }
        newest
    }

    fn after(&self, seq: i64, most: usize) -> Option<Vec<Arc<T>>> {
        let first = self.items.front()?.seq();
        if seq + 1 < first {
            return None;
        }
        let skip = usize::try_from(seq + 1 - first).unwrap_or(0);
        Some(self.items.iter().skip(skip).take(most).cloned().collect())
    }
}

/// Interest in one run or request; ends when it is dropped.
#[derive(Debug)]
pub struct Watched<K: Eq + Hash, T> {
    key: K,
    channel: Arc<Channel<T>>,
    seen: watch::Receiver<i64>,
    channels: Arc<Mutex<HashMap<K, Arc<Channel<T>>>>>,
}

/// Where to find what comes after a sequence.
pub(crate) enum Next<T> {
    /// Here, in order.
    Items(Vec<Arc<T>>),
    /// Memory does not reach back so far, or not so far forward: others append too (a person's stop, another
    /// node), and only the database has that.
    Database,
    /// Nothing is known to come after it.
    Nothing,
}

impl<K: Eq + Hash, T: Item> Watched<K, T> {
    /// Waits until the sequence may have grown past `seq`.
    pub async fn past(&mut self, seq: i64) {
        // The sender lives in the channel that this value holds.
        self.seen.wait_for(|known| *known > seq).await.ok();
    }

    /// The database was seen to hold all up to `seq`.
    pub fn known(&self, seq: i64) {
        self.channel.rise(seq);
    }

    /// What comes after `seq`, at most `most` items.
    pub(crate) fn after(&self, seq: i64, most: usize) -> Next<T> {
        let items = self.channel.ring.lock().after(seq, most);
        match items {
            Some(items) if !items.is_empty() => Next::Items(items),
            _ if *self.seen.borrow() <= seq => Next::Nothing,
            Some(_) | None => Next::Database,
        }
    }
}

impl<K: Eq + Hash, T> Drop for Watched<K, T> {
    fn drop(&mut self) {
        let mut channels = self.channels.lock();
        if self.channel.seq.receiver_count() == 1 {
            channels.remove(&self.key);
        }
    }
}
