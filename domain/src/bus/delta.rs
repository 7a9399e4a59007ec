//! What models write, from the task that hears it to those who watch it in this process. Bounded and lossy: a slow
//! watcher misses pieces and is told so.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use entity::RunId;
use parking_lot::Mutex;
use tokio::sync::broadcast;

/// Pieces that a watcher may fall behind before it misses some.
const BEHIND: usize = 1024;

/// A piece of what a model writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// The turn, from 1.
    pub turn: i32,
    /// The try within the turn, from 1: a later one begins anew.
    pub attempt: i32,
    /// What it is a piece of.
    pub kind: DeltaKind,
    /// The call whose arguments are written.
    pub call: Option<DeltaCall>,
    /// The piece.
    pub text: Arc<str>,
}

/// What a piece belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeltaKind {
    /// The reasoning.
    Thinking,
    /// What the model says.
    Text,
    /// The arguments of a call.
    ToolCall,
}

/// A call that is being written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeltaCall {
    /// Its place among the calls of the turn.
    pub place: usize,
    /// The tool.
    pub tool: Arc<str>,
}

/// The runs whose deltas are watched in this process.
#[derive(Debug, Default)]
pub struct Channels {
    /// How many watchers there are, so that a process without any never takes the lock.
    watchers: AtomicUsize,
    runs: Mutex<HashMap<RunId, broadcast::Sender<Delta>>>,
}

impl Channels {
    /// Watches a run, until the value is dropped.
    pub fn watch(self: &Arc<Self>, run: RunId) -> Watch {
        let mut runs = self.runs.lock();
        let sender = runs
            .entry(run)
            .or_insert_with(|| broadcast::Sender::new(BEHIND));
        self.watchers.fetch_add(1, Ordering::Relaxed);
        Watch {
            run,
            heard: sender.subscribe(),
            channels: self.clone(),
        }
    }

    /// Whether somebody watches the run.
    pub fn is_watched(&self, run: RunId) -> bool {
        self.watchers.load(Ordering::Relaxed) > 0 && self.runs.lock().contains_key(&run)
    }

    /// Shows a piece to the run's watchers.
    pub fn send(&self, run: RunId, delta: Delta) {
        if let Some(sender) = self.runs.lock().get(&run) {
            // They may all have left meanwhile.
            sender.send(delta).ok();
        }
    }
}

/// Interest in what the model of one run writes; ends when it is dropped.
#[derive(Debug)]
pub struct Watch {
    run: RunId,
    channels: Arc<Channels>,
    /// What was written since.
    pub heard: broadcast::Receiver<Delta>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut runs = self.channels.runs.lock();
        self.channels.watchers.fetch_sub(1, Ordering::Relaxed);
        if runs
            .get(&self.run)
            .is_some_and(|sender| sender.receiver_count() == 1)
        {
            runs.remove(&self.run);
        }
    }
}
