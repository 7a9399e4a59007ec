//! What analysts take to their own tools: figures, runs and model calls, in three formats.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use domain::export::Table;
use domain::metric::zone::Interval;
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use serde_json::{Value, json};
use tests::{Coworker, TestApp, both_dbs};

const TABLES: [&str; 3] = ["metrics", "runs", "calls"];
const FORMATS: [&str; 3] = ["csv", "json", "parquet"];

/// Runs of two coworkers on three days: one of them fails.
async fn work(app: &TestApp) {
    let price = json!({ "model": "scripted", "input": "3", "cacheRead": "0.3", "output": "15" });
    app.mutate("modelPriceSet", price, "modelPrice { id }")
        .await;
    let playbook = |usage: &str| {
        format!(
            "turns:\n  - calls: [{{ tool: post_note, arguments: {{ body: I look. }} }}]\n    usage: {usage}\n  - calls: [{{ tool: finish, arguments: {{ outcome: DECLINED, reason: \"No, \\\"no\\\".\", summary: No. }} }}]\n    usage: {{ input: 7, output: 3 }}\n"
        )
    };
    let one = Coworker::new("one")
        .playbook(&playbook("{ input: 300, cache_read: 1000, output: 60 }"))
        .publish(app)
        .await;
    let two = Coworker::new("two").playbook("turns:\n  - { repeat: true, calls: [{ tool: post_note, arguments: { body: Again. } }] }\n").limits(json!({ "maxTurns": 2 })).publish(app).await;
    for (coworker, day) in [(&one, 0), (&two, 0), (&one, 1), (&one, 1)] {
        app.advance(Duration::from_secs(day * 86_400)).await;
        let input = json!({ "title": "Do it", "assigneeId": coworker.id });
        app.mutate("requestCreate", input, "request { id }").await;
        app.drain().await;
    }
}

async fn download(app: &TestApp, file: &str, query: &str) -> (u16, Vec<u8>) {
    let request = reqwest::Client::new().get(app.url(&format!("/export/{file}{query}")));
    let answer = request
        .bearer_auth(app.key().unwrap())
        .send()
        .await
        .unwrap();
    (
        answer.status().as_u16(),
        answer.bytes().await.unwrap().to_vec(),
    )
}

fn rows(json_lines: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(json_lines).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn sum(rows: &[Value], column: &str) -> i64 {
    rows.iter().filter_map(|row| row[column].as_i64()).sum()
}

/// The newest minute is left to whoever still writes.
const AWHILE: Duration = Duration::from_secs(120);

/// So many copies of each call of a run, several at the same moment. Nobody has anything to fold of them.
pub async fn many_calls(app: &TestApp, times: usize) {
    work(app).await;
    let of_call = [
        ("seq", "t.seq * 1000000 + s.n"),
        ("at", "t.at + s.n / 7"),
        ("rolled_up", "TRUE"),
    ];
    let own = "t.run_id = (SELECT id FROM run WHERE number = 1)";
    copies(app, times, "usage_ledger", own, &of_call).await;
}

/// So many copies of a run and its calls, several at the same moment.
async fn long(app: &TestApp, times: usize) {
    work(app).await;
    let sqlite = app.db().backend() == tests::Backend::Sqlite;
    let id = match sqlite {
        true => "unhex(printf('%032x', s.n))",
        false => "CAST(lpad(to_hex(s.n), 32, '0') AS UUID)",
    };
    let of_run = [
        ("id", id),
        ("number", "1000 + s.n"),
        ("ended_at", "t.ended_at + s.n / 7"),
        ("rolled_up", "FALSE"),
    ];
    copies(app, times, "run", "t.number = 1", &of_run).await;
    let of_call = [
        ("run_id", id),
        ("at", "t.at + s.n / 7"),
        ("rolled_up", "FALSE"),
    ];
    let own = "t.run_id = (SELECT id FROM run WHERE number = 1)";
    copies(app, times, "usage_ledger", own, &of_call).await;
}

/// Adds copies of the rows of a table that a condition on `t` holds for, with other values in some columns.
async fn copies(app: &TestApp, times: usize, table: &str, of: &str, changed: &[(&str, &str)]) {
    let store = app.store().await;
    let conn = tests::db::connect(app.db().url()).await.unwrap();
    let (names, series) = if store.backend() == DbBackend::Sqlite {
        (
            format!("SELECT name FROM pragma_table_info('{table}')"),
            format!(
                "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {times})"
            ),
        )
    } else {
        (
            format!(
                "SELECT column_name::text AS name FROM information_schema.columns WHERE table_name = '{table}' AND table_schema = current_schema()"
            ),
            format!("WITH s (n) AS (SELECT * FROM generate_series(1, {times}))"),
        )
    };
    let rows = conn
        .query_all_raw(Statement::from_string(store.backend(), names))
        .await
        .unwrap();
    let (mut into, mut values) = (Vec::new(), Vec::new());
    for row in rows {
        let name: String = row.try_get("", "name").unwrap();
        let other = changed.iter().find(|(column, _)| *column == name);
        values
            .push(other.map_or_else(|| format!("t.\"{name}\""), |(_, value)| (*value).to_owned()));
        into.push(format!("\"{name}\""));
    }
    let (into, values) = (into.join(", "), values.join(", "));
    let sql = format!(
        "{series} INSERT INTO {table} ({into}) SELECT {values} FROM s JOIN {table} AS t ON {of}"
    );
    conn.execute_unprepared(&sql).await.unwrap();
    conn.close().await.unwrap();
}

/// What DuckDB and pandas find in every table and format.
async fn opened(app: &TestApp, query: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    for table in TABLES {
        for format in FORMATS {
            let file = format!("{table}.{format}");
            let (status, bytes) = download(app, &file, query).await;
            assert_eq!(status, 200, "{file}: {}", String::from_utf8_lossy(&bytes));
            std::fs::write(folder.path().join(&file), bytes).unwrap();
        }
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("analysts/read.py");
    let read = Command::new(analyst())
        .arg(script)
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(
        read.status.success(),
        "{}",
        String::from_utf8_lossy(&read.stderr)
    );
    serde_json::from_slice(&read.stdout).unwrap()
}

/// Python with DuckDB and pandas.
fn analyst() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/analysts/bin/python");
    assert!(
        path.exists(),
        "{} is missing: run tests/run, which installs it",
        path.display()
    );
    path
}

both_dbs! {
    /// R37, R60: DuckDB and pandas open every table in every format, and find the figures that the API has.
    async fn exports_open_in_duckdb_and_pandas(app: TestApp) {
        work(&app).await;
        app.advance(AWHILE).await;
        let found = opened(&app, "?start=-P7D").await;

        let query = "{ metrics(range: { start: \"-P7D\" }) { totals { runs failed modelCalls cost { amount } } } }";
        let totals = app.gql(query, json!({})).await["metrics"]["totals"].clone();
        let cost = domain::money::parse_decimal(totals["cost"]["amount"].as_str().unwrap()).unwrap();
        assert!(cost > 0);
        for table in TABLES {
            let first = &found[format!("{table}.csv")]["duckdb"];
            for format in FORMATS {
                for tool in ["pandas", "duckdb"] {
                    let seen = &found[format!("{table}.{format}")][tool];
                    assert_eq!(seen, first, "{table}.{format} with {tool}");
                    assert_eq!(seen["cost"], cost, "{table}.{format} with {tool}");
                }
            }
        }
        assert_eq!(found["runs.csv"]["duckdb"]["rows"], totals["runs"]);
        assert_eq!(found["calls.csv"]["duckdb"]["rows"], totals["modelCalls"]);
        assert_eq!(found["failed"], totals["failed"]);
        assert_eq!(found["type"], "TIMESTAMP WITH TIME ZONE");
        assert_eq!(found["longest"], 0);
        let joined: i64 = found["joined"].as_array().unwrap().iter().map(|row| row[2].as_i64().unwrap()).sum();
        assert_eq!(joined, cost, "{found}");
    }

    /// A long table comes page by page, each row once, in the order of time; the figures of all intervals are the sum of the calls.
    async fn a_long_export_has_each_row_once(app: TestApp) {
        // More than two pages hold.
        long(&app, 2_500).await;
        app.advance(AWHILE).await;
        let (_, runs) = download(&app, "runs.json", "").await;
        let (_, calls) = download(&app, "calls.json", "").await;
        let (runs, calls) = (rows(&runs), rows(&calls));
        let query = "{ metrics(range: { start: \"-P7D\" }) { totals { runs modelCalls } } }";
        let totals = app.gql(query, json!({})).await["metrics"]["totals"].clone();
        assert!(runs.len() > 2_500 && calls.len() > 5_000);
        assert_eq!(json!([runs.len(), calls.len()]), json!([totals["runs"], totals["modelCalls"]]));
        let unique: std::collections::BTreeSet<String> = runs.iter().map(|row| row["run_id"].to_string()).collect();
        assert_eq!(unique.len(), runs.len());
        for (rows, at) in [(&runs, "ended_at"), (&calls, "at")] {
            assert!(rows.is_sorted_by_key(|row| row[at].as_str().unwrap().to_owned()));
        }
        let (_, csv) = download(&app, "runs.csv", "").await;
        assert_eq!(String::from_utf8(csv).unwrap().lines().count(), 1 + runs.len());
        // A span's end is without it.
        let last = runs.last().unwrap()["ended_at"].as_str().unwrap();
        let (_, cut) = download(&app, "runs.json", &format!("?end={last}")).await;
        assert!(rows(&cut).iter().all(|row| row["ended_at"].as_str() < Some(last)));
        let (_, metrics) = download(&app, "metrics.json", "?interval=hour&timeZone=Asia/Kathmandu").await;
        let metrics = rows(&metrics);
        for column in ["cost_nano_usd", "input_tokens", "cache_read_tokens", "output_tokens"] {
            assert_eq!(sum(&metrics, column), sum(&calls, column), "{column}");
        }
        assert_eq!(sum(&metrics, "runs"), i64::try_from(runs.len()).unwrap());
        // Several pages of the database are one file in any format.
        let found = opened(&app, "").await;
        for (table, rows) in [("runs", runs.len()), ("calls", calls.len())] {
            for format in FORMATS {
                assert_eq!(found[format!("{table}.{format}")]["duckdb"]["rows"], rows, "{table}.{format}");
            }
        }
    }

    /// Who may not see figures gets none, and wrong input is told in a sentence.
    async fn exports_are_for_those_who_may_see_figures(app: TestApp) {
        let requester = app.as_role(entity::Role::Requester).await;
        let analyst = app.as_role(entity::Role::Analyst).await;
        let ask = async |key: Option<&str>, path: &str| {
            let mut request = reqwest::Client::new().get(app.url(path));
            if let Some(key) = key {
                request = request.bearer_auth(key);
            }
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        };
        assert_eq!(ask(None, "/export/runs.csv").await.0, 401);
        for table in TABLES {
            assert_eq!(ask(requester.key(), &format!("/export/{table}.csv")).await.0, 403, "{table}");
            let (status, text) = ask(analyst.key(), &format!("/export/{table}.csv")).await;
            assert_eq!((status, text.lines().count()), (200, 1), "only a header: {text}");
        }
        for (path, status, says) in [
            ("runs", 404, "runs and calls, each as .csv, .json or .parquet"),
            ("people.csv", 404, "runs and calls"),
            ("runs.xlsx", 404, ".parquet"),
            ("metrics.csv?interval=decade", 400, "it can be hour, day, week or month"),
            ("runs.csv?start=yesterday", 400, "neither a moment nor a duration"),
            ("runs.csv?start=-P1D&end=-P2D", 400, "the span ends before it begins"),
            ("metrics.csv?timeZone=Mars", 400, "Europe/Berlin"),
            ("runs.csv?since=-P1D", 400, "there are start, end, interval and timeZone"),
        ] {
            let (got, text) = ask(analyst.key(), &format!("/export/{path}")).await;
            assert_eq!(got, status, "{path}: {text}");
            assert!(text.contains(says), "{path}: {text}");
        }
    }
}

/// The README documents each column, as the code has it.
#[test]
fn every_column_is_documented() {
    let readme =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    for table in [Table::Metrics(Interval::Day), Table::Runs, Table::Calls] {
        for column in table.columns() {
            let kind = format!("{:?}", column.kind).to_lowercase();
            let line = format!("| `{}` | {kind} | {} |", column.name, column.about);
            assert!(readme.contains(&line), "{line}");
        }
    }
}
