//! A run never loops for ever (R25): each limit ends it, and it still explains itself.

use std::time::Duration;

use domain::clock::Clock;
use serde_json::{Value, json};
use tests::{Coworker, TestApp, both_dbs};

use crate::look;

/// A model that never stops: each turn calls a tool, reads 100 tokens and writes 10.
const ENDLESS: &str = "
tools:
  - name: desk.look
    description: Looks at the desk.
    effect: READ
    answers: [{ response: { still: there } }]
turns:
  - repeat: true
    text: I look again.
    calls: [{ tool: desk.look }]
    usage: { input: 100, output: 10 }
    delay: 5ms
";

/// The same, but when it is told that this is its last turn, it explains itself.
const SENSIBLE: &str = "
  - when: { closing: true }
    calls:
      - { tool: desk.look }
      - { tool: post_note, arguments: { visibility: PUBLIC, body: Too late. } }
      - tool: finish
        arguments: { outcome: DECLINED, reason: I got nowhere., summary: I looked many times and saw nothing. }
    usage: { input: 100, output: 10 }
";

/// Gives a request to a coworker with this playbook and these limits; the run, once it has ended, and the request.
async fn work(app: &TestApp, playbook: &str, limits: Value) -> (Value, Value) {
    let worker = Coworker::new("worker")
        .playbook(playbook)
        .limits(limits)
        .publish(app)
        .await;
    let input = json!({ "title": "Where is it?", "assigneeId": worker.id });
    let made = app.mutate("requestCreate", input, "request { id }").await;
    app.drain().await;
    look::sound(app).await;
    (
        look::only_run(app).await,
        look::request(app, &made["request"]["id"]).await,
    )
}

/// Asserts that a run was ended by this limit, and that Stint explained it.
async fn ended_by(app: &TestApp, code: &str, (run, request): (Value, Value)) -> Vec<Value> {
    assert_eq!(
        (&run["status"], &run["failureCode"], &run["outcome"]),
        (&json!("FAILED"), &json!(code), &Value::Null)
    );
    assert_eq!(request["status"], "IN_PROGRESS");
    assert_eq!(
        (
            look::notes(&request, "PRIVATE").len(),
            look::notes(&request, "PUBLIC").len()
        ),
        (1, 0),
        "{request:#}"
    );
    let note = look::notes(&request, "PRIVATE")[0];
    assert!(note.contains("Run-1") && note.contains(code), "{note}");
    assert_eq!(request["notes"]["nodes"][0]["author"]["kind"], "SYSTEM");
    let events = look::events(app, &run).await;
    let reached = look::data(&events, "limit.reached");
    assert_eq!(reached.len(), 1, "{reached:?}");
    assert_eq!(reached[0]["limit"], code);
    let types = look::types(&events);
    assert_eq!(types[types.len() - 2..], ["summary.written", "run.failed"]);
    // One closing turn follows the limit, and no more.
    let at = types
        .iter()
        .position(|kind| *kind == "limit.reached")
        .expect("it is there");
    assert_eq!(
        types[at..]
            .iter()
            .filter(|kind| **kind == "turn.started")
            .count(),
        1
    );
    assert!(
        look::data(&events[at..], "tool.completed")
            .iter()
            .all(|done| done["response"] == "The run is finished.")
    );
    events
}

both_dbs! {
    async fn a_model_that_never_stops_is_ended_by_its_turns(app: TestApp) {
        let (run, request) = work(&app, ENDLESS, json!({ "maxTurns": 3 })).await;
        assert_eq!(run["summaryAuthor"], "SYSTEM");
        assert!(run["reason"].as_str().expect("a reason").contains("3 of 3"), "{run:#}");
        let events = ended_by(&app, "LIMIT_TURNS", (run, request)).await;
        let reached = look::data(&events, "limit.reached")[0];
        assert_eq!((&reached["value"], &reached["maximum"]), (&json!(3), &json!(3)));
    }

    async fn a_model_that_never_stops_is_ended_by_its_tool_calls(app: TestApp) {
        let (run, request) = work(&app, ENDLESS, json!({ "maxToolCalls": 2 })).await;
        let events = ended_by(&app, "LIMIT_TOOL_CALLS", (run, request)).await;
        assert_eq!(look::data(&events, "tool.completed").len(), 2);
        assert!(!look::data(&events, "tool.refused").is_empty());
    }

    async fn a_coworker_may_have_no_tool_calls_at_all(app: TestApp) {
        let (run, request) = work(&app, ENDLESS, json!({ "maxToolCalls": 0 })).await;
        let events = ended_by(&app, "LIMIT_TOOL_CALLS", (run, request)).await;
        assert_eq!(look::data(&events, "tool.completed").len(), 0);
    }

    async fn a_model_that_never_stops_is_ended_by_its_tokens(app: TestApp) {
        let (run, request) = work(&app, ENDLESS, json!({ "maxTokens": 2000 })).await;
        let events = ended_by(&app, "LIMIT_TOKENS", (run, request)).await;
        let used: i64 = look::data(&events, "model.completed").iter().map(|call| {
            call["usage"]["input"].as_i64().unwrap_or(0) + call["usage"]["output"].as_i64().unwrap_or(0)
        }).sum();
        assert!((1000..=2000).contains(&used), "{used} tokens");
    }

    async fn a_model_that_never_stops_is_ended_by_its_cost(app: TestApp) {
        let price = json!({ "model": "scripted", "input": "10000", "output": "10" });
        app.mutate("modelPriceSet", price, "").await;
        // 100 × 0.01 + 10 × 0.00001 = 1.0001 USD a turn; before each, about 20 USD must be left besides the reserve.
        let (run, request) = work(&app, ENDLESS, json!({ "maxCost": "60", "maxTurns": 100 })).await;
        assert_eq!(run["summaryAuthor"], "SYSTEM");
        let id = run["id"].clone();
        let events = ended_by(&app, "LIMIT_COST", (run, request)).await;
        let reached = look::data(&events, "limit.reached")[0];
        assert_eq!(reached["maximum"], 60_000_000_000_i64);
        // The next call would not have fitted: none was made that did not.
        for call in look::data(&events, "model.requested") {
            assert!(call["reservation"].as_i64().expect("a reservation") <= 54_000_000_000, "{call}");
        }
        let query = "query ($id: ID!) { run(id: $id) { cost { amount priced unpricedCalls lines { kind tokens unitPrice amount } } } }";
        let cost = app.gql(query, json!({ "id": id })).await["run"]["cost"].take();
        let amount: f64 = cost["amount"].as_str().expect("an amount").parse().expect("a number");
        assert!((20.0..=54.0).contains(&amount), "{cost:#}");
        assert_eq!((&cost["priced"], &cost["unpricedCalls"]), (&json!(true), &json!(0)));
    }

    /// A model that can write no more than what is left pays for writes less, and the limit is kept.
    async fn a_scarce_limit_of_cost_shortens_what_the_model_may_write(app: TestApp) {
        let price = json!({ "model": "scripted", "input": "1", "output": "1000" });
        app.mutate("modelPriceSet", price, "").await;
        // 8,192 tokens of output would be 8.192 USD.
        let (run, request) = work(&app, ENDLESS, json!({ "maxCost": "5", "maxTurns": 3 })).await;
        let events = ended_by(&app, "LIMIT_TURNS", (run, request)).await;
        let calls = look::data(&events, "model.requested");
        assert!((4_000..4_500).contains(&calls[0]["max_output_tokens"].as_i64().expect("a number")), "{}", calls[0]);
        assert!(calls[0]["reservation"].as_i64() <= Some(4_500_000_000), "{}", calls[0]);
    }

    async fn a_model_that_never_stops_is_ended_by_its_time(app: TestApp) {
        let worker = Coworker::new("worker").playbook(ENDLESS).limits(json!({ "maxTurns": 1000, "maxToolCalls": 1000, "maxDuration": "PT5M" })).publish(&app).await;
        let made = app.mutate("requestCreate", json!({ "title": "Where is it?", "assigneeId": worker.id }), "request { id }").await;
        let mut board = app.subscribe("subscription { runChanged { run { id turnCount } } }", json!({})).await;
        board.until(|item| item["runChanged"]["run"]["turnCount"].as_i64() > Some(1)).await;
        // 20 of the last 30 seconds, which are held back for the closing turn, are left.
        app.advance(Duration::from_secs(280)).await;
        app.drain().await;
        look::sound(&app).await;
        let (run, request) = (look::only_run(&app).await, look::request(&app, &made["request"]["id"]).await);
        let events = ended_by(&app, "LIMIT_TIME", (run, request)).await;
        let reached = look::data(&events, "limit.reached")[0];
        assert_eq!((&reached["value"], &reached["maximum"]), (&json!(280_000), &json!(300_000)));
    }

    async fn a_coworker_that_closes_in_time_writes_its_own_summary(app: TestApp) {
        for (i, limits) in [json!({ "maxTurns": 2 }), json!({ "maxToolCalls": 3 }), json!({ "maxTokens": 3000 })].into_iter().enumerate() {
            let playbook = format!("{ENDLESS}{SENSIBLE}");
            let worker = Coworker::new(&format!("worker-{i}")).playbook(&playbook).limits(limits).publish(&app).await;
            let made = app.mutate("requestCreate", json!({ "title": "Where is it?", "assigneeId": worker.id }), "request { id }").await;
            app.drain().await;
            let run = look::runs(&app).await.remove(i);
            assert_eq!((&run["status"], &run["summaryAuthor"]), (&json!("FAILED"), &json!("COWORKER")));
            assert_eq!(run["summary"], "I looked many times and saw nothing.");
            assert!(run["failureCode"].as_str().expect("a code").starts_with("LIMIT_"), "{run:#}");
            // Only the end may follow: what else the closing turn asks for is refused.
            let request = look::request(&app, &made["request"]["id"]).await;
            assert_eq!(look::notes(&request, "PUBLIC").len(), 0);
            assert_eq!((look::notes(&request, "PRIVATE").len(), &request["status"]), (1, &json!("IN_PROGRESS")));
            let events = look::events(&app, &run).await;
            let at = events.iter().position(|event| event["type"] == "limit.reached").expect("it is there");
            assert!(look::data(&events[at..], "tool.refused").iter().all(|refused| refused["reason"] == "only_finish"));
        }
        look::sound(&app).await;
    }

    async fn a_model_or_a_tool_that_hangs_ends_with_the_time_of_its_run(app: TestApp) {
        let app = look::with_settings(&app, |settings| settings.clock = Clock::system()).await;
        let model = "turns: [{ text: Never said., fault: hang }]";
        let tool = "
tools: [{ name: desk.look, description: Looks., effect: READ, answers: [{ fault: hang }] }]
turns: [{ text: I look., calls: [{ tool: desk.look }] }, { repeat: true, text: Hm., delay: 100ms }]
";
        for (handle, playbook) in [("model", model), ("tool", tool)] {
            let worker = Coworker::new(handle).playbook(playbook).limits(json!({ "maxDuration": "PT1S" })).publish(&app).await;
            app.mutate("requestCreate", json!({ "title": "Where is it?", "assigneeId": worker.id }), "").await;
        }
        app.drain().await;
        look::sound(&app).await;
        let query = "{ runs { nodes { coworker { handle } status failureCode duration startedAt endedAt } } }";
        for run in look::list(app.gql(query, json!({})).await["runs"]["nodes"].take()) {
            assert_eq!(run["failureCode"], "LIMIT_TIME", "{run:#}");
        }
        app.stop().await;
    }

    async fn a_mentioned_run_at_its_limit_leaves_a_note_and_the_status(app: TestApp) {
        Coworker::new("worker").playbook(ENDLESS).limits(json!({ "maxTurns": 2 })).publish(&app).await;
        let request = app.request("Where is it?").await;
        app.mutate("noteCreate", json!({ "requestId": request["id"], "body": "@worker, have you seen it?" }), "").await;
        app.drain().await;
        look::sound(&app).await;
        let run = look::only_run(&app).await;
        assert_eq!((&run["trigger"], &run["failureCode"]), (&json!("MENTION"), &json!("LIMIT_TURNS")));
        let request = look::request(&app, &request["id"]).await;
        assert_eq!((&request["status"], look::notes(&request, "PRIVATE").len()), (&json!("OPEN"), 1));
    }

    async fn a_model_that_fails_is_asked_again_and_then_given_up(app: TestApp) {
        let twice = "
turns:
  - text: There it is.
    fault: { class: overloaded, times: 2 }
    calls: [{ tool: finish, arguments: { outcome: DECLINED, reason: Nothing to do., summary: It lay there. } }]
";
        let always = "turns: [{ text: Never said., fault: { class: unreachable, message: The line is dead. } }]";
        let rejected = "turns: [{ text: Never said., fault: rejected }]";
        for (handle, playbook) in [("twice", twice), ("always", always), ("rejected", rejected)] {
            let worker = Coworker::new(handle).playbook(playbook).publish(&app).await;
            app.mutate("requestCreate", json!({ "title": "Where is it?", "assigneeId": worker.id }), "").await;
        }
        app.drain().await;
        look::sound(&app).await;
        let mut seen = Vec::new();
        for run in look::runs(&app).await {
            let events = look::events(&app, &run).await;
            let failed = look::data(&events, "model.failed").len();
            seen.push((run["coworker"]["handle"].clone(), run["failureCode"].clone(), failed, run["summaryAuthor"].clone()));
        }
        seen.sort_by_key(|(handle, ..)| handle.to_string());
        let expected = [
            (json!("always"), json!("MODEL_ERROR"), 4, json!("SYSTEM")),
            (json!("rejected"), json!("MODEL_ERROR"), 1, json!("SYSTEM")),
            (json!("twice"), Value::Null, 2, json!("COWORKER")),
        ];
        assert_eq!(seen, expected);
    }
}
