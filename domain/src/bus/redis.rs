//! The bus between processes, over Redis' publish and subscribe. It carries hints, and what models write while somebody
//! watches; it may lose any of it, and may be gone at any time: who waits for a hint also looks by itself.
//!
//! Everybody hears the *hints*: signals, and which runs a process watches. It says so again at every beat, and is believed
//! for three: so a process knows for which of its runs it must send what their models write, each on a channel of its
//! own. A beat is also the sign that the connection lives, for each process hears itself.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use ::redis::aio::{MultiplexedConnection, PubSubSink, PubSubStream};
use ::redis::{AsyncConnectionConfig, Client, IntoConnectionInfo as _, RedisError};
use entity::{RequestId, RunId};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Signal;
use super::delta::{Channels, Delta};
use super::local::Local;
use super::queue::{Queue, Sent, Waiting, queue};
use crate::error::{Error, Result};

/// How often a process says what it watches.
const BEAT: Duration = Duration::from_secs(2);
/// How long others believe it, and how long a connection may be silent.
const BELIEVED: Duration = Duration::from_secs(7);
/// How long the server may take to answer.
const ANSWER: Duration = Duration::from_secs(2);
/// How long to wait before it is tried again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// The most that is told at a time.
const AT_ONCE: usize = 512;
/// The most runs of one hint.
const RUNS: usize = 1_000;

/// One process's end of a bus over Redis.
#[derive(Debug)]
pub struct Redis {
    client: Client,
    /// What its channels begin with: installations that share a server have databases of their own there.
    prefix: String,
    /// This process, among those that hear it.
    me: Uuid,
    local: Local,
    queue: Queue,
    /// Held by whoever carries.
    waiting: Mutex<Waiting>,
}

/// What everybody hears.
#[derive(Serialize, Deserialize)]
enum Hint {
    /// Something changed.
    Signals(Vec<Signal>),
    /// Runs that the process watches, or some of them.
    Watches(Vec<RunId>),
}

/// A piece of what a model writes, on the channel of its run.
#[derive(Serialize, Deserialize)]
struct Piece {
    number: u64,
    delta: Delta,
}

/// Why it is not carried right now.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("{0}")]
    Redis(#[from] RedisError),
    #[error("it does not answer")]
    Silent,
}

impl Redis {
    pub(super) fn new(url: &str) -> Result<Self> {
        let wrong = |_| {
            // What is wrong with it is not told: it may hold a password.
            let message = "it is no address of Redis, such as redis://host:6379 or rediss://user:password@host:6379/1";
            Error::invalid("redis-url", "INVALID", message)
        };
        let info = url.into_connection_info().map_err(wrong)?;
        let prefix = format!("stint:{}", info.redis_settings().db());
        let (queue, waiting) = queue();
        Ok(Self {
            client: Client::open(info).map_err(wrong)?,
            prefix,
            me: crate::clock::random_id(),
            local: Local::with(Channels::with(queue.clone())),
            queue,
            waiting: Mutex::new(waiting),
        })
    }

    /// This process's end: where to wait.
    pub(super) fn here(&self) -> &Local {
        &self.local
    }

    /// Tells the other processes, if it can be told soon.
    pub(super) fn tell(&self, signal: Signal) {
        self.queue.push(Sent::Signal(signal));
    }

    /// Carries until it is stopped, whatever becomes of the server.
    pub(super) async fn keep_connected(&self, stop: CancellationToken) {
        let mut waiting = self.waiting.lock().await;
        let mut pause = PAUSES.0;
        let carrying = async {
            loop {
                let began = Instant::now();
                let Err(broken) = self.carry(&mut waiting).await;
                if began.elapsed() > BELIEVED {
                    pause = PAUSES.0;
                }
                tracing::warn!(%broken, "Redis can't be used; nothing is lost, and other nodes learn of news a little later");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        };
        stop.run_until_cancelled(carrying).await;
    }

    /// Carries as long as the connection lives.
    async fn carry(&self, waiting: &mut Waiting) -> Result<std::convert::Infallible, Broken> {
        let patience = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER))
            .set_response_timeout(Some(ANSWER));
        let client = &self.client;
        let publish = client.get_multiplexed_async_connection_with_config(&patience);
        let publish = publish.await?;
        let subscribed = async {
            let mut heard = client.get_async_pubsub().await?;
            heard.subscribe(self.hints()).await?;
            Ok::<_, RedisError>(heard.split())
        };
        let (subscribe, heard) = timeout(ANSWER, subscribed)
            .await
            .map_err(|_| Broken::Silent)??;
        // What waits is old. What others said meanwhile was not heard: all that waits looks.
        waiting.clear();
        self.local.miss();
        tracing::info!("connected to Redis");
        let lines = Lines {
            publish,
            subscribe,
            subscribed: HashSet::new(),
        };
        tokio::select! {
            broken = self.listen(heard) => Err(broken),
            Err(broken) = self.speak(lines, waiting) => Err(broken),
        }
    }

    fn hints(&self) -> String {
        format!("{}:hints", self.prefix)
    }

    fn pieces(&self, run: RunId) -> String {
        format!("{}:run:{}", self.prefix, run.0.simple())
    }

    /// Hears until there is silence: at every beat there must be something.
    async fn listen(&self, mut heard: PubSubStream) -> Broken {
        let hints = self.hints();
        loop {
            let Ok(Some(message)) = timeout(BELIEVED, heard.next()).await else {
                return Broken::Silent;
            };
            let (channel, text) = (message.get_channel_name(), message.get_payload_bytes());
            if channel == hints {
                self.hint(text);
            } else if let Some(run) = channel.rsplit(':').next().and_then(|id| id.parse().ok()) {
                self.piece(RunId(run), text);
            }
        }
    }

    fn hint(&self, text: &[u8]) {
        // Of another release, perhaps; it is only a hint.
        let Ok((from, hint)) = serde_json::from_slice::<(Uuid, Hint)>(text) else {
            return;
        };
        if from == self.me {
            return;
        }
        match hint {
            Hint::Signals(signals) => signals.into_iter().for_each(|one| self.local.deliver(one)),
            Hint::Watches(runs) => self.local.deltas().watched_afar(&runs, BELIEVED),
        }
    }

    fn piece(&self, run: RunId, text: &[u8]) {
        if let Ok((from, Piece { number, delta })) = serde_json::from_slice::<(Uuid, Piece)>(text)
            && from != self.me
        {
            self.local.deltas().hear(run, from, number, delta);
        }
    }

    /// Tells what is to be told, and at every beat what is watched here.
    async fn speak(
        &self,
        mut lines: Lines,
        waiting: &mut Waiting,
    ) -> Result<std::convert::Infallible, Broken> {
        let deltas = self.local.deltas();
        let mut beat = Instant::now();
        loop {
            tokio::select! {
                sent = waiting.take(AT_ONCE) => self.publish(&mut lines, sent).await?,
                () = deltas.changed() => self.watch(&mut lines, false).await?,
                () = sleep_until(beat) => {
                    beat = Instant::now() + BEAT;
                    deltas.forget();
                    self.watch(&mut lines, true).await?;
                }
            }
        }
    }

    async fn publish(&self, lines: &mut Lines, sent: Vec<Sent>) -> Result<(), Broken> {
        let mut pipe = ::redis::pipe();
        let mut signals = Signals::default();
        for sent in sent {
            match sent {
                Sent::Signal(signal) => signals.add(signal),
                Sent::Delta(run, number, delta) => {
                    let text = self.letter(&Piece { number, delta });
                    pipe.publish(self.pieces(run), text).ignore();
                }
            }
        }
        let signals = signals.all();
        if !signals.is_empty() {
            // After the pieces: they belong before the end of their run.
            let text = self.letter(&Hint::Signals(signals));
            pipe.publish(self.hints(), text).ignore();
        }
        Ok(pipe.exec_async(&mut lines.publish).await?)
    }

    /// Subscribes to the runs that are watched here, and says which they are: the new ones, or all.
    async fn watch(&self, lines: &mut Lines, all: bool) -> Result<(), Broken> {
        let watched: HashSet<RunId> = self.local.deltas().watched_here().into_iter().collect();
        let names = |runs: &[RunId]| runs.iter().map(|run| self.pieces(*run)).collect::<Vec<_>>();
        let gone: Vec<RunId> = lines.subscribed.difference(&watched).copied().collect();
        let new: Vec<RunId> = watched.difference(&lines.subscribed).copied().collect();
        for some in gone.chunks(RUNS) {
            within(lines.subscribe.unsubscribe(names(some))).await?;
        }
        for some in new.chunks(RUNS) {
            within(lines.subscribe.subscribe(names(some))).await?;
        }
        let mut pipe = ::redis::pipe();
        let told: Vec<RunId> = if all {
            watched.iter().copied().collect()
        } else {
            new
        };
        // At a beat something is said in any case: it is how a process hears that it is heard.
        let beat: &[RunId] = &[];
        let told = told
            .chunks(RUNS)
            .chain((all && told.is_empty()).then_some(beat));
        let mut says = false;
        for some in told {
            let text = self.letter(&Hint::Watches(some.to_vec()));
            pipe.publish(self.hints(), text).ignore();
            says = true;
        }
        if says {
            pipe.exec_async(&mut lines.publish).await?;
        }
        lines.subscribed = watched;
        Ok(())
    }

    fn letter(&self, what: &impl Serialize) -> String {
        // These types always have a JSON form.
        serde_json::to_string(&(self.me, what)).unwrap_or_default()
    }
}

/// A connection, both its directions.
struct Lines {
    publish: MultiplexedConnection,
    subscribe: PubSubSink,
    /// The runs whose channels are subscribed to.
    subscribed: HashSet<RunId>,
}

async fn within(answer: impl Future<Output = ::redis::RedisResult<()>>) -> Result<(), Broken> {
    timeout(ANSWER, answer)
        .await
        .map_err(|_| Broken::Silent)??;
    Ok(())
}

/// Signals that say the same are one; of logs and timelines, how far they grew.
#[derive(Default)]
struct Signals {
    all: HashSet<Signal>,
    runs: HashMap<RunId, i64>,
    requests: HashMap<RequestId, i64>,
}

impl Signals {
    fn add(&mut self, signal: Signal) {
        match signal {
            Signal::Run { run, seq } => {
                let known = self.runs.entry(run).or_default();
                *known = seq.max(*known);
            }
            Signal::Request { request, seq } => {
                let known = self.requests.entry(request).or_default();
                *known = seq.max(*known);
            }
            Signal::Work
            | Signal::Interrupt(_)
            | Signal::Prices(_)
            | Signal::Tools(_)
            | Signal::Alerts => {
                self.all.insert(signal);
            }
        }
    }

    fn all(self) -> Vec<Signal> {
        let runs = self.runs.into_iter();
        let runs = runs.map(|(run, seq)| Signal::Run { run, seq });
        let requests = self.requests.into_iter();
        let requests = requests.map(|(request, seq)| Signal::Request { request, seq });
        self.all.into_iter().chain(runs).chain(requests).collect()
    }
}
