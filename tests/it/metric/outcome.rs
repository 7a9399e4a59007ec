//! Figures by how runs ended: also of those that failed, or go on.

use std::collections::BTreeMap;
use std::time::Duration;

use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use tests::postgres::Postgres;
use tests::{Coworker, TestApp, TestDb, both_dbs};

use super::figures::nano;
use super::{DAY, coworker, fold, priced, work};
use crate::look;

/// Calls a model that answers and then one that refuses: its runs fail, and have cost something.
const FAILS: &str = "
tools:
  - { name: desk.look, description: Looks., effect: READ, answers: [{ response: there }] }
turns:
  - calls: [{ tool: desk.look }]
    usage: { input: 100, output: 10 }
  - fault: rejected
";

/// Asks a person, and waits.
const WAITS: &str = "
turns:
  - calls: [{ tool: post_note, arguments: { visibility: PRIVATE, body: May I? } }]
    usage: { input: 10, output: 1 }
";

/// A run that declines, two days ago; then one that failed, one that goes on, and another that declines.
async fn all_outcomes(app: &TestApp) {
    priced(app).await;
    let declines = coworker(
        app,
        "declines",
        "{ input: 1000, output: 100 }",
        "{ input: 1000, output: 100 }",
    )
    .await;
    let asks =
        json!([{ "server": "stint", "actions": [{ "name": "post_note", "approval": "ALWAYS" }] }]);
    let waits = Coworker::new("waits")
        .playbook(WAITS)
        .with("tools", asks)
        .publish(app)
        .await;
    let fails = Coworker::new("fails").playbook(FAILS).publish(app).await;
    work(app, &declines).await;
    app.advance(Duration::from_secs(2 * DAY)).await;
    work(app, &json!(fails.id)).await;
    work(app, &json!(waits.id)).await;
    work(app, &declines).await;
    app.advance(Duration::from_secs(1)).await;
}

both_dbs! {
    /// R69: a failed run has no outcome, and a filter says the same of it whether it is folded or not.
    async fn a_filter_by_outcome_says_the_same_whatever_is_folded(app: TestApp) {
        all_outcomes(&app).await;
        let query = "query ($filter: MetricsFilter) { metrics(range: { start: \"-P5D\", end: \"PT1H\" }, filter: $filter) { totals { runs failed modelCalls } } }";
        for folded in [false, true] {
            if folded {
                fold(&app).await;
            }
            for (outcome, runs, failed, calls) in [
                (json!({ "null": true }), 1, 1, 3),
                (json!({ "null": false }), 2, 0, 4),
                (json!({ "eq": "DECLINED", "null": false }), 2, 0, 4),
                (json!({ "eq": "DECLINED", "null": true }), 0, 0, 0),
                (json!({ "neq": "DECLINED" }), 1, 1, 3),
                (json!({ "neq": "DECLINED", "null": false }), 0, 0, 0),
                (json!({ "neq": "RESOLVED", "null": false }), 2, 0, 4),
                (json!({ "in": ["DECLINED", "RESOLVED"] }), 2, 0, 4),
                (json!({ "in": ["DECLINED"], "null": true }), 0, 0, 0),
                (json!({ "nin": ["DECLINED"] }), 1, 1, 3),
                (json!({ "nin": ["DECLINED"], "null": true }), 1, 1, 3),
                (json!({ "nin": ["DECLINED"], "null": false }), 0, 0, 0),
                (json!({ "nin": ["RESOLVED"] }), 3, 1, 7),
                (json!({ "nin": ["RESOLVED"], "null": false }), 2, 0, 4),
            ] {
                let filter = json!({ "outcome": outcome });
                let totals = app.gql(query, json!({ "filter": filter })).await["metrics"]["totals"].take();
                assert_eq!(totals, json!({ "runs": runs, "failed": failed, "modelCalls": calls }), "{filter}, folded: {folded}");
            }
        }
    }

    /// R60, R69: each group of a series has its own calls' lines and its own calls at current prices, also the group of runs without
    /// an outcome: the lines of each point add up to its amount.
    async fn each_group_of_a_series_has_the_lines_of_its_own_calls(app: TestApp) {
        all_outcomes(&app).await;
        // Twice as dear from now on, for what is asked at current prices.
        let dearer = json!({ "model": "scripted", "input": "6", "cacheRead": "0.6", "output": "30" });
        app.mutate("modelPriceSet", dearer, "modelPrice { id }").await;
        let figures = "cost { amount lines { amount } } current: cost(pricing: CURRENT) { amount lines { amount } }";
        let query = format!(
            "query ($by: [MetricsDimension!]!, $filter: MetricsFilter) {{ metrics(range: {{ start: \"-P5D\", end: \"PT1H\" }}, filter: $filter) {{ totals {{ {figures} }} \
             series(interval: DAY, by: $by) {{ group {{ outcome coworker {{ handle }} }} points {{ totals {{ {figures} }} }} }} }} }}"
        );
        let lines = |cost: &Value| -> i64 { look::list(cost["lines"].clone()).iter().map(|line| nano(&line["amount"])).sum() };
        for folded in [false, true] {
            if folded {
                fold(&app).await;
            }
            for (by, filter) in [
                (json!(["OUTCOME"]), json!({})),
                (json!(["COWORKER"]), json!({})),
                (json!(["SOURCE", "TRIGGER", "OUTCOME"]), json!({})),
                (json!(["MODEL", "OUTCOME"]), json!({ "source": { "eq": "EMPLOYEE" } })),
                (json!(["OUTCOME"]), json!({ "outcome": { "null": true } })),
                (json!([]), json!({})),
            ] {
                let metrics = app.gql(&query, json!({ "by": by, "filter": filter })).await["metrics"].take();
                let mut sum = 0;
                let mut groups: BTreeMap<String, i64> = BTreeMap::new();
                for series in look::list(metrics["series"].clone()) {
                    for point in look::list(series["points"].clone()) {
                        let totals = &point["totals"];
                        let amount = nano(&totals["cost"]["amount"]);
                        assert_eq!(lines(&totals["cost"]), amount, "{by} {filter}, folded: {folded}: {series:#}");
                        assert_eq!(nano(&totals["current"]["amount"]), 2 * amount, "{by} {filter}, folded: {folded}: {series:#}");
                        assert_eq!(lines(&totals["current"]), 2 * amount, "{by} {filter}, folded: {folded}: {series:#}");
                        sum += amount;
                        *groups.entry(series["group"]["outcome"].as_str().unwrap_or("none").to_owned()).or_default() += amount;
                    }
                }
                let totals = &metrics["totals"];
                assert_eq!((nano(&totals["cost"]["amount"]), lines(&totals["cost"])), (sum, sum), "{by} {filter}, folded: {folded}");
                if by == json!(["OUTCOME"]) {
                    // 100 × 3 + 10 × 15 of the one that failed and 10 × 3 + 1 × 15 of the one that goes on; 4,000 × 3 + 400 × 15.
                    let none = 450_000 + 45_000;
                    assert_eq!(groups["none"], none, "folded: {folded}");
                    assert_eq!(groups.get("DECLINED").copied(), filter["outcome"].is_null().then_some(18_000_000), "folded: {folded}");
                }
            }
        }
    }
}

/// What a series asks the ledger for its lines does not grow with its points.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lines_of_a_series_are_one_statement_whatever_its_points() {
    let server = Postgres::start();
    let db = TestDb::on(server.address()).await;
    let conn = tests::db::connect(db.url()).await.unwrap();
    let told = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET log_statement = ''all''', current_database()); END $$";
    conn.execute_unprepared(told).await.unwrap();
    conn.close().await.unwrap();
    let app = TestApp::start_on(db, |_| {}).await;
    all_outcomes(&app).await;
    let statements = || {
        let log = std::fs::read_to_string(server.address().dir.join("log")).unwrap();
        let sums =
            |line: &&str| line.contains("LOG:  execute ") && line.contains("SUM(\"usage_ledger\"");
        log.lines().filter(sums).count()
    };
    let query = "query ($start: DateTimeOrDuration!) { metrics(range: { start: $start, end: \"PT1H\" }) { series(interval: DAY, by: [COWORKER]) { \
        points { totals { cost { lines { amount } } current: cost(pricing: CURRENT) { amount lines { amount } } } } } } }";
    let mut asked = Vec::new();
    for (start, points) in [("-P2D", 3), ("-P200D", 201)] {
        let before = statements();
        let found = app.gql(query, json!({ "start": start })).await;
        asked.push(statements() - before);
        let series = look::list(found["metrics"]["series"].clone());
        let shortest = series
            .iter()
            .map(|one| one["points"].as_array().unwrap().len())
            .min();
        assert!(series.len() == 3 && shortest >= Some(points), "{found:#}");
    }
    app.stop().await;
    // At the prices of the calls' time, and at those of now.
    assert_eq!(asked, [2, 2]);
}
