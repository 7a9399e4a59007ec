//! One process's end of the bus: who waits for what.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use entity::{RequestId, RunId};
use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast, watch};

use super::Signal;
use crate::run::log::Logged;

/// Events of a watched run that are kept in memory; who falls further behind pages the database.
const RING: usize = 256;
/// Changes that a slow board may fall behind before it has to query again.
const BOARD: usize = 4096;

/// Where this process's tasks wait for changes.
#[derive(Debug)]
pub struct Local {
    work: watch::Sender<u64>,
    prices: watch::Sender<u64>,
    board: broadcast::Sender<RunId>,
    runs: Channels<RunId>,
    requests: Channels<RequestId>,
    interrupts: Mutex<HashMap<RunId, Arc<Notify>>>,
}

impl Default for Local {
    fn default() -> Self {
        Self {
            work: watch::Sender::new(0),
            prices: watch::Sender::new(0),
            board: broadcast::Sender::new(BOARD),
            runs: Channels::default(),
            requests: Channels::default(),
            interrupts: Mutex::default(),
        }
    }
}

impl Local {
    /// Rung when there may be work.
    pub fn work(&self) -> watch::Receiver<u64> {
        self.work.subscribe()
    }

    /// Rung when prices changed; the number grows with each change.
    pub fn prices(&self) -> watch::Receiver<u64> {
        self.prices.subscribe()
    }

    /// Every run whose log grew. A receiver that lags must query again.
    pub fn board(&self) -> broadcast::Receiver<RunId> {
        self.board.subscribe()
    }

    /// Registers interest in a run's log. Register before you look.
    pub fn watch_run(self: &Local, run: RunId) -> Watched<RunId> {
        self.runs.watch(run)
    }

    /// Registers interest in a request's timeline. Register before you look.
    pub fn watch_request(&self, request: RequestId) -> Watched<RequestId> {
        self.requests.watch(request)
    }

    /// The watched runs, for the safety net that looks without having been rung.
    pub fn watched_runs(&self) -> Vec<RunId> {
        self.runs.0.lock().keys().copied().collect()
    }

    /// The watched requests, for the safety net.
    pub fn watched_requests(&self) -> Vec<RequestId> {
        self.requests.0.lock().keys().copied().collect()
    }

    /// Registers the task that executes a run; it is notified when it shall look at the log.
    pub fn executing(&self, run: RunId) -> Arc<Notify> {
        self.interrupts.lock().entry(run).or_default().clone()
    }

    /// The run is not executed here any more.
    pub fn executed(&self, run: RunId) {
        self.interrupts.lock().remove(&run);
    }

    /// Hands committed events to the run's watchers, if it has any.
    pub fn publish(&self, run: RunId, items: &[Arc<Logged>]) {
        let Some(last) = items.last() else { return };
        let channel = self.runs.0.lock().get(&run).cloned();
        if let Some(channel) = channel {
            channel.ring.lock().push(items);
            channel.rise(last.event.seq);
        }
        // Nobody may look at boards right now.
        self.board.send(run).ok();
    }

    pub(crate) fn deliver(&self, signal: Signal) {
        match signal {
            Signal::Work => self.work.send_modify(|n| *n += 1),
            Signal::Prices(_) => self.prices.send_modify(|n| *n += 1),
            Signal::Run { run, seq } => {
                self.runs.rise(run, seq);
                self.board.send(run).ok();
            }
            Signal::Request { request, seq } => self.requests.rise(request, seq),
            Signal::Interrupt(run) => {
                if let Some(notify) = self.interrupts.lock().get(&run) {
                    notify.notify_one();
                }
            }
        }
    }
}

/// The channels of what is being watched; one lives as long as somebody watches.
#[derive(Debug)]
struct Channels<K>(Arc<Mutex<HashMap<K, Arc<Channel>>>>);

impl<K> Default for Channels<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash + Copy> Channels<K> {
    fn watch(&self, key: K) -> Watched<K> {
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
}

#[derive(Debug)]
struct Channel {
    seq: watch::Sender<i64>,
    ring: Mutex<Ring>,
}

impl Default for Channel {
    fn default() -> Self {
        Self {
            seq: watch::Sender::new(0),
            ring: Mutex::default(),
        }
    }
}

impl Channel {
    fn rise(&self, seq: i64) {
        self.seq.send_if_modified(|known| {
            let higher = seq > *known;
            *known = (*known).max(seq);
            higher
        });
    }
}

/// The newest events of a watched run: consecutive, and only what this process has seen.
#[derive(Debug, Default)]
struct Ring {
    items: VecDeque<Arc<Logged>>,
}

impl Ring {
    fn push(&mut self, items: &[Arc<Logged>]) {
        for item in items {
            let next = self.items.back().map(|last| last.event.seq + 1);
            match next {
                Some(next) if item.event.seq < next => continue,
                // A hole: someone else appended. What was before it is in the database.
                Some(next) if item.event.seq > next => self.items.clear(),
                Some(_) | None => {}
            }
            if self.items.len() == RING {
                self.items.pop_front();
            }
            self.items.push_back(item.clone());
        }
    }

    fn after(&self, seq: i64, most: usize) -> Option<Vec<Arc<Logged>>> {
        let first = self.items.front()?.event.seq;
        if seq + 1 < first {
            return None;
        }
        let skip = usize::try_from(seq + 1 - first).unwrap_or(0);
        Some(self.items.iter().skip(skip).take(most).cloned().collect())
    }
}

/// Interest in one run or request; ends when it is dropped.
#[derive(Debug)]
pub struct Watched<K: Eq + Hash> {
    key: K,
    channel: Arc<Channel>,
    seen: watch::Receiver<i64>,
    channels: Arc<Mutex<HashMap<K, Arc<Channel>>>>,
}

impl<K: Eq + Hash> Watched<K> {
    /// Waits until the sequence may have grown past `seq`.
    pub async fn past(&mut self, seq: i64) {
        // The sender lives in the channel that this value holds.
        self.seen.wait_for(|known| *known > seq).await.ok();
    }

    /// The events after `seq` from memory, at most `most`; `None` if memory does not reach back so far, or
    /// not so far forward: others append too (a person's stop, another node), and only the database has that.
    pub(crate) fn ring_after(&self, seq: i64, most: usize) -> Option<Vec<Arc<Logged>>> {
        let items = self.channel.ring.lock().after(seq, most)?;
        (!items.is_empty() || *self.seen.borrow() <= seq).then_some(items)
    }
}

impl<K: Eq + Hash> Drop for Watched<K> {
    fn drop(&mut self) {
        let mut channels = self.channels.lock();
        if self.channel.seq.receiver_count() == 1 {
            channels.remove(&self.key);
        }
    }
}
