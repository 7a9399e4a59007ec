//! Commands and their faults: what fails takes nothing else with it, and what was acknowledged stands.

mod commands;
mod snapshot;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::bus::Signal;
use domain::error::{Error, Result};
use futures_util::future::BoxFuture;
use tests::store::{abandon, command, execute, ids, insert, inserting, open, scratch};
use tests::{Backend, on_both};
use tokio::sync::{Barrier, Semaphore};

pub use commands::{append_to, write};
use commands::{broken, failing_once, full, large, panicking, refusing, settled};

use crate::apart::Gate;

/// Something that fails, by the id of the row that it would write.
type Failing = Box<dyn Fn(i64) -> BoxFuture<'static, Result<()>>>;

on_both! {
    async fn a_command_that_fails_takes_no_other_of_its_batch_with_it(backend: Backend) {
        let (db, store) = scratch(backend).await;
        store.write(inserting(3)).await.unwrap();
        let failing: [Failing; 4] = [
            {
                let store = store.clone();
                Box::new(move |id| write(&store, inserting(id)))
            },
            {
                let store = store.clone();
                Box::new(move |id| write(&store, refusing(id)))
            },
            {
                let store = store.clone();
                Box::new(move |id| write(&store, panicking(id)))
            },
            {
                let store = store.clone();
                // A constraint that is none of uniqueness: NOT NULL.
                Box::new(move |id| write(&store, command(move |tx| Box::pin(async move {
                    insert(tx, id).await?;
                    execute(tx, "INSERT INTO scratch (id, body) VALUES (?, NULL)", [(id + 1).into()]).await.map(drop)
                }))))
            },
        ];
        let codes = ["CONFLICT", "REFUSED", "INTERNAL", "INTERNAL"];
        for (i, (fail, code)) in failing.iter().zip(codes).enumerate() {
            let first = 10 * (i as i64 + 1);
            let gate = Gate::close(&store).await;
            let mut batch: Vec<BoxFuture<'static, Result<()>>> =
                (first..first + 5).map(|id| write(&store, inserting(id))).collect();
            // The row 3 is there already, so that inserting it clashes; the others would make a row of their own.
            batch.insert(2, fail(if i == 0 { 3 } else { first + 8 }));
            let answers = gate.open(batch).await;
            for (place, answer) in answers.iter().enumerate() {
                match (place, answer) {
                    (2, Err(error)) => assert_eq!(error.code(), code, "{error:?}"),
                    (2, Ok(())) => panic!("{code}: it did not fail"),
                    (_, answer) => assert!(answer.is_ok(), "{code}: {place}: {answer:?}"),
                }
            }
            assert!(!ids(&db).await.contains(&(first + 8)), "{code}: it left something behind");
        }
        let wanted: Vec<i64> = [3].into_iter().chain((10..15).chain(20..25).chain(30..35).chain(40..45)).collect();
        assert_eq!(ids(&db).await, wanted);
        store.write(inserting(99)).await.unwrap();
    }

    async fn a_command_that_fails_alone_leaves_nothing_and_the_store_goes_on(backend: Backend) {
        let (db, store) = scratch(backend).await;
        for id in 0..20 {
            assert_eq!(store.write(refusing(id)).await.unwrap_err().code(), "REFUSED");
            assert_eq!(store.write(panicking(id)).await.unwrap_err().code(), "INTERNAL");
            assert_eq!(store.write(broken(id)).await.unwrap_err().code(), "INTERNAL");
        }
        assert!(ids(&db).await.is_empty());
        store.write(inserting(1)).await.unwrap();
        assert_eq!(ids(&db).await, [1]);
    }

    async fn signals_follow_the_commit_and_nothing_else(backend: Backend) {
        let (db, store) = scratch(backend).await;
        let mut work = store.bus().here().work();
        work.mark_unchanged();
        for failed in [write(&store, refusing(1)), write(&store, panicking(1)), write(&store, broken(1))] {
            failed.await.unwrap_err();
            assert!(!work.has_changed().unwrap(), "a command that was rolled back has rung");
        }
        let (reached, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (reach, wait) = (reached.clone(), go.clone());
        let ringing = command(move |tx| {
            let (reach, wait) = (reach.clone(), wait.clone());
            Box::pin(async move {
                insert(tx, 1).await?;
                tx.signal(Signal::Work);
                reach.add_permits(1);
                wait.acquire().await.unwrap().forget();
                Ok(())
            })
        });
        let writing = tokio::spawn({
            let store = store.clone();
            async move { store.write(ringing).await }
        });
        reached.acquire().await.unwrap().forget();
        assert!(!work.has_changed().unwrap(), "it has rung before its commit");
        go.add_permits(1);
        // Whoever is woken finds what was committed, also before the caller has the answer.
        work.changed().await.unwrap();
        assert_eq!(ids(&db).await, [1]);
        writing.await.unwrap().unwrap();
    }

    async fn a_caller_who_goes_away_leaves_a_whole_command_behind(backend: Backend) {
        let (db, store) = scratch(backend).await;
        abandon(store.write(inserting(1))).await;
        settled(&store).await;
        assert_eq!(ids(&db).await, [1]);

        // A thousand, in the middle of whatever they do.
        let mut callers = Vec::new();
        for id in 2..=1_001 {
            let store = store.clone();
            callers.push(tokio::spawn(async move { store.write(inserting(id)).await }));
            if id % 3 == 0 {
                tokio::task::yield_now().await;
            }
            if id % 2 == 0 {
                callers.last().unwrap().abort();
            }
        }
        let mut acknowledged = vec![1];
        for (id, caller) in (2..).zip(callers) {
            match caller.await {
                Ok(answer) => {
                    answer.unwrap();
                    acknowledged.push(id);
                }
                Err(error) => assert!(error.is_cancelled()),
            }
        }
        assert!(acknowledged.len() >= 500, "{}", acknowledged.len());
        settled(&store).await;
        let there = ids(&db).await;
        assert!(acknowledged.iter().all(|id| there.contains(id)), "an acknowledged row is gone");
        // No connection is left in the middle of a transaction.
        for id in 2_000..2_040 {
            store.write(inserting(id)).await.unwrap();
        }
        assert_eq!(ids(&db).await.len(), there.len() + 40);
    }

    async fn what_a_full_disk_refuses_is_told_and_does_no_harm(backend: Backend) {
        let (db, store) = scratch(backend).await;
        store.write(inserting(1)).await.unwrap();
        full(&store).await;
        // Alone, and in the middle of a batch.
        assert_eq!(store.write(large(2)).await.unwrap_err().code(), "INTERNAL");
        for first in [10, 20] {
            let gate = Gate::close(&store).await;
            let answers = gate.open(vec![
                write(&store, inserting(first)),
                write(&store, large(first + 1)),
                write(&store, inserting(first + 2)),
                write(&store, refusing(first + 3)),
                write(&store, inserting(first + 4)),
            ]).await;
            let codes: Vec<_> = answers.iter().map(|answer| answer.as_ref().map_err(Error::code)).collect();
            assert_eq!(codes, [Ok(&()), Err("INTERNAL"), Ok(&()), Err("REFUSED"), Ok(&())]);
        }
        // What is acknowledged from here on must stand, also after a refusal: as another connection sees it.
        assert_eq!(store.write(refusing(30)).await.unwrap_err().code(), "REFUSED");
        store.write(inserting(31)).await.unwrap();
        assert_eq!(ids(&db).await, [1, 10, 12, 14, 20, 22, 24, 31]);
    }
}

/// SQLite's own limit of pages, which is what a full disk is to it.
#[tokio::test]
async fn a_database_file_that_may_not_grow_refuses_and_goes_on() {
    let (db, store) = scratch(Backend::Sqlite).await;
    let grow = || {
        command(|tx| {
            Box::pin(async move {
                insert(tx, 2).await?;
                execute(
                    tx,
                    "INSERT INTO scratch (id, body) VALUES (3, hex(zeroblob(400000)))",
                    [],
                )
                .await
                .map(drop)
            })
        })
    };
    let limit = command(|tx| {
        Box::pin(async move {
            use sea_orm::ConnectionTrait;
            let count = tx
                .conn()
                .query_one_raw(tx.sql("PRAGMA page_count", []))
                .await?
                .unwrap();
            let most = count.try_get_by_index::<i64>(0)? + 8;
            tx.conn()
                .query_one_raw(tx.sql(&format!("PRAGMA max_page_count = {most}"), []))
                .await?;
            Ok(())
        })
    });
    store.write(limit).await.unwrap();
    assert_eq!(store.write(grow()).await.unwrap_err().code(), "INTERNAL");
    assert_eq!(
        store.write(refusing(4)).await.unwrap_err().code(),
        "REFUSED"
    );
    store.write(inserting(5)).await.unwrap();
    assert_eq!(ids(&db).await, [5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_that_ask_for_it_are_tried_again_and_others_are_not() {
    let (db, store) = scratch(Backend::Postgres).await;
    // Serialization failure, deadlock, lock time-out; a server that is shutting down; a connection that is gone.
    for (id, failure) in (1..).zip(["40001", "40P01", "55P03", "57P03", "gone"]) {
        let tries = Arc::new(AtomicUsize::new(0));
        store
            .write(failing_once(id, failure, tries.clone(), 1))
            .await
            .unwrap_or_else(|error| panic!("{failure}: {error:?}"));
        assert_eq!(tries.load(Ordering::SeqCst), 2, "{failure}");
    }
    assert_eq!(ids(&db).await, [1, 2, 3, 4, 5]);
    // Disk full, out of memory, a bug.
    for failure in ["53100", "53200", "XX000"] {
        let tries = Arc::new(AtomicUsize::new(0));
        let error = store
            .write(failing_once(9, failure, tries.clone(), 1))
            .await
            .unwrap_err();
        assert_eq!(
            (error.code(), tries.load(Ordering::SeqCst)),
            ("INTERNAL", 1),
            "{failure}"
        );
    }
    let tries = Arc::new(AtomicUsize::new(0));
    let error = store
        .write(failing_once(9, "40001", tries.clone(), usize::MAX))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "UNAVAILABLE", "{error:?}");
    assert!((3..20).contains(&tries.load(Ordering::SeqCst)));
    assert_eq!(ids(&db).await, [1, 2, 3, 4, 5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_commands_that_lock_each_other_out_both_are_done() {
    let (db, store) = scratch(Backend::Postgres).await;
    for id in [1, 2] {
        store.write(inserting(id)).await.unwrap();
    }
    let (meet, tries) = (Arc::new(Barrier::new(2)), Arc::new(AtomicUsize::new(0)));
    let crossing = |first: i64, second: i64| {
        let (meet, tries) = (meet.clone(), tries.clone());
        command(move |tx| {
            let (meet, tries) = (meet.clone(), tries.clone());
            Box::pin(async move {
                append_to(tx, first).await?;
                // Only the first try of each waits for the other to hold its first row.
                if tries.fetch_add(1, Ordering::SeqCst) < 2 {
                    meet.wait().await;
                }
                append_to(tx, second).await
            })
        })
    };
    // Two nodes: the commands of one are written one after the other.
    let node = open(db.url()).await;
    let (one, other) = tokio::join!(store.write(crossing(1, 2)), node.write(crossing(2, 1)));
    one.unwrap();
    other.unwrap();
    assert!(tries.load(Ordering::SeqCst) >= 3, "no deadlock?");
    let conn = tests::db::connect(db.url()).await.unwrap();
    let count = "SELECT COUNT(*) AS n FROM scratch WHERE body = 'xyy'";
    let row = sea_orm::ConnectionTrait::query_one_raw(
        &conn,
        sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, count),
    );
    assert_eq!(
        row.await.unwrap().unwrap().try_get::<i64>("", "n").unwrap(),
        2
    );
}

/// A bound LIMIT, or a value that a partial index could need, must not prepare a statement anew at each use.
#[tokio::test]
async fn the_embedded_sqlite_is_built_as_its_configuration_says() {
    let (_db, store) = scratch(Backend::Sqlite).await;
    let used = "SELECT sqlite_compileoption_used('ENABLE_QPSG') AS n";
    let row = sea_orm::ConnectionTrait::query_one_raw(
        store.read(),
        sea_orm::Statement::from_string(store.backend(), used),
    );
    assert_eq!(
        row.await.unwrap().unwrap().try_get::<i64>("", "n").unwrap(),
        1
    );
}
