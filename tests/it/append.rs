//! The hot door: what the fence lets through stands whole, and what it does not leaves no trace.

use std::collections::BTreeMap;

use domain::error::Result;
use domain::run::lease::TakeOver;
use domain::run::log::{Flushed, Log};
use domain::store::{Applied, Store};
use futures_util::future::{BoxFuture, join_all};
use sea_orm::{ConnectionTrait, DatabaseConnection, EntityTrait};
use serde_json::json;
use tests::process::wait_until;
use tests::store::command;
use tests::{Backend, TestApp, on_both};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::held::{LEASE, claim, idle, number, sound, stage, written};

on_both! {
    async fn what_the_fence_refuses_leaves_no_trace(backend: Backend) {
        let app = idle(backend).await;
        let store = app.store().await;
        let mut logs = claim(&app, &store, 3).await;

        // Somebody else was faster.
        let (mut one, mut other) = (logs[0].clone(), logs[0].clone());
        stage(&mut one, 1);
        stage(&mut other, 1);
        assert_eq!(one.flush(&store, true).await.unwrap(), Flushed::Committed);
        let before = written(&store).await;
        assert_eq!(other.flush(&store, true).await.unwrap(), Flushed::Lost);
        // And a writer who knows of events that are not there.
        let mut ahead = one.clone();
        stage(&mut ahead, 2);
        ahead.take(false);
        stage(&mut ahead, 3);
        assert_eq!(ahead.flush(&store, false).await.unwrap(), Flushed::Lost);
        assert_eq!(written(&store).await, before);

        // The request was assigned anew: what has no effect may still be told.
        let request = &logs[1].run().request_id;
        let id = format!("req_{}", request.0.simple());
        app.mutate("requestAssign", json!({ "id": id, "assigneeId": null }), "").await;
        stage(&mut logs[1], 1);
        let (mut fenced, mut told) = (logs[1].clone(), logs[1].clone());
        let before = written(&store).await;
        assert_eq!(fenced.flush(&store, true).await.unwrap(), Flushed::Lost);
        assert_eq!(written(&store).await, before);
        assert_eq!(told.flush(&store, false).await.unwrap(), Flushed::Committed);

        // Another worker has it.
        app.clock().advance(LEASE + 1);
        // One at a time, because none of them got anything done: each may have killed its worker.
        let take = TakeOver { worker: Uuid::from_u128(2), holding: Vec::new(), own: false, most: 9, lease_ms: LEASE };
        let mut taken = Vec::new();
        for _ in 0..3 {
            let one = store.write(take.clone()).await.unwrap();
            assert_eq!(one.len(), 1);
            taken.extend(one);
        }
        assert!(store.write(take).await.unwrap().is_empty());
        let before = written(&store).await;
        for log in [&mut one, &mut told, &mut logs[2]] {
            stage(log, 2);
            assert_eq!(log.flush(&store, false).await.unwrap(), Flushed::Lost);
        }
        assert_eq!(written(&store).await, before);
        for log in &logs {
            sound(&store, log.run().id).await;
        }
        let heirs = taken.iter().map(|taken| taken.run.id);
        for run in heirs {
            let row = entity::run::Entity::find_by_id(run).one(store.read()).await.unwrap().unwrap();
            let epoch = row.lease_epoch;
            let mut log = Log::read(store.read(), row, Some(epoch)).await.unwrap();
            stage(&mut log, 9);
            assert_eq!(log.flush(&store, false).await.unwrap(), Flushed::Committed);
        }
    }

    async fn appends_of_one_run_that_wait_together_are_written_in_their_order(backend: Backend) {
        let app = idle(backend).await;
        let store = app.store().await;
        let mut logs = claim(&app, &store, 40).await;
        let hold = Hold::begin(&app, &store, &mut logs).await;
        let mut batch: Vec<BoxFuture<'static, Result<Applied>>> = Vec::new();
        for log in &mut logs {
            for turn in 1..=3 {
                stage(log, turn);
                let (append, _) = log.take(true).unwrap();
                let store = store.clone();
                batch.push(Box::pin(async move { store.append(append).await }));
            }
        }
        for answer in hold.release(batch).await {
            assert!(matches!(answer, Ok(Applied::Committed { .. })), "{answer:?}");
        }
        for log in &logs {
            sound(&store, log.run().id).await;
            let count = format!("SELECT last_seq FROM run WHERE number = {}", log.run().number);
            assert_eq!(number(&store, &count).await, log.last_seq());
        }
    }

    async fn an_append_that_fails_takes_no_other_of_its_batch_with_it(backend: Backend) {
        let app = idle(backend).await;
        let store = app.store().await;
        // So many that some are in each lane: which one is chance.
        let mut logs = claim(&app, &store, 40).await;
        let hold = Hold::begin(&app, &store, &mut logs).await;
        let before = written(&store).await;
        let mut lost = BTreeMap::new();
        let mut batch: Vec<BoxFuture<'static, Result<Applied>>> = Vec::new();
        for (i, log) in logs.iter_mut().enumerate() {
            stage(log, 1);
            let (mut append, _) = log.take(true).unwrap();
            match i % 4 {
                // Two events at one place.
                1 => {
                    let twin = append.events[0].clone();
                    append.events.push(twin);
                    lost.insert(i, "CONFLICT");
                }
                2 => {
                    append.after_seq += 7;
                    lost.insert(i, "LOST");
                }
                _ => {}
            }
            let store = store.clone();
            batch.push(Box::pin(async move { store.append(append).await }));
        }
        let answers = hold.release(batch).await;
        for (i, answer) in answers.iter().enumerate() {
            match (lost.get(&i), answer) {
                (None, Ok(Applied::Committed { .. })) | (Some(&"LOST"), Ok(Applied::Lost)) => {}
                (Some(&"CONFLICT"), Err(error)) => assert_eq!(error.code(), "CONFLICT"),
                (wanted, answer) => panic!("{i}: {wanted:?}, {answer:?}"),
            }
        }
        let after = written(&store).await;
        // One for each winner, and for each run that made the others wait.
        let more = (logs.len() - lost.len()) as i64;
        assert!(after[0] - before[0] >= more && after[0] - before[0] <= more + 2, "{before:?} {after:?}");
        assert_eq!(after[0] - before[0], after[4] - before[4]);
        for log in &logs {
            sound(&store, log.run().id).await;
        }
    }

    async fn an_append_whose_caller_goes_away_is_written_all_the_same(backend: Backend) {
        let app = idle(backend).await;
        let store = app.store().await;
        let mut logs = claim(&app, &store, 1).await;
        for turn in 1..=20 {
            stage(&mut logs[0], turn);
            let (append, _) = logs[0].take(true).unwrap();
            tests::store::abandon(store.append(append)).await;
        }
        // The lane is a queue: what comes last is answered last.
        stage(&mut logs[0], 21);
        assert_eq!(logs[0].flush(&store, true).await.unwrap(), Flushed::Committed);
        assert_eq!(number(&store, "SELECT last_seq FROM run").await, 22);
        sound(&store, logs[0].run().id).await;
    }
}

/// Holds the lanes, so that what comes meanwhile makes one batch each.
struct Hold {
    go: oneshot::Sender<()>,
    held: Vec<BoxFuture<'static, Result<()>>>,
    rows: Option<DatabaseConnection>,
}

impl Hold {
    /// On SQLite a command holds the writer. On PostgreSQL another connection holds the rows of two runs, which are
    /// taken from `logs`, and an append to one of them waits in each lane.
    async fn begin(app: &TestApp, store: &Store, logs: &mut Vec<Log>) -> Self {
        let (go, gone) = oneshot::channel();
        if app.db().backend() == Backend::Sqlite {
            let gone = std::sync::Mutex::new(Some(gone));
            let (reach, reached) = oneshot::channel();
            let reach = std::sync::Mutex::new(Some(reach));
            let holding = command(move |_| {
                let (gone, reach) = (gone.lock().unwrap().take(), reach.lock().unwrap().take());
                Box::pin(async move {
                    reach.unwrap().send(()).unwrap();
                    gone.unwrap().await.unwrap();
                    Ok(())
                })
            });
            let store = store.clone();
            let held = tokio::spawn(async move { store.write(holding).await });
            reached.await.unwrap();
            let held: BoxFuture<'static, Result<()>> = Box::pin(async move { held.await.unwrap() });
            return Self {
                go,
                held: vec![held],
                rows: None,
            };
        }
        let rows = tests::db::connect(app.db().url()).await.unwrap();
        let mut held = Vec::new();
        for lane in 0..2 {
            let first = logs
                .iter()
                .position(|log| log.run().id.0.as_u128() % 2 == lane);
            let mut log = logs.remove(first.expect("a run in each lane"));
            if lane == 0 {
                rows.execute_unprepared("BEGIN").await.unwrap();
            }
            let lock = format!("SELECT 1 FROM run WHERE id = '{}' FOR UPDATE", log.run().id);
            rows.execute_unprepared(&lock).await.unwrap();
            stage(&mut log, 1);
            let store = store.clone();
            let waiting = tokio::spawn(async move { log.flush(&store, true).await.map(drop) });
            let waiting: BoxFuture<'static, Result<()>> =
                Box::pin(async move { waiting.await.unwrap() });
            held.push(waiting);
        }
        blocked(&rows, 2).await;
        Self {
            go,
            held,
            rows: Some(rows),
        }
    }

    /// Queues the appends, in their order, and lets them run.
    async fn release(
        self,
        mut batch: Vec<BoxFuture<'static, Result<Applied>>>,
    ) -> Vec<Result<Applied>> {
        for waiting in &mut batch {
            assert!(futures_util::poll!(waiting).is_pending());
        }
        match self.rows {
            Some(rows) => {
                rows.execute_unprepared("ROLLBACK").await.unwrap();
                rows.close().await.unwrap();
            }
            None => self.go.send(()).unwrap(),
        }
        for held in self.held {
            held.await.unwrap();
        }
        join_all(batch).await
    }
}

/// Waits until so many connections wait for a lock of this database.
pub async fn blocked(conn: &DatabaseConnection, count: i64) {
    let sql = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let runtime = tokio::runtime::Handle::current();
    let conn = conn.clone();
    let found = tokio::task::spawn_blocking(move || {
        wait_until(std::time::Duration::from_secs(10), || {
            let statement = sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, sql);
            let row = runtime
                .block_on(conn.query_one_raw(statement))
                .unwrap()
                .unwrap();
            (row.try_get_by_index::<i64>(0).unwrap() >= count).then_some(())
        })
    });
    found.await.unwrap().expect("somebody waits for a lock");
}
