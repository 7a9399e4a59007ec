//! Runs that a test holds in its own hands, as a worker would: claimed from an application that executes nothing.

use api::config::Role;
use domain::run::claim::{Claim, Claimed};
use domain::run::event::{Event, TurnStarted};
use domain::run::log::Log;
use domain::run::rebuild;
use domain::store::Store;
use entity::RunId;
use tests::{Backend, Coworker, TestApp};
use uuid::Uuid;

use crate::look;

/// The worker that a test is.
pub const ME: Uuid = Uuid::from_u128(1);
/// Its lease, milliseconds.
pub const LEASE: i64 = 60_000;

/// An application without a worker, and with a coworker that gets every request.
pub async fn idle(backend: Backend) -> TestApp {
    let app = TestApp::start_with(backend, |settings| settings.role = Role::Api).await;
    Coworker::new("triage").triage().publish(&app).await;
    app
}

/// Makes so many requests and claims their runs through this store.
pub async fn claim(app: &TestApp, store: &Store, runs: u64) -> Vec<Log> {
    for _ in 0..runs {
        app.request("The VPN is slow").await;
    }
    let claim = Claim {
        worker: ME,
        most: runs,
        lease_ms: LEASE,
        only: None,
    };
    let claimed = store.write(claim).await.expect("claimed");
    assert_eq!(claimed.len() as u64, runs);
    claimed.into_iter().map(|Claimed { log, .. }| log).collect()
}

/// Adds an event to the log that is still to be written.
pub fn stage(log: &mut Log, turn: i32) {
    let at = log.last_at();
    let event: Event = TurnStarted { turn }.into();
    log.stage(at, event).expect("an event of this release");
}

/// A number that a query gives.
pub async fn number(store: &Store, sql: &str) -> i64 {
    look::answer(store.read(), sql).await
}

/// How many rows an append could have written, of all runs together.
pub async fn written(store: &Store) -> Vec<i64> {
    let mut counts = Vec::new();
    for what in [
        "COUNT(*) FROM run_event",
        "COUNT(*) FROM run_step",
        "COUNT(*) FROM usage_ledger",
        "COUNT(*) FROM prompt_part",
        "CAST(SUM(last_seq) AS BIGINT) FROM run",
    ] {
        counts.push(number(store, &format!("SELECT {what}")).await);
    }
    counts
}

/// Asserts that what is stored beside a run's log can be rebuilt from it.
pub async fn sound(store: &Store, run: RunId) {
    let differences = rebuild::differences(store.read(), run)
        .await
        .expect("a log that can be read");
    assert_eq!(differences, Vec::<String>::new());
}
