//! Figures of some coworkers and models only.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{TestApp, both_dbs};

use super::{audit, coworker, fold, priced, work};
use crate::look;

/// The name of a model, with what JSON and SQL must leave as it is.
const ANOTHER: &str = r#"p:a"b\c-ü"#;

/// As if the second coworker had a model of its own.
async fn another_model(app: &TestApp) {
    for table in ["run", "usage_ledger"] {
        let second = "SELECT id FROM coworker WHERE handle = 'two'";
        let other = format!(
            "UPDATE {table} SET model = '{ANOTHER}' WHERE coworker_id = ({second}) AND model <> '{ANOTHER}'"
        );
        look::as_written(app, table, &[other]).await;
    }
}

both_dbs! {
    /// R69: what a filter lets through is the same whatever is folded, in totals, in series and line by line; and the same whether the
    /// rows of calls alone tell it or only their runs do.
    async fn a_filter_by_model_or_coworker_says_the_same_whatever_is_folded(app: TestApp) {
        priced(&app).await;
        let one = coworker(&app, "one", "{ input: 1000, output: 10 }", "{ input: 2000, output: 20 }").await;
        let two = coworker(&app, "two", "{ input: 300, output: 3 }", "{ input: 500, output: 5 }").await;
        another_model(&app).await;
        let cost = "cost { amount lines { amount } }";
        let query = format!(
            "query ($filter: MetricsFilter) {{ metrics(range: {{ start: \"-P5D\", end: \"PT1H\" }}, filter: $filter) {{ \
             totals {{ runs modelCalls {cost} current: cost(pricing: CURRENT) {{ amount lines {{ amount }} }} usage {{ byComponent {{ kind name tokens }} }} }} \
             series(interval: DAY, by: [MODEL, COWORKER]) {{ group {{ model coworker {{ handle }} }} points {{ totals {{ runs {cost} }} }} }} }} }}"
        );
        let ask = async |filter: Value| app.gql(&query, json!({ "filter": filter })).await["metrics"].take();
        // By hand: 3,000 × 3 + 30 × 15, and 800 × 3 + 8 × 15, USD per million.
        for (state, times, costs) in [
            ("not folded", 1, ["0.00945", "0.00252"]),
            ("half of it folded", 2, ["0.0189", "0.00504"]),
            ("folded", 2, ["0.0189", "0.00504"]),
        ] {
            if state != "folded" {
                work(&app, &one).await;
                work(&app, &two).await;
                app.advance(Duration::from_secs(1)).await;
            }
            for (same, cost) in [
                ([json!({ "coworker": { "eq": one } }), json!({ "model": { "neq": ANOTHER } })], costs[0]),
                ([json!({ "coworker": { "eq": two } }), json!({ "model": { "eq": ANOTHER } })], costs[1]),
            ] {
                let first = ask(same[0].clone()).await;
                let totals = &first["totals"];
                assert_eq!((&totals["runs"], &totals["modelCalls"]), (&json!(times), &json!(2 * times)), "{state}: {}", same[0]);
                assert_eq!(totals["cost"]["amount"], cost, "{state}: {}", same[0]);
                assert_eq!(first["series"].as_array().map(Vec::len), Some(1), "{state}: {first:#}");
                for filter in same {
                    assert_eq!(ask(filter.clone()).await, first, "{state}: {filter}");
                    let mut by_run = filter;
                    by_run["trigger"] = json!({ "eq": "ASSIGNED" });
                    assert_eq!(ask(by_run.clone()).await, first, "{state}: {by_run}");
                }
            }
            fold(&app).await;
        }
        audit::sound(&app).await;
    }
}
