//! Commands that fail, each in its own way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::bus::Signal;
use domain::error::{Error, Result};
use domain::store::{Command, Store, Tx};
use futures_util::future::BoxFuture;
use tests::store::{command, execute, insert};

pub async fn append_to(tx: &Tx, id: i64) -> Result<()> {
    execute(
        tx,
        "UPDATE scratch SET body = body || 'y' WHERE id = ?",
        [id.into()],
    )
    .await
    .map(drop)
}

/// A write that runs by itself once it was polled.
pub fn write<C: Command>(store: &Store, command: C) -> BoxFuture<'static, Result<C::Output>> {
    let store = store.clone();
    Box::pin(async move { store.write(command).await })
}

pub fn refusing(id: i64) -> impl Command<Output = ()> {
    command(move |tx| {
        Box::pin(async move {
            insert(tx, id).await?;
            tx.signal(Signal::Work);
            Err(Error::conflict("REFUSED", "no"))
        })
    })
}

pub fn panicking(id: i64) -> impl Command<Output = ()> {
    command(move |tx| {
        Box::pin(async move {
            insert(tx, id).await?;
            tx.signal(Signal::Work);
            panic!("a test lets a command panic")
        })
    })
}

pub fn broken(id: i64) -> impl Command<Output = ()> {
    command(move |tx| {
        Box::pin(async move {
            insert(tx, id).await?;
            tx.signal(Signal::Work);
            execute(tx, "THIS IS NOT SQL", []).await.map(drop)
        })
    })
}

/// A command that fails `times` in this way and then inserts a row.
pub fn failing_once(
    id: i64,
    failure: &'static str,
    tries: Arc<AtomicUsize>,
    times: usize,
) -> impl Command<Output = ()> {
    command(move |tx| {
        let tries = tries.clone();
        Box::pin(async move {
            insert(tx, id).await?;
            if tries.fetch_add(1, Ordering::SeqCst) < times {
                let sql = if failure == "gone" {
                    "SELECT pg_terminate_backend(pg_backend_pid())".to_owned()
                } else {
                    format!(
                        "DO $$ BEGIN RAISE EXCEPTION 'as a test asked' USING ERRCODE = '{failure}'; END $$"
                    )
                };
                execute(tx, &sql, []).await?;
            }
            Ok(())
        })
    })
}

/// A command that finds no room, after [`full`].
pub fn large(id: i64) -> impl Command<Output = ()> {
    command(move |tx| {
        Box::pin(async move {
            insert(tx, id).await?;
            execute(
                tx,
                "INSERT INTO scratch (id, body) VALUES (?, 'large')",
                [(id + 100).into()],
            )
            .await
            .map(drop)
        })
    })
}

/// Makes the disk full for rows that are large. What databases do then: SQLite rolls the whole transaction back by
/// itself, PostgreSQL fails the statement.
pub async fn full(store: &Store) {
    let ddl: &[&str] = if store.backend() == sea_orm::DbBackend::Sqlite {
        &[
            "CREATE TRIGGER full BEFORE INSERT ON scratch WHEN NEW.body = 'large' BEGIN \
           SELECT RAISE(ROLLBACK, 'database or disk is full'); END",
        ]
    } else {
        &[
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100'; END $$",
            "CREATE TRIGGER full_disk BEFORE INSERT ON scratch FOR EACH ROW WHEN (NEW.body = 'large') \
             EXECUTE FUNCTION full_disk()",
        ]
    };
    let make = command(move |tx| {
        Box::pin(async move {
            for statement in ddl {
                execute(tx, statement, []).await?;
            }
            Ok(())
        })
    });
    store.write(make).await.unwrap();
}

/// Waits until everything that was begun before has ended.
pub async fn settled(store: &Store) {
    // The lane takes one after the other.
    let nothing = command(|_| Box::pin(async { Ok(()) }));
    store.write(nothing).await.unwrap();
}
