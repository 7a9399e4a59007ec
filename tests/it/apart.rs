//! What somebody else holds keeps only those waiting who want it, and takes no batch apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::error::Result;
use domain::run::StopRun;
use domain::store::Store;
use futures_util::future::{BoxFuture, join_all};
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, TransactionTrait as _};
use tests::Backend;
use tests::store::{command, ids, inserting, open, scratch};
use tokio::sync::Semaphore;

use crate::held::{claim, idle};
use crate::look;
use crate::store::{append_to, write};
use crate::unpublish::operator;

/// Holds what this statement selects, in a transaction of somebody else's.
async fn hold(url: &str, rows: &str) -> DatabaseTransaction {
    let holder = tests::db::connect(url).await.unwrap();
    let held = holder.begin().await.unwrap();
    held.execute_unprepared(rows).await.unwrap();
    held
}

/// A row that another node holds keeps only those waiting who want it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_somebody_holds_keeps_only_those_waiting_who_want_it() {
    let (db, store) = scratch(Backend::Postgres).await;
    store.write(inserting(1)).await.unwrap();
    let held = hold(db.url(), "SELECT id FROM scratch WHERE id = 1 FOR UPDATE").await;
    let gate = Gate::close(&store).await;
    let wants = |id| write(&store, command(move |tx| Box::pin(append_to(tx, id))));
    let mut blocked = Box::pin(gate.open(vec![wants(1), write(&store, inserting(2))]));
    // The lane is free again while the one still waits.
    while ids(&db).await != [1, 2] {
        assert!(futures_util::poll!(&mut blocked).is_pending());
        tokio::task::yield_now().await;
    }
    store.write(inserting(3)).await.unwrap();
    assert!(futures_util::poll!(&mut blocked).is_pending());
    held.rollback().await.unwrap();
    assert!(blocked.await.iter().all(Result::is_ok));
    assert_eq!(ids(&db).await, [1, 2, 3]);
}

/// A command that can't have what somebody else holds is run again alone. The others of its batch are run once, and stand
/// meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_misses_a_row_takes_no_other_of_its_batch_apart() {
    let app = idle(Backend::Postgres).await;
    let store = open(app.db().url()).await;
    let run = claim(&app, &store, 1).await.remove(0).run().id;
    let actor = operator(&store).await;
    let held = hold(app.db().url(), "SELECT id FROM request FOR UPDATE").await;
    let gate = Gate::close(&store).await;
    let tries = Arc::new(AtomicUsize::new(0));
    let counting = || {
        let tries = tries.clone();
        let count = command(move |_| {
            tries.fetch_add(1, Ordering::SeqCst);
            Box::pin(async { Ok(()) })
        });
        write(&store, count)
    };
    let stop: BoxFuture<'static, Result<()>> = {
        let stop = StopRun {
            actor,
            name: "Ada".to_owned(),
            run,
            reason: None,
        };
        let store = store.clone();
        Box::pin(async move { store.write(stop).await.map(drop) })
    };
    let mut batch = Box::pin(gate.open(vec![counting(), stop, counting()]));
    while tries.load(Ordering::SeqCst) < 2 {
        assert!(futures_util::poll!(&mut batch).is_pending());
        tokio::task::yield_now().await;
    }
    // The lane goes on while the one still waits.
    let nothing = command(|_| Box::pin(async { Ok(()) }));
    store.write(nothing).await.unwrap();
    assert!(futures_util::poll!(&mut batch).is_pending());
    held.rollback().await.unwrap();
    assert!(batch.await.iter().all(Result::is_ok));
    assert_eq!(tries.load(Ordering::SeqCst), 2);
    let stopped = "SELECT COUNT(*) FROM run WHERE stop_requested_at IS NOT NULL";
    assert_eq!(look::number(&app, stopped).await, 1);
    app.stop().await;
}

/// Holds the lane of the commands, so that what comes meanwhile makes one batch.
pub struct Gate {
    go: Arc<Semaphore>,
    held: tokio::task::JoinHandle<Result<()>>,
}

impl Gate {
    /// Closes it.
    pub async fn close(store: &Store) -> Self {
        let (reached, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (reach, wait) = (reached.clone(), go.clone());
        let holding = write(
            store,
            command(move |_| {
                let (reach, wait) = (reach.clone(), wait.clone());
                Box::pin(async move {
                    reach.add_permits(1);
                    wait.acquire().await.unwrap().forget();
                    Ok(())
                })
            }),
        );
        let held = tokio::spawn(holding);
        reached.acquire().await.unwrap().forget();
        Self { go, held }
    }

    /// Queues the batch, in its order, and lets it run.
    pub async fn open(self, mut batch: Vec<BoxFuture<'static, Result<()>>>) -> Vec<Result<()>> {
        for waiting in &mut batch {
            assert!(futures_util::poll!(waiting).is_pending());
        }
        self.go.add_permits(1);
        self.held.await.unwrap().unwrap();
        join_all(batch).await
    }
}
