//! Several nodes on one database: what they tell each other over Redis, and what becomes of it when Redis does not answer.

use std::sync::Arc;
use std::time::Duration;

use api::config::{Role, Settings};
use domain::bus::{Bus, Signal};
use domain::model::Kind;
use entity::{RunId, WorkspaceId};
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tests::binary;
use tests::provider::{Piece, Reply, StubProvider, bytes, chunk, done, finishes, stream};
use tests::redis::Redis;
use tests::{Backend, Client, TestApp, TestDb};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::look;
use crate::model::{CANARY, assign, provider};

const WATCH: &str =
    "subscription ($id: ID!) { runDeltas(runId: $id) { kind callIndex tool text gap } }";

/// Two nodes: one that executes runs, and one that only serves the API; the first of them is the application.
struct Nodes {
    app: TestApp,
    other: api::App,
    /// A client of the node that executes nothing.
    far: Client,
}

impl Nodes {
    async fn start(redis: Option<&Redis>, stub: &StubProvider, app_works: bool) -> Self {
        let role = |works: bool| if works { Role::All } else { Role::Api };
        let change = |settings: &mut Settings| {
            settings.redis_url = redis.map(Redis::url);
            settings.worker.providers = vec![provider("local", Kind::OpenAi, stub)];
            settings.role = role(app_works);
        };
        let app = TestApp::start_on(TestDb::new(Backend::Postgres).await, change).await;
        let (other, client) = app
            .another(|settings| settings.role = role(!app_works))
            .await;
        let far = if app_works { client } else { (*app).clone() };
        Self { app, other, far }
    }

    async fn stop(self) {
        self.other.stop().await;
        self.app.stop().await;
    }
}

/// The same piece again and again, until it is enough.
fn until(delta: Value, enough: &Arc<Notify>) -> Piece {
    Piece::Until(chunk(delta).into(), enough.clone())
}

fn deltas(items: Vec<Value>) -> Vec<Value> {
    let delta = |mut item: Value| item["runDeltas"].take();
    items.into_iter().map(delta).collect()
}

/// An answer that says the provider's key, a byte at a time, after it was watched.
fn indiscreet(enough: &Arc<Notify>) -> Reply {
    let mut reply = vec![stream(), until(json!({ "content": "hm " }), enough)];
    let finish = json!({ "outcome": "DECLINED", "reason": format!("You sent {CANARY}."), "summary": "I can't." }).to_string();
    let call = |arguments: &str| json!({ "tool_calls": [{ "index": 0, "id": "call_1", "type": "function", "function": { "name": "finish", "arguments": arguments } }] });
    for c in format!("Your key is {CANARY}, I think").chars() {
        reply.push(bytes(chunk(json!({ "reasoning_content": c.to_string() }))));
    }
    for c in finish.chars() {
        reply.push(bytes(chunk(call(&c.to_string()))));
    }
    reply.push(bytes(done(
        "tool_calls",
        json!({ "prompt_tokens": 5, "completion_tokens": 5 }),
    )));
    reply
}

/// Whoever watches at one node sees what a model writes at the other, whichever of them executes the run: all of it, in
/// order, without the provider's key; the key is in nothing that passes through Redis.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_model_writes_at_one_node_is_seen_at_the_other() {
    for app_works in [true, false] {
        let redis = Redis::start();
        let passing = redis.overhear("*").unwrap();
        let enough = Arc::new(Notify::new());
        let stub = StubProvider::start(vec![indiscreet(&enough)]).await;
        let nodes = Nodes::start(Some(&redis), &stub, app_works).await;
        let request = assign(&nodes.app, "worker", json!({ "provider": "local:m" })).await;
        let run = look::first_run(&nodes.app, &request).await;
        let mut live = nodes.far.subscribe(WATCH, json!({ "id": run })).await;
        let mut items = vec![live.next().await];
        enough.notify_one();
        items.extend(live.all().await);
        let deltas = deltas(items);
        assert!(
            deltas.iter().all(|delta| delta["gap"] == false),
            "{deltas:?}"
        );
        let text = |kind: &str| {
            let of_kind = deltas.iter().filter(|delta| delta["kind"] == kind);
            of_kind
                .map(|delta| delta["text"].as_str().unwrap())
                .collect::<String>()
        };
        let events = look::events(&nodes.app, &json!({ "id": run })).await;
        let whole = look::data(&events, "model.completed")[0];
        assert_eq!(text("THINKING"), "Your key is ‹secret:local›, I think");
        assert_eq!(whole["thinking"], text("THINKING"));
        assert!(text("TEXT").ends_with("hm "));
        assert_eq!(whole["calls"][0]["arguments"], text("TOOL_CALL"));
        assert!(text("TOOL_CALL").contains("You sent ‹secret:local›."));
        let passed = passing.text();
        assert!(
            passed.contains(r#""kind":"Thinking""#),
            "pieces pass through Redis"
        );
        assert!(!passed.contains(CANARY) && !format!("{deltas:?}").contains(CANARY));
        look::sound(&nodes.app).await;
        nodes.stop().await;
    }
}

/// Nobody watches, and nothing that a model writes is sent anywhere; nor is anything once the watcher has left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_watcher_nothing_that_a_model_writes_leaves_its_node() {
    let redis = Redis::start();
    let pieces = redis.overhear("stint:0:run:*").unwrap();
    let enough = Arc::new(Notify::new());
    let mut slow = vec![stream(), until(json!({ "content": "hm " }), &enough)];
    slow.extend(finishes("DECLINED").split_off(1));
    let stub = StubProvider::start(vec![finishes("DECLINED"), slow]).await;
    let nodes = Nodes::start(Some(&redis), &stub, true).await;
    assign(&nodes.app, "first", json!({ "provider": "local:m" })).await;
    nodes.app.drain().await;
    assert_eq!(pieces.messages(), 0);

    let request = assign(&nodes.app, "second", json!({ "provider": "local:m" })).await;
    let run = look::first_run(&nodes.app, &request).await;
    let mut live = nodes.far.subscribe(WATCH, json!({ "id": run })).await;
    live.next().await;
    drop(live);
    let overheard = async {
        while pieces.messages() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        pieces.messages()
    };
    let heard = tokio::time::timeout(Duration::from_secs(30), overheard);
    let heard = heard.await.expect("it passes through Redis");
    // It is believed for seven seconds that somebody watches, then it ends while the model still writes.
    let mut before = heard;
    let silent = async {
        loop {
            tokio::time::sleep(Duration::from_millis(700)).await;
            match pieces.messages() {
                now if now == before => return,
                now => before = now,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), silent)
        .await
        .expect("it ends");
    enough.notify_one();
    nodes.app.drain().await;
    nodes.stop().await;
}

/// Redis dies in the middle of an answer: the run goes on, nothing waits for it, and the watcher at the other node is told of
/// the gap once it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_at_another_node_is_told_of_the_gap_that_redis_left() {
    let redis = Redis::start();
    let (watched, back) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let mut reply = vec![
        stream(),
        until(json!({ "content": "hm " }), &watched),
        until(json!({ "content": "ha " }), &back),
    ];
    reply.extend(finishes("DECLINED").split_off(1));
    let stub = StubProvider::start(vec![reply, finishes("DECLINED")]).await;
    let nodes = Nodes::start(Some(&redis), &stub, true).await;
    let request = assign(&nodes.app, "worker", json!({ "provider": "local:m" })).await;
    let run = look::first_run(&nodes.app, &request).await;
    let mut live = nodes.far.subscribe(WATCH, json!({ "id": run })).await;
    live.next().await;
    redis.kill();
    watched.notify_one();
    // Without it all goes on: another run begins and ends, and is seen at the other node.
    let quick = assign(&nodes.app, "quick", json!({ "provider": "local:m" })).await;
    let second = look::first_run(&nodes.app, &quick).await;
    let query = "subscription ($id: ID!) { runEvents(runId: $id) { type } }";
    let seen = nodes
        .far
        .subscribe(query, json!({ "id": second }))
        .await
        .all()
        .await;
    assert_eq!(seen.last().unwrap()["runEvents"]["type"], "run.completed");
    redis.restart();
    let items = live
        .until(|item| {
            item["runDeltas"]["text"]
                .as_str()
                .is_some_and(|text| text.contains("ha"))
        })
        .await;
    assert!(
        deltas(items).iter().any(|delta| delta["gap"] == true),
        "what is missing is marked"
    );
    back.notify_one();
    let rest = deltas(live.all().await);
    assert!(rest.iter().all(|delta| delta["gap"] == false), "{rest:?}");
    nodes.app.drain().await;
    look::sound(&nodes.app).await;
    nodes.stop().await;
}

/// Without Redis the other node gives nothing, and ends with the run; every event is there all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_only_the_node_that_executes_a_run_shows_what_its_model_writes() {
    let enough = Arc::new(Notify::new());
    let mut slow = vec![stream(), until(json!({ "content": "hm " }), &enough)];
    slow.extend(finishes("DECLINED").split_off(1));
    let stub = StubProvider::start(vec![slow]).await;
    let nodes = Nodes::start(None, &stub, true).await;
    let request = assign(&nodes.app, "worker", json!({ "provider": "local:m" })).await;
    let run = look::first_run(&nodes.app, &request).await;
    let mut far = nodes.far.subscribe(WATCH, json!({ "id": run })).await;
    let mut near = nodes.app.subscribe(WATCH, json!({ "id": run })).await;
    near.next().await;
    enough.notify_one();
    assert_eq!(far.all().await, Vec::<Value>::new());
    near.all().await;
    nodes.stop().await;
}

/// A bus over this server, carried until the token is cancelled.
fn carried(redis: &Redis, stop: &CancellationToken) -> Bus {
    let bus = Bus::redis(&redis.url()).unwrap();
    let (carried, until) = (bus.clone(), stop.clone());
    tokio::spawn(async move { carried.keep_connected(until).await });
    bus
}

/// G9: a signal reaches the other process at once; while Redis is frozen or gone nobody waits for it, and once it is back all
/// look, because something may have been missed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_reach_other_processes_and_all_look_when_redis_is_back() {
    let redis = Redis::start();
    let stop = CancellationToken::new();
    let (one, other) = (carried(&redis, &stop), carried(&redis, &stop));
    let patience = Duration::from_secs(30);
    let mut prices = other.here().prices();
    let mut log = other.here().watch_run(RunId(Uuid::max()));
    // Whoever is connected looks at once, whether or not the other one is: again, until something comes that only the other
    // one can have told.
    let run = Signal::Run {
        run: RunId(Uuid::max()),
        seq: 7,
    };
    let told = async {
        while tokio::time::timeout(Duration::from_millis(50), log.past(6))
            .await
            .is_err()
        {
            one.send(run);
        }
    };
    tokio::time::timeout(patience, told)
        .await
        .expect("the log grew");
    prices.mark_unchanged();
    one.send(Signal::Prices(WorkspaceId(Uuid::nil())));
    tokio::time::timeout(patience, prices.changed())
        .await
        .expect("prices changed")
        .unwrap();

    let came_back = [Redis::freeze as fn(&Redis), Redis::kill];
    for (fault, mend) in came_back
        .into_iter()
        .zip([Redis::thaw as fn(&Redis), Redis::restart])
    {
        other.here().missed().now_or_never();
        fault(&redis);
        let began = std::time::Instant::now();
        for _ in 0..100_000 {
            one.send(Signal::Alerts);
        }
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "nobody waits: {:?}",
            began.elapsed()
        );
        // Longer than a connection may be silent: it is found to be dead.
        tokio::time::sleep(Duration::from_secs(8)).await;
        prices.mark_unchanged();
        mend(&redis);
        tokio::time::timeout(patience, other.here().missed())
            .await
            .expect("it looks");
        tokio::time::timeout(patience, prices.changed())
            .await
            .expect("all look")
            .unwrap();
    }
    stop.cancel();
}

/// A wrong address is refused in words that do not repeat it: it may hold a password.
#[test]
fn a_wrong_address_of_redis_is_refused_without_its_password() {
    for url in [
        "localhost:6379",
        "http://user:hunter2@host",
        "redis://user:hunter2@:::/x",
        "",
    ] {
        let error = Bus::redis(url).unwrap_err().to_string();
        assert!(
            error.contains("redis://host:6379") && !error.contains("hunter2"),
            "{url}: {error}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stint.db");
    let database = format!("sqlite://{}", file.display());
    let wrong = ["--redis-url", "http://user:hunter2@host"];
    let serve = ["serve", "--listen", "127.0.0.1:0", "--database-url"];
    let told = binary::run(&[&serve[..], &[&database], &wrong].concat());
    assert!(!told.status.success());
    for said in ["--redis-url (STINT_REDIS_URL", "redis://host:6379"] {
        assert!(told.stderr.contains(said), "{}", told.stderr);
    }
    assert!(!told.stderr.contains("hunter2") && !file.exists());
}
