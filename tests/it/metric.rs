//! What analysts see: figures of spans of time in any zone, and why they change.

use std::time::Duration;

use domain::metric::audit::mend;
use domain::metric::rollup;
use entity::{RollupGrain, WorkspaceId, usage_rollup, workspace};
use sea_orm::{EntityTrait, QueryOrder};
use serde_json::{Value, json};
use tests::binary;
use tests::{Backend, Coworker, TestApp, both_dbs};

use crate::{access, look};

mod audit;
mod backlog;
mod buckets;
mod causes;
mod chance;
mod figures;
mod filter;
mod outcome;
mod plans;
mod rims;
mod unpriced;

use figures::{HOUR_MS, agree_everywhere, moment, nano, truth};

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;

/// A coworker whose runs have two model calls with these usages.
async fn coworker(app: &TestApp, handle: &str, first: &str, second: &str) -> Value {
    let playbook = format!(
        "turns:\n  - calls:\n      - tool: post_note\n        arguments: {{ body: I look. }}\n    usage: {first}\n  - calls:\n      - tool: finish\n        \
         arguments: {{ outcome: DECLINED, reason: No., summary: \"It can't be done.\" }}\n    usage: {second}\n"
    );
    json!(
        Coworker::new(handle)
            .playbook(&playbook)
            .publish(app)
            .await
            .id
    )
}

async fn priced(app: &TestApp) {
    let price = json!({ "model": "scripted", "input": "3", "cacheRead": "0.3", "output": "15" });
    app.mutate("modelPriceSet", price, "modelPrice { id }")
        .await;
}

async fn work(app: &TestApp, coworker: &Value) {
    let input = json!({ "title": "Do it", "assigneeId": coworker });
    app.mutate("requestCreate", input, "request { id }").await;
    app.drain().await;
}

/// Goes on to the next noon of UTC; gives that day's first moment.
async fn to_noon(app: &TestApp) -> i64 {
    let now = app.store().await.now().0;
    let day = (now / (24 * HOUR_MS) + 1) * 24 * HOUR_MS;
    let ahead = day + 12 * HOUR_MS - now;
    app.advance(Duration::from_millis(u64::try_from(ahead).unwrap()))
        .await;
    day
}

async fn fold(app: &TestApp) {
    rollup::fold_all(&app.store().await, || true).await.unwrap();
}

async fn tidy(app: &TestApp) {
    rollup::tidy(&app.store().await, || true).await.unwrap();
}

/// Every rollup's row, in its order.
async fn stored(app: &TestApp) -> Vec<usage_rollup::Model> {
    use usage_rollup::Column as C;
    let rows = usage_rollup::Entity::find();
    let keys = [
        C::Cube,
        C::Grain,
        C::Generation,
        C::Bucket,
        C::CoworkerId,
        C::Model,
        C::Source,
        C::Trigger,
        C::Outcome,
    ];
    let rows = keys
        .into_iter()
        .fold(rows, |rows, key| rows.order_by_asc(key));
    rows.all(app.store().await.read()).await.unwrap()
}

async fn workspace_of(app: &TestApp) -> WorkspaceId {
    workspace::Entity::find()
        .one(app.store().await.read())
        .await
        .unwrap()
        .unwrap()
        .id
}

both_dbs! {
    /// R37, R60: whatever is folded, merged or moved to another zone, totals = sum of series = sum over the raw events, in every
    /// zone and interval, and what is stored is what a rebuild makes.
    async fn figures_agree_with_the_raw_events_in_every_zone(app: TestApp) {
        priced(&app).await;
        let workers = [
            coworker(&app, "one", "{ input: 300, cache_read: 1000, output: 60 }", "{ input: 7, output: 3 }").await,
            coworker(&app, "two", "{ input: 1, output: 1 }", "{ input: 1999, cache_read: 1, output: 777 }").await,
            coworker(&app, "three", "{ input: 50, output: 5 }", "{ input: 60, output: 6 }").await,
        ];
        // A fixed sequence that looks like chance: minutes between requests, and who gets them.
        let mut seed: u64 = 20_260_520;
        for round in 0..36 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            app.advance(Duration::from_millis((seed >> 33) % (19 * 60 * MINUTE * 1000))).await;
            work(&app, &workers[usize::try_from((seed >> 20) % 3).unwrap()]).await;
            if round % 9 == 4 {
                fold(&app).await;
            }
        }
        let truth = truth(&app).await;
        assert_eq!(truth.len(), 36 * 3);
        agree_everywhere(&app, &truth).await;
        fold(&app).await;
        assert_eq!(look::number(&app, "SELECT COUNT(*) FROM usage_ledger WHERE NOT rolled_up").await, 0);
        agree_everywhere(&app, &truth).await;
        audit::sound(&app).await;

        // Another reporting zone: before its days are made, while they are, and after.
        let zone = app.mutate("workspaceUpdate", json!({ "timeZone": "Asia/Kathmandu" }), "workspace { timeZone }").await;
        assert_eq!(zone["workspace"]["timeZone"], "Asia/Kathmandu");
        agree_everywhere(&app, &truth).await;
        audit::sound(&app).await;
        tidy(&app).await;
        agree_everywhere(&app, &truth).await;
        audit::sound(&app).await;
        let kept_by_zone = |row: &usage_rollup::Model| matches!(row.grain, RollupGrain::Day | RollupGrain::Week);
        assert!(stored(&app).await.iter().all(|row| !kept_by_zone(row) || row.generation == 1), "days and weeks of the old zone are gone");
        assert!(stored(&app).await.iter().any(|row| row.grain == RollupGrain::Week));

        // Days that were made by other rules of time zones, or by a release that kept no weeks, are not used: not even spoilt ones.
        look::tamper(&app, "UPDATE usage_rollup SET cost_nano = cost_nano + 7, runs = runs + 1 WHERE grain IN ('DAY', 'WEEK')").await;
        look::tamper(&app, "UPDATE rollup_state SET zone_release = '2001a'").await;
        agree_everywhere(&app, &truth).await;
        tidy(&app).await;
        agree_everywhere(&app, &truth).await;
        assert!(stored(&app).await.iter().all(|row| !kept_by_zone(row) || row.generation == 2), "they are gone");
        audit::sound(&app).await;

        // Quarter-hours that have grown old are hours.
        app.advance(Duration::from_secs(100 * DAY)).await;
        tidy(&app).await;
        let rows = stored(&app).await;
        assert!(rows.iter().any(|row| row.grain == RollupGrain::Hour));
        assert!(rows.iter().all(|row| row.grain != RollupGrain::Quarter), "all of it is old");
        agree_everywhere(&app, &truth).await;
        audit::sound(&app).await;

        // Stored = rebuilt.
        let before = stored(&app).await;
        look::tamper(&app, "DELETE FROM usage_rollup").await;
        let mended = mend(&app.store().await, workspace_of(&app).await, 0, |_| ()).await.unwrap();
        assert_eq!((mended.rows, mended.different), (before.len(), before.len()));
        assert_eq!(stored(&app).await, before);
        agree_everywhere(&app, &truth).await;
    }

    /// R54: `stint rebuild` compares every run with its log and makes the rollups anew.
    async fn rollups_that_were_spoilt_are_made_anew_by_a_command(app: TestApp) {
        priced(&app).await;
        let worker = coworker(&app, "one", "{ input: 1000, output: 10 }", "{ input: 2000, output: 20 }").await;
        work(&app, &worker).await;
        work(&app, &worker).await;
        fold(&app).await;
        let (right, url) = (stored(&app).await, app.db().url().to_owned());
        if app.db().backend() == Backend::Sqlite {
            let refused = binary::run(&["rebuild", "--database-url", &url]);
            assert!(!refused.status.success() && refused.stderr.contains("another stint process owns it"), "{}", refused.stderr);
        }
        app.stop().await;
        look::tamper(&app, "UPDATE usage_rollup SET cost_nano = cost_nano + 7, runs = runs + 1").await;
        let check = || binary::run(&["rebuild", "--check", "--database-url", &url]);
        let spoilt = check();
        assert_eq!((spoilt.status.success(), spoilt.stdout.as_str()), (false, "2 runs are what their logs say.\n"), "{}", spoilt.stderr);
        for told in [
            "the quarter-hour from 2026-05-20T03:30:00.000Z, scripted, EMPLOYEE, ASSIGNED, DECLINED, of one: runs is 3 instead of 2, cost_nano is 18900007 instead of 18900000",
            "the day from 2026-05-20T00:00:00.000Z, scripted, of one: runs is 3 instead of 2",
            "the week from 2026-05-18T00:00:00.000Z, scripted, of one: runs is 3 instead of 2",
            "error: 4 of 4 rows of the rollups are not what was folded into them; stint rebuild without --check makes them anew",
        ] {
            assert!(spoilt.stderr.contains(told), "{told}: {}", spoilt.stderr);
        }
        let rebuilt = binary::run(&["rebuild", "--database-url", &url]);
        assert!(rebuilt.stderr.contains("of one: runs is 3 instead of 2") && rebuilt.stderr.contains("4 of 4 rows of the rollups were not"), "{}", rebuilt.stderr);
        assert!(rebuilt.status.success() && rebuilt.stdout.contains("anew from 2 runs"), "{}{}", rebuilt.stdout, rebuilt.stderr);
        let checked = check();
        let right_again = "2 runs are what their logs say.\n4 rows of the rollups are what was folded into them.\n";
        assert_eq!((checked.status.success(), checked.stdout.as_str()), (true, right_again), "{}", checked.stderr);

        // A run that is not what its log says stops it before anything is changed.
        look::tamper(&app, "UPDATE run SET tool_call_count = tool_call_count + 1 WHERE number = 2").await;
        let refused = binary::run(&["rebuild", "--database-url", &url]);
        assert!(!refused.status.success() && refused.stderr.contains("Run-2: "), "{}", refused.stderr);
        app.restart().await;
        assert_eq!(stored(&app).await, right);
    }

    /// R68: a series has a point for every interval, a trend compares whole ones and names its causes to the nano-dollar.
    async fn a_trend_says_why_the_cost_changed(app: TestApp) {
        priced(&app).await;
        let worker = coworker(&app, "one", "{ input: 1000, output: 10 }", "{ input: 2000, output: 20 }").await;
        // To the middle of the first day, then two days with nothing between.
        let start = to_noon(&app).await;
        work(&app, &worker).await;
        app.advance(Duration::from_secs(2 * DAY)).await;
        work(&app, &worker).await;
        app.advance(Duration::from_secs(DAY)).await;
        let dearer = json!({ "model": "scripted", "input": "6", "cacheRead": "0.3", "output": "15" });
        app.mutate("modelPriceSet", dearer, "modelPrice { id }").await;
        work(&app, &worker).await;
        work(&app, &worker).await;
        app.advance(Duration::from_secs(DAY)).await;

        let range = json!({ "start": moment(start), "end": moment(start + 4 * 24 * HOUR_MS) });
        let change = "start cost { before now absolute relative } runs { before now absolute relative } costPerRun { before now absolute } causes { kind component amount }";
        let query = format!(
            "query ($range: TimeRangeInput!) {{ coworker(handle: \"one\") {{ metrics(range: $range) {{ timeZone \
             series(interval: DAY) {{ group {{ coworker {{ handle }} model source trigger outcome }} points {{ totals {{ runs cost {{ amount lines {{ amount }} }} duration {{ p50 p95 }} }} }} }} \
             trend(interval: DAY, by: [MODEL]) {{ group {{ model }} changes {{ {change} }} }} \
             totals {{ runs completed failed costPerRun turns toolCalls usage {{ byComponent {{ kind name tokens }} inputTokens }} }} }} }} }}"
        );
        for folded in [false, true] {
            if folded {
                fold(&app).await;
            }
            let metrics = app.gql(&query, json!({ "range": range })).await["coworker"]["metrics"].take();
            let points = look::list(metrics["series"][0]["points"].clone());
            let runs: Vec<_> = points.iter().map(|point| point["totals"]["runs"].as_i64().unwrap()).collect();
            assert_eq!(runs, [1, 0, 1, 2]);
            assert_eq!(points[1]["totals"]["duration"], json!({ "p50": null, "p95": null }));
            assert!(points[0]["totals"]["duration"]["p50"].is_string());
            // 3,000 × 3 + 30 × 15 USD per million; then twice 3,000 × 6 + 30 × 15.
            assert_eq!((&points[0]["totals"]["cost"]["amount"], &points[3]["totals"]["cost"]["amount"]), (&json!("0.00945"), &json!("0.0369")));
            let lines = look::list(points[3]["totals"]["cost"]["lines"].clone());
            assert_eq!(lines.iter().map(|line| nano(&line["amount"])).sum::<i64>(), 36_900_000);

            let changes = look::list(metrics["trend"][0]["changes"].clone());
            assert_eq!((metrics["trend"][0]["group"]["model"].as_str(), changes.len()), (Some("scripted"), 4));
            for change in &changes {
                let causes: i64 = look::list(change["causes"].clone()).iter().map(|cause| signed(&cause["amount"])).sum();
                assert_eq!(causes, signed(&change["cost"]["absolute"]), "{change:#}");
            }
            let gone = json!([{ "kind": "RUNS", "component": null, "amount": "-0.00945" }]);
            assert_eq!(changes[1]["causes"], gone);
            let last = &changes[3];
            assert_eq!(last["cost"], json!({ "before": "0.00945", "now": "0.0369", "absolute": "0.02745", "relative": 27_450_000.0 / 9_450_000.0 }));
            assert_eq!(last["runs"], json!({ "before": 1, "now": 2, "absolute": 1, "relative": 1.0 }));
            assert_eq!(last["costPerRun"], json!({ "before": "0.00945", "now": "0.01845", "absolute": "0.009" }));
            // One run more at 0.00945, and 6,000 input tokens dearer by 3 USD per million.
            assert_eq!(last["causes"], json!([
                { "kind": "RUNS", "component": null, "amount": "0.00945" },
                { "kind": "PRICE", "component": null, "amount": "0.018" },
            ]));
            let totals = &metrics["totals"];
            assert_eq!((&totals["runs"], &totals["completed"], &totals["turns"]), (&json!(4), &json!(4), &json!(8)), "{totals:#}");
            let parts = look::list(totals["usage"]["byComponent"].clone());
            assert_eq!(parts.iter().map(|part| part["tokens"].as_i64().unwrap()).sum::<i64>(), 12_000);
            assert!(parts.iter().all(|part| part["name"].is_null()));
        }
    }

    /// A dashboard is told to look at the start and when runs change, and never of what happens elsewhere.
    async fn a_dashboard_is_told_to_look_again(app: TestApp) {
        let worker = coworker(&app, "one", "{ input: 10, output: 1 }", "{ input: 10, output: 1 }").await;
        let sign = "subscription { metricsChanged { at } }";
        let other = access::workspace(&app, "Elsewhere").await;
        let (mut mine, mut theirs) = (app.subscribe(sign, json!({})).await, other.subscribe(sign, json!({})).await);
        assert!(mine.next().await["metricsChanged"]["at"].is_string());
        assert!(theirs.next().await["metricsChanged"]["at"].is_string());
        work(&app, &worker).await;
        let figures = "{ metrics(range: { start: \"-P1D\", end: \"PT1H\" }) { totals { runs } } }";
        // However many signs come, the figures of the last one hold what was done.
        while app.gql(figures, json!({})).await["metrics"]["totals"]["runs"] != 1 {
            mine.next().await;
        }
        mine.next().await;
        assert!(theirs.is_silent(Duration::from_millis(100)).await);
    }

    /// What is asked for can be filtered, and what can't be meant is refused with a sentence.
    async fn figures_can_be_filtered_and_wrong_questions_are_refused(app: TestApp) {
        priced(&app).await;
        let (one, two) = (coworker(&app, "one", "{ input: 10, output: 1 }", "{ input: 10, output: 1 }").await, coworker(&app, "two", "{ input: 20, output: 1 }", "{ input: 20, output: 1 }").await);
        work(&app, &one).await;
        work(&app, &two).await;
        work(&app, &two).await;
        let query = "query ($filter: MetricsFilter) { metrics(range: { start: \"-P1D\", end: \"PT1H\" }, filter: $filter) { totals { runs usage { inputTokens } } } }";
        for folded in [false, true] {
            if folded {
                fold(&app).await;
            }
            for (filter, runs, tokens) in [
                (json!({}), 3, 100),
                (json!({ "coworker": { "eq": one } }), 1, 20),
                (json!({ "coworker": { "neq": one } }), 2, 80),
                (json!({ "model": { "eq": "scripted" }, "outcome": { "eq": "DECLINED" } }), 3, 100),
                (json!({ "outcome": { "eq": "RESOLVED" } }), 0, 0),
                (json!({ "source": { "eq": "EMPLOYEE" }, "trigger": { "in": ["ASSIGNED"] } }), 3, 100),
                (json!({ "source": { "eq": "SYSTEM" } }), 0, 0),
            ] {
                let totals = app.gql(query, json!({ "filter": filter })).await["metrics"]["totals"].take();
                let found = (totals["runs"].as_i64().unwrap(), totals["usage"]["inputTokens"].as_i64().unwrap());
                assert_eq!(found, (runs, tokens), "{filter}, folded: {folded}");
            }
        }
        let groups = "{ metrics(range: { start: \"-P1D\", end: \"PT1H\" }) { series(interval: DAY, by: [COWORKER, SOURCE, TRIGGER, OUTCOME, MODEL]) { group { coworker { handle } model source trigger outcome } } } }";
        let found = look::list(app.gql(groups, json!({})).await["metrics"]["series"].clone());
        let group = json!({ "coworker": { "handle": "one" }, "model": "scripted", "source": "EMPLOYEE", "trigger": "ASSIGNED", "outcome": "DECLINED" });
        assert!(found.iter().any(|series| series["group"] == group), "{found:#?}");

        for (ask, told) in [
            ("metrics(range: { start: \"-P1D\" }, timeZone: \"Mars/Olympus\") { totals { runs } }", "Mars/Olympus"),
            ("metrics(range: { start: \"-P200D\" }) { series(interval: HOUR) { points { start } } }", "more than 1100 intervals"),
            ("metrics(range: { start: \"-P1D\" }) { series(interval: DAY, by: [MODEL, MODEL]) { points { start } } }", "twice"),
        ] {
            let errors = app.gql_errors(&format!("{{ {ask} }}"), json!({})).await;
            assert!(errors[0]["message"].as_str().unwrap().contains(told), "{errors:#?}");
        }
    }
}

fn signed(decimal: &Value) -> i64 {
    let text = decimal.as_str().unwrap();
    match text.strip_prefix('-') {
        Some(text) => -nano(&json!(text)),
        None => nano(decimal),
    }
}
