//! LiteLLM's table through `stint prices import`: lengths of prompts, service tiers, both caches, and what calls cost then.

use serde_json::{Value, json};
use tests::binary::{self, Stint};
use tests::provider::{StubProvider, bytes, finishes};
use tests::{Coworker, on_both};

use crate::{files, look};

/// USD per token, as its file has them.
const FILE: &str = r#"{
  "sample_spec": { "litellm_provider": "one of", "mode": "chat", "input_cost_per_token": 0.0 },
  "openai/gpt-next": { "litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1.5e-05,
    "cache_read_input_token_cost": 2.5e-07, "input_cost_per_token_priority": 5e-06, "output_cost_per_token_priority": 3e-05,
    "cache_read_input_token_cost_priority": 5e-07, "input_cost_per_token_above_272k_tokens": 5e-06,
    "output_cost_per_token_above_272k_tokens": 2.25e-05 },
  "claude-next": { "litellm_provider": "anthropic", "mode": "chat", "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05,
    "cache_read_input_token_cost": 3e-07, "cache_creation_input_token_cost": 3.75e-06, "cache_creation_input_token_cost_above_1hr": 6e-06 },
  "odd": { "litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06,
    "cache_read_input_token_cost": 2e-06 },
  "upside-down": { "litellm_provider": "anthropic", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06,
    "cache_creation_input_token_cost": 9e-06, "cache_creation_input_token_cost_above_1hr": 6e-06 },
  "thinker": { "litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 4e-06,
    "output_cost_per_reasoning_token": 1.2e-05 },
  "text-embedding-next": { "litellm_provider": "openai", "mode": "embedding", "input_cost_per_token": 1.3e-07, "output_cost_per_token": 0.0 }
}"#;

#[tokio::test(flavor = "multi_thread")]
async fn litellms_table_is_imported_and_calls_are_charged_by_it() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().join("stint.db").display());
    let file = dir.path().join("model_prices_and_context_window.json");
    std::fs::write(&file, FILE).unwrap();
    let file = file.to_str().unwrap();
    let mut reply = finishes("DECLINED");
    let tier = json!({ "id": "c", "choices": [], "service_tier": "priority" });
    reply.insert(1, bytes(format!("data: {tier}\n\n")));
    let stub = StubProvider::start(vec![finishes("DECLINED"), reply]).await;
    let base = stub.url();
    let args = ["serve", "--database-url", &url, "--listen", "127.0.0.1:0"];
    let mut server = Stint::start_with(&args, &[("STINT_OPENAI_BASE_URL", &base)]);
    let client = server.client();
    let import = |more: &[&str]| {
        let args: Vec<&str> = [&["prices", "import", file, "--database-url", &url], more].concat();
        binary::run(&args)
    };
    let looked = import(&["--dry-run", "--provider", "openai"]);
    assert!(looked.status.success(), "{}", looked.stderr);
    assert!(
        looked.stdout.contains("openai:gpt-next")
            && !looked.stdout.contains("anthropic:")
            && !looked.stdout.contains("embedding"),
        "{}",
        looked.stdout
    );
    let done = import(&["--yes"]);
    assert!(done.status.success(), "{}", done.stderr);
    for left_out in [
        "openai:odd: standard: cacheRead is dearer than input",
        "anthropic:upside-down: standard: cacheWriteShort is dearer than cacheWriteLong",
        "openai:thinker: standard: its reasoning has a rate of its own",
    ] {
        let (model, why) = left_out.split_once(": standard: ").unwrap();
        assert!(
            done.stderr.contains(model) && done.stderr.contains(why),
            "{}",
            done.stderr
        );
    }
    let again: Value =
        serde_json::from_str(&import(&["--yes", "--format", "json"]).stdout).unwrap();
    assert_eq!(again["set"], json!([]), "{again:#}");

    let query = "query ($of: String!) { modelPrices(startsWith: $of) { model serviceTier promptOver input cacheRead cacheWriteShort cacheWriteLong output source } }";
    let mut seen = look::list(
        client.gql(query, json!({ "of": "openai:gpt-next" })).await["modelPrices"].take(),
    );
    seen.sort_by_key(|price| {
        (
            price["serviceTier"].to_string(),
            price["promptOver"].as_i64(),
        )
    });
    let brief: Vec<Value> = seen
        .iter()
        .map(|price| {
            json!([
                price["serviceTier"],
                price["promptOver"],
                price["input"],
                price["output"]
            ])
        })
        .collect();
    assert_eq!(
        json!(brief),
        json!([
            ["priority", 0, "5", "30"],
            ["standard", 0, "2.5", "15"],
            ["standard", 272_000, "5", "22.5"]
        ])
    );
    let claude = client
        .gql(query, json!({ "of": "anthropic:claude-next" }))
        .await["modelPrices"][0]
        .take();
    assert_eq!(
        (
            &claude["cacheWriteShort"],
            &claude["cacheWriteLong"],
            &claude["source"]
        ),
        (&json!("3.75"), &json!("6"), &json!("LiteLLM's table"))
    );

    let worker = Coworker::new("worker")
        .with("model", json!({ "provider": "openai:gpt-next" }))
        .publish(&client)
        .await;
    // 100 × 2.5 + 10 × 15 USD per million; then in the tier that the provider names: 100 × 5 + 10 × 30.
    for amount in ["0.0004", "0.0008"] {
        let input = json!({ "title": "How much?", "assigneeId": worker.id });
        let request = client
            .mutate("requestCreate", input, "request { id }")
            .await["request"]["id"]
            .clone();
        let run = look::first_run(&client, &request).await;
        let query = "subscription ($id: ID!) { runEvents(runId: $id) { type } }";
        client
            .subscribe(query, json!({ "id": run }))
            .await
            .all()
            .await;
        let query = "query ($id: ID!) { run(id: $id) { cost { amount priced } } }";
        let cost = client.gql(query, json!({ "id": run })).await["run"]["cost"].take();
        assert_eq!(cost, json!({ "amount": amount, "priced": true }));
    }
    server.kill();
}

/// Of what models.dev does not speak: other names, and what the long-lived cache costs.
const DEV: &str = r#"{ "openai": { "models": { "gpt-next": { "cost": { "input": 7, "output": 35, "cache_read": 0.7, "cache_write": 9 } } } } }"#;

on_both! {
    async fn an_import_keeps_what_its_form_has_no_word_for(backend: Backend) {
        let (db, _server, client) = files::start(backend).await;
        let before = json!({ "model": "openai:gpt-next", "aliases": ["scripted"], "input": "8", "cacheRead": "0.8", "cacheWriteShort": "10", "cacheWriteLong": "12", "output": "40" });
        client.mutate("modelPriceSet", before, "").await;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("api.json");
        let import = |text: &str| {
            std::fs::write(&file, text).unwrap();
            binary::run(&["prices", "import", file.to_str().unwrap(), "--yes", "--database-url", db.url()])
        };
        let done = import(DEV);
        assert!(done.status.success() && done.stderr.contains("1 price to set"), "{}", done.stderr);
        let query = "{ modelPrices(startsWith: \"openai:gpt-next\") { input cacheWriteShort cacheWriteLong aliases source } }";
        let set = client.gql(query, json!({})).await["modelPrices"].take();
        assert_eq!(set, json!([{ "input": "7", "cacheWriteShort": "9", "cacheWriteLong": "12", "aliases": ["scripted"], "source": "models.dev" }]));
        let again = import(DEV);
        assert!(again.stderr.contains("Nothing to change"), "{}", again.stderr);

        // R60: a call under the other name goes by the new price: 100 × 7 + 10 × 35 USD per million.
        let playbook = "turns:\n  - calls: [{ tool: finish, arguments: { outcome: DECLINED, reason: No., summary: No. } }]\n    usage: { input: 100, output: 10 }\n";
        let worker = Coworker::new("worker").playbook(playbook).publish(&client).await;
        let input = json!({ "title": "How much?", "assigneeId": worker.id });
        let request = client.mutate("requestCreate", input, "request { id }").await["request"]["id"].clone();
        let run = look::first_run(&client, &request).await;
        let log = "subscription ($id: ID!) { runEvents(runId: $id) { type } }";
        client.subscribe(log, json!({ "id": run })).await.all().await;
        let cost = "query ($id: ID!) { run(id: $id) { cost { amount priced } } }";
        assert_eq!(client.gql(cost, json!({ "id": run })).await["run"]["cost"], json!({ "amount": "0.00105", "priced": true }));

        // What was kept and what is new must go together.
        let dearer = import(&DEV.replace("\"cache_write\": 9", "\"cache_write\": 13"));
        assert!(dearer.stderr.contains("openai:gpt-next: cacheWriteShort is dearer than cacheWriteLong") && dearer.stderr.contains("set the price with modelPriceSet"), "{}", dearer.stderr);
        assert_eq!(client.gql(query, json!({})).await["modelPrices"], set);
    }
}
