//! Slices of budgets (G14): what a worker holds of them is never less than what its row says, whatever is given up in the
//! middle, and nothing is written down once its time is over.

use std::sync::Arc;
use std::time::Duration;

use domain::budget::{Hold, Purse, Reserved};
use domain::run::log::Flushed;
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use serde_json::json;
use tests::{Backend, on_both};
use uuid::Uuid;

use crate::held::{claim, idle, number, sound, stage, written};

const USD: i64 = 1_000_000_000;

on_both! {
    /// Others may have the money by then: what a worker that stood still writes afterwards is refused, and it asks anew.
    async fn what_is_written_down_after_its_slices_time_is_refused(backend: Backend) {
        let app = idle(backend).await;
        let store = app.store().await;
        let logs = claim(&app, &store, 2).await;
        let now = app.clock().now();
        let (mut late, mut other) = (logs[0].clone(), logs[1].clone());
        stage(&mut late, 1);
        late.expires(now);
        app.clock().advance(1);
        stage(&mut other, 1);
        other.expires(now.plus(1));
        let before = written(&store).await;
        assert_eq!(late.flush(&store, true).await.unwrap(), Flushed::Lost);
        assert_eq!(written(&store).await, before);
        assert_eq!(other.flush(&store, true).await.unwrap(), Flushed::Committed, "in time to the millisecond");
        // Read again, it goes on.
        let mut again = logs[0].clone();
        stage(&mut again, 1);
        again.expires(now.plus(60_000));
        assert_eq!(again.flush(&store, true).await.unwrap(), Flushed::Committed);
        // The time was that of one append.
        app.clock().advance(120_000);
        stage(&mut again, 2);
        assert_eq!(again.flush(&store, true).await.unwrap(), Flushed::Committed);
        for log in &logs {
            sound(&store, log.run().id).await;
        }
    }

    /// A caller who goes away in the middle of a take leaves nothing behind that is committed beside the next one.
    async fn a_take_that_was_given_up_sets_no_slice_back(backend: Backend) {
        let app = idle(backend).await;
        let store = app.store().await;
        let logs = claim(&app, &store, 1).await;
        app.mutate("workspaceUpdate", json!({ "budget": { "daily": "1000", "monthly": "2000" } }), "").await;
        let run = logs[0].run();
        let whose = (run.workspace_id, run.coworker_id);
        let purse = Arc::new(Purse::new(Uuid::from_u128(7), Duration::from_secs(15)));
        let reserve = || purse.reserve(&store, whose, (3 * USD, 3 * USD), false);
        let (mut held, mut given_up) = (Vec::new(), 0);
        for i in 0..200_u64 {
            match tokio::time::timeout(Duration::from_micros(i * 37 % 3_000), reserve()).await {
                Ok(Ok(Reserved::Held(hold))) => held.push(hold),
                Ok(other) => panic!("{other:?}"),
                Err(_) => given_up += 1,
            }
        }
        let Ok(Reserved::Held(last)) = reserve().await else { panic!("there is money left") };
        held.push(last);
        let amount: i64 = held.iter().map(Hold::amount).sum();
        for (period, limit) in [("DAY", 1_000), ("MONTH", 2_000)] {
            let row = number(&store, &format!("SELECT free_nano FROM budget_slice WHERE period = '{period}'")).await;
            assert!(row >= amount && row <= limit * USD, "{period}: {row} for {amount}");
        }
        let takes = number(&store, "SELECT MAX(seq) FROM budget_slice").await;
        println!("{} held, {given_up} given up, {takes} takes", held.len());
        assert!(given_up > 2, "{given_up}");
        assert!(held.iter().all(|hold| hold.not_after() > store.now()));

        // What was held may still be written down; all else is given back.
        purse.give_back(&store).await.unwrap();
        let left = number(&store, "SELECT free_nano FROM budget_slice WHERE period = 'DAY'").await;
        assert!((amount..=amount + given_up * 3 * USD).contains(&left), "{left} for {amount}");
    }
}

/// It looked at the clock in time, and then had to wait for a row so long that others may have what it holds: it looks again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_row_past_its_slices_time_is_refused() {
    let app = idle(Backend::Postgres).await;
    let store = app.store().await;
    let mut log = claim(&app, &store, 1).await.remove(0);
    stage(&mut log, 1);
    log.expires(app.clock().now().plus(1));
    let before = written(&store).await;
    let other = tests::db::connect(app.db().url()).await.unwrap();
    let held = other.begin().await.unwrap();
    held.execute_unprepared("SELECT 1 FROM run FOR UPDATE")
        .await
        .unwrap();
    let (writing, run) = (store.clone(), log.run().id);
    let flushed = tokio::spawn(async move { log.flush(&writing, true).await });
    let waits = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let waiting = async {
        while number(&store, waits).await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting)
        .await
        .expect("it waits for the row");
    app.clock().advance(2);
    // Longer than what is written for a time only may take.
    tokio::time::sleep(Duration::from_millis(3_300)).await;
    held.rollback().await.unwrap();
    assert_eq!(flushed.await.unwrap().unwrap(), Flushed::Lost);
    assert_eq!(written(&store).await, before);
    sound(&store, run).await;
}
