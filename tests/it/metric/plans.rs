//! What PostgreSQL goes through for figures.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use domain::metric::anew::fold_until;
use entity::{run, usage_ledger};
use sea_orm::{ConnectionTrait as _, IdenStatic as _, Iterable as _, TransactionTrait as _};
use serde_json::{Value, json};
use tests::postgres::Postgres;
use tests::{TestApp, TestDb};

use super::{MINUTE, coworker, priced, work, workspace_of};
use crate::look;

/// Copies of a run, and of its calls.
const COPIES: usize = 20_000;
/// They end one after the other, so many milliseconds apart: over some 230 days.
const STEP: usize = 1_000_000;

/// The most rows that a statement may look at: at the rims of 26 weeks lie 26 hours, of some four runs and seven calls each.
const MOST: f64 = 500.0;

/// Has every statement's plan logged, with what it went through.
const EXPLAINED: [&str; 4] = [
    "session_preload_libraries = ''auto_explain''",
    "auto_explain.log_min_duration = 0",
    "auto_explain.log_analyze = on",
    "auto_explain.log_format = json",
];

/// What a statement is about: of which table, and which rows.
type Kind = (&'static str, &'static str);

/// The plans of the figures' statements about single runs and calls that a log has after a number of bytes.
fn plans(log: &Path, after: usize) -> Vec<(Kind, Value)> {
    let log = std::fs::read_to_string(log).unwrap();
    let plans = log[after..].split(" plan:\n").skip(1).map(|plan| {
        let lines = plan.lines().take_while(|line| line.starts_with('\t'));
        let plan: String = lines.collect();
        serde_json::from_str::<Value>(&plan).unwrap_or_else(|err| panic!("{err}: {plan}"))
    });
    let of_rows = |plan: Value| {
        let text = plan["Query Text"].as_str().unwrap();
        // Which prices a statement needs is asked with the same conditions; what finds backlogs has no span.
        let is_one = text.contains(" >= ") && !text.starts_with("SELECT DISTINCT");
        let of = |table: &str| text.contains(&format!("FROM \"{table}\""));
        let rows = match () {
            () if text.contains("rolled_up))") => "not folded",
            () if text.starts_with("WITH") => "rims summed up",
            () => "rims",
        };
        match () {
            () if text.contains("oldest_run") => Some((("both", "oldest"), plan)),
            () if is_one && of("usage_ledger") => Some((("usage_ledger", rows), plan)),
            () if is_one && of("run") => Some((("run", rows), plan)),
            () => None,
        }
    };
    plans.filter_map(of_rows).collect()
}

/// How many rows of the large tables a node of a plan, and those below it, looked at.
fn looked_at(node: &Value) -> f64 {
    let number = |name: &str| node[name].as_f64().unwrap_or_default();
    let below = node["Plans"].as_array().into_iter().flatten();
    let below: f64 = below.map(looked_at).sum();
    let large = matches!(node["Relation Name"].as_str(), Some("run" | "usage_ledger"));
    if !large {
        return below;
    }
    let each = number("Actual Rows")
        + number("Rows Removed by Filter")
        + number("Rows Removed by Index Recheck");
    below + each * number("Actual Loops")
}

/// How many rows a node of a plan, and those below it, sum up.
fn added(node: &Value) -> f64 {
    let below = || node["Plans"].as_array().into_iter().flatten();
    let number = |node: &Value, name: &str| node[name].as_f64().unwrap_or_default();
    let own = match node["Node Type"] == "Aggregate" {
        true => below()
            .map(|node| number(node, "Actual Rows") * number(node, "Actual Loops"))
            .sum(),
        false => 0.0,
    };
    own + below().map(added).sum::<f64>()
}

/// R69: also where PostgreSQL believes that everything is still to be folded, figures look at the few rows that are asked of them and
/// at no others, whether calls alone tell what is asked or their runs do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_look_at_few_rows_whatever_the_statistics_say() {
    let server = Postgres::start();
    let db = TestDb::on(server.address()).await;
    let conn = tests::db::connect(db.url()).await.unwrap();
    for setting in EXPLAINED {
        let told = format!(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET {setting}', current_database()); END $$"
        );
        conn.execute_unprepared(&told).await.unwrap();
    }
    conn.close().await.unwrap();
    let app = TestApp::start_on(db, |_| {}).await;
    priced(&app).await;
    let worker = coworker(&app, "one", "{ input: 1000 }", "{ input: 2000 }").await;
    work(&app, &worker).await;
    copy(&app).await;
    let store = app.store().await;
    let now = store.now();
    fold_until(&store, workspace_of(&app).await, now, |_| ())
        .await
        .unwrap();
    for table in ["run", "usage_ledger"] {
        let left = format!("SELECT COUNT(*) AS n FROM {table} WHERE NOT rolled_up");
        assert_eq!(look::number(&app, &left).await, 0, "{table}");
    }

    // One more, which nobody folds, an hour later.
    let folds = tests::db::connect(app.db().url()).await.unwrap();
    let folds = folds.begin().await.unwrap();
    folds
        .execute_unprepared("SELECT * FROM rollup_state FOR UPDATE")
        .await
        .unwrap();
    work(&app, &worker).await;
    app.advance(Duration::from_secs(60 * MINUTE)).await;

    let log = server.address().dir.join("log");
    let query = "query ($filter: MetricsFilter) { metrics(range: { start: \"-P182D\" }, timeZone: \"Asia/Kathmandu\", filter: $filter) { \
        series(interval: WEEK, by: [COWORKER]) { points { totals { runs cost { amount } duration { p95 } } } } \
        sums: series(interval: WEEK, by: [COWORKER]) { points { totals { runs cost { amount } } } } \
        trend(interval: WEEK, by: []) { changes { cost { absolute } } } } }";
    let one_by_one = vec!["not folded", "rims"];
    let summed_up = vec!["not folded", "rims", "rims summed up"];
    for (filter, rows) in [
        (json!({ "coworker": { "eq": worker } }), summed_up),
        (
            json!({ "trigger": { "eq": "ASSIGNED" } }),
            one_by_one.clone(),
        ),
        (json!({ "source": { "eq": "EMPLOYEE" } }), one_by_one),
    ] {
        let before = std::fs::metadata(&log).unwrap().len();
        let found = app.gql(query, json!({ "filter": filter })).await;
        let points = look::list(found["metrics"]["series"][0]["points"].clone());
        assert!(
            points.iter().all(|point| point["totals"]["runs"] != 0),
            "{found:#}"
        );
        let plans = plans(&log, usize::try_from(before).unwrap());
        let kinds: BTreeSet<Kind> = plans.iter().map(|(kind, _)| *kind).collect();
        let all = ["run", "usage_ledger"]
            .into_iter()
            .flat_map(|table| rows.iter().map(move |rows| (table, *rows)))
            .chain([("both", "oldest")]);
        assert_eq!(kinds, all.collect(), "{filter}");
        for (kind, plan) in plans {
            let plan = &plan["Plan"];
            let found = plan["Actual Rows"].as_f64().unwrap() + added(plan);
            let looked_at = looked_at(plan);
            // A call is looked at with its run; and however many are summed up, of the 20,000 few are at rims.
            let most = (2.0 * found + 10.0).min(MOST);
            assert!(
                looked_at <= most,
                "{filter}, {kind:?}: {looked_at} rows for {found}: {plan:#}"
            );
        }
    }
    folds.rollback().await.unwrap();
    app.stop().await;
}

/// Writes copies of the run that there is, and of its calls, none of them folded, and has PostgreSQL learn that for good.
async fn copy(app: &TestApp) {
    let id = "CAST(lpad(to_hex(n), 32, '0') AS UUID)".to_owned();
    let earlier = |column: &str| format!("{column} - n * {STEP}");
    let runs = run::Column::iter().map(|column| match column.as_str() {
        "id" => id.clone(),
        "number" => "number + n".to_owned(),
        name @ ("started_at" | "ended_at") => earlier(name),
        "rolled_up" => "FALSE".to_owned(),
        name => name.to_owned(),
    });
    let calls = usage_ledger::Column::iter().map(|column| match column.as_str() {
        "run_id" => id.clone(),
        "at" => earlier("at"),
        "rolled_up" => "FALSE".to_owned(),
        name => name.to_owned(),
    });
    let names = [
        run::Column::iter()
            .map(|column| column.as_str())
            .collect::<Vec<_>>()
            .join(", "),
        usage_ledger::Column::iter()
            .map(|column| column.as_str())
            .collect::<Vec<_>>()
            .join(", "),
    ];
    let values = [
        runs.collect::<Vec<_>>().join(", "),
        calls.collect::<Vec<_>>().join(", "),
    ];
    // In one transaction, and so before any of them is folded.
    let mut all = Vec::new();
    for ((table, names), values) in ["run", "usage_ledger"].into_iter().zip(names).zip(values) {
        all.extend([
            format!("ALTER TABLE {table} SET (autovacuum_enabled = off)"),
            format!("INSERT INTO {table} ({names}) SELECT {values} FROM {table}, generate_series(CAST(1 AS BIGINT), {COPIES}) AS n"),
            format!("ANALYZE {table}"),
        ]);
    }
    all.push(format!(
        "UPDATE workspace SET last_run_number = last_run_number + {COPIES}"
    ));
    look::tamper(app, &all.join("; ")).await;
}
