//! What models write, from the task that hears it to those who watch it, in this process and in others. Bounded and
//! lossy: a slow watcher misses pieces and is told so.
//!
//! A process sends the pieces of a run to others only while one of them says, again and again, that the run is watched
//! there: without a watcher nothing is made and nothing is sent.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use entity::RunId;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, broadcast};
use uuid::Uuid;

use super::queue::{Queue, Sent};

/// Pieces that a watcher may fall behind before it misses some.
const BEHIND: usize = 1024;
/// The longest piece that is sent to another process: a watcher is not shown a longer one anyway.
const LONGEST: usize = 64 * 1024;
/// The most runs that other processes may say they watch.
const AFAR: usize = 16 * 1024;

/// A piece of what a model writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Whether pieces before it were lost on their way here.
    #[serde(skip)]
    pub gap: bool,
}

/// What a piece belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeltaKind {
    /// The reasoning.
    Thinking,
    /// What the model says.
    Text,
    /// The arguments of a call.
    ToolCall,
}

/// A call that is being written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeltaCall {
    /// Its place among the calls of the turn.
    pub place: usize,
    /// The tool.
    pub tool: Arc<str>,
}

/// The runs whose deltas are watched.
#[derive(Debug, Default)]
pub struct Channels {
    /// How many runs there are, so that a process without any never takes the lock.
    known: AtomicUsize,
    runs: Mutex<HashMap<RunId, Channel>>,
    /// Rung when a run begins or ceases to be watched here.
    changed: Notify,
    /// The way to other processes, where there are some.
    out: Option<Queue>,
}

/// Who watches a run.
#[derive(Debug, Default)]
struct Channel {
    /// Those in this process.
    here: Option<broadcast::Sender<Delta>>,
    /// The newest piece that came from another process: whose it was, and its number there.
    heard: Option<(Uuid, u64)>,
    /// Those in others: until when they do if they say no more of it, and the number of the next piece.
    afar: Option<(Instant, u64)>,
}

impl Channel {
    fn is_watched(&self) -> bool {
        self.here.is_some() || self.is_watched_afar()
    }

    fn is_watched_afar(&self) -> bool {
        self.afar.is_some_and(|(until, _)| Instant::now() < until)
    }
}

impl Channels {
    /// With a way to other processes.
    pub(super) fn with(out: Queue) -> Self {
        Self {
            out: Some(out),
            ..Self::default()
        }
    }

    /// Watches a run, until the value is dropped.
    pub fn watch(self: &Arc<Self>, run: RunId) -> Watch {
        let mut runs = self.runs.lock();
        let channel = runs.entry(run).or_default();
        if channel.here.is_none() {
            self.changed.notify_one();
        }
        let sender = channel
            .here
            .get_or_insert_with(|| broadcast::Sender::new(BEHIND));
        let heard = sender.subscribe();
        self.known.store(runs.len(), Ordering::Relaxed);
        Watch {
            run,
            heard,
            channels: self.clone(),
        }
    }

    /// Whether somebody watches the run.
    pub fn is_watched(&self, run: RunId) -> bool {
        self.known.load(Ordering::Relaxed) > 0
            && self.runs.lock().get(&run).is_some_and(Channel::is_watched)
    }

    /// Shows a piece to the run's watchers.
    pub fn send(&self, run: RunId, delta: Delta) {
        let mut runs = self.runs.lock();
        let Some(channel) = runs.get_mut(&run) else {
            return;
        };
        let afar = channel.is_watched_afar();
        if let Some((out, (_, next))) = self
            .out
            .as_ref()
            .zip(channel.afar.as_mut())
            .filter(|_| afar)
        {
            let number = *next;
            *next += 1;
            // What is too long, or finds the queue full, is counted: its watchers see that something is missing.
            if delta.text.len() <= LONGEST {
                out.push(Sent::Delta(run, number, delta.clone()));
            }
        }
        if let Some(sender) = &channel.here {
            // They may all have left meanwhile.
            sender.send(delta).ok();
        }
    }

    /// Shows a piece that came from another process, the one with this number there.
    pub(super) fn hear(&self, run: RunId, from: Uuid, number: u64, delta: Delta) {
        let mut runs = self.runs.lock();
        let Some(channel) = runs.get_mut(&run) else {
            return;
        };
        let gap = match channel.heard {
            // Whoever begins to watch has missed nothing.
            None => false,
            Some((same, last)) if same == from => number != last + 1,
            Some(_) => number != 0,
        };
        channel.heard = Some((from, number));
        if let Some(sender) = &channel.here {
            sender.send(Delta { gap, ..delta }).ok();
        }
    }

    /// Another process watches these runs, and will for so long if it says no more of it.
    pub(super) fn watched_afar(&self, watched: &[RunId], time: Duration) {
        let until = Instant::now() + time;
        let mut runs = self.runs.lock();
        for run in watched {
            if runs.len() >= AFAR && !runs.contains_key(run) {
                continue;
            }
            let channel = runs.entry(*run).or_default();
            let next = match channel.afar {
                None => 0,
                Some((known, next)) if Instant::now() < known => next,
                // Who watches again after a while has missed what was not sent.
                Some((_, next)) => next + 1,
            };
            channel.afar = Some((until, next));
        }
        self.known.store(runs.len(), Ordering::Relaxed);
    }

    /// Forgets what other processes watched once.
    pub(super) fn forget(&self) {
        let mut runs = self.runs.lock();
        runs.retain(|_, channel| channel.is_watched());
        self.known.store(runs.len(), Ordering::Relaxed);
    }

    /// The runs that are watched here.
    pub(super) fn watched_here(&self) -> Vec<RunId> {
        let runs = self.runs.lock();
        let here = runs.iter().filter(|(_, channel)| channel.here.is_some());
        here.map(|(run, _)| *run).collect()
    }

    /// Waits until a run begins or ceases to be watched here.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
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
        if let Some(channel) = runs.get_mut(&self.run) {
            let last = |sender: &broadcast::Sender<Delta>| sender.receiver_count() == 1;
            if channel.here.as_ref().is_some_and(last) {
                (channel.here, channel.heard) = (None, None);
                self.channels.changed.notify_one();
            }
            if !channel.is_watched() {
                runs.remove(&self.run);
            }
        }
        self.channels.known.store(runs.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::queue::{Waiting, queue};
    use super::*;

    fn piece(text: &str) -> Delta {
        Delta {
            turn: 1,
            attempt: 1,
            kind: DeltaKind::Text,
            call: None,
            text: text.into(),
            gap: false,
        }
    }

    /// The numbers of the pieces that were sent to other processes.
    async fn sent(waiting: &mut Waiting) -> Vec<u64> {
        let number = |sent| match sent {
            Sent::Delta(_, number, _) => number,
            Sent::Signal(signal) => panic!("{signal:?} is no piece"),
        };
        waiting.take(100).await.into_iter().map(number).collect()
    }

    fn heard(watch: &mut Watch) -> Vec<(String, bool)> {
        let mut all = Vec::new();
        while let Ok(delta) = watch.heard.try_recv() {
            all.push((delta.text.to_string(), delta.gap));
        }
        all
    }

    #[tokio::test]
    async fn pieces_are_sent_to_others_only_while_they_say_that_they_watch() {
        let (run, long) = (RunId(Uuid::max()), Duration::from_secs(60));
        let (queue, mut waiting) = queue();
        let channels = Arc::new(Channels::with(queue));
        channels.send(run, piece("nobody"));
        assert!(!channels.is_watched(run));
        channels.watched_afar(&[run], long);
        assert!(channels.is_watched(run));
        channels.send(run, piece("a"));
        channels.send(run, piece(&"x".repeat(LONGEST + 1)));
        channels.send(run, piece("c"));
        assert_eq!(sent(&mut waiting).await, [0, 2], "the long one is missing");
        channels.watched_afar(&[run], long);
        channels.send(run, piece("d"));
        // They say no more of it.
        channels.watched_afar(&[run], Duration::ZERO);
        assert!(!channels.is_watched(run));
        channels.send(run, piece("nobody"));
        channels.watched_afar(&[run], long);
        channels.send(run, piece("f"));
        assert_eq!(
            sent(&mut waiting).await,
            [3, 5],
            "one is missing in between"
        );
        channels.watched_afar(&[run], Duration::ZERO);
        channels.forget();
        assert_eq!(channels.known.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn whoever_watches_is_told_of_what_is_missing_and_of_nothing_else() {
        let (run, one, other) = (RunId(Uuid::max()), Uuid::from_u128(1), Uuid::from_u128(2));
        let channels = Arc::new(Channels::default());
        channels.hear(run, one, 0, piece("nobody listens"));
        let mut watch = channels.watch(run);
        // In the middle of it: what was before is not missed.
        channels.hear(run, one, 7, piece("h"));
        channels.hear(run, one, 8, piece("i"));
        channels.hear(run, one, 10, piece("k"));
        channels.hear(run, one, 11, piece("l"));
        // Another worker took the run over; it is heard from its first piece, and after a while it numbers anew.
        channels.hear(run, other, 0, piece("m"));
        channels.hear(run, other, 1, piece("n"));
        channels.hear(run, other, 0, piece("p"));
        channels.hear(run, one, 3, piece("z"));
        let gaps: Vec<(String, bool)> = heard(&mut watch);
        let gaps: Vec<&str> = gaps.iter().filter(|one| one.1).map(|one| &*one.0).collect();
        assert_eq!(gaps, ["k", "p", "z"]);
        // Who watches anew begins anew.
        drop(watch);
        assert_eq!(channels.watched_here(), []);
        let mut watch = channels.watch(run);
        channels.hear(run, one, 900, piece("q"));
        assert_eq!(heard(&mut watch), [("q".to_owned(), false)]);
    }

    #[test]
    fn others_can_say_of_many_runs_that_they_watch_them_and_not_of_all() {
        let channels = Channels::default();
        let runs: Vec<RunId> = (0..2 * AFAR)
            .map(|n| RunId(Uuid::from_u128(n as u128)))
            .collect();
        channels.watched_afar(&runs, Duration::from_secs(60));
        assert_eq!(channels.known.load(Ordering::Relaxed), AFAR);
    }
}
