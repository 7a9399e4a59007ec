//! Runs that go over the borders of buckets, and readers that ask while buckets are made.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::metric::audit::mend;
use domain::metric::rollup;
use serde_json::{Value, json};
use tests::{Coworker, TestApp, both_dbs};

use super::figures::{HOUR_MS, agree, moment, truth};
use super::{DAY, audit, coworker, fold, priced, tidy, to_noon, work, workspace_of};
use crate::approval::{ask, decide};
use crate::look;

const RUNS: i64 = 20;

/// Looks, asks a person whether it may reset the device, and ends when it may.
const RESETS: &str = "
tools:
  - { name: device.look, description: Looks at it., effect: READ, answers: [{ response: fine }] }
  - { name: device.reset, description: Resets it., destructive: true, answers: [{ response: done }] }
turns:
  - calls: [{ tool: device.look, arguments: {} }]
    usage: { input: 1000, output: 10 }
  - calls: [{ tool: device.reset, arguments: { device: LT-2231 } }]
    usage: { input: 2000, output: 20 }
  - calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: It is reset., summary: I reset it. } }]
    usage: { input: 500, output: 5 }
";

/// Milliseconds of a duration of minutes, seconds and thousandths: `PT10M2.500S`.
fn ms(duration: &Value) -> i64 {
    let text = duration.as_str().unwrap().strip_prefix("PT").unwrap();
    let (minutes, seconds) = text.split_once('M').unwrap_or(("0", text));
    let seconds = seconds.strip_suffix('S').unwrap_or("0");
    let (whole, part) = seconds.split_once('.').unwrap_or((seconds, "0"));
    (minutes.parse::<i64>().unwrap() * 60 + whole.parse::<i64>().unwrap()) * 1000
        + format!("{part:0<3}").parse::<i64>().unwrap()
}

fn within_one_percent(found: &Value, exact: i64) {
    let found = ms(found);
    assert!(
        found > 0 && (found - exact).abs() <= exact / 100,
        "{found}, exactly {exact}"
    );
}

both_dbs! {
    /// R37: usage counts when its model call ended, a run when it ended: also where a person's approval lies between, over the borders of
    /// quarter-hours, hours and days, while it goes on, and folded.
    async fn a_run_over_midnight_counts_its_calls_before_and_its_end_after(app: TestApp) {
        priced(&app).await;
        let worker = Coworker::new("careful").playbook(RESETS).with("tools", ask("device", "reset")).publish(&app).await;
        // Ten minutes before midnight.
        let day = to_noon(&app).await;
        app.advance(Duration::from_millis(12 * 3_600_000 - 600_000)).await;
        for _ in 0..RUNS {
            work(&app, &json!(worker.id)).await;
        }
        let (begin, midnight, end) = (day, day + 24 * HOUR_MS, day + 48 * HOUR_MS);
        let query = "query ($range: TimeRangeInput!) { metrics(range: $range) { totals { duration { p50 p95 } } \
            series(interval: DAY) { points { totals { runs modelCalls turns usage { inputTokens } cost { amount } duration { p50 p95 } } } } } }";
        let range = json!({ "range": { "start": moment(begin), "end": moment(end) } });
        let compare = async |told: &str| {
            let truth = truth(&app).await;
            for (zone, interval, span) in [
                ("UTC", "HOUR", (midnight - 2 * HOUR_MS, midnight + 2 * HOUR_MS)),
                ("UTC", "HOUR", (midnight - 420_000, midnight + 301_000)),
                ("UTC", "DAY", (begin, end)),
                ("Asia/Kathmandu", "HOUR", (midnight - 2 * HOUR_MS, midnight + 2 * HOUR_MS)),
                ("Asia/Kolkata", "DAY", (begin, end)),
            ] {
                agree(&app, &truth, zone, interval, span).await;
            }
            let days = app.gql(query, range.clone()).await["metrics"].take();
            let at = |day: usize| {
                let totals = &days["series"][0]["points"][day]["totals"];
                [&totals["runs"], &totals["modelCalls"], &totals["turns"], &totals["usage"]["inputTokens"]].map(|value| value.as_i64().unwrap())
            };
            (at(0), at(1), days, told.to_owned())
        };
        // Each has looked and asked.
        let waiting = compare("while all wait").await;
        assert_eq!((waiting.0, waiting.1), ([0, 40, 0, 60_000], [0; 4]), "{}", waiting.3);
        assert_eq!(waiting.2["totals"]["duration"], json!({ "p50": null, "p95": null }));

        // One is let go on each minute: nine before midnight, the others after.
        for n in 1..=RUNS {
            app.advance(Duration::from_secs(60)).await;
            let query = "{ approvals(state: PENDING, first: 1) { nodes { id } } }";
            let asked = app.gql(query, json!({})).await["approvals"]["nodes"][0].take();
            decide(&app, &asked, "APPROVE").await;
            app.drain().await;
            if n == 12 {
                let some = compare("while some wait").await;
                assert_eq!((some.0, some.1), ([9, 49, 27, 64_500], [3, 3, 9, 1_500]), "{}", some.3);
                fold(&app).await;
                let folded = compare("while some wait and the others are folded").await;
                assert_eq!((folded.0, folded.1), (some.0, some.1), "{}", folded.3);
            }
        }
        app.advance(Duration::from_secs(60)).await;
        for told in ["not folded", "folded", "as hours", "made anew"] {
            match told {
                "folded" => fold(&app).await,
                "as hours" => {
                    app.advance(Duration::from_secs(100 * DAY)).await;
                    tidy(&app).await;
                }
                "made anew" => {
                    look::tamper(&app, "DELETE FROM usage_rollup").await;
                    mend(&app.store().await, workspace_of(&app).await, 0, |_| ()).await.unwrap();
                }
                _ => {}
            }
            let (first, second, days, told) = compare(told).await;
            assert_eq!((first, second), ([9, 49, 27, 64_500], [11, 11, 33, 5_500]), "{told}");
            let costs = [0, 1].map(|day: usize| days["series"][0]["points"][day]["totals"]["cost"]["amount"].clone());
            // 64,500 × 3 + 645 × 15 and 5,500 × 3 + 55 × 15 USD per million.
            assert_eq!(costs, [json!("0.203175"), json!("0.017325")], "{told}");
            // They took 1 to 20 minutes: half of them at most 10, 95 of 100 at most 19.
            let minutes = |n: i64| n * 60_000;
            within_one_percent(&days["totals"]["duration"]["p50"], minutes(10));
            within_one_percent(&days["totals"]["duration"]["p95"], minutes(19));
            let of = |day: usize, part: &str| days["series"][0]["points"][day]["totals"]["duration"][part].clone();
            within_one_percent(&of(0, "p50"), minutes(5));
            within_one_percent(&of(1, "p50"), minutes(15));
        }
        audit::sound(&app).await;
    }

    /// Whoever asks while runs are folded, hours merged, days made in another zone and all of it made anew always reads the same.
    async fn figures_stay_the_same_while_they_are_folded(app: TestApp) {
        priced(&app).await;
        let workers = [
            coworker(&app, "one", "{ input: 300, cache_read: 1000, output: 60 }", "{ input: 7, output: 3 }").await,
            coworker(&app, "two", "{ input: 1, output: 1 }", "{ input: 1999, cache_read: 1, output: 777 }").await,
        ];
        let begin = to_noon(&app).await;
        for n in 0..24 {
            work(&app, &workers[n % 2]).await;
            app.advance(Duration::from_secs(5 * 3_600 + 7 * 60)).await;
        }
        let end = app.store().await.now().0;
        let totals = "runs turns modelCalls usage { inputTokens outputTokens } cost { amount } duration { p50 p95 }";
        let query = format!(
            "query ($range: TimeRangeInput!) {{ metrics(range: $range, timeZone: \"Europe/Berlin\") {{ totals {{ {totals} }} \
             series(interval: DAY, by: [COWORKER, OUTCOME]) {{ group {{ coworker {{ handle }} outcome }} points {{ totals {{ {totals} }} }} }} }} }}"
        );
        let range = json!({ "range": { "start": moment(begin - 1), "end": moment(end + 1) } });
        let first = app.gql(&query, range.clone()).await;
        assert_eq!(first["metrics"]["totals"]["runs"], 24);
        // Old enough that each further day makes hours of some quarter-hours.
        app.advance(Duration::from_secs(85 * DAY)).await;

        let done = Arc::new(AtomicBool::new(false));
        let folding = tokio::spawn({
            let (app, done) = (app.clone(), done.clone());
            async move {
                let workspace = workspace_of(&app).await;
                for zone in ["Asia/Kathmandu", "Europe/Berlin", "UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata"] {
                    let store = app.store().await;
                    rollup::fold_all(&store, || true).await.unwrap();
                    app.mutate("workspaceUpdate", json!({ "timeZone": zone }), "").await;
                    app.advance(Duration::from_secs(DAY)).await;
                    rollup::tidy(&store, || true).await.unwrap();
                    // Spoilt so that no figure that is asked for changes: each row is replaced while others read.
                    look::tamper(&app, "UPDATE usage_rollup SET model = 'another'").await;
                    let mended = mend(&store, workspace, 0, |_| ()).await.unwrap();
                    assert!(mended.different > 0 && mended.different == mended.rows, "{mended:?}");
                }
                fold(&app).await;
                tidy(&app).await;
                done.store(true, Ordering::SeqCst);
            }
        });
        let mut asked = 0;
        while !done.load(Ordering::SeqCst) && !folding.is_finished() {
            let now = app.gql(&query, range.clone()).await;
            assert_eq!(now, first, "answer {asked}");
            asked += 1;
        }
        folding.await.unwrap();
        assert!(asked >= 10, "only {asked} answers while there was folding");
        assert_eq!(app.gql(&query, range).await, first);
        audit::sound(&app).await;
    }
}
