//! The store without an application around it: commands made of closures, on a table of the test's own.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::pin;
use std::task::Poll;

use domain::error::Result;
use domain::store::{Command, OpenOptions, Store, Tx};
use futures_util::future::BoxFuture;
use sea_orm::{ConnectionTrait, Statement, Value};

use crate::db::{Backend, TestDb};

/// A command that runs a closure.
pub struct Do<F, T> {
    run: F,
    repeatable: bool,
    output: PhantomData<fn() -> T>,
}

/// A command that runs this closure, and may not be run again once it may have been committed.
pub fn command<F, T>(run: F) -> Do<F, T>
where
    F: for<'a> Fn(&'a Tx) -> BoxFuture<'a, Result<T>> + Send + Sync + 'static,
{
    Do {
        run,
        repeatable: false,
        output: PhantomData,
    }
}

impl<F, T> Do<F, T> {
    /// The same one, but running it again changes nothing.
    pub fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }
}

impl<F, T> Command for Do<F, T>
where
    F: for<'a> Fn(&'a Tx) -> BoxFuture<'a, Result<T>> + Send + Sync + 'static,
    T: Send + Sync + 'static,
{
    type Output = T;

    async fn run(&self, tx: &Tx) -> Result<T> {
        (self.run)(tx).await
    }

    fn repeatable(&self) -> bool {
        self.repeatable
    }
}

/// A migrated database with a table `scratch (id, body)`, and its store.
pub async fn scratch(backend: Backend) -> (TestDb, Store) {
    let db = TestDb::new(backend).await;
    let store = open(db.url()).await;
    store
        .write(command(|tx| {
            Box::pin(execute(
                tx,
                "CREATE TABLE scratch (id BIGINT PRIMARY KEY, body TEXT NOT NULL)",
                [],
            ))
        }))
        .await
        .expect("a table");
    (db, store)
}

/// Opens a store with the usual options.
pub async fn open(url: &str) -> Store {
    Store::open(url, OpenOptions::default())
        .await
        .expect("a store")
}

/// Runs a statement with `?` for its values; gives how many rows it touched.
///
/// # Errors
/// What the database said.
pub async fn execute<const N: usize>(tx: &Tx, sql: &str, values: [Value; N]) -> Result<u64> {
    Ok(tx
        .writing()
        .await?
        .execute_raw(tx.sql(sql, values))
        .await?
        .rows_affected())
}

/// Inserts a row into `scratch`.
///
/// # Errors
/// What the database said.
pub async fn insert(tx: &Tx, id: i64) -> Result<()> {
    execute(
        tx,
        "INSERT INTO scratch (id, body) VALUES (?, 'x')",
        [id.into()],
    )
    .await
    .map(drop)
}

/// A command that inserts a row into `scratch`.
pub fn inserting(id: i64) -> impl Command<Output = ()> {
    command(move |tx| Box::pin(insert(tx, id)))
}

/// The ids in `scratch`, in order, as a connection of its own sees them: only what is committed.
pub async fn ids(db: &TestDb) -> Vec<i64> {
    let conn = crate::db::connect(db.url()).await.expect("a connection");
    let sql = "SELECT id FROM scratch ORDER BY id";
    let rows = conn
        .query_all_raw(Statement::from_string(conn.get_database_backend(), sql))
        .await
        .expect("the table");
    conn.close().await.expect("it closes");
    rows.iter()
        .map(|row| row.try_get("", "id").expect("a number"))
        .collect()
}

/// Polls a future once and drops it: a caller who asked and went away.
pub async fn abandon(future: impl Future) {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| {
        let _ = future.as_mut().poll(cx);
        Poll::Ready(())
    })
    .await;
}

/// Writes a test once and runs it on both databases, without an application, as `name::sqlite` and `name::postgres`.
#[macro_export]
macro_rules! on_both {
    ($($(#[$meta:meta])* async fn $name:ident($backend:ident: Backend) $body:block)+) => {$(
        $(#[$meta])*
        #[cfg(test)]
        mod $name {
            use super::*;

            async fn body($backend: $crate::Backend) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                body($crate::Backend::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                body($crate::Backend::Postgres).await;
            }
        }
    )+};
}
