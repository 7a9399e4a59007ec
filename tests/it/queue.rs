//! From dispatch to run: each starts once, under the next number, whoever claims and whatever fails meanwhile.

use std::collections::BTreeSet;

use domain::error::Error;
use domain::run::claim::Claim;
use domain::store::{Command, Store};
use entity::{Millis, dispatch, run};
use futures_util::future::join_all;
use sea_orm::{EntityTrait, QueryOrder};
use tests::on_both;
use tests::store::command;
use uuid::Uuid;

use crate::held::{LEASE, idle, number, sound};

on_both! {
    async fn numbers_have_no_gap_and_follow_the_time_whatever_fails(backend: Backend) {
        const RUNS: usize = 120;
        let app = idle(backend).await;
        for made in 0..RUNS {
            app.request("The VPN is slow").await;
            app.clock().advance(made as i64 % 3);
        }
        let store = app.store().await;
        let waiting = "SELECT COUNT(*) FROM dispatch WHERE state = 'WAITING'";
        let mut rounds = 0;
        while number(&store, waiting).await > 0 {
            rounds += 1;
            assert!(rounds < 200, "nobody gets on");
            // Eight workers at once; every third of them fails after it has taken its numbers.
            let claims = (0..8_u128).map(|worker| claim(&store, worker, worker % 3 == 2));
            for (worker, answer) in join_all(claims).await.into_iter().enumerate() {
                match answer {
                    Ok(()) => assert_ne!(worker % 3, 2),
                    // Two that wanted the same rows: one of them tries again in the next round.
                    Err(error) => assert!(error.code() == "REFUSED" || error.is_refusal(), "{error:?}"),
                }
            }
            app.clock().advance(1);
        }
        let runs = run::Entity::find().order_by_asc(run::Column::Number).all(store.read()).await.unwrap();
        assert_eq!(runs.len(), RUNS);
        let mut before = Millis(i64::MIN);
        for (run, number) in runs.iter().zip(1..) {
            assert_eq!(run.number, number);
            assert!(run.started_at >= before, "Run-{number} started before the one before it");
            before = run.started_at;
        }
        let started: BTreeSet<_> = runs.iter().map(|run| run.dispatch_id).collect();
        assert_eq!(started.len(), RUNS);
        for dispatch in dispatch::Entity::find().all(store.read()).await.unwrap() {
            let run = runs.iter().find(|run| run.dispatch_id == dispatch.id).expect("each became a run");
            assert_eq!(dispatch.run_id, Some(run.id));
        }
        for run in runs.iter().step_by(10) {
            sound(&store, run.id).await;
        }
    }
}

/// Claims up to four runs for a worker; if it fails, after everything was decided.
async fn claim(store: &Store, worker: u128, fails: bool) -> Result<(), Error> {
    let claim = Claim {
        worker: Uuid::from_u128(worker),
        most: 4,
        lease_ms: LEASE,
        only: None,
    };
    if !fails {
        return store.write(claim).await.map(drop);
    }
    let failing = command(move |tx| {
        let claim = claim.clone();
        Box::pin(async move {
            claim.run(tx).await?;
            Err::<(), _>(Error::conflict("REFUSED", "as a test asked"))
        })
    });
    store.write(failing).await
}
