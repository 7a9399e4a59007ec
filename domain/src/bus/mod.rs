//! The bus says *look*; the store says *what*. A lost signal costs latency, never data: whoever
//! waits for one also looks by itself from time to time.

pub mod delta;
pub mod local;

use std::sync::Arc;

use entity::{RequestId, RunId, WorkspaceId};
use local::Local;

/// Something changed; sent only after the commit that changed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
///
/// One process needs no more than [`Bus::Local`]. Several nodes get a variant that carries the same
/// small signals between them and hands what it receives to each node's [`Local`].
#[derive(Clone, Debug)]
pub enum Bus {
    /// Within this process.
    Local(Arc<Local>),
}

impl Bus {
    /// A bus within this process.
    pub fn local() -> Self {
        Self::Local(Arc::default())
    }

    /// This process's end of the bus: where to wait.
    pub fn here(&self) -> &Local {
        match self {
            Self::Local(local) => local,
        }
    }

    /// Announces a change.
    pub fn send(&self, signal: Signal) {
        match self {
            Self::Local(local) => local.deliver(signal),
        }
    }
}
