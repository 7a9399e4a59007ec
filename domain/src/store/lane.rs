//! Lanes: who runs the batches.

use entity::RunId;
use tokio::sync::{mpsc, oneshot};

use super::append::{Append, Applied};
use super::batch::Bench;
use super::job::{Erased, Job};
use super::{Store, stopped};
use crate::error::{Error, Result};

/// Jobs that may wait in a lane; a caller beyond waits for a place.
const QUEUE: usize = 1024;
/// The most jobs of one batch.
const BATCH: usize = 128;

/// The lanes of a store.
pub(super) struct Lanes {
    /// One for the commands, and on SQLite for everything.
    commands: mpsc::Sender<Job>,
    /// PostgreSQL: lanes for the appends.
    appends: Vec<mpsc::Sender<Job>>,
}

impl Lanes {
    /// SQLite: one writer for everything.
    ///
    /// # Errors
    /// [`Error::Internal`] if the system has no room for its thread.
    pub(super) fn one(bench: Bench) -> Result<Self> {
        Ok(Self {
            commands: thread(bench)?,
            appends: Vec::new(),
        })
    }

    /// PostgreSQL: `commands` has a side where what can't go on there is run, see [`Bench::side`].
    pub(super) fn many(appends: Vec<Bench>, commands: Bench) -> Self {
        Self {
            commands: spawn(commands),
            appends: appends.into_iter().map(spawn).collect(),
        }
    }

    pub(super) async fn append(
        &self,
        append: Append,
        reply: oneshot::Sender<Result<Applied>>,
    ) -> Result<()> {
        let lane = match self.appends.len() {
            0 => &self.commands,
            n => &self.appends[Store::lane_of(append.run, n)],
        };
        lane.send(Job::Append(Box::new(append), reply))
            .await
            .map_err(|_| stopped())
    }

    pub(super) async fn command(&self, command: Box<dyn Erased>) -> Result<()> {
        let sent = self.commands.send(Job::Command(command)).await;
        sent.map_err(|_| stopped())
    }
}

/// A lane with a thread of its own: a batch is a few dozen statements, each a message to the driver's thread and
/// back, and none of them shall queue behind whatever else the process has to do.
fn thread(bench: Bench) -> Result<mpsc::Sender<Job>> {
    let (send, receive) = mpsc::channel(QUEUE);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(Error::internal)?;
    std::thread::Builder::new()
        .name("stint-writer".into())
        .spawn(move || runtime.block_on(work(bench, receive)))
        .map_err(Error::internal)?;
    Ok(send)
}

fn spawn(bench: Bench) -> mpsc::Sender<Job> {
    let (send, receive) = mpsc::channel(QUEUE);
    tokio::spawn(work(bench, receive));
    send
}

/// Takes what waits, runs it as one batch, and so on until the store is dropped.
async fn work(bench: Bench, mut queue: mpsc::Receiver<Job>) {
    let mut jobs = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut jobs, BATCH).await > 0 {
        let (batch, rest) = apart(std::mem::take(&mut jobs));
        if !batch.is_empty() {
            bench.run(batch).await;
        }
        // Two appends to one run in one batch: the set-wise update can hold only the first. And commands that
        // need a transaction of their own.
        for job in rest {
            bench.run(vec![job]).await;
        }
    }
}

fn apart(jobs: Vec<Job>) -> (Vec<Job>, Vec<Job>) {
    let mut seen: std::collections::HashSet<RunId> = std::collections::HashSet::new();
    jobs.into_iter().partition(|job| match job {
        Job::Append(append, _) => seen.insert(append.run),
        Job::Command(command) => !command.needs().alone,
    })
}
