//! Why costs change: each cause worked out by hand, in any calendar.

use std::time::Duration;

use domain::model::Kind;
use serde_json::{Value, json};
use tests::provider::{StubProvider, finishes};
use tests::{Coworker, TestApp, both_dbs};

use super::figures::{HOUR_MS, moment};
use super::{DAY, coworker, fold, priced, signed, to_noon, work};
use crate::look;
use crate::model::{provider, with};

/// Uses other tokens in the second week.
const BY_WEEK: &str = "
turns:
  - when: { title_contains: week 1 }
    calls: [{ tool: finish, arguments: { outcome: DECLINED, reason: No., summary: No. } }]
    usage: { input: 1000, output: 100 }
  - calls: [{ tool: finish, arguments: { outcome: DECLINED, reason: No., summary: No. } }]
    usage: { input: 500, cache_read: 1500, output: 200 }
";

async fn price(app: &TestApp, model: &str, [input, cache_read, output]: [&str; 3]) {
    let price =
        json!({ "model": model, "input": input, "cacheRead": cache_read, "output": output });
    app.mutate("modelPriceSet", price, "modelPrice { id }")
        .await;
}

async fn ask(app: &TestApp, coworker: &str, title: &str) {
    let input = json!({ "title": title, "assigneeId": coworker });
    app.mutate("requestCreate", input, "request { id }").await;
    app.drain().await;
}

/// The causes of a change that are no component's, and the sum of those that are.
fn by_kind(change: &Value) -> (Vec<(String, i64)>, i64) {
    let (mut causes, mut input) = (Vec::new(), 0);
    for cause in look::list(change["causes"].clone()) {
        let (kind, amount) = (
            cause["kind"].as_str().unwrap().to_owned(),
            signed(&cause["amount"]),
        );
        match kind.as_str() {
            "INPUT_TOKENS" => input += amount,
            _ => causes.push((kind, amount)),
        }
    }
    (causes, input)
}

both_dbs! {
    /// R68: the first whole week of a span is compared with the one before it, part of which lies before the span; weeks begin on the
    /// Monday of the zone, and what is cut at the end is left out.
    async fn a_trend_compares_whole_weeks_of_its_zone(app: TestApp) {
        priced(&app).await;
        let worker = coworker(&app, "one", "{ input: 1000, output: 10 }", "{ input: 2000, output: 20 }").await;
        // Wednesday, 20 May 2026, 03:30 UTC, which is 09:00 in India; its week began on Sunday at 18:30 UTC.
        let begin = app.store().await.now().0;
        let monday = begin - (2 * 24 + 9) * HOUR_MS;
        assert_eq!(moment(monday), "2026-05-17T18:30:00.000Z");
        work(&app, &worker).await;
        // Sunday, 19:00 UTC: Monday already where it is half past midnight.
        app.advance(Duration::from_secs(4 * DAY + 15 * 3_600 + 1_800)).await;
        work(&app, &worker).await;
        app.advance(Duration::from_secs(2 * DAY)).await;
        work(&app, &worker).await;
        app.advance(Duration::from_secs(7 * DAY)).await;
        for _ in 0..3 {
            work(&app, &worker).await;
        }
        // In the week after that, which is not over.
        app.advance(Duration::from_secs(7 * DAY)).await;
        work(&app, &worker).await;
        let range = json!({ "start": moment(begin + 24 * HOUR_MS), "end": "PT1H" });
        let query = "query ($range: TimeRangeInput!, $zone: TimeZone) { metrics(range: $range, timeZone: $zone) { \
            trend(interval: WEEK, by: [COWORKER]) { changes { start end runs { before now } cost { before now } causes { kind amount } } } } }";
        let week = |n: i64| moment(monday + n * 7 * 24 * HOUR_MS);
        for folded in [false, true] {
            if folded {
                fold(&app).await;
            }
            let found = app.gql(query, json!({ "range": range, "zone": "Asia/Kolkata" })).await["metrics"]["trend"][0]["changes"].take();
            // 3,000 × 3 + 30 × 15 USD per million for each run.
            assert_eq!(found, json!([
                { "start": week(1), "end": week(2), "runs": { "before": 1, "now": 2 }, "cost": { "before": "0.00945", "now": "0.0189" },
                  "causes": [{ "kind": "RUNS", "amount": "0.00945" }] },
                { "start": week(2), "end": week(3), "runs": { "before": 2, "now": 3 }, "cost": { "before": "0.0189", "now": "0.02835" },
                  "causes": [{ "kind": "RUNS", "amount": "0.00945" }] },
            ]), "folded: {folded}");
            // In UTC the run of Sunday evening is one of the week before.
            let found = app.gql(query, json!({ "range": range, "zone": "UTC" })).await["metrics"]["trend"][0]["changes"].take();
            let runs: Vec<_> = look::list(found).iter().map(|change| change["runs"].clone()).collect();
            assert_eq!(runs, [json!({ "before": 2, "now": 1 }), json!({ "before": 1, "now": 3 })], "folded: {folded}");
        }
    }

    /// R68: runs, input tokens by component, output tokens, cache and price, one after the other.
    async fn each_cause_of_a_change_is_what_it_is_by_hand(app: TestApp) {
        price(&app, "scripted", ["3", "0.3", "15"]).await;
        let worker = Coworker::new("one").playbook(BY_WEEK).publish(&app).await.id;
        let day = to_noon(&app).await;
        for _ in 0..2 {
            ask(&app, &worker, "Do it (week 1)").await;
        }
        app.advance(Duration::from_secs(DAY)).await;
        price(&app, "scripted", ["6", "0.6", "30"]).await;
        for _ in 0..3 {
            ask(&app, &worker, "Do it (week 2)").await;
        }
        app.advance(Duration::from_secs(DAY)).await;
        let range = json!({ "start": moment(day + 24 * HOUR_MS), "end": moment(day + 48 * HOUR_MS) });
        let both = json!({ "start": moment(day), "end": moment(day + 48 * HOUR_MS) });
        let query = "query ($range: TimeRangeInput!, $both: TimeRangeInput!) { metrics(range: $range) { trend(interval: DAY) { changes { cost { before now absolute } causes { kind component amount } } } } \
            both: metrics(range: $both) { series(interval: DAY) { points { totals { usage { byComponent { kind tokens } } } } } } }";
        for folded in [false, true] {
            if folded {
                fold(&app).await;
            }
            let found = app.gql(query, json!({ "range": range, "both": both })).await;
            let change = &found["metrics"]["trend"][0]["changes"][0];
            // 2 × (1,000 × 3 + 100 × 15); then 3 × (500 × 6 + 1,500 × 0.6 + 200 × 30) USD per million.
            assert_eq!(change["cost"], json!({ "before": "0.009", "now": "0.0297", "absolute": "0.0207" }), "folded: {folded}");
            let (causes, input) = by_kind(change);
            assert_eq!(causes, [
                // One run more at 0.0045.
                ("RUNS".to_owned(), 4_500_000),
                // 100 output tokens more in each of 3 runs, at 15.
                ("OUTPUT_TOKENS".to_owned(), 4_500_000),
                // 3 × 2,000 tokens, three quarters of which come from the cache: (3 × 1/4 + 0.6 × 3/4) instead of 3. What was not read from a
                // cache before has the price that it has now.
                ("CACHE".to_owned(), -10_800_000),
                // 3 × (500 tokens dearer by 3, and 200 by 15).
                ("PRICE".to_owned(), 13_500_000),
            ], "folded: {folded}");
            // 1,000 input tokens more in each of 3 runs, at 3: together, and each component by its own.
            assert_eq!(input, 9_000_000, "folded: {folded}");
            let tokens = |day: usize, component: &str| -> i64 {
                let parts = look::list(found["both"]["series"][0]["points"][day]["totals"]["usage"]["byComponent"].clone());
                let of = parts.iter().find(|part| part["kind"] == component);
                of.map_or(0, |part| part["tokens"].as_i64().unwrap())
            };
            let mut components = Vec::new();
            for cause in look::list(change["causes"].clone()).iter().filter(|cause| cause["kind"] == "INPUT_TOKENS") {
                let component = cause["component"].as_str().unwrap();
                // By run, of 3 now and 2 before, times 3 runs at 3,000 nano-USD.
                let expected = tokens(1, component) * 3_000 - tokens(0, component) * 4_500;
                assert!((signed(&cause["amount"]) - expected).abs() <= 1, "{component}: {cause}, by hand {expected}, folded: {folded}");
                components.push(component.to_owned());
            }
            for component in ["GOAL", "IDENTITY", "INSTRUCTIONS", "TOOL_DEFINITION", "REQUEST"] {
                assert!(components.iter().any(|found| found == component), "no {component} in {components:?}");
            }
        }
    }

    /// R68: where another model does the work it is the mix, and where one of them became dearer it is the price.
    async fn another_model_is_the_mix_and_a_dearer_one_the_price(app: TestApp) {
        let stub = StubProvider::start(vec![finishes("DECLINED")]).await;
        let app = with(&app, vec![provider("p", Kind::OpenAi, &stub)]).await;
        price(&app, "p:cheap", ["1", "1", "1"]).await;
        price(&app, "p:dear", ["3", "3", "3"]).await;
        let mut workers = Vec::new();
        for name in ["cheap", "dear"] {
            let model = json!({ "provider": format!("p:{name}") });
            workers.push(Coworker::new(name).with("model", model).publish(&app).await.id);
        }
        let [cheap, dear] = &workers[..] else { panic!("two") };
        let day = to_noon(&app).await;
        for (n, pair) in [[cheap, cheap], [cheap, dear], [cheap, dear]].into_iter().enumerate() {
            if n == 2 {
                price(&app, "p:dear", ["9", "9", "9"]).await;
            }
            for worker in pair {
                ask(&app, worker, "Do it").await;
            }
            app.advance(Duration::from_secs(DAY)).await;
        }
        let range = json!({ "start": moment(day + 24 * HOUR_MS), "end": moment(day + 72 * HOUR_MS) });
        let query = "query ($range: TimeRangeInput!) { metrics(range: $range) { trend(interval: DAY) { changes { cost { before now } causes { kind amount } } } } }";
        for folded in [false, true] {
            if folded {
                fold(&app).await;
            }
            let found = app.gql(query, json!({ "range": range })).await["metrics"]["trend"][0]["changes"].take();
            // Each run reads 100 tokens and writes 10. The dear model does half of the work: 2 runs × half of them × 110 × (3 - 1). Then it
            // costs 9 instead of 3: 110 × 6.
            assert_eq!(found, json!([
                { "cost": { "before": "0.00022", "now": "0.00044" }, "causes": [{ "kind": "MODEL_MIX", "amount": "0.00022" }] },
                { "cost": { "before": "0.00044", "now": "0.0011" }, "causes": [{ "kind": "PRICE", "amount": "0.00066" }] },
            ]), "folded: {folded}");
        }
        app.stop().await;
    }
}
