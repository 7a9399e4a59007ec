//! What the input tokens of a model that counts for itself belong to.

use domain::model::Kind;
use serde_json::{Value, json};
use tests::provider::{StubProvider, calls};
use tests::{Coworker, TestApp, both_dbs};

use crate::look;
use crate::model::{provider, run_of, with};

/// What the provider says of its two answers: primes, that nothing divides.
const INPUT: [i64; 2] = [4_999, 6_007];

/// A run's tokens by component, as `(kind, name, tokens)`.
fn parts(usage: &Value) -> Vec<(String, Option<String>, i64)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let parts = usage["byComponent"].as_array().unwrap().iter();
    parts
        .map(|part| {
            let kind = text(&part["kind"]).unwrap();
            (kind, text(&part["name"]), part["tokens"].as_i64().unwrap())
        })
        .collect()
}

both_dbs! {
    /// R55–R56: each part of what the model read is there, and together they are the provider's own figure, to the token.
    async fn the_parts_of_a_prompt_add_up_to_what_the_provider_counted(app: TestApp) {
        let note = json!({ "visibility": "PRIVATE", "body": "The tunnel was down; I restarted it." });
        let status = json!({ "status": "RESOLVED" });
        let usage = |input: i64, cached: i64| json!({ "prompt_tokens": input, "completion_tokens": 40, "total_tokens": input + 40,
            "prompt_tokens_details": { "cached_tokens": cached } });
        let finish = json!({ "outcome": "RESOLVED", "reason": "The tunnel is up.", "summary": "I restarted it." });
        let stub = StubProvider::start(vec![
            calls(&[("post_note", note), ("set_status", status)], usage(INPUT[0], 0)),
            calls(&[("finish", finish)], usage(INPUT[1], 4_864)),
        ]).await;
        let app = with(&app, vec![provider("local", Kind::OpenAi, &stub)]).await;
        let skill = json!({ "handle": "vpn", "name": "VPN", "text": "The tunnel ends at the gateway. Restart it once, then look again. ".repeat(40) });
        app.mutate("skillCreate", skill, "").await;
        let worker = Coworker::new("worker")
            .with("soul", "You are calm and say what you did.")
            .with("skills", json!(["vpn"]))
            .with("model", json!({ "provider": "local:m" }))
            .publish(&app)
            .await;
        let request = app.mutate("requestCreate", json!({ "title": "The VPN is slow" }), "request { id }").await["request"]["id"].clone();
        let note = json!({ "requestId": request, "visibility": "PUBLIC", "body": "It has been slow since the morning." });
        app.mutate("noteCreate", note, "").await;
        app.mutate("requestAssign", json!({ "id": request, "assigneeId": worker.id }), "").await;
        app.drain().await;

        let run = run_of(&app, &request).await;
        assert_eq!((&run["status"], &run["turnCount"]), (&json!("COMPLETED"), &json!(2)), "{run:#}");
        let query = "query ($run: ID!, $request: ID!) { \
            run(id: $run) { usage { inputTokens cachedTokens byComponent { kind name tokens } } } \
            request(id: $request) { usage { inputTokens byComponent { kind name tokens } } } \
            metrics(range: { start: \"-PT1H\" }) { totals { usage { inputTokens byComponent { kind name tokens } } } } }";
        let seen = app.gql(query, json!({ "run": run["id"], "request": request })).await;
        let sum: i64 = INPUT.iter().sum();
        let of_run = parts(&seen["run"]["usage"]);
        assert_eq!(seen["run"]["usage"]["cachedTokens"], 4_864);
        for usage in [&seen["run"]["usage"], &seen["request"]["usage"], &seen["metrics"]["totals"]["usage"]] {
            assert_eq!(usage["inputTokens"], sum, "{usage:#}");
            assert_eq!(parts(usage).iter().map(|part| part.2).sum::<i64>(), sum, "{usage:#}");
        }
        assert_eq!(parts(&seen["request"]["usage"]), of_run);

        for kind in ["IDENTITY", "SOUL", "GOAL", "INSTRUCTIONS", "SKILL", "TOOL_DEFINITION", "REQUEST", "NOTES", "HISTORY", "TOOL_RESULTS"] {
            assert!(of_run.iter().any(|part| part.0 == kind && part.2 > 0), "no {kind} in {of_run:#?}");
        }
        let named = |kind: &str| {
            let named = of_run.iter().filter(move |part| part.0 == kind);
            named.map(|part| part.1.as_deref().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(named("SKILL"), ["VPN"]);
        let mut tools = named("TOOL_DEFINITION");
        let mut offered: Vec<&str> = Vec::new();
        let asked = stub.asked();
        offered.extend(asked[0].body["tools"].as_array().unwrap().iter().map(|tool| tool["function"]["name"].as_str().unwrap()));
        tools.sort_unstable();
        offered.sort_unstable();
        assert_eq!(tools, offered, "each tool that was offered, by its name");
        // The skill, by far the longest text, is read in both turns and is the largest part.
        assert_eq!(of_run[0].0, "SKILL", "{of_run:#?}");
        look::sound(&app).await;
        app.stop().await;
    }
}
