//! Providers of models as people have them: slow ones, busy ones, gateways with an address and a header of their own.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use domain::model::{Kind, Patience, Provider};
use serde_json::{Value, json};
use tests::binary::Stint;
use tests::provider::{Asked, Piece, StubProvider, bytes, finishes, http, stream};
use tests::{Coworker, TestApp, both_dbs};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::look;
use crate::model::{CANARY, assign, provider, run_of, with};

/// A port whose queue of connections is full, as long as this lives.
struct Full {
    address: SocketAddr,
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl Full {
    async fn listen() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
        let listener = socket.listen(1).expect("it listens");
        let address = listener.local_addr().expect("an address");
        let mut waiting = Vec::new();
        // Whoever comes once the queue is full is left without an answer.
        let patience = Duration::from_millis(200);
        while let Ok(connected) = timeout(patience, TcpStream::connect(address)).await {
            waiting.push(connected.expect("a place in the queue"));
        }
        Self {
            address,
            _listener: listener,
            _waiting: waiting,
        }
    }
}

both_dbs! {
    /// What takes its time and comes is no failure: the first byte, and the first word behind signs of life.
    async fn a_slow_first_token_that_comes_is_no_error(app: TestApp) {
        let slow = Duration::from_millis(300);
        let mut late = vec![Piece::After(3 * slow)];
        late.extend(finishes("DECLINED"));
        // Each sign of life comes in time, the first word long after that.
        let mut thinks = vec![stream()];
        thinks.extend((0..4).flat_map(|_| [bytes(": it thinks\n\n"), Piece::After(slow)]));
        thinks.extend(finishes("DECLINED").split_off(1));
        let (late, thinks) = (StubProvider::start(vec![late]).await, StubProvider::start(vec![thinks]).await);
        let patient = |name: &str, stub: &StubProvider| Provider {
            patience: Patience { connect: Duration::from_secs(5), first_byte: Duration::from_secs(30), idle: 10 * slow },
            ..provider(name, Kind::OpenAi, stub)
        };
        let app = with(&app, vec![patient("late", &late), patient("thinks", &thinks)]).await;
        for (name, stub) in [("late", &late), ("thinks", &thinks)] {
            let request = assign(&app, name, json!({ "provider": format!("{name}:m") })).await;
            app.drain().await;
            let run = run_of(&app, &request).await;
            assert_eq!((&run["status"], stub.asked().len()), (&json!("COMPLETED"), 1), "{name}: {run:#}");
            let events = look::events(&app, &run).await;
            assert_eq!(look::data(&events, "model.failed"), Vec::<&Value>::new(), "{name}");
            let first = look::data(&events, "model.completed")[0]["first_token_ms"].as_i64().expect("a time");
            assert!(name == "late" || first >= 1_000, "{name}: {first}");
        }
        look::sound(&app).await;
        app.stop().await;
    }

    /// G13: a port whose queue is full takes no connection and refuses none: each try ends by its own time-out, and the run
    /// with its reason.
    async fn a_server_that_never_accepts_ends_each_try_by_the_time_out_of_the_connection(app: TestApp) {
        let full = Full::listen().await;
        let provider = Provider {
            base_url: format!("http://{}/v1", full.address),
            patience: Patience { connect: Duration::from_millis(300), ..Patience::default() },
            ..Provider::new("full", Kind::OpenAi)
        };
        let app = with(&app, vec![provider]).await;
        let began = Instant::now();
        let request = assign(&app, "worker", json!({ "provider": "full:m" })).await;
        app.drain().await;
        // Four tries and the pauses between them; the first byte alone would be waited for two minutes each time.
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
        let run = run_of(&app, &request).await;
        assert_eq!((&run["status"], &run["failureCode"]), (&json!("FAILED"), &json!("MODEL_ERROR")), "{run:#}");
        let events = look::events(&app, &run).await;
        let failed = look::data(&events, "model.failed");
        assert_eq!(failed.len(), 4, "{events:#?}");
        for failed in failed {
            assert_eq!((&failed["class"], &failed["reservation"]), (&json!("unreachable"), &serde_json::Value::Null));
            assert!(failed["message"].as_str().unwrap().contains("can't be reached"), "{failed:#}");
            assert!(failed["retryable"] == true, "{failed:#}");
        }
        look::sound(&app).await;
        app.stop().await;
    }

    /// Runs that failed together do not come back together, and none waits longer than twice its pause.
    async fn runs_that_a_provider_refuses_together_come_back_each_at_its_own_time(app: TestApp) {
        const RUNS: usize = 16;
        let busy = http("503 Service Unavailable", &[], "{}");
        let (mut stubs, mut providers) = (Vec::new(), Vec::new());
        for i in 0..RUNS {
            let stub = StubProvider::start(vec![busy.clone(), finishes("DECLINED")]).await;
            providers.push(Provider { patience: Patience::default(), ..provider(&format!("p{i}"), Kind::OpenAi, &stub) });
            stubs.push(stub);
        }
        let app = with(&app, providers).await;
        for i in 0..RUNS {
            assign(&app, &format!("w{i}"), json!({ "provider": format!("p{i}:m") })).await;
        }
        app.drain().await;
        let pauses: Vec<Duration> = stubs.iter().map(|stub| {
            let asked = stub.asked();
            assert_eq!(asked.len(), 2);
            asked[1].at - asked[0].at
        }).collect();
        // The first retry comes after 200 to 400 ms, and what a busy machine adds.
        assert!(pauses.iter().all(|pause| (Duration::from_millis(195)..Duration::from_secs(10)).contains(pause)), "{pauses:?}");
        // By chance alone fewer than a quarter of them come 60 ms behind the first once in ten thousand times; a machine that is
        // busy adds less than that to most of them, so that without the chance they would come together.
        let least = *pauses.iter().min().unwrap();
        let later = pauses.iter().filter(|pause| **pause > least + Duration::from_millis(60));
        assert!(later.count() >= RUNS / 4, "{pauses:?}");
        look::sound(&app).await;
        app.stop().await;
    }
}

/// What the real binary asks a provider that its settings file declares like this, for a run of the model `NAME:my-deployment`.
async fn asked_by(stub: &StubProvider, folder: &Path, name: &str, declared: &str) -> Asked {
    let config = folder.join("stint.toml");
    std::fs::write(
        &config,
        format!("[models.{name}]\nkind = \"openai\"\n{declared}"),
    )
    .unwrap();
    let url = format!("sqlite://{}", folder.join("stint.db").display());
    let config = config.to_string_lossy();
    let args = [
        "serve",
        "--database-url",
        &url,
        "--listen",
        "127.0.0.1:0",
        "--config",
        &config,
    ];
    let mut server = Stint::start_with(&args, &[("AZURE_KEY", CANARY)]);
    let client = server.client();
    let model = json!({ "provider": format!("{name}:my-deployment") });
    let worker = Coworker::new("worker")
        .with("model", model)
        .publish(&client)
        .await;
    let input = json!({ "title": "Where is it?", "assigneeId": worker.id });
    let request = client
        .mutate("requestCreate", input, "request { id }")
        .await["request"]["id"]
        .clone();
    let run = look::first_run(&client, &request).await;
    let query = "subscription ($id: ID!) { runEvents(runId: $id) { type payload } }";
    let live = client
        .subscribe(query, json!({ "id": run }))
        .await
        .all()
        .await;
    let last = live.last().expect("an end");
    assert_eq!(last["runEvents"]["type"], "run.completed", "{last:#}");
    let mut asked = stub.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].body["model"], "my-deployment");
    server.terminate();
    server.wait();
    assert!(!server.stderr().contains(CANARY));
    asked.remove(0)
}

/// A server in Azure's style, as its operator declares it: its path, its version in the query, its key in a header of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_azures_style_runs_a_coworker() {
    let stub = StubProvider::start(vec![finishes("DECLINED")]).await;
    let folder = tempfile::tempdir().unwrap();
    let base = stub.url().replace("/v1", "/openai/v1");
    let declared = format!(
        "base_url = \"{base}\"\napi_key_env = \"AZURE_KEY\"\napi_key_header = \"api-key\"\napi_version = \"2026-01-01\"\n"
    );
    let asked = asked_by(&stub, folder.path(), "azure", &declared).await;
    let head = &asked.head;
    assert!(
        head.starts_with("POST /openai/v1/chat/completions?api-version=2026-01-01 "),
        "{head}"
    );
    assert!(head.contains(&format!("api-key: {CANARY}")), "{head}");
    assert!(!head.to_lowercase().contains("authorization:"), "{head}");
}

/// As secrets are mounted: a file with the key and the end of its line.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_a_file_is_sent_as_it_stands_there() {
    let stub = StubProvider::start(vec![finishes("DECLINED")]).await;
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, format!("{CANARY}\n")).unwrap();
    let declared = format!(
        "base_url = \"{}\"\napi_key_file = \"{}\"\n",
        stub.url(),
        key.display()
    );
    let asked = asked_by(&stub, folder.path(), "mounted", &declared).await;
    let line = format!("authorization: Bearer {CANARY}");
    let mut lines = asked.head.lines();
    assert!(lines.any(|head| head == line), "{}", asked.head);
}
