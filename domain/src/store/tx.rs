//! A transaction, and what runs in one.

mod lock;

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};

use entity::{
    AlertKind, CoworkerId, Millis, RequestId, WorkspaceId, coworker, request, request_event,
};
use parking_lot::Mutex;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, Statement, TransactionTrait};
use tokio::sync::OnceCell;

use super::draft::Draft;
use super::fetch::{Counted, Fetched, Needs};
use crate::alert::{Listening, Occasion};
use crate::bus::Signal;
use crate::clock::Clock;
use crate::error::{Error, Result};

/// Something that changes the database: authorize, load, decide, write, return.
///
/// It touches only the transaction, awaits nothing else and changes no memory, for it may be run
/// more than once until it is committed.
pub trait Command: Send + Sync + 'static {
    /// What it returns once it is committed.
    type Output: Send + Sync + 'static;

    /// Does it.
    ///
    /// # Errors
    /// A refusal or a fault; either way nothing of it stays.
    fn run(&self, tx: &Tx) -> impl Future<Output = Result<Self::Output>> + Send;

    /// Whether running it again after it was committed changes nothing and gives the same output
    /// (it carries an idempotency key, or only sets what is set already). Only then a lost commit
    /// reply is resolved by running it again.
    fn repeatable(&self) -> bool {
        false
    }

    /// What it will lock and take, if that is known beforehand: fetched for a whole batch at once. It is
    /// no more than a hint; the command asks for it all the same, and gets what is right.
    fn needs(&self) -> Needs {
        Needs::default()
    }
}

/// A transaction under way, as one command sees it.
///
/// Rows that hang on a request go to the draft ([`Tx::draft`]) and are written set-wise with those of the
/// other commands of the batch. All else is written at once, through [`Tx::writing`].
pub struct Tx {
    conn: DatabaseTransaction,
    /// Opened by the first statement that writes, so that a refusal takes back only this command.
    savepoint: OnceCell<DatabaseTransaction>,
    /// Alone in its transaction a command needs no savepoint: a refusal rolls back everything.
    alone: bool,
    /// Wrote without a savepoint: if it fails all the same, the batch fails with it.
    unguarded: AtomicBool,
    /// Could not have what somebody else holds.
    missed: AtomicBool,
    /// What the commands before this one have left to write.
    batch: tokio::sync::Mutex<Draft>,
    own: Mutex<Draft>,
    /// What was fetched for the whole batch.
    fetched: tokio::sync::Mutex<Fetched>,
    counted: Counted,
    clock: Clock,
    listening: Listening,
    signals: Mutex<Vec<Signal>>,
    now: OnceCell<Millis>,
}

/// A transaction after one of its commands.
pub(super) struct After {
    pub(super) conn: DatabaseTransaction,
    pub(super) batch: Draft,
    pub(super) fetched: Fetched,
    /// To be announced once it is committed.
    pub(super) signals: Vec<Signal>,
    /// Entries of timelines that its command made, for whoever watches.
    pub(super) entries: Vec<request_event::Model>,
}

impl Tx {
    pub(super) fn new(
        conn: DatabaseTransaction,
        batch: Draft,
        fetched: Fetched,
        (clock, listening): (Clock, Listening),
        alone: bool,
    ) -> Self {
        Self {
            conn,
            savepoint: OnceCell::new(),
            alone,
            unguarded: AtomicBool::new(false),
            missed: AtomicBool::new(false),
            batch: tokio::sync::Mutex::new(batch),
            own: Mutex::default(),
            counted: fetched.counted(),
            fetched: tokio::sync::Mutex::new(fetched),
            clock,
            listening,
            signals: Mutex::default(),
            now: OnceCell::new(),
        }
    }

    /// Keeps what the command did.
    pub(super) async fn keep(self) -> Result<After> {
        let mut fetched = self.fetched.into_inner();
        if let Some(savepoint) = self.savepoint.into_inner() {
            savepoint.commit().await?;
            fetched.forget_coworkers();
        }
        let own = self.own.into_inner();
        own.changed
            .keys()
            .for_each(|id| fetched.forget_request(*id));
        let entries = own.entries.clone();
        let mut batch = self.batch.into_inner();
        batch.merge(own);
        Ok(After {
            conn: self.conn,
            batch,
            fetched,
            signals: self.signals.into_inner(),
            entries,
        })
    }

    /// Takes back what the command did. `None` if that takes a rollback of the whole transaction.
    pub(super) async fn take_back(mut self) -> Result<Option<After>> {
        if let Some(savepoint) = self.savepoint.into_inner() {
            savepoint.rollback().await?;
            self.fetched.get_mut().take_back(self.counted);
        }
        if self.alone || self.unguarded.into_inner() {
            self.conn.rollback().await?;
            return Ok(None);
        }
        Ok(Some(After {
            conn: self.conn,
            batch: self.batch.into_inner(),
            fetched: self.fetched.into_inner(),
            signals: Vec::new(),
            entries: Vec::new(),
        }))
    }

    /// The connection for reading; every query of a command goes through it.
    pub fn conn(&self) -> &DatabaseTransaction {
        self.savepoint.get().unwrap_or(&self.conn)
    }

    /// The connection for writing.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the database does not answer.
    pub async fn writing(&self) -> Result<&DatabaseTransaction> {
        if self.alone {
            return Ok(&self.conn);
        }
        Ok(self.savepoint.get_or_try_init(|| self.conn.begin()).await?)
    }

    /// The connection for a write after which the command does not refuse any more: it saves the
    /// savepoint, which costs as much as the write. A command that fails all the same takes the batch
    /// with it, and each is run alone.
    pub fn writing_last(&self) -> &DatabaseTransaction {
        if self.savepoint.get().is_none() {
            self.unguarded.store(true, Ordering::Relaxed);
        }
        self.conn()
    }

    /// Adds rows that are written set-wise at the end of the batch.
    pub(crate) fn draft<T>(&self, add: impl FnOnce(&mut Draft) -> T) -> T {
        add(&mut self.own.lock())
    }

    /// Before a request is locked: writes what the commands before this one have left of it.
    ///
    /// # Errors
    /// What the database said; [`Error::Unavailable`] if the batch must be taken apart, or this command taken out of it.
    pub(crate) async fn settle(&self, requests: impl IntoIterator<Item = RequestId>) -> Result<()> {
        if self.alone {
            return Ok(());
        }
        let touched = {
            let batch = self.batch.lock().await;
            requests.into_iter().any(|id| batch.touches(id))
        };
        if touched {
            self.settle_all().await
        } else {
            Ok(())
        }
    }

    /// Writes all that the commands before this one have left, before this one looks for rows of any request.
    ///
    /// # Errors
    /// As [`Tx::settle`].
    pub(crate) async fn settle_all(&self) -> Result<()> {
        let mut batch = self.batch.lock().await;
        if self.alone || batch.is_empty() {
            return Ok(());
        }
        let apart = || Error::Unavailable {
            message: "two commands of a batch do not go together".into(),
        };
        if self.savepoint.get().is_some() {
            return Err(self.missed());
        }
        // What is wrong with the rows of others is not this command's fault.
        let written = std::mem::take(&mut *batch)
            .write(&self.conn, &self.clock, &[])
            .await;
        match written.map_err(|_| apart())? {
            (_, true) => Err(apart()),
            (_, false) => Ok(()),
        }
    }

    /// A coworker as the batch fetched it: locked against being unpublished until the commit.
    pub(crate) async fn fetched_coworker(&self, id: CoworkerId) -> Option<coworker::Model> {
        self.fetched.lock().await.coworker(id)
    }

    /// A request as the batch fetched it, locked for a change; none if another command of the batch had it.
    pub(crate) async fn fetched_request(&self, id: RequestId) -> Option<request::Model> {
        self.fetched.lock().await.request(id)
    }

    /// Takes the number of a new request: late, for the counter is locked until the commit.
    ///
    /// # Errors
    /// What the database said.
    pub(crate) async fn take_number(&self, workspace: WorkspaceId) -> Result<i64> {
        self.counting(workspace).await?;
        let mut fetched = self.fetched.lock().await;
        fetched.number(self.writing_last(), workspace).await
    }

    /// Which kind of database it is.
    pub fn backend(&self) -> DbBackend {
        self.conn.get_database_backend()
    }

    /// Now, by the database's own clock; the same moment during the whole command.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the database does not answer.
    pub async fn now(&self) -> Result<Millis> {
        let read = || database_now(&self.conn, &self.clock);
        self.now.get_or_try_init(read).await.copied()
    }

    /// Now as this process knows it; for timestamps that decide nothing.
    pub fn at(&self) -> Millis {
        self.clock.now()
    }

    /// Announces something once the transaction is committed.
    pub fn signal(&self, signal: Signal) {
        self.signals.lock().push(signal);
    }

    /// Tells whoever wants to know, once the transaction is committed. Where nobody does, it is not even put into words.
    pub(crate) fn alert(
        &self,
        workspace: WorkspaceId,
        kind: AlertKind,
        occasion: impl FnOnce() -> Occasion,
    ) {
        if self.listening.wants(workspace, kind) {
            self.draft(|draft| draft.alerts.push(occasion()));
            self.signal(Signal::Alerts);
        }
    }

    /// A statement with `?` for its values, whatever the database.
    pub fn sql(&self, sql: &str, values: impl IntoIterator<Item = sea_orm::Value>) -> Statement {
        statement(self.backend(), sql, values)
    }
}

/// A statement with `?` for its values, whatever the database. The text holds no other `?`.
pub(crate) fn statement(
    backend: DbBackend,
    sql: &str,
    values: impl IntoIterator<Item = sea_orm::Value>,
) -> Statement {
    if backend == DbBackend::Sqlite {
        return Statement::from_sql_and_values(backend, sql, values);
    }
    let mut text = String::with_capacity(sql.len() + 16);
    let mut n = 0;
    for (i, piece) in sql.split('?').enumerate() {
        if i > 0 {
            n += 1;
            text.push('$');
            text.push_str(&n.to_string());
        }
        text.push_str(piece);
    }
    Statement::from_sql_and_values(backend, text, values)
}

pub(super) async fn database_now<C: ConnectionTrait>(conn: &C, clock: &Clock) -> Result<Millis> {
    let backend = conn.get_database_backend();
    // An embedded database has this process's clock; asking it would only cost a statement.
    if backend == DbBackend::Sqlite || matches!(clock, Clock::Manual(_)) {
        return Ok(clock.now());
    }
    let sql = format!("SELECT {} AS now", clock.sql(backend));
    let row = conn
        .query_one_raw(Statement::from_string(backend, sql))
        .await?;
    let row = row.ok_or_else(|| Error::internal("the database did not tell the time"))?;
    Ok(Millis(row.try_get::<i64>("", "now")?))
}
