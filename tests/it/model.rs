//! Real models: what they are sent, what their answers become, how they fail, and what is seen while they write.

use std::sync::Arc;
use std::time::Duration;

use domain::model::{Kind, Patience, Provider};
use domain::secret::Secret;
use serde_json::{Value, json};
use tests::binary::Stint;
use tests::client::Item;
use tests::provider::{
    Piece, Reply, StubProvider, bytes, calls, chunk, done, finishes, http, messages, stream,
};
use tests::{Coworker, TestApp, both_dbs};
use tokio::sync::Notify;

use crate::look;

/// A key that must be nowhere.
pub const CANARY: &str = "sk-canary-7d1f0a9b2c";

/// A provider at this address, with the canary as its key.
pub fn provider(name: &str, kind: Kind, stub: &StubProvider) -> Provider {
    Provider {
        base_url: stub.url(),
        key: Some(Secret::new(CANARY)),
        ..Provider::new(name, kind)
    }
}

/// The same, of which little is waited for.
fn hasty(name: &str, kind: Kind, stub: &StubProvider) -> Provider {
    Provider {
        patience: Patience {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_millis(400),
            idle: Duration::from_millis(400),
        },
        ..provider(name, kind, stub)
    }
}

/// An application with these providers.
pub async fn with(app: &TestApp, providers: Vec<Provider>) -> TestApp {
    look::with_settings(app, |settings| settings.worker.providers = providers).await
}

/// Publishes a coworker with this model and assigns a request to it: the request.
pub async fn assign(app: &TestApp, handle: &str, model: Value) -> Value {
    let worker = Coworker::new(handle)
        .with("model", model)
        .publish(app)
        .await;
    let input = json!({ "title": "The VPN is slow", "assigneeId": worker.id });
    app.mutate("requestCreate", input, "request { id }").await["request"]["id"].clone()
}

/// The only run of this request.
pub async fn run_of(app: &TestApp, request: &Value) -> Value {
    let number = look::request(app, request).await["number"].clone();
    let mut runs = look::runs(app).await;
    runs.retain(|run| run["request"]["number"] == number);
    assert_eq!(runs.len(), 1, "{runs:#?}");
    runs.remove(0)
}

fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

both_dbs! {
    /// R15, R57–R59: the choice comes from the model, and its figures are the provider's own.
    async fn a_run_works_with_a_model_that_speaks_chat_completions(app: TestApp) {
        let usage = json!({ "prompt_tokens": 1000, "completion_tokens": 60, "total_tokens": 1060,
            "prompt_tokens_details": { "cached_tokens": 768 }, "completion_tokens_details": { "reasoning_tokens": 20 } });
        let note = json!({ "visibility": "PUBLIC", "body": "I restarted the gateway." });
        let status = json!({ "status": "RESOLVED" });
        let mut first = calls(&[("post_note", note), ("set_status", status)], usage);
        first.insert(1, bytes(chunk(json!({ "reasoning_content": "A gateway, I think." }))));
        let stub = StubProvider::start(vec![first, finishes("RESOLVED")]).await;
        let app = with(&app, vec![provider("local", Kind::OpenAi, &stub)]).await;
        let request = assign(&app, "worker", json!({ "provider": "local:llama3.2:3b", "parameters": { "temperature": 0.2, "maxOutputTokens": 500 } })).await;
        app.drain().await;

        let run = run_of(&app, &request).await;
        assert_eq!((&run["status"], &run["outcome"], &run["toolCallCount"]), (&json!("COMPLETED"), &json!("RESOLVED"), &json!(3)), "{run:#}");
        let seen = look::request(&app, &request).await;
        assert_eq!(look::notes(&seen, "PUBLIC"), ["I restarted the gateway."]);
        let events = look::events(&app, &run).await;
        let answers = look::data(&events, "model.completed");
        assert_eq!((&answers[0]["model"], &answers[0]["thinking"]), (&json!("local:llama3.2:3b"), &json!("A gateway, I think.")));
        assert_eq!(answers[0]["usage"], json!({ "input": 232, "cache_read": 768, "cache_write_short": 0, "cache_write_long": 0, "output": 60, "reasoning": 20 }));
        let query = "query ($id: ID!) { run(id: $id) { usage { inputTokens outputTokens cachedTokens reasoningTokens } } }";
        let used = app.gql(query, json!({ "id": run["id"] })).await["run"]["usage"].take();
        assert_eq!(used, json!({ "inputTokens": 1100, "outputTokens": 70, "cachedTokens": 768, "reasoningTokens": 20 }));

        let asked = stub.asked();
        assert_eq!(asked.len(), 2);
        assert!(asked[0].head.starts_with("POST /v1/chat/completions "), "{}", asked[0].head);
        assert!(asked[0].head.contains(&format!("Bearer {CANARY}")));
        let (one, two) = (&asked[0].body, &asked[1].body);
        assert_eq!((&one["model"], &one["temperature"], &one["max_tokens"]), (&json!("llama3.2:3b"), &json!(0.2), &json!(500)));
        assert!(one["tools"].as_array().unwrap().iter().any(|tool| tool["function"]["name"] == "finish"));
        // R58: what is stable is the same in each call, and stands first.
        assert_eq!((&one["tools"], &one["messages"][0], &one["messages"][1]), (&two["tools"], &two["messages"][0], &two["messages"][1]));
        assert_eq!(one["messages"][0]["role"], "system");
        assert!(one["messages"][1]["content"].as_str().unwrap().contains("The VPN is slow"));
        let ids: Vec<_> = two["messages"][2]["tool_calls"].as_array().unwrap().iter().map(|call| &call["id"]).collect();
        assert_eq!(ids, ["call_post_note", "call_set_status"]);
        assert_eq!(two["messages"][3]["tool_call_id"], "call_post_note");
        look::sound(&app).await;
        app.stop().await;
    }

    /// Signed reasoning goes back unchanged, as the API requires; the cache is told where the stable part ends.
    async fn a_run_works_with_a_model_that_speaks_anthropics_messages(app: TestApp) {
        let start = json!({ "type": "message_start", "message": { "usage": { "input_tokens": 25, "cache_creation_input_tokens": 300, "cache_read_input_tokens": 0, "output_tokens": 1, "cache_creation": { "ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 0 } } } });
        let block = |index: i32, block: Value| json!({ "type": "content_block_start", "index": index, "content_block": block });
        let add = |index: i32, delta: Value| json!({ "type": "content_block_delta", "index": index, "delta": delta });
        let end = json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" }, "usage": { "output_tokens": 89 } });
        let stop = json!({ "type": "message_stop" });
        let finish = json!({ "outcome": "REPLIED", "reason": "Said.", "summary": "I answered." }).to_string();
        let first = messages(&[
            start.clone(),
            block(0, json!({ "type": "thinking", "thinking": "", "signature": "" })),
            add(0, json!({ "type": "thinking_delta", "thinking": "They wait for a word." })),
            add(0, json!({ "type": "signature_delta", "signature": "EqQBCkYIARgCKkA=" })),
            block(1, json!({ "type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix/LafPsn4a" })),
            block(2, json!({ "type": "tool_use", "id": "toolu_01A", "name": "post_note", "input": {} })),
            add(2, json!({ "type": "input_json_delta", "partial_json": "{\"visibility\": \"PUBLIC\", \"body\"" })),
            add(2, json!({ "type": "input_json_delta", "partial_json": ": \"On it.\"}" })),
            end.clone(),
            stop.clone(),
        ]);
        let second = messages(&[
            json!({ "type": "message_start", "message": { "usage": { "input_tokens": 40, "cache_read_input_tokens": 300, "output_tokens": 1 } } }),
            block(0, json!({ "type": "tool_use", "id": "toolu_01B", "name": "finish", "input": {} })),
            add(0, json!({ "type": "input_json_delta", "partial_json": finish })),
            end,
            stop,
        ]);
        let stub = StubProvider::start(vec![first, second]).await;
        let app = with(&app, vec![provider("anthropic", Kind::Anthropic, &stub)]).await;
        let model = json!({ "provider": "anthropic", "model": "claude-opus-5", "parameters": { "thinkingBudgetTokens": 2048 } });
        let request = assign(&app, "worker", model).await;
        app.drain().await;

        let run = run_of(&app, &request).await;
        assert_eq!((&run["status"], &run["outcome"]), (&json!("COMPLETED"), &json!("REPLIED")), "{run:#}");
        let asked = stub.asked();
        assert!(asked[0].head.starts_with("POST /v1/messages ") && asked[0].head.contains(&format!("x-api-key: {CANARY}")), "{}", asked[0].head);
        let (one, two) = (&asked[0].body, &asked[1].body);
        assert_eq!(one["thinking"], json!({ "type": "enabled", "budget_tokens": 2048 }));
        let last = one["system"].as_array().unwrap().last().unwrap();
        assert_eq!(last["cache_control"], json!({ "type": "ephemeral" }));
        assert_eq!((&one["tools"], &one["system"], &one["messages"][0]), (&two["tools"], &two["system"], &two["messages"][0]));
        let blocks = "[{\"type\":\"thinking\",\"thinking\":\"They wait for a word.\",\"signature\":\"EqQBCkYIARgCKkA=\"},{\"data\":\"EmwKAhgBEgy3va3pzix/LafPsn4a\",\"type\":\"redacted_thinking\"},{\"type\":\"tool_use\",\"id\":\"toolu_01A\",\"name\":\"post_note\",\"input\":{\"visibility\": \"PUBLIC\", \"body\": \"On it.\"}}]";
        assert!(asked[1].text.contains(blocks), "{}", asked[1].text);
        assert_eq!(two["messages"][2]["content"][0]["tool_use_id"], "toolu_01A");
        let query = "query ($id: ID!) { run(id: $id) { usage { inputTokens outputTokens cachedTokens cacheWriteTokens } } }";
        let used = app.gql(query, json!({ "id": run["id"] })).await["run"]["usage"].take();
        assert_eq!(used, json!({ "inputTokens": 665, "outputTokens": 178, "cachedTokens": 300, "cacheWriteTokens": 300 }));
        look::sound(&app).await;
        app.stop().await;
    }

    /// R24, G13: whatever a provider does, the run ends with a reason, and its key is shown nowhere.
    async fn a_model_that_fails_ends_the_run_with_a_reason_and_a_private_note(app: TestApp) {
        let error = |message: &str| json!({ "error": { "message": message } }).to_string();
        let told = error(&format!("Incorrect API key provided: {CANARY}."));
        let broken = |end: &str| vec![stream(), bytes(format!("{}{end}", chunk(json!({ "content": "I was about to" }))))];
        let cases: Vec<(&str, Reply, usize, &str, &str)> = vec![
            ("key", http("401 Unauthorized", &["content-type: application/json"], &told), 1, "rejected", "refuses the key (401)"),
            ("moved", http("307 Temporary Redirect", &["location: http://169.254.169.254/"], ""), 1, "rejected", "sends us elsewhere"),
            ("waits", http("429 Too Many Requests", &["retry-after: 3600"], &error("Slow down.")), 1, "rate_limited", "longer than the run has"),
            ("poor", http("429 Too Many Requests", &[], &json!({ "error": { "message": "No money.", "code": "insufficient_quota" } }).to_string()), 1, "rejected", "has no credit left"),
            ("down", http("500 Internal Server Error", &[], "oops"), 4, "overloaded", "failed or is overloaded (500): oops"),
            ("cut", broken(""), 4, "truncated", "broke off"),
            ("torn", broken("data: {\"choices\":[{\"del"), 4, "truncated", "broke off"),
            ("midway", broken(&format!("data: {}\n\n", error("Upstream died."))), 4, "overloaded", "Upstream died."),
            ("garbled", broken("data: <html>\n\n"), 4, "malformed", "can't be read"),
            ("page", http("200 OK", &["content-type: text/html"], "<html>"), 4, "malformed", "a web page"),
            ("mute", vec![Piece::Silence], 4, "unreachable", "did not begin to answer"),
            ("stalls", vec![stream(), bytes(chunk(json!({ "content": "I" }))), Piece::Silence], 4, "truncated", "stopped in the middle"),
        ];
        let (mut stubs, mut providers) = (Vec::new(), Vec::new());
        for (name, reply, ..) in &cases {
            let stub = StubProvider::start(vec![reply.clone()]).await;
            // Only those that fall silent are not waited for.
            let silent = matches!(*name, "mute" | "stalls");
            providers.push(if silent { hasty(name, Kind::OpenAi, &stub) } else { provider(name, Kind::OpenAi, &stub) });
            stubs.push(stub);
        }
        let app = with(&app, providers).await;
        let mut requests = Vec::new();
        for (name, ..) in &cases {
            requests.push(assign(&app, name, json!({ "provider": name, "model": "m" })).await);
        }
        let unknown = assign(&app, "nobody", json!({ "provider": "nobody:m" })).await;
        app.drain().await;

        for (((name, _, tries, class, part), request), stub) in cases.iter().zip(&requests).zip(&stubs) {
            let run = run_of(&app, request).await;
            assert_eq!((&run["status"], &run["failureCode"]), (&json!("FAILED"), &json!("MODEL_ERROR")), "{name}: {run:#}");
            let events = look::events(&app, &run).await;
            let failed = look::data(&events, "model.failed");
            assert_eq!((failed.len(), stub.asked().len()), (*tries, *tries), "{name}");
            let last = failed.last().unwrap();
            assert_eq!(last["class"], *class, "{name}: {last}");
            let seen = look::request(&app, request).await;
            let notes = look::notes(&seen, "PRIVATE");
            assert!(notes.iter().any(|note| note.contains(part)), "{name}: {notes:?}");
            assert_eq!(seen["status"], "IN_PROGRESS", "{name}");
            assert!(!format!("{events:?}{seen}{run}").contains(CANARY), "{name} shows its key");
        }
        let seen = look::request(&app, &unknown).await;
        assert!(look::notes(&seen, "PRIVATE")[0].contains("the model provider nobody is not configured"), "{seen:#}");
        look::sound(&app).await;
        app.stop().await;
    }

    async fn a_model_that_recovers_is_asked_again_when_it_asked_to_be(app: TestApp) {
        let busy = http("429 Too Many Requests", &["retry-after-ms: 700", "retry-after: 60"], "{}");
        let cut = vec![stream(), bytes(chunk(json!({ "content": "I was" })))];
        let stub = StubProvider::start(vec![busy, cut, finishes("DECLINED")]).await;
        let app = with(&app, vec![provider("local", Kind::OpenAi, &stub)]).await;
        let request = assign(&app, "worker", json!({ "provider": "local:m" })).await;
        app.drain().await;
        let run = run_of(&app, &request).await;
        assert_eq!((&run["status"], &run["turnCount"]), (&json!("COMPLETED"), &json!(1)), "{run:#}");
        let asked = stub.asked();
        let waited = asked[1].at - asked[0].at;
        assert!((Duration::from_millis(700)..Duration::from_secs(30)).contains(&waited), "{waited:?}");
        assert_eq!(asked[0].text, asked[2].text, "each try is the same");
        // An answer of which the provider does not say what it used is counted as unknown, not as zero.
        look::sound(&app).await;
        app.stop().await;
    }

    async fn an_answer_without_figures_is_counted_as_unknown(app: TestApp) {
        let finish = json!({ "outcome": "DECLINED", "reason": "No.", "summary": "I can't." });
        let stub = StubProvider::start(vec![calls(&[("finish", finish)], Value::Null)]).await;
        let app = with(&app, vec![provider("local", Kind::OpenAi, &stub)]).await;
        let request = assign(&app, "worker", json!({ "provider": "local:m" })).await;
        app.drain().await;
        let run = run_of(&app, &request).await;
        assert_eq!(run["outcome"], "DECLINED", "{run:#}");
        let query = "query ($id: ID!) { run(id: $id) { cost { unknownCalls priced } usage { inputTokens } } }";
        let cost = app.gql(query, json!({ "id": run["id"] })).await["run"]["cost"].take();
        assert_eq!(cost["unknownCalls"], 1, "{cost}");
        look::sound(&app).await;
        app.stop().await;
    }

    /// What is written is seen before the answer is whole; then the event has the same, and the stream completes.
    async fn what_a_model_writes_is_seen_while_it_writes_it(app: TestApp) {
        let enough = Arc::new(Notify::new());
        let thinking = Piece::Until(chunk(json!({ "reasoning_content": "hm " })).into(), enough.clone());
        let mut reply = vec![stream(), thinking, bytes(chunk(json!({ "content": "I am " }))), bytes(chunk(json!({ "content": "done." })))];
        let finish = json!({ "outcome": "DECLINED", "reason": "No.", "summary": "I can't." });
        reply.extend(calls(&[("finish", finish.clone())], json!({ "prompt_tokens": 5, "completion_tokens": 5 })).split_off(1));
        let stub = StubProvider::start(vec![reply]).await;
        let app = with(&app, vec![provider("local", Kind::OpenAi, &stub)]).await;
        let request = assign(&app, "worker", json!({ "provider": "local:m" })).await;
        let run = look::first_run(&app, &request).await;
        let query = "subscription ($id: ID!) { runDeltas(runId: $id) { turn attempt kind callIndex tool text gap } }";
        let mut live = app.subscribe(query, json!({ "id": run })).await;
        let mut deltas = vec![live.next().await];
        let going = app.gql("query ($id: ID!) { run(id: $id) { status lastSequence } }", json!({ "id": run })).await;
        assert_eq!(going["run"]["status"], "RUNNING", "seen before the answer is whole");
        enough.notify_one();
        deltas.extend(live.all().await);
        let deltas: Vec<Value> = deltas.iter_mut().map(|item| item["runDeltas"].take()).collect();
        assert!(deltas.iter().all(|delta| (&delta["turn"], &delta["attempt"], &delta["gap"]) == (&json!(1), &json!(1), &json!(false))), "{deltas:?}");
        let text = |kind: &str| deltas.iter().filter(|delta| delta["kind"] == kind).map(|delta| delta["text"].as_str().unwrap()).collect::<String>();
        let events = look::events(&app, &json!({ "id": run })).await;
        let whole = look::data(&events, "model.completed")[0];
        assert!(whole["thinking"].as_str().unwrap().ends_with(&text("THINKING")) && !text("THINKING").is_empty());
        assert_eq!(whole["text"], text("TEXT"));
        assert_eq!(whole["calls"][0]["arguments"], text("TOOL_CALL"));
        let call = deltas.iter().find(|delta| delta["kind"] == "TOOL_CALL").unwrap();
        assert_eq!((&call["tool"], &call["callIndex"]), (&json!("finish"), &json!(0)));
        // Of a run that has ended there is nothing to see.
        assert_eq!(app.subscribe(query, json!({ "id": run })).await.item().await, Item::Complete);
        app.stop().await;
    }

    async fn a_model_is_what_its_coworker_says(app: TestApp) {
        let parameters = json!({ "temperature": 0.7, "topP": 0.9, "maxOutputTokens": 100, "reasoningEffort": "LOW" });
        let made = Coworker::new("worker").with("model", json!({ "provider": "openai:gpt-5-mini", "parameters": parameters })).create(&app).await;
        let query = "query ($id: ID!) { coworker(id: $id) { draft { model { provider model name playbook parameters { temperature topP maxOutputTokens reasoningEffort thinkingBudgetTokens longCache } } } } }";
        let model = app.gql(query, json!({ "id": made.id })).await["coworker"]["draft"]["model"].take();
        assert_eq!(model, json!({
            "provider": "openai", "model": "gpt-5-mini", "name": "openai:gpt-5-mini", "playbook": null,
            "parameters": { "temperature": 0.7, "topP": 0.9, "maxOutputTokens": 100, "reasoningEffort": "LOW", "thinkingBudgetTokens": null, "longCache": false },
        }));
    }
}

/// The canary in every sink: what the server writes, what it answers, its database.
#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_provider_is_nowhere() {
    let told = json!({ "error": { "message": format!("Incorrect API key provided: {CANARY}.") } })
        .to_string();
    let echo = vec![
        stream(),
        bytes(format!(
            "{}{}",
            chunk(json!({ "content": format!("You sent {CANARY}.") })),
            done("stop", Value::Null)
        )),
    ];
    let stub = StubProvider::start(vec![echo, http("401 Unauthorized", &[], &told)]).await;
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().join("stint.db").display());
    let base = stub.url();
    let args = [
        "serve",
        "--database-url",
        &url,
        "--listen",
        "127.0.0.1:0",
        "--log",
        "trace",
    ];
    let env = [
        ("STINT_OPENAI_API_KEY", CANARY),
        ("STINT_OPENAI_BASE_URL", base.as_str()),
    ];
    let mut stint = Stint::start_with(&args, &env);
    let client = stint.client();
    let worker = Coworker::new("worker")
        .with("model", json!({ "provider": "openai:m" }))
        .publish(&client)
        .await;
    let input = json!({ "title": "Where is it?", "assigneeId": worker.id });
    let request = client
        .mutate("requestCreate", input, "request { id }")
        .await["request"]["id"]
        .clone();
    let run = look::first_run(&client, &request).await;
    let query = "subscription ($id: ID!) { runEvents(runId: $id) { raw } }";
    let events = client
        .subscribe(query, json!({ "id": run }))
        .await
        .all()
        .await;
    let events = format!("{events:?}");
    assert!(
        events.contains("‹secret:openai›") && events.contains("refuses the key"),
        "{events}"
    );
    assert!(stub.asked()[0].head.contains(CANARY), "it was sent");
    let seen = look::request(&client, &request).await;
    stint.terminate();
    stint.wait();
    let mut sinks = vec![events, seen.to_string(), stint.stdout(), stint.stderr()];
    for file in std::fs::read_dir(dir.path()).unwrap() {
        sinks.push(
            String::from_utf8_lossy(&std::fs::read(file.unwrap().path()).unwrap()).into_owned(),
        );
    }
    for sink in sinks {
        assert_eq!(
            count(&sink, CANARY),
            0,
            "{}",
            &sink[..sink.len().min(2_000)]
        );
    }
}
