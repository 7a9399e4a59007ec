//! Runs: how they are numbered, and how they end.

use std::time::Duration;

use domain::clock::Clock;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::{Backend, Coworker, TestApp, both_dbs};

use crate::look;

/// How many requests come in at once.
const STARTS: i64 = 200;

/// Makes requests for several coworkers at once, each until it is acknowledged, and waits until all have run.
async fn start_many(app: &TestApp) {
    let mut coworkers = Vec::new();
    for handle in ["one", "two", "three", "four"] {
        coworkers.push(Coworker::new(handle).playbook(FINISHES).publish(app).await.id);
    }
    let creates = (0..STARTS).map(|i| {
        let assignee = &coworkers[usize::try_from(i % 4).expect("small")];
        let input = json!({ "title": format!("Request {i}"), "assigneeId": assignee, "idempotencyKey": format!("start-{i}") });
        create(app, input)
    });
    join_all(creates).await;
    app.drain().await;
}

/// Repeats a call until it is acknowledged, as a client does that knows its own key.
async fn create(app: &TestApp, input: Value) {
    let query = "mutation ($input: RequestCreateInput!) { requestCreate(input: $input) { request { id } userErrors { code message } } }";
    for _ in 0..50 {
        let answer = app.post(query, json!({ "input": input })).await;
        let payload = &answer.body["data"]["requestCreate"];
        if payload["request"]["id"].is_string() {
            return;
        }
        let code = answer.body["errors"][0]["extensions"]["code"].as_str().unwrap_or("none");
        assert!(matches!(code, "UNAVAILABLE" | "COMMIT_UNKNOWN"), "{}", answer.body);
        tokio::task::yield_now().await;
    }
    panic!("not acknowledged: {input}");
}

/// Numbers 1 to n without a gap, in the order of `startedAt`, one run for each request.
async fn numbered(app: &TestApp) {
    let runs = look::runs(app).await;
    let numbers: Vec<i64> = runs.iter().map(|run| run["number"].as_i64().expect("a number")).collect();
    assert_eq!(numbers, (1..=STARTS).collect::<Vec<_>>());
    let started: Vec<&str> = runs.iter().map(|run| run["startedAt"].as_str().expect("a time")).collect();
    assert!(started.is_sorted(), "{started:?}");
    let mut requests: Vec<i64> = runs.iter().map(|run| run["request"]["number"].as_i64().expect("a number")).collect();
    requests.sort_unstable();
    assert_eq!(requests, (1..=STARTS).collect::<Vec<_>>(), "one run for each request");
    assert!(runs.iter().all(|run| run["outcome"] == "DECLINED"), "{runs:#?}");
}

const FINISHES: &str = "
turns:
  - calls: [{ tool: finish, arguments: { outcome: DECLINED, reason: Nothing to do., summary: I had nothing to do. } }]
";

both_dbs! {
    async fn runs_that_start_at_once_are_numbered_without_gaps_in_the_order_of_their_start(app: TestApp) {
        let app = look::with_settings(&app, |settings| settings.clock = Clock::system()).await;
        start_many(&app).await;
        numbered(&app).await;
        app.stop().await;
    }

    async fn claims_that_fail_leave_no_gap_in_the_numbers(app: TestApp) {
        let app = look::with_settings(&app, |settings| {
            settings.clock = Clock::system();
            settings.worker.poll = Duration::from_millis(20);
        }).await;
        // Of a claim's runs each one fails with this chance, and with it the claim.
        let saboteur = match app.db().backend() {
            Backend::Sqlite => "CREATE TRIGGER saboteur BEFORE INSERT ON run WHEN abs(random()) % 25 = 0 BEGIN SELECT RAISE(ABORT, 'sabotage'); END",
            Backend::Postgres => "CREATE FUNCTION sabotage() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF random() < 0.04 THEN RAISE EXCEPTION 'sabotage'; END IF; RETURN NEW; END $$;
                CREATE TRIGGER saboteur BEFORE INSERT ON run FOR EACH ROW EXECUTE FUNCTION sabotage()",
        };
        look::tamper(&app, saboteur).await;
        start_many(&app).await;
        numbered(&app).await;
        app.stop().await;
    }
}
