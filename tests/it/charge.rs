//! What calls of models are charged at, whatever their providers do and say (R60, G14).

use domain::model::{Kind, Provider};
use serde_json::{Value, json};
use tests::process::free_port;
use tests::provider::{Reply, StubProvider, bytes, calls, chunk, finishes, http, stream};
use tests::{Coworker, TestApp, both_dbs};

use crate::look;
use crate::model::{CANARY, provider, with};

/// 0.1001 USD for what [`finishes`] says that it used.
const PRICE: [(&str, &str); 2] = [("input", "1000"), ("output", "10")];

/// A coworker with a model of the provider `local`, and what limits it.
fn worker(handle: &str, model: &str, budget: Value) -> Coworker {
    let model = json!({ "provider": format!("local:{model}") });
    Coworker::new(handle)
        .with("model", model)
        .with("budget", budget)
}

async fn price(app: &TestApp, model: &str, more: Value) {
    let mut input = json!({ "model": format!("local:{model}") });
    let fields = input.as_object_mut().expect("an object");
    fields.extend(PRICE.map(|(field, rate)| (field.to_owned(), json!(rate))));
    fields.extend(more.as_object().expect("an object").clone());
    app.mutate("modelPriceSet", input, "").await;
}

/// Gives a request to a coworker: its run with its log, or why there is none.
async fn work(app: &TestApp, coworker: &str) -> Result<(Value, Vec<Value>), Value> {
    let input = json!({ "title": "Where is it?", "assigneeId": coworker });
    let made = app.mutate("requestCreate", input, "request { id }").await;
    app.drain().await;
    let query = "query ($id: ID!) { request(id: $id) {
        runs(first: 2) { nodes { id outcome failureCode reason usage { inputTokens outputTokens } cost { amount priced unknownCalls unpricedCalls estimatedAmount } } }
        timeline(first: 20) { nodes { ... on DispatchDropped { dispatch { dropReason } } } } } }";
    let mut seen = app.gql(query, json!({ "id": made["request"]["id"] })).await["request"].take();
    let run = seen["runs"]["nodes"][0].take();
    if run.is_null() {
        return Err(seen["timeline"]["nodes"].take());
    }
    let events = look::events(app, &run).await;
    Ok((run, events))
}

/// An application with a provider that gives these answers.
async fn local(app: &TestApp, replies: Vec<Reply>) -> (TestApp, StubProvider) {
    let stub = StubProvider::start(replies).await;
    let app = with(app, vec![provider("local", Kind::OpenAi, &stub)]).await;
    (app, stub)
}

fn nano(value: &Value) -> i64 {
    let usd: f64 = value
        .as_str()
        .expect("an amount")
        .parse()
        .expect("a number");
    (usd * 1e9).round() as i64
}

both_dbs! {
    /// G14: nobody knows what an answer cost that broke off in its middle: it stays charged at what was reserved for it,
    /// as an estimate, and is counted.
    async fn a_call_that_fails_in_the_middle_of_its_answer_stays_charged_at_its_reservation(app: TestApp) {
        let cut = vec![stream(), bytes(chunk(json!({ "content": "I was about to" })))];
        let (app, _stub) = local(&app, vec![cut, finishes("DECLINED")]).await;
        price(&app, "m", json!({})).await;
        let made = worker("worker", "m", json!({ "daily": "1000" })).publish(&app).await;
        let (run, events) = work(&app, &made.id).await.expect("a run");
        assert_eq!(run["outcome"], "DECLINED", "{run:#}");
        let (asked, failed) = (look::data(&events, "model.requested"), look::data(&events, "model.failed"));
        assert_eq!((failed.len(), &failed[0]["class"], &failed[0]["usage"]), (1, &json!("truncated"), &Value::Null));
        let reserved = asked[0]["reservation"].as_i64().expect("a reservation");
        assert_eq!(failed[0]["reservation"], reserved);
        let cost = &run["cost"];
        assert_eq!((&cost["amount"], &cost["unknownCalls"], &cost["priced"]), (&json!("0.1001"), &json!(1), &json!(false)), "{cost:#}");
        assert_eq!(nano(&cost["estimatedAmount"]), reserved);
        let query = "query ($id: ID!) { coworker(id: $id) { budget { daily { spent reserved } } } }";
        let daily = app.gql(query, json!({ "id": made.id })).await["coworker"]["budget"]["daily"].take();
        assert_eq!((nano(&daily["spent"]), &daily["reserved"]), (reserved + 100_100_000, &json!("0")));
        let query = "{ metrics(range: { start: \"-PT1H\", end: \"2030-01-01T00:00:00Z\" }) { totals { cost { unknownCalls } } } }";
        assert_eq!(app.gql(query, json!({})).await["metrics"]["totals"]["cost"]["unknownCalls"], 1);
        look::sound(&app).await;
        app.stop().await;
    }

    /// G14: an outage is no spending: what was never sent costs nothing, however often it is tried, nor does what was turned
    /// away, nor the page of whoever lives at a wrong address. What a gateway gave up on may have been worked on and billed.
    async fn what_no_model_can_have_worked_on_costs_nothing(app: TestApp) {
        let gone = Provider { base_url: format!("http://127.0.0.1:{}/v1", free_port()), ..Provider::new("gone", Kind::OpenAi) };
        let answers = [
            ("page", "200 OK", false), ("busy", "503 Service Unavailable", false), ("many", "429 Too Many Requests", false),
            ("waited", "408 Request Timeout", true), ("lost", "502 Bad Gateway", true), ("late", "504 Gateway Timeout", true), ("edge", "524 A Timeout Occurred", true),
        ];
        let (mut providers, mut stubs) = (vec![gone], Vec::new());
        for (name, status, _) in &answers {
            let stub = StubProvider::start(vec![http(status, &["content-type: text/html"], "<html>")]).await;
            providers.push(provider(name, Kind::OpenAi, &stub));
            stubs.push(stub);
        }
        let app = with(&app, providers).await;
        let cases: Vec<(&str, bool)> = [("gone", false)].into_iter().chain(answers.iter().map(|(name, _, charged)| (*name, *charged))).collect();
        let mut made = Vec::new();
        for (name, _) in &cases {
            price(&app, "m", json!({ "model": format!("{name}:m") })).await;
            let one = worker(name, "m", json!({ "daily": "1000" })).with("model", json!({ "provider": format!("{name}:m") })).publish(&app).await;
            app.mutate("requestCreate", json!({ "title": "Where is it?", "assigneeId": one.id }), "").await;
            made.push(one.id);
        }
        app.drain().await;
        let query = "query ($id: ID!) { coworker(id: $id) { budget { daily { spent reserved exhausted } } runs(first: 2) { nodes { id failureCode } } } }";
        for ((name, charged), id) in cases.iter().zip(&made) {
            let seen = app.gql(query, json!({ "id": id })).await["coworker"].take();
            let run = &seen["runs"]["nodes"][0];
            assert_eq!(run["failureCode"], "MODEL_ERROR", "{name}: {seen:#}");
            let events = look::events(&app, run).await;
            let failed = look::data(&events, "model.failed");
            assert_eq!(failed.len(), 4, "{name}: each of them is tried four times");
            let reserved: i64 = failed.iter().filter_map(|failed| failed["reservation"].as_i64()).sum();
            let daily = &seen["budget"]["daily"];
            assert_eq!((nano(&daily["spent"]), &daily["reserved"], &daily["exhausted"]), (reserved, &json!("0"), &json!(false)), "{name}: {daily:#}");
            assert_eq!(reserved > 0, *charged, "{name}: {failed:#?}");
        }
        look::sound(&app).await;
        app.stop().await;
    }

    /// A provider may write any figure; none of them makes sums overflow, or a run's page fail.
    async fn figures_that_no_model_can_have_are_bounded(app: TestApp) {
        let finish = json!({ "outcome": "DECLINED", "reason": "No.", "summary": "I can't." });
        let absurd = [
            (json!({ "prompt_tokens": 9_000_000_000_000_000_000_i64, "completion_tokens": 9_000_000_000_000_000_000_i64 }), [100_000_000, 100_000_000]),
            (json!({ "prompt_tokens": -5, "completion_tokens": 7 }), [0, 7]),
            (json!({ "prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": { "cached_tokens": 9_000_000_000_000_000_000_i64 }, "completion_tokens_details": { "reasoning_tokens": -1 } }), [10, 5]),
        ];
        let replies = absurd.iter().map(|(usage, _)| calls(&[("finish", finish.clone())], usage.clone()));
        let (app, _stub) = local(&app, replies.collect()).await;
        price(&app, "m", json!({ "cacheRead": "1" })).await;
        let made = worker("worker", "m", json!({})).publish(&app).await;
        for (said, [input, output]) in &absurd {
            let (run, events) = work(&app, &made.id).await.expect("a run");
            assert_eq!(run["outcome"], "DECLINED", "{said}: {run:#}");
            let usage = &look::data(&events, "model.completed")[0]["usage"];
            let kinds = ["input", "cache_read", "cache_write_short", "cache_write_long", "output", "reasoning"];
            assert!(kinds.iter().all(|kind| (0..=100_000_000).contains(&usage[kind].as_i64().expect("a number"))), "{said}: {usage}");
            assert_eq!(run["usage"], json!({ "inputTokens": input, "outputTokens": output }), "{said}");
        }
        let query = "{ metrics(range: { start: \"-PT1H\", end: \"2030-01-01T00:00:00Z\" }) { totals { usage { inputTokens outputTokens } cost { amount } } } }";
        let totals = app.gql(query, json!({})).await["metrics"]["totals"].take();
        assert_eq!(totals["usage"], json!({ "inputTokens": 100_000_010, "outputTokens": 100_000_012 }), "{totals:#}");
        look::sound(&app).await;
        app.stop().await;
    }

    /// One budget over a dear coworker and a cheap one: what the dear one can't pay for ends its run, and nobody else's.
    async fn a_call_that_is_too_dear_for_the_workspaces_budget_does_not_end_the_work_of_a_cheap_coworker(app: TestApp) {
        let note = json!({ "visibility": "PRIVATE", "body": "I go on." });
        let looks = calls(&[("post_note", note)], json!({ "prompt_tokens": 1_000, "completion_tokens": 10 }));
        let (app, _stub) = local(&app, vec![looks, finishes("DECLINED")]).await;
        // A call of the dear model is reckoned at several thousand tokens of input at 20,000 USD per million.
        price(&app, "dear", json!({ "input": "20000" })).await;
        price(&app, "cheap", json!({ "input": "1", "output": "1" })).await;
        let dear = worker("dear", "dear", json!({})).publish(&app).await;
        let cheap = worker("cheap", "cheap", json!({})).publish(&app).await;
        let reserved = {
            let (run, events) = work(&app, &dear.id).await.expect("a run");
            assert_eq!(run["outcome"], "DECLINED", "{run:#}");
            look::data(&events, "model.requested")[0]["reservation"].as_i64().expect("a reservation")
        };
        // It has 20 + 2 USD behind it. What is left of the budget pays for no call of its own any more, and for thousands of the other's.
        let limit = format!("{}", 22 + reserved * 8 / 10_000_000_000);
        app.mutate("workspaceUpdate", json!({ "budget": { "daily": limit } }), "").await;
        app.restart().await;
        for _ in 0..2 {
            let (run, events) = work(&app, &dear.id).await.expect("a run of the dear one, which is not dropped");
            assert_eq!(run["failureCode"], "BUDGET_EXHAUSTED", "{run:#}");
            assert_eq!(look::data(&events, "limit.reached")[0]["budget"], "the workspace's daily budget");
            let (run, _) = work(&app, &cheap.id).await.expect("a run of the cheap one");
            assert_eq!(run["outcome"], "DECLINED", "{run:#}");
        }
        let query = "{ viewer { workspace { budget { daily { exhausted reserved } } } } }";
        let daily = app.gql(query, json!({})).await["viewer"]["workspace"]["budget"]["daily"].take();
        assert_eq!(daily, json!({ "exhausted": false, "reserved": "0" }));
        look::sound(&app).await;
        app.stop().await;
    }

    /// G14: a tokenizer that is not the provider's own may count too little; from the provider's first figures on, what is
    /// reserved is enough for what it will count: all that it read, all that it wrote, and what is new.
    async fn a_provider_that_counts_more_than_was_weighed_is_reckoned_with_from_its_first_answer_on(app: TestApp) {
        let (wrote, new) = (400, 150);
        let read = |turn: i64| 9_000 + turn * (wrote + new);
        let usage = |turn| json!({ "prompt_tokens": read(turn), "completion_tokens": wrote });
        let note = |turn| calls(&[("post_note", json!({ "visibility": "PRIVATE", "body": format!("Look {turn}.") }))], usage(turn));
        let finish = json!({ "outcome": "DECLINED", "reason": "All is said.", "summary": "I looked." });
        let mut replies: Vec<Reply> = (0..4).map(note).collect();
        replies.push(calls(&[("finish", finish)], usage(4)));
        let (app, _stub) = local(&app, replies).await;
        price(&app, "m", json!({})).await;
        let made = worker("worker", "m", json!({ "daily": "1000" })).publish(&app).await;
        let (run, events) = work(&app, &made.id).await.expect("a run");
        assert_eq!(run["outcome"], "DECLINED", "{run:#}");
        let reserved = look::data(&events, "model.requested").into_iter().map(|asked| asked["reservation"].as_i64().expect("a reservation"));
        let cost = look::data(&events, "model.completed").into_iter().map(|done| done["cost_nano"].as_i64().expect("a cost"));
        let both: Vec<(i64, i64)> = reserved.zip(cost).collect();
        assert_eq!(both.len(), 5);
        assert!(both[0].0 < both[0].1, "nothing was known of the first: {both:?}");
        assert!(both[1..].iter().all(|(reserved, cost)| reserved >= cost), "{both:?}");
        // Not many times as much either.
        assert!(both[1..].iter().all(|(reserved, cost)| *reserved < 2 * cost), "{both:?}");
        // The next run begins with what was learned of the model.
        let (_, events) = work(&app, &made.id).await.expect("a run");
        let next = look::data(&events, "model.requested")[0]["reservation"].as_i64().expect("a reservation");
        assert!(next > 2 * both[0].0, "{next} after {both:?}");
        look::sound(&app).await;
        app.stop().await;
    }

    /// A provider may answer in a dearer tier than it was asked in: what was reserved is enough for it.
    async fn a_call_is_charged_by_the_service_tier_that_the_provider_names(app: TestApp) {
        let named = |tier: &str| {
            let mut reply = finishes("DECLINED");
            let said = json!({ "id": "c", "choices": [], "service_tier": tier });
            reply.insert(1, bytes(format!("data: {said}\n\n")));
            reply
        };
        let long = format!("{}{CANARY}{}", "x".repeat(50), "y".repeat(5_000));
        let (app, _stub) = local(&app, vec![named("priority"), named("default"), named("turbo"), named(&long)]).await;
        price(&app, "m", json!({})).await;
        price(&app, "m", json!({ "serviceTier": "priority", "input": "3000", "output": "30" })).await;
        let made = worker("worker", "m", json!({ "daily": "1000" })).publish(&app).await;
        let mut reservations = Vec::new();
        // 100 × 3,000 + 10 × 30 USD per million, then 100 × 1,000 + 10 × 10; a tier without a price stays charged at its reservation.
        for (tier, amount) in [(Some("priority"), Some("0.3003")), (None, Some("0.1001")), (Some("turbo"), None), (Some("xx"), None)] {
            let (run, events) = work(&app, &made.id).await.expect("a run");
            let done = look::data(&events, "model.completed")[0];
            let said = done["service_tier"].as_str();
            match tier {
                Some("xx") => assert!(said.is_some_and(|said| said.len() <= 64 && !said.contains("sk-")), "{said:?}"),
                tier => assert_eq!(said, tier),
            }
            assert_eq!(run["cost"]["amount"].as_str(), amount, "{run:#}");
            let reserved = look::data(&events, "model.requested")[0]["reservation"].as_i64().expect("a reservation");
            match amount {
                Some(_) => assert!(done["cost_nano"].as_i64().expect("a cost") <= reserved),
                None => assert_eq!((&done["reservation"], &run["cost"]["unpricedCalls"]), (&json!(reserved), &json!(1))),
            }
            reservations.push(reserved);
        }
        // Whatever tier was named, the dearest was reckoned with: 3,000 USD per million for all that was estimated.
        assert!(reservations.iter().all(|reserved| *reserved > 1_000_000_000), "{reservations:?}");
        look::sound(&app).await;
        app.stop().await;
    }

    /// What a call costs is what was in force when it was asked, and what was reserved for it: a price that changes under it
    /// changes the next one.
    async fn a_price_that_changes_under_a_call_changes_the_next_one(app: TestApp) {
        let enough = std::sync::Arc::new(tokio::sync::Notify::new());
        let mut slow = finishes("DECLINED");
        slow.insert(1, tests::provider::Piece::Until(b": it thinks\n\n".to_vec(), enough.clone()));
        let (app, _stub) = local(&app, vec![slow, finishes("DECLINED")]).await;
        price(&app, "m", json!({ "effectiveFrom": "2026-05-01T00:00:00Z" })).await;
        let made = worker("worker", "m", json!({ "daily": "1000" })).publish(&app).await;
        let input = json!({ "title": "Where is it?", "assigneeId": made.id });
        let request = app.mutate("requestCreate", input, "request { id }").await["request"]["id"].clone();
        let run = look::first_run(&app, &request).await;
        let query = "subscription ($id: ID!) { runEvents(runId: $id) { type } }";
        let mut live = app.subscribe(query, json!({ "id": run })).await;
        live.until(|item| item["runEvents"]["type"] == "model.requested").await;
        price(&app, "m", json!({ "input": "9000" })).await;
        enough.notify_one();
        live.all().await;
        let query = "query ($id: ID!) { run(id: $id) { cost { amount } } }";
        assert_eq!(app.gql(query, json!({ "id": run })).await["run"]["cost"]["amount"], "0.1001");
        let (run, _) = work(&app, &made.id).await.expect("a run");
        assert_eq!(run["cost"]["amount"], "0.9001");
        look::sound(&app).await;
        app.stop().await;
    }
}
