//! A workday of lost replies and short outages: what the runs did is in their logs once.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::clock::Clock;
use serde_json::{Value, json};
use tests::proxy::{Fate, Proxy};
use tests::{Backend, Client, Coworker, TestApp, TestDb};

use crate::look;

/// Every fourth COMMIT or so of a workday is lost, and at times the database is gone for a while: what the runs did
/// is in their logs once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_whose_replies_are_lost_do_everything_once() {
    let (db, other) = (
        TestDb::new(Backend::Postgres).await,
        TestDb::new(Backend::Postgres).await,
    );
    let proxy = Proxy::start(db.url()).await;
    let url = proxy.url(db.url());
    // A run whose claim or takeover was lost is found long before its lease runs out, and is not blamed.
    let app = TestApp::start_on(other, |settings| {
        settings.database_url = url;
        settings.clock = Clock::system();
        settings.worker.poll = Duration::from_millis(50);
        settings.worker.reap = Duration::from_millis(400);
    })
    .await;
    Coworker::new("triage")
        .triage()
        .playbook(BUSY)
        .publish(&app)
        .await;
    const FATES: [Fate; 7] = [
        Fate::ReplyLost,
        Fate::NeverSent,
        Fate::ReplyLost,
        Fate::ReplyLost,
        Fate::NeverSent,
        Fate::ReplyLost,
        Fate::ReplyLost,
    ];
    for (i, fate) in FATES.iter().cycle().take(9).enumerate() {
        // Its own reply may be lost too: the key makes it one request all the same.
        submit(&app, i).await;
        // Armed while runs are under way: it meets whichever commit comes next.
        if i % 3 == 2 {
            // Long enough that the store gives up, so that the runs themselves must find out what stands.
            proxy.turn_away(40);
        }
        proxy.strike_after(i * 5 % 11, &[*fate]);
        proxy.until_struck(i + 1).await;
    }
    // The outage is over; connections that died unused are found out by whoever takes them next.
    proxy.turn_away(0);
    let store = app.store().await;
    for _ in 0..40 {
        drop(store.ping().await);
    }
    drop(store);
    app.drain().await;
    look::sound(&app).await;
    for run in look::runs(&app).await {
        assert_eq!(run["outcome"], "REPLIED", "{run:#}");
        let events = look::events(&app, &run).await;
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for event in &events {
            let what = match event["type"].as_str().unwrap() {
                "model.completed" => format!("turn {}", event["turn_number"]),
                "tool.completed" | "tool.failed" => event["data"]["call_id"].to_string(),
                "note.posted" => event["data"]["body"].to_string(),
                _ => continue,
            };
            *seen.entry(what).or_default() += 1;
        }
        assert!(
            seen.values().all(|times| *times == 1),
            "Run-{}: {seen:?}",
            run["number"]
        );
    }
    for request in requests(&app).await {
        let shown = look::request(&app, &request).await;
        let notes = look::notes(&shown, "PUBLIC");
        assert!(
            notes.is_empty() || notes == ["I look at it."],
            "{request}: {notes:?}"
        );
    }
    app.stop().await;
    drop(db);
}

/// Two answers of the model, a tool outside, and a note.
const BUSY: &str = "
tools:
  - name: device.reset
    description: Resets it.
    effect: IDEMPOTENT
    answers: [{ response: done, delay: 20ms }]
turns:
  - calls:
      - { tool: post_note, arguments: { visibility: PUBLIC, body: I look at it. } }
      - { tool: device.reset, arguments: {} }
    delay: 20ms
  - calls:
      - { tool: device.reset, arguments: {} }
      - { tool: finish, arguments: { outcome: REPLIED, reason: r, summary: s } }
    delay: 20ms
";

/// Makes a request as a client does that knows no better: again and again, under one key.
async fn submit(client: &Client, i: usize) {
    let query =
        "mutation ($i: RequestCreateInput!) { requestCreate(input: $i) { request { id } } }";
    let variables =
        json!({ "i": { "title": "The VPN is slow", "idempotencyKey": format!("k{i}") } });
    for _ in 0..100 {
        let answer = client.post(query, variables.clone()).await;
        match answer.body["errors"][0]["extensions"]["code"].as_str() {
            None => return,
            Some("UNAVAILABLE" | "COMMIT_UNKNOWN" | "TIMEOUT") => {}
            Some(other) => panic!("{other}: {}", answer.body),
        }
    }
    panic!("no request could be made");
}

async fn requests(client: &Client) -> Vec<Value> {
    let query = "query ($after: String) { requests(first: 50, after: $after) { nodes { id } pageInfo { hasNextPage endCursor } } }";
    let all = look::pages(client, query, json!({}), "/requests").await;
    all.into_iter()
        .map(|mut request| request["id"].take())
        .collect()
}
