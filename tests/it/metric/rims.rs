//! Rows at the rims of spans, which no whole bucket holds.

use std::time::Duration;

use serde_json::json;
use tests::{TestApp, both_dbs};

use super::{MINUTE, coworker, fold, moment, priced, work};
use crate::look;

/// Everything that rows tell by themselves, with a place of its own in each sum.
const TOTALS: &str = "totals { runs completed failed turns toolCalls modelCalls \
    usage { inputTokens cachedTokens cacheWriteTokens outputTokens reasoningTokens } \
    cost { amount unpricedCalls unknownCalls estimatedAmount } }";

/// Calls of every kind: priced; without a price; and with usage that nobody knows.
const KINDS: [(&str, &str); 3] = [
    (
        "cache_write_short_tokens = 7, cache_write_long_tokens = 11, cache_read_tokens = 13, reasoning_tokens = 5",
        "cost_nano > 3500000",
    ),
    (
        "price_id = NULL, cost_nano = NULL, reserved_nano = 17",
        "cost_nano = 3000000",
    ),
    (
        "known = FALSE, price_id = NULL, cost_nano = NULL, reserved_nano = NULL",
        "cost_nano = 1500000",
    ),
];

both_dbs! {
    /// R69: what the database sums up at the rims of a span is what the rows come to when they are read one by one, as they are where only
    /// their runs tell what is asked; folded or not, also of a span that is nothing but a rim.
    async fn what_lies_at_a_rim_is_the_same_summed_up_and_one_by_one(app: TestApp) {
        priced(&app).await;
        // Nano-USD: 3,000,000 and 6,000,000; 1,500,000 and 9,000,000.
        let one = coworker(&app, "one", "{ input: 1000 }", "{ input: 2000 }").await;
        let two = coworker(&app, "two", "{ input: 500 }", "{ input: 3000 }").await;
        let kinds = KINDS.map(|(set, which)| format!("UPDATE usage_ledger SET {set} WHERE {which}"));
        look::as_written(&app, "usage_ledger", &kinds).await;
        let begun = app.clock().now().0;
        work(&app, &one).await;
        work(&app, &two).await;
        app.advance(Duration::from_secs(1)).await;
        let query = format!(
            "query ($start: DateTimeOrDuration!, $end: DateTimeOrDuration!) {{ metrics(range: {{ start: $start, end: $end }}) {{ {TOTALS} \
             series(interval: DAY, by: [COWORKER, MODEL]) {{ points {{ {TOTALS} }} }} \
             oneByOne: series(interval: DAY, by: [COWORKER, MODEL, TRIGGER]) {{ points {{ {TOTALS} }} }} }} }}"
        );
        let end = app.clock().now().0;
        let mut all = Vec::new();
        for state in ["not folded", "folded"] {
            // All of it at the rims; and none of it, but what is not folded.
            for rim in [0, 60 * 60 * 1000] {
                let range = json!({ "start": moment(begun - rim), "end": moment(end + rim) });
                let found = app.gql(&query, range).await["metrics"].take();
                let told = format!("{state}, {rim}: {found:#}");
                assert_eq!(found["series"], found["oneByOne"], "{told}");
                all.push(found["totals"].clone());
            }
            fold(&app).await;
            app.advance(Duration::from_secs(MINUTE)).await;
        }
        let wanted = json!({
            "runs": 2, "completed": 2, "failed": 0, "turns": 4, "toolCalls": 4, "modelCalls": 4,
            // 6,500 of their own, 2 calls × (7 + 11 + 13) from and for caches.
            "usage": { "inputTokens": 6562, "cachedTokens": 26, "cacheWriteTokens": 36, "outputTokens": 0, "reasoningTokens": 10 },
            "cost": { "amount": "0.015", "unpricedCalls": 1, "unknownCalls": 1, "estimatedAmount": "0.000000017" },
        });
        assert_eq!(all, vec![wanted; 4]);
    }
}
