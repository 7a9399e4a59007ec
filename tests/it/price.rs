//! What models cost: setting it, finding it, importing it, and what calls are charged by it.

use serde_json::{Value, json};
use tests::Coworker;
use tests::binary::{self, Stint};
use tests::{TestApp, both_dbs};

use crate::look;

/// One turn with this usage, which ends the run.
fn using(usage: &str) -> String {
    format!(
        "turns:\n  - calls:\n      - tool: finish\n        arguments: {{ outcome: DECLINED, reason: No., summary: \"It can't be done.\" }}\n    usage: {usage}\n"
    )
}

/// The cost of a run with this usage, as recorded and as of now.
async fn charged(app: &TestApp, handle: &str, usage: &str) -> Value {
    let made = Coworker::new(handle)
        .playbook(&using(usage))
        .publish(app)
        .await;
    let input = json!({ "title": "How much?", "assigneeId": made.id });
    let request =
        app.mutate("requestCreate", input, "request { id }").await["request"]["id"].clone();
    app.drain().await;
    let cost = "amount priced unpricedCalls lines { kind tokens unitPrice effectiveFrom amount }";
    let query = format!(
        "query ($id: ID!) {{ request(id: $id) {{ runs(first: 1) {{ nodes {{ cost {{ {cost} }} current: cost(pricing: CURRENT) {{ {cost} }} }} }} }} }}"
    );
    app.gql(&query, json!({ "id": request })).await["request"]["runs"]["nodes"][0].take()
}

async fn refused(app: &TestApp, input: Value) -> (Value, Value) {
    let errors = app.refused("modelPriceSet", input).await;
    (errors[0]["field"].clone(), errors[0]["code"].clone())
}

both_dbs! {
    /// R60: the length of the prompt chooses the rates of the whole call, cached tokens included.
    async fn a_long_prompt_is_charged_by_its_tier(app: TestApp) {
        let price = json!({
            "model": "scripted", "input": "1", "cacheRead": "0.1", "output": "10", "source": "a contract",
            "tiers": [{ "promptOver": 1000, "input": "2", "cacheRead": "0.2", "output": "20" }, { "promptOver": 5000, "input": "4", "output": "40" }],
        });
        let made = app.mutate("modelPriceSet", price, "modelPrice { promptOver } tiers { promptOver input cacheRead source serviceTier }").await;
        assert_eq!(made["modelPrice"]["promptOver"], 0);
        let tiers = look::list(made["tiers"].clone());
        assert_eq!(tiers[0], json!({ "promptOver": 1000, "input": "2", "cacheRead": "0.2", "source": "a contract", "serviceTier": "standard" }));
        assert_eq!((&tiers[1]["promptOver"], &tiers[1]["cacheRead"]), (&json!(5000), &json!(null)));

        // 1,000 is not past 1,000: 900 × 1 + 100 × 0.1 + 10 × 10 USD per million.
        let short = charged(&app, "short", "{ input: 900, cache_read: 100, output: 10 }").await;
        assert_eq!((&short["cost"]["amount"], &short["current"]["amount"]), (&json!("0.00101"), &json!("0.00101")), "{short:#}");
        // 901 × 2 + 100 × 0.2 + 10 × 20.
        let long = charged(&app, "long", "{ input: 901, cache_read: 100, output: 10 }").await;
        assert_eq!((&long["cost"]["amount"], &long["current"]["amount"]), (&json!("0.002022"), &json!("0.002022")), "{long:#}");
        // 6000 × 4 + 10 × 40.
        let longest = charged(&app, "longest", "{ input: 6000, output: 10 }").await;
        assert_eq!(longest["cost"]["amount"], "0.0244", "{longest:#}");

        // Repriced, each call goes by its own length, though they are summed up together.
        app.advance(std::time::Duration::from_secs(1)).await;
        let price = json!({ "model": "scripted", "input": "10", "cacheRead": "1", "output": "0", "tiers": [{ "promptOver": 1000, "input": "20", "cacheRead": "2", "output": "0" }] });
        app.mutate("modelPriceSet", price, "").await;
        let query = "{ metrics(range: { start: \"-PT1H\", end: \"2030-01-01T00:00:00Z\" }) { totals { cost { amount } current: cost(pricing: CURRENT) { amount priced } } } }";
        let totals = app.gql(query, json!({})).await["metrics"]["totals"].take();
        // 900 × 10 + 100 × 1 + 901 × 20 + 100 × 2 + 6000 × 20 = 147,320 per million.
        assert_eq!(totals["current"], json!({ "amount": "0.14732", "priced": true }), "{totals:#}");
        assert_eq!(totals["cost"]["amount"], "0.027432");
        look::sound(&app).await;
    }

    /// A kind of tokens without a rate makes its call unpriced, never free.
    async fn a_call_that_uses_what_has_no_rate_is_unpriced(app: TestApp) {
        app.mutate("modelPriceSet", json!({ "model": "scripted", "input": "1", "output": "10" }), "").await;
        let seen = charged(&app, "reader", "{ input: 100, cache_read: 1, output: 10 }").await;
        assert_eq!((&seen["cost"]["amount"], &seen["cost"]["priced"], &seen["cost"]["unpricedCalls"]), (&json!(null), &json!(false), &json!(1)), "{seen:#}");
        // Known later, it can be priced as of now.
        app.advance(std::time::Duration::from_secs(1)).await;
        app.mutate("modelPriceSet", json!({ "model": "scripted", "input": "1", "cacheRead": "1", "output": "10" }), "").await;
        let query = "{ run(number: 1) { cost { priced } current: cost(pricing: CURRENT) { amount priced } } }";
        let run = app.gql(query, json!({})).await["run"].take();
        assert_eq!(run, json!({ "cost": { "priced": false }, "current": { "amount": "0.000201", "priced": true } }));
    }

    async fn the_shipped_prices_are_there_and_ones_own_come_before_them(app: TestApp) {
        let query = "query ($at: DateTime) { modelPrices(at: $at, startsWith: \"anthropic:claude-haiku-5-5\") { id model promptOver input cacheWriteLong output source effectiveFrom aliases } }";
        let now = json!({ "at": "2026-11-22T00:00:00Z" });
        let shipped = look::list(app.gql(query, now.clone()).await["modelPrices"].take());
        assert_eq!(shipped.len(), 2, "{shipped:#?}");
        assert_eq!((&shipped[0]["promptOver"], &shipped[0]["input"], &shipped[0]["cacheWriteLong"]), (&json!(0), &json!("0.1"), &json!(null)));
        assert_eq!((&shipped[1]["promptOver"], &shipped[1]["output"]), (&json!(100_000), &json!("2.5")));
        assert!(shipped[0]["source"].as_str().expect("a source").starts_with("shipped with Stint"), "{shipped:#?}");
        let node = app.gql("query ($id: ID!) { node(id: $id) { ... on ModelPrice { model promptOver } } }", json!({ "id": shipped[1]["id"] })).await;
        assert_eq!(node["node"], json!({ "model": "anthropic:claude-haiku-5-5", "promptOver": 100_000 }));

        // A contract from March on: the shipped tier does not count beside it.
        let own = json!({ "model": "anthropic:claude-haiku-5-5", "aliases": ["gateway:haiku"], "effectiveFrom": "2026-03-01T00:00:00Z", "input": "0.05", "output": "0.25" });
        app.mutate("modelPriceSet", own, "").await;
        let seen = look::list(app.gql(query, now).await["modelPrices"].take());
        assert_eq!(seen.len(), 1, "{seen:#?}");
        assert_eq!((&seen[0]["input"], &seen[0]["aliases"]), (&json!("0.05"), &json!(["gateway:haiku"])));
        let before = look::list(app.gql(query, json!({ "at": "2026-02-01T00:00:00Z" })).await["modelPrices"].take());
        assert_eq!(before.len(), 2);
        assert_eq!(app.gql_code("{ modelPrices(first: 0) { id } }", json!({})).await, "PAGE_TOO_LARGE");
    }

    /// Two models with one other name in common, from the same moment on: the price that was set last counts, whole.
    async fn a_name_that_two_prices_have_goes_by_the_newest_of_them_as_a_whole(app: TestApp) {
        let set = |model: &str, input: &str, tiers: Value| json!({
            "model": model, "aliases": ["scripted"], "effectiveFrom": "2026-05-01T00:00:00Z", "input": input, "output": "0", "tiers": tiers,
        });
        app.mutate("modelPriceSet", set("a:one", "1", json!([{ "promptOver": 1000, "input": "2", "output": "0" }])), "").await;
        app.advance(std::time::Duration::from_secs(1)).await;
        app.mutate("modelPriceSet", set("b:two", "4", json!([{ "promptOver": 5000, "input": "5", "output": "0" }])), "").await;
        // 900 × 4, 2,000 × 4, 6,000 × 5 USD per million.
        for (handle, tokens, amount) in [("short", 900, "0.0036"), ("long", 2000, "0.008"), ("longest", 6000, "0.03")] {
            let seen = charged(&app, handle, &format!("{{ input: {tokens}, output: 1 }}")).await;
            assert_eq!(seen["cost"]["amount"], amount, "{handle}: {seen:#}");
        }
        look::sound(&app).await;
    }

    async fn a_price_that_cant_be_meant_is_refused(app: TestApp) {
        let set = |more: Value| {
            let mut input = json!({ "model": "m", "input": "1", "output": "1" });
            input.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            input
        };
        for (more, field) in [
            (json!({ "cacheRead": "1.1" }), "cacheRead"),
            (json!({ "cacheWriteShort": "3", "cacheWriteLong": "2" }), "cacheWriteShort"),
            (json!({ "tiers": [{ "promptOver": 0, "input": "1", "output": "1" }] }), "tiers"),
            (json!({ "tiers": [{ "promptOver": 9, "input": "1", "output": "1" }, { "promptOver": 9, "input": "1", "output": "1" }] }), "tiers"),
            (json!({ "tiers": [{ "promptOver": 9, "input": "1", "cacheRead": "2", "output": "1" }] }), "cacheRead"),
        ] {
            assert_eq!(refused(&app, set(more.clone())).await, (json!(field), json!("INVALID")), "{more}");
        }
        let many = json!({ "aliases": vec!["x"; 11] });
        assert_eq!(refused(&app, set(many)).await, (json!("aliases"), json!("TOO_LONG")));
        assert_eq!(refused(&app, set(json!({ "serviceTier": "" }))).await, (json!("serviceTier"), json!("REQUIRED")));
    }
}

/// The two models of an import: one that is in force like this, one that is not.
const FILE: &str = r#"{ "openai": { "models": {
    "gpt-5.5": { "cost": { "input": 5, "output": 30, "cache_read": 0.5, "tiers": [{ "input": 10, "output": 45, "cache_read": 1, "tier": { "type": "context", "size": 272000 } }] } },
    "gpt-next": { "cost": { "input": 7, "output": 35, "cache_read": 0.7 } },
    "odd": { "cost": { "input": 1, "output": 2, "cache_read": 3 } } } },
  "other": { "models": { "m": { "cost": { "input": 1, "output": 1 } } } } }"#;

#[tokio::test]
async fn prices_are_imported_from_what_the_ecosystem_maintains() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().join("stint.db").display());
    let file = dir.path().join("api.json");
    std::fs::write(&file, FILE).unwrap();
    let file = file.to_str().unwrap();
    let mut stint = Stint::serve(&url, &[]);
    let client = stint.client();
    let import = |more: &[&str]| {
        let args: Vec<&str> = [&["prices", "import", file, "--database-url", &url], more].concat();
        binary::run(&args)
    };

    let asked = import(&[]);
    assert!(
        !asked.status.success() && asked.stderr.contains("add --yes"),
        "{}",
        asked.stderr
    );
    let looked = import(&["--dry-run", "--provider", "openai"]);
    assert!(looked.status.success(), "{}", looked.stderr);
    assert!(
        looked.stdout.contains("openai:gpt-next") && !looked.stdout.contains("other:m"),
        "{}",
        looked.stdout
    );
    assert!(
        !looked.stdout.contains("gpt-5.5"),
        "what is in force is no change: {}",
        looked.stdout
    );
    assert!(
        looked
            .stderr
            .contains("openai:odd: cacheRead is dearer than input"),
        "{}",
        looked.stderr
    );
    let query =
        "{ modelPrices(startsWith: \"openai:gpt-next\") { input cacheRead output source } }";
    assert_eq!(client.gql(query, json!({})).await["modelPrices"], json!([]));

    let done = import(&["--yes"]);
    assert!(
        done.status.success() && done.stderr.contains("2 prices to set, 1 as they are"),
        "{}",
        done.stderr
    );
    let set = client.gql(query, json!({})).await["modelPrices"].take();
    assert_eq!(
        set,
        json!([{ "input": "7", "cacheRead": "0.7", "output": "35", "source": "models.dev" }])
    );
    let again = import(&["--yes", "--format", "json"]);
    let said: Value = serde_json::from_str(&again.stdout).expect("one JSON object");
    assert_eq!(
        (&said["set"], &said["same"]),
        (&json!([]), &json!(3)),
        "{said:#}"
    );
    assert!(
        again.stderr.contains("Nothing to change"),
        "{}",
        again.stderr
    );

    std::fs::write(file, FILE.replace("\"input\": 7", "\"input\": 6")).unwrap();
    let changed = import(&["--yes"]);
    assert!(changed.stdout.contains("7 → 6"), "{}", changed.stdout);

    for (text, part) in [
        ("[]", "no JSON object"),
        ("{\"a\": 1}", "neither LiteLLM's"),
    ] {
        std::fs::write(file, text).unwrap();
        let wrong = import(&["--yes"]);
        assert!(
            !wrong.status.success() && wrong.stderr.contains(part),
            "{}",
            wrong.stderr
        );
    }
    let missing = binary::run(&["prices", "import", "nowhere.json", "--database-url", &url]);
    assert!(
        !missing.status.success() && missing.stderr.contains("nowhere.json can't be read"),
        "{}",
        missing.stderr
    );
    stint.kill();
}
