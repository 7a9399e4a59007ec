//! What nobody knows the cost of is never shown as free.

use std::time::Duration;

use serde_json::json;
use tests::{TestApp, both_dbs};

use super::figures::{HOUR_MS, moment};
use super::{DAY, coworker, fold, priced, to_noon, work};
use crate::look;

both_dbs! {
    /// Decision 6: a trend says null where the cost of one of its intervals is not known, and names no causes then.
    async fn a_trend_shows_unpriced_work_as_not_known(app: TestApp) {
        let worker = coworker(&app, "one", "{ input: 1000, output: 10 }", "{ input: 2000, output: 20 }").await;
        let start = to_noon(&app).await;
        work(&app, &worker).await;
        app.advance(Duration::from_secs(DAY)).await;
        priced(&app).await;
        work(&app, &worker).await;
        app.advance(Duration::from_secs(DAY)).await;
        work(&app, &worker).await;
        work(&app, &worker).await;
        app.advance(Duration::from_secs(2 * DAY)).await;
        let range = json!({ "start": moment(start), "end": moment(start + 4 * 24 * HOUR_MS) });
        let change = "before now absolute relative";
        let query = format!(
            "query ($range: TimeRangeInput!) {{ metrics(range: $range) {{ trend(interval: DAY) {{ changes {{ cost {{ {change} }} costPerRun {{ {change} }} \
             unpricedCalls {{ {change} }} unknownCalls {{ now }} causes {{ kind amount }} }} }} }} }}"
        );
        for folded in [false, true] {
            if folded {
                fold(&app).await;
            }
            let changes = look::list(app.gql(&query, json!({ "range": range })).await["metrics"]["trend"][0]["changes"].take());
            assert_eq!(changes.len(), 4);
            let nothing = json!({ "before": null, "now": null, "absolute": null, "relative": null });
            // The first day, whose calls have no price, after one on which nothing was called.
            assert_eq!(changes[0], json!({
                "cost": { "before": "0", "now": null, "absolute": null, "relative": null }, "costPerRun": nothing,
                "unpricedCalls": { "before": 0, "now": 2, "absolute": 2, "relative": null }, "unknownCalls": { "now": 0 }, "causes": [],
            }), "folded: {folded}");
            // 3,000 × 3 + 30 × 15 USD per million tokens: to compare with nothing known.
            assert_eq!(changes[1], json!({
                "cost": { "before": null, "now": "0.00945", "absolute": null, "relative": null },
                "costPerRun": { "before": null, "now": "0.00945", "absolute": null, "relative": null },
                "unpricedCalls": { "before": 2, "now": 0, "absolute": -2, "relative": -1.0 }, "unknownCalls": { "now": 0 }, "causes": [],
            }), "folded: {folded}");
            assert_eq!(changes[2], json!({
                "cost": { "before": "0.00945", "now": "0.0189", "absolute": "0.00945", "relative": 1.0 },
                "costPerRun": { "before": "0.00945", "now": "0.00945", "absolute": "0", "relative": 0.0 },
                "unpricedCalls": { "before": 0, "now": 0, "absolute": 0, "relative": null }, "unknownCalls": { "now": 0 },
                "causes": [{ "kind": "RUNS", "amount": "0.00945" }],
            }), "folded: {folded}");
            // Nothing was called, which costs nothing; and by run nothing can be said.
            assert_eq!((&changes[3]["cost"]["now"], &changes[3]["costPerRun"]["now"]), (&json!("0"), &json!(null)), "folded: {folded}");
        }
    }
}
