//! Whatever models say and people do at the same time: every run ends once, and what is stored can be rebuilt.
//!
//! Each case is a workspace of its own: coworkers that play at random, and people and an outside system that do this and that at
//! the same time, on PostgreSQL at two nodes. Cases are played until all that could break something has happened often enough. A
//! case that fails is made as small as it can be. `STINT_TEST_SEED` takes other cases, `STINT_TEST_CASES` more.

mod act;
mod check;
mod place;
mod plan;

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use api::App;
use api::config::Settings;
use domain::clock::Clock;
use domain::secret::Vault;
use futures_util::future::join_all;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tests::{Backend, TestApp, TestDb};

use check::{in_order, rare};
use place::Place;
use plan::{Plan, plan};

use crate::chance::setting;

/// Carries a plan out in a workspace of its own.
async fn carry_out(nodes: &Nodes, name: &str, plan: &Plan) {
    let Nodes { app, others } = nodes;
    let addresses: Vec<_> = others.iter().map(App::address).collect();
    let place = Place::furnish(app, &addresses, name, plan).await;
    let people = plan.people.iter().enumerate();
    join_all(people.map(async |(person, acts)| {
        for act in acts {
            place.perform(person, act).await;
        }
    }))
    .await;
    place.settle(app).await;
    in_order(app, place.admin()).await;
}

/// One node, or on PostgreSQL two: both are asked, and both execute.
struct Nodes {
    app: TestApp,
    others: Vec<App>,
}

impl Nodes {
    async fn start(backend: Backend) -> Self {
        let hasty = |settings: &mut Settings| {
            settings.clock = Clock::system();
            settings.worker.poll = Duration::from_millis(100);
            // A node is not rung by the other: it sees when it renews that a run was stopped or superseded.
            settings.worker.renew = Duration::from_millis(200);
        };
        let db = TestDb::new(backend).await;
        let mut second = Settings {
            database_url: db.url().to_owned(),
            listen: "127.0.0.1:0".to_owned(),
            vault: Some(Vault::new(&[[7; 32]]).expect("a vault")),
            ..Settings::default()
        };
        hasty(&mut second);
        let app = TestApp::start_on(db, hasty).await;
        let others = match backend {
            // A file has one process.
            Backend::Sqlite => Vec::new(),
            Backend::Postgres => vec![App::start(second).await.expect("another node")],
        };
        Self { app, others }
    }

    async fn stop(self) {
        for node in self.others {
            node.stop().await;
        }
        self.app.stop().await;
    }
}

/// Cases that are played at a time in addition, where something happened too seldom: what meets what is chance, whatever the seed.
const MORE: u32 = 4;
/// After so long no more are played.
const LONG: Duration = Duration::from_secs(300);

/// Assignments, mentions, notes, hand-offs, closed requests, stops, approvals, publications, webhooks and hostile models, in any order and at the same time:
/// never two runs of one coworker on one request, a run without an end, a number left out, or an assignment that does not say
/// what became of it (R08, R24, R26).
fn nothing_breaks(backend: Backend) {
    let seed = setting("STINT_TEST_SEED", 20_260_520);
    let config = Config {
        cases: u32::try_from(setting("STINT_TEST_CASES", 16)).expect("fewer"),
        // A test that hangs is ended after ten minutes; what was found until then is told.
        max_shrink_time: 60_000,
        failure_persistence: None,
        ..Config::default()
    };
    let wanted = config.cases;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    // All cases have the same nodes, until one fails: what it left behind must not make the next one fail too.
    let kept = RefCell::new(None);
    let case = Cell::new(0);
    let began = Instant::now();
    for round in 0.. {
        let seed = seed + round;
        let bytes: Vec<u8> = seed.to_le_bytes().repeat(4);
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let config = Config {
            cases: if round == 0 { config.cases } else { MORE },
            ..config.clone()
        };
        let tried = TestRunner::new_with_rng(config, rng).run(&plan(), |plan| {
            case.set(case.get() + 1);
            let earlier: Option<Nodes> = kept.take();
            let nodes = runtime.block_on(async {
                let nodes = match earlier {
                    Some(nodes) => nodes,
                    None => Nodes::start(backend).await,
                };
                carry_out(&nodes, &format!("Case {}", case.get()), &plan).await;
                nodes
            });
            kept.replace(Some(nodes));
            Ok(())
        });
        if let Err(failed) = tried {
            if let Some(nodes) = kept.take() {
                runtime.block_on(nodes.stop());
            }
            panic!("STINT_TEST_SEED={seed}: {failed}");
        }
        let nodes = kept.take().expect("the nodes of the last case");
        let lacking = runtime.block_on(rare(&nodes.app, wanted));
        if lacking.is_empty() || began.elapsed() > LONG {
            runtime.block_on(nodes.stop());
            assert!(
                lacking.is_empty(),
                "what happened too seldom in {} cases, how often, and how often at least: {lacking:#?}",
                case.get()
            );
            return;
        }
        kept.replace(Some(nodes));
    }
}

mod whatever_models_say_and_people_do_nothing_breaks {
    use super::*;

    #[test]
    fn sqlite() {
        nothing_breaks(Backend::Sqlite);
    }

    #[test]
    fn postgres() {
        nothing_breaks(Backend::Postgres);
    }
}
