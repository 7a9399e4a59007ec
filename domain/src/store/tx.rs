//! A transaction, and what runs in one.

use std::future::Future;

use entity::Millis;
use parking_lot::Mutex;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, Statement};
use tokio::sync::OnceCell;

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
}

/// A transaction under way.
pub struct Tx {
    pub(super) conn: DatabaseTransaction,
    pub(super) clock: Clock,
    pub(super) signals: Mutex<Vec<Signal>>,
    now: OnceCell<Millis>,
}

impl Tx {
    pub(super) fn new(conn: DatabaseTransaction, clock: Clock) -> Self {
        Self {
            conn,
            clock,
            signals: Mutex::default(),
            now: OnceCell::new(),
        }
    }

    /// The connection; every query of a command goes through it.
    pub fn conn(&self) -> &DatabaseTransaction {
        &self.conn
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
        self.now
            .get_or_try_init(|| database_now(&self.conn, &self.clock))
            .await
            .copied()
    }

    /// Now as this process knows it; for timestamps that decide nothing.
    pub fn at(&self) -> Millis {
        self.clock.now()
    }

    /// An SQL expression for the database's clock, for statements that decide by it.
    pub fn now_sql(&self) -> String {
        self.clock.sql(self.backend())
    }

    /// Announces something once the transaction is committed.
    pub fn signal(&self, signal: Signal) {
        self.signals.lock().push(signal);
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
