//! Stint in the test's own process: its own database, its own port, a clock that stands still until it is moved.

use std::future::Future;
use std::ops::Deref;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use api::App;
use api::config::Settings;
use domain::bus::Signal;
use domain::clock::Clock;
use domain::secret::Vault;
use domain::store::Store;
use entity::{Millis, Role};
use sea_orm::{ConnectionTrait, DbErr, Statement};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::client::{Client, PATIENCE};
use crate::db::{Backend, TestDb};

/// When every test begins: 2026-05-20T03:30:00.000Z.
pub const START: Millis = Millis(1_779_247_800_000);

/// How long a drain may take before the test fails.
const DRAIN: Duration = Duration::from_secs(60);
/// How often a drain looks without having been woken.
const LOOK: Duration = Duration::from_millis(250);
/// How long a clean stop may take at the end of a test.
const FAREWELL: Duration = Duration::from_secs(20);

/// A running Stint with a fresh workspace. It is a [`Client`] with an admin key; cheap to clone.
#[derive(Clone)]
pub struct TestApp {
    inner: Arc<Inner>,
}

struct Inner {
    admin: Client,
    settings: Settings,
    clock: Clock,
    /// Before `db`, so that it is gone when the database is dropped.
    app: Mutex<Option<App>>,
    db: TestDb,
}

impl Deref for TestApp {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.inner.admin
    }
}

impl TestApp {
    /// Starts one on a fresh database.
    pub async fn start(backend: Backend) -> Self {
        Self::start_with(backend, |_| {}).await
    }

    /// Starts one on a fresh database, with some settings changed.
    pub async fn start_with(backend: Backend, change: impl FnOnce(&mut Settings)) -> Self {
        Self::start_on(TestDb::new(backend).await, change).await
    }

    /// Starts one on this database, which must not have a workspace yet.
    pub async fn start_on(db: TestDb, change: impl FnOnce(&mut Settings)) -> Self {
        log();
        let clock = Clock::manual(START);
        let mut settings = Settings {
            database_url: db.url().to_owned(),
            listen: "127.0.0.1:0".to_owned(),
            clock: clock.clone(),
            vault: Some(Vault::new(&[[7; 32]]).expect("a vault")),
            ..Settings::default()
        };
        change(&mut settings);
        let clock = settings.clock.clone();
        let app = App::start(settings.clone()).await.expect("Stint starts");
        let address = app.address();
        // A restart comes back to the same port, so that clients find it.
        settings.listen = address.to_string();
        let key = app
            .first_key()
            .expect("the first start makes an admin key")
            .to_owned();
        let admin = Client::new(address, Some(&key));
        Self {
            inner: Arc::new(Inner {
                admin,
                settings,
                clock,
                app: Mutex::new(Some(app)),
                db,
            }),
        }
    }

    /// The database.
    pub fn db(&self) -> &TestDb {
        &self.inner.db
    }

    /// The store of the running application, for what the API does not show. Drop it before [`TestApp::stop`]: it
    /// holds an embedded database's lock.
    pub async fn store(&self) -> Store {
        self.inner
            .app
            .lock()
            .await
            .as_ref()
            .expect("the application runs")
            .store()
            .clone()
    }

    /// The clock of this application.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Moves the clock and wakes whoever waits for a time.
    pub async fn advance(&self, time: Duration) {
        self.inner
            .clock
            .advance(i64::try_from(time.as_millis()).expect("a time that fits"));
        self.store().await.bus().send(Signal::Work);
    }

    /// A client with a new key of this role, for a new person.
    pub async fn as_role(&self, role: Role) -> Client {
        self.with_new_key(json!({ "name": role.as_str(), "role": role.as_str() }))
            .await
    }

    /// A client with a new key, made from an `ApiKeyCreateInput`.
    pub async fn with_new_key(&self, input: Value) -> Client {
        let payload = self.mutate("apiKeyCreate", input, "secret").await;
        self.with_key(Some(payload["secret"].as_str().expect("the key's text")))
    }

    /// Makes a request with this title and returns its `id` and `number`.
    pub async fn request(&self, title: &str) -> Value {
        self.mutate(
            "requestCreate",
            json!({ "title": title }),
            "request { id number }",
        )
        .await["request"]
            .take()
    }

    /// Waits until no dispatch waits and no run works, woken by what happens. Fails the test when that takes too long.
    pub async fn drain(&self) {
        let store = self.store().await;
        let bus = store.bus().here();
        // Registered before the first look, so that nothing is missed in between.
        let (mut runs, mut work) = (bus.board(), bus.work());
        let drained = tokio::time::timeout(DRAIN, async {
            // A database that was restarted may refuse a look or two.
            while !matches!(busy(&store).await, Ok((0, 0))) {
                tokio::select! {
                    _ = runs.recv() => while runs.try_recv().is_ok() {},
                    _ = work.changed() => {}
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
        });
        if drained.await.is_err() {
            let left = busy(&store).await;
            panic!("not drained after {DRAIN:?}: dispatches that wait, runs that work: {left:?}");
        }
    }

    /// The same with some settings changed from now on, until it is restarted again.
    pub async fn restart_with(&self, change: impl FnOnce(&mut Settings)) {
        self.stop().await;
        let mut settings = self.inner.settings.clone();
        change(&mut settings);
        let app = App::start(settings).await.expect("Stint starts again");
        *self.inner.app.lock().await = Some(app);
    }

    /// Another node on the same database, with some settings changed, and a client of it. Stop it before this one.
    pub async fn another(&self, change: impl FnOnce(&mut Settings)) -> (App, Client) {
        let mut settings = Settings {
            listen: "127.0.0.1:0".to_owned(),
            ..self.inner.settings.clone()
        };
        change(&mut settings);
        let app = App::start(settings).await.expect("another node starts");
        let client = Client::new(app.address(), self.key());
        (app, client)
    }

    /// Stops it cleanly, as SIGTERM does.
    pub async fn stop(&self) {
        let app = self.inner.app.lock().await.take();
        if let Some(app) = app {
            tokio::time::timeout(PATIENCE, app.stop())
                .await
                .expect("Stint stops");
        }
    }

    /// Starts it again on the same database and port, after a stop or instead of one.
    pub async fn restart(&self) {
        self.stop().await;
        let app = App::start(self.inner.settings.clone())
            .await
            .expect("Stint starts again");
        *self.inner.app.lock().await = Some(app);
    }
}

/// How many dispatches wait, and how many runs work.
async fn busy(store: &Store) -> Result<(i64, i64), DbErr> {
    let counts = "SELECT (SELECT COUNT(*) FROM dispatch WHERE state = 'WAITING') AS waiting, \
                  (SELECT COUNT(*) FROM run WHERE status = 'RUNNING') AS running";
    let statement = Statement::from_string(store.backend(), counts);
    let row = store.read().query_one_raw(statement).await?;
    let row = row.expect("a row");
    Ok((row.try_get("", "waiting")?, row.try_get("", "running")?))
}

/// Runs the body of a test on a fresh application; ends the application when the body is done or has failed.
/// [`both_dbs`](crate::both_dbs) calls it.
pub fn run<F: Future<Output = ()> + Send + 'static>(
    backend: Backend,
    body: impl FnOnce(TestApp) -> F,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let app = TestApp::start(backend).await;
        let outcome = tokio::spawn(body(app.clone())).await;
        let stopped = tokio::time::timeout(FAREWELL, app.stop()).await;
        match outcome {
            Ok(()) => stopped.expect("Stint stops after the test"),
            Err(failed) => resume_unwind(failed.into_panic()),
        }
    });
}

/// Shows the application's warnings with a test that failed; `STINT_TEST_LOG=debug` shows more.
fn log() {
    let filter = std::env::var("STINT_TEST_LOG").unwrap_or_else(|_| "warn".to_owned());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_test_writer();
    // Only the first test of a process can set it.
    drop(log.try_init());
}

/// Writes a test once and runs it on both databases, as `name::sqlite` and `name::postgres`:
///
/// ```ignore
/// both_dbs! {
///     async fn a_request_gets_the_next_number(app: TestApp) {
///         assert_eq!(app.request("The VPN is slow").await["number"], 1);
///     }
/// }
/// ```
#[macro_export]
macro_rules! both_dbs {
    ($($(#[$meta:meta])* async fn $name:ident($app:ident: TestApp) $body:block)+) => {$(
        $(#[$meta])*
        #[cfg(test)]
        mod $name {
            use super::*;

            async fn body($app: TestApp) $body

            #[test]
            fn sqlite() {
                $crate::app::run($crate::Backend::Sqlite, body);
            }

            #[test]
            fn postgres() {
                $crate::app::run($crate::Backend::Postgres, body);
            }
        }
    )+};
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Coworker;

    both_dbs! {
        async fn a_test_sees_a_run_from_its_request_to_its_end(app: TestApp) {
            Coworker::new("triage").triage().publish(&app).await;
            let request = app.request("The VPN is slow").await;
            assert_eq!(request["number"], 1);
            app.drain().await;

            let data = app.gql("{ runs { nodes { id number status startedAt } } }", json!({})).await;
            let run = &data["runs"]["nodes"][0];
            assert_eq!((&run["number"], &run["startedAt"]), (&json!(1), &json!("2026-05-20T03:30:00.000Z")));

            let query = "subscription ($run: ID!) { runEvents(runId: $run) { sequence type } }";
            let events = app.subscribe(query, json!({ "run": run["id"] })).await.all().await;
            assert_eq!(events[0]["runEvents"], json!({ "sequence": 1, "type": "run.started" }));
        }

        async fn what_was_written_is_there_after_a_restart(app: TestApp) {
            app.request("The VPN is slow").await;
            app.restart().await;
            assert_eq!(app.request("It still is").await["number"], 2);
        }

        async fn each_role_has_its_own_key(app: TestApp) {
            for role in Role::ALL {
                let client = app.as_role(*role).await;
                let data = client.gql("{ viewer { role } }", json!({})).await;
                assert_eq!(data["viewer"]["role"], role.as_str());
            }
            let answer = app.with_key(Some("stint_made_up")).post("{ viewer { role } }", json!({})).await;
            assert_eq!(answer.status, 401);
        }
    }
}
