//! The store: one database, two doors that write.
//!
//! - [`Store::append`], hot, is data: waiting appends share the statements of one transaction.
//! - [`Store::write`], cold, is a [`Command`]: what people and coworkers do, one after the other.
//!
//! On SQLite one lane writes everything, so that both doors end in the same batch and the same
//! commit. On PostgreSQL a few lanes write the appends (a run always through the same one), and one
//! writes the commands; those of a batch that can't go on (another node holds a row) are run each in
//! a task of its own. Lanes and tasks are nobody's callers: who goes away never drops a transaction
//! half-begun. What must follow a commit (ringing the bus) follows only a commit.
//!
//! Deliberately absent: repository traits, and a fake of the database.

pub mod append;
mod batch;
mod check;
mod draft;
mod fetch;
mod job;
mod lane;
mod open;
mod partition;
mod projection;
mod rows;
mod schema;
mod side;
mod snapshot;
mod statistics;
mod tx;

use std::sync::Arc;

pub use append::{Append, Applied};
use entity::{Millis, RunId};
pub use fetch::{Counter, Needs};
pub use open::{OpenOptions, describe, embedded_file, migrate};
pub use projection::Projection;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
pub use snapshot::{Snapshot, join_by_keys, plan_for_this};
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};
pub(crate) use tx::statement;
pub use tx::{Command, Tx};

use crate::alert::Listening;
use crate::bus::Bus;
use crate::clock::Clock;
use crate::error::{Error, Result};
use lane::Lanes;
pub use partition::{MakePartitions, keep_partitions};
pub(crate) use rows::{chunks, insert_all, update_all};

/// A handle on the database; cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    read: DatabaseConnection,
    /// For [`Snapshot`]s alone; on SQLite those for reading.
    snapshots: DatabaseConnection,
    lanes: Lanes,
    clock: Clock,
    bus: Bus,
    listening: Listening,
    /// Held as long as the store lives: one process owns an embedded database.
    _lock: Option<std::fs::File>,
    /// After the lock, which is given back first: fields are dropped in their order.
    gone: DropGuard,
}

impl Store {
    /// Opens the database at `url` (`sqlite://FILE` or `postgres://…`), checks that its settings keep
    /// what was acknowledged, and brings its schema up to date if the options say so.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with a sentence that names the database and the remedy: it can't be
    /// reached or created, another process owns it, a setting is too weak, or its schema is newer
    /// than this release.
    pub async fn open(url: &str, options: OpenOptions) -> Result<Self> {
        open::open(url, options).await
    }

    /// Cancelled once the last handle is dropped and the lock of an embedded database is given back: only then can
    /// it be opened again.
    pub fn gone(&self) -> CancellationToken {
        self.inner.gone.token().clone()
    }

    /// The connections for reading; on SQLite they can't write.
    pub fn read(&self) -> &DatabaseConnection {
        &self.inner.read
    }

    /// Which kind of database it is.
    pub fn backend(&self) -> DbBackend {
        self.inner.read.get_database_backend()
    }

    /// Where time comes from.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Now, by the database's clock as far as this process knows it.
    pub fn now(&self) -> Millis {
        self.inner.clock.now()
    }

    /// Where changes are announced.
    pub fn bus(&self) -> &Bus {
        &self.inner.bus
    }

    /// Who wants to be told of what.
    pub fn listening(&self) -> &Listening {
        &self.inner.listening
    }

    /// Runs a command in a transaction and performs its after-commit actions.
    ///
    /// The command runs to its end even if the caller goes away. It is run again if the database
    /// asks for it (serialization failure, deadlock), so it must be repeatable until it is committed.
    ///
    /// # Errors
    /// What the command refused with; [`Error::Unavailable`] if the database does not answer and
    /// nothing was changed; [`Error::CommitUnknown`] if the commit's reply was lost.
    pub async fn write<C: Command>(&self, command: C) -> Result<C::Output> {
        let (reply, answer) = oneshot::channel();
        self.inner
            .lanes
            .command(Box::new(job::Pending::new(command, reply)))
            .await?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Appends to a run's log: fence, insert, project. Set-wise with whatever else waits.
    ///
    /// # Errors
    /// As [`Store::write`]; [`Applied::Lost`] is not an error but the fence's answer.
    pub async fn append(&self, append: Append) -> Result<Applied> {
        let (reply, answer) = oneshot::channel();
        self.inner.lanes.append(append, reply).await?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Reads the database's clock, and corrects this process's idea of it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the database does not answer.
    pub async fn sync_clock(&self) -> Result<Millis> {
        let now = tx::database_now(self.read(), self.clock()).await?;
        self.clock().correct(now);
        Ok(now)
    }

    /// Whether the database answers; for readiness checks.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if it does not.
    pub async fn ping(&self) -> Result<()> {
        self.read()
            .query_one_raw(Statement::from_string(self.backend(), "SELECT 1"))
            .await?;
        Ok(())
    }

    /// Which lane a run's appends go through.
    pub(crate) fn lane_of(run: RunId, lanes: usize) -> usize {
        (run.0.as_u128() as usize) % lanes.max(1)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("backend", &self.backend())
            .finish_non_exhaustive()
    }
}

fn stopped() -> Error {
    Error::Unavailable {
        message: "the store has been closed".into(),
    }
}
