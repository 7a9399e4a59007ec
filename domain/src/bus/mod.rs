//! The bus says *look*; the store says *what*. A lost signal costs latency, never data: whoever
//! waits for one also looks by itself from time to time.

pub mod delta;
pub mod local;
mod queue;
pub mod redis;

use std::sync::Arc;

use entity::{RequestId, RunId, WorkspaceId, request_event};
use local::{Item as _, Local};
use redis::Redis;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::run::log::Logged;

/// Something changed; sent only after the commit that changed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Signal {
    /// There may be work to claim.
    Work,
    /// A run's log grew to `seq`.
    Run {
        /// The run.
        run: RunId,
        /// Its last sequence.
        seq: i64,
    },
    /// A request's timeline grew to `seq`.
    Request {
        /// The request.
        request: RequestId,
        /// Its last sequence.
        seq: i64,
    },
    /// Whoever executes the run shall look at its log now; if nobody does, whoever may take it over.
    Interrupt(RunId),
    /// The workspace's prices changed.
    Prices(WorkspaceId),
    /// The workspace's servers of tools, or the secrets that they are reached with, changed.
    Tools(WorkspaceId),
    /// There may be alerts to send.
    Alerts,
}

/// How signals travel.
#[derive(Clone, Debug)]
pub enum Bus {
    /// Within this process. Others find by looking what was signalled here.
    Local(Arc<Local>),
    /// Between processes too.
    Redis(Arc<Redis>),
}

impl Default for Bus {
    fn default() -> Self {
        Self::local()
    }
}

impl Bus {
    /// A bus within this process.
    pub fn local() -> Self {
        Self::Local(Arc::default())
    }

    /// A bus between the processes that use the Redis server at `url`. It carries nothing before
    /// [`Bus::keep_connected`] runs, and needs no server to begin with: it comes and goes.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] for what is no address of Redis.
    pub fn redis(url: &str) -> Result<Self> {
        Ok(Self::Redis(Arc::new(Redis::new(url)?)))
    }

    /// Carries signals between processes until it is stopped; at once done where there is nothing to carry.
    pub async fn keep_connected(&self, stop: CancellationToken) {
        match self {
            Self::Local(_) => {}
            Self::Redis(redis) => redis.keep_connected(stop).await,
        }
    }

    /// This process's end of the bus: where to wait.
    pub fn here(&self) -> &Local {
        match self {
            Self::Local(local) => local,
            Self::Redis(redis) => redis.here(),
        }
    }

    /// Announces a change.
    pub fn send(&self, signal: Signal) {
        self.here().deliver(signal);
        self.tell(signal);
    }

    /// Hands committed events to the run's watchers, and tells the other processes of them.
    pub fn publish(&self, run: RunId, items: &[Arc<Logged>]) {
        self.here().publish(run, items);
        if let Some(last) = items.last() {
            self.tell(Signal::Run {
                run,
                seq: last.seq(),
            });
        }
    }

    /// Hands committed entries of timelines to those who watch them, and tells the other processes of them.
    pub fn publish_entries(&self, entries: Vec<request_event::Model>) {
        for entry in &entries {
            self.tell(Signal::Request {
                request: entry.request_id,
                seq: entry.seq,
            });
        }
        self.here().publish_entries(entries);
    }

    /// Tells the other processes.
    fn tell(&self, signal: Signal) {
        match self {
            Self::Local(_) => {}
            Self::Redis(redis) => redis.tell(signal),
        }
    }
}
