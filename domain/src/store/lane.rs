//! Lanes: who runs the batches.

use std::sync::Arc;

use entity::RunId;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::append::{Append, Applied};
use super::batch::{Bench, Erased, Job};
use super::{Store, stopped};
use crate::error::Result;

/// Jobs that may wait in a lane; a caller beyond waits for a place.
const QUEUE: usize = 1024;
/// The most jobs of one batch.
const BATCH: usize = 128;

/// The lanes of a store.
pub(super) enum Lanes {
    /// SQLite: one writer for everything.
    One(mpsc::Sender<Job>),
    /// PostgreSQL: lanes for appends, a task of its own for each command.
    Many {
        appends: Vec<mpsc::Sender<Job>>,
        commands: Bench,
        /// As many commands at once as the pool has connections for them.
        room: Arc<Semaphore>,
    },
}

impl Lanes {
    pub(super) fn one(bench: Bench) -> Self {
        Self::One(spawn(bench))
    }

    pub(super) fn many(appends: Vec<Bench>, commands: Bench, room: usize) -> Self {
        let appends = appends.into_iter().map(spawn).collect();
        Self::Many {
            appends,
            commands,
            room: Arc::new(Semaphore::new(room)),
        }
    }

    pub(super) async fn append(
        &self,
        append: Append,
        reply: oneshot::Sender<Result<Applied>>,
    ) -> Result<()> {
        let lane = match self {
            Self::One(lane) => lane,
            Self::Many { appends, .. } => &appends[Store::lane_of(append.run, appends.len())],
        };
        lane.send(Job::Append(Box::new(append), reply))
            .await
            .map_err(|_| stopped())
    }

    pub(super) async fn command(&self, command: Box<dyn Erased>) -> Result<()> {
        match self {
            Self::One(lane) => lane
                .send(Job::Command(command))
                .await
                .map_err(|_| stopped()),
            Self::Many { commands, room, .. } => {
                let place = room.clone().acquire_owned().await.map_err(|_| stopped())?;
                let bench = commands.clone();
                tokio::spawn(async move {
                    bench.run(vec![Job::Command(command)]).await;
                    drop(place);
                });
                Ok(())
            }
        }
    }
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
        bench.run(batch).await;
        // Two appends to one run in one batch: the set-wise update can hold only the first.
        for job in rest {
            bench.run(vec![job]).await;
        }
    }
}

fn apart(jobs: Vec<Job>) -> (Vec<Job>, Vec<Job>) {
    let mut seen: std::collections::HashSet<RunId> = std::collections::HashSet::new();
    jobs.into_iter().partition(|job| match job {
        Job::Append(append, _) => seen.insert(append.run),
        Job::Command(_) => true,
    })
}
