//! Gemini as a coworker's model: what it is sent, what its answers become, what they cost.

use domain::model::Kind;
use serde_json::json;
use tests::provider::{StubProvider, generated, http};
use tests::{TestApp, both_dbs};

use crate::look;
use crate::model::{CANARY, assign, provider, run_of, with};

both_dbs! {
    /// R44, R57–R60: parallel calls, signed reasoning that goes back unchanged, figures and cost.
    async fn a_run_works_with_a_model_that_speaks_generate_content(app: TestApp) {
        let part = |part: serde_json::Value| json!({ "candidates": [{ "content": { "parts": [part], "role": "model" }, "index": 0 }] });
        let note = json!({ "visibility": "PUBLIC", "body": "I restarted the gateway." });
        let signed = json!({ "functionCall": { "name": "post_note", "args": note }, "thoughtSignature": "EqQBCkYIARgCKkA=" });
        let figures = json!({ "promptTokenCount": 1000, "cachedContentTokenCount": 768, "candidatesTokenCount": 30, "thoughtsTokenCount": 20, "totalTokenCount": 1050 });
        let first = generated(&[
            part(json!({ "text": "A gateway, I think.", "thought": true })),
            part(signed.clone()),
            part(json!({ "functionCall": { "name": "set_status", "args": { "status": "RESOLVED" } } })),
            json!({ "candidates": [{ "content": { "parts": [{ "text": "" }], "role": "model" }, "finishReason": "STOP", "index": 0 }], "usageMetadata": figures }),
        ]);
        let finish = json!({ "outcome": "RESOLVED", "reason": "It is up.", "summary": "I restarted the gateway." });
        // The last chunk alone has the figures.
        let second = generated(&[
            json!({ "candidates": [{ "content": { "parts": [{ "functionCall": { "name": "finish", "args": finish } }] }, "finishReason": "STOP" }] }),
            json!({ "usageMetadata": { "promptTokenCount": 1200, "candidatesTokenCount": 10 } }),
        ]);
        let busy = json!({ "error": { "code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE" } });
        let midway = generated(&[part(json!({ "text": "I was" })), busy]);
        let stub = StubProvider::start(vec![midway, first, second]).await;
        let app = with(&app, vec![provider("google", Kind::Gemini, &stub)]).await;
        let model = json!({ "provider": "google:gemini-2.5-pro", "parameters": { "thinkingBudgetTokens": 2048, "maxOutputTokens": 6000 } });
        let request = assign(&app, "worker", model).await;
        app.drain().await;

        let run = run_of(&app, &request).await;
        assert_eq!((&run["status"], &run["outcome"], &run["toolCallCount"]), (&json!("COMPLETED"), &json!("RESOLVED"), &json!(3)), "{run:#}");
        let seen = look::request(&app, &request).await;
        assert_eq!(look::notes(&seen, "PUBLIC"), ["I restarted the gateway."]);
        let events = look::events(&app, &run).await;
        assert_eq!(look::data(&events, "model.failed")[0]["class"], "overloaded");
        let answers = look::data(&events, "model.completed");
        assert_eq!(answers[0]["thinking"], "A gateway, I think.");
        assert_eq!(answers[0]["usage"], json!({ "input": 232, "cache_read": 768, "cache_write_short": 0, "cache_write_long": 0, "output": 50, "reasoning": 20 }));

        let asked = stub.asked();
        assert_eq!(asked.len(), 3);
        assert!(asked[0].head.starts_with("POST /v1/models/gemini-2.5-pro:streamGenerateContent?alt=sse "), "{}", asked[0].head);
        assert!(asked[0].head.contains(&format!("x-goog-api-key: {CANARY}")), "{}", asked[0].head);
        assert_eq!(asked[0].text, asked[1].text, "each try is the same");
        let (one, two) = (&asked[1].body, &asked[2].body);
        assert_eq!(one["generationConfig"]["thinkingConfig"], json!({ "includeThoughts": true, "thinkingBudget": 2048 }));
        // R58: what is stable is the same in each call.
        assert_eq!((&one["tools"], &one["systemInstruction"], &one["contents"][0]), (&two["tools"], &two["systemInstruction"], &two["contents"][0]));
        assert!(asked[2].text.contains(&signed.to_string()), "{}", asked[2].text);
        let answered: Vec<_> = two["contents"][2]["parts"].as_array().unwrap().iter().map(|part| &part["functionResponse"]["name"]).collect();
        assert_eq!(answered, ["post_note", "set_status"]);

        // gemini-2.5-pro, USD per million: input 1.25, output 10, read 0.125.
        // 232 × 1,250 + 768 × 125 + 50 × 10,000 = 886,000 nano; 1,200 × 1,250 + 10 × 10,000 = 1,600,000
        // A call that broke off said nothing of what it used.
        let query = "query ($id: ID!) { run(id: $id) { usage { inputTokens outputTokens cachedTokens reasoningTokens } cost { amount unpricedCalls unknownCalls } } }";
        let seen = app.gql(query, json!({ "id": run["id"] })).await["run"].take();
        assert_eq!(seen["usage"], json!({ "inputTokens": 2200, "outputTokens": 60, "cachedTokens": 768, "reasoningTokens": 20 }));
        assert_eq!(seen["cost"], json!({ "amount": "0.002486", "unpricedCalls": 0, "unknownCalls": 1 }));
        look::sound(&app).await;
        app.stop().await;
    }

    async fn geminis_refusal_of_a_key_is_told_without_it(app: TestApp) {
        let told = json!({ "error": { "code": 400, "message": format!("API key not valid: {CANARY}."), "status": "INVALID_ARGUMENT" } });
        let stub = StubProvider::start(vec![http("400 Bad Request", &["content-type: application/json"], &told.to_string())]).await;
        let app = with(&app, vec![provider("google", Kind::Gemini, &stub)]).await;
        let request = assign(&app, "worker", json!({ "provider": "google:gemini-2.5-pro" })).await;
        app.drain().await;
        let run = run_of(&app, &request).await;
        assert_eq!((&run["status"], &run["failureCode"]), (&json!("FAILED"), &json!("MODEL_ERROR")), "{run:#}");
        assert_eq!(stub.asked().len(), 1, "it is not tried again");
        let seen = look::request(&app, &request).await;
        assert!(look::notes(&seen, "PRIVATE")[0].contains("API key not valid: ‹secret:google›."), "{seen:#}");
        look::sound(&app).await;
        app.stop().await;
    }
}
