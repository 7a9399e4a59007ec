//! Cost by the week over many runs: what an analyst's dashboard asks for.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use serde_json::{Value, json};

use crate::api::{ask, coworker, request};
use crate::database::{Database, Kind};
use crate::http::Http;
use crate::server::Server;
use crate::stats::{Samples, digits};
use crate::table::Table;
use crate::{Options, say};

/// Coworkers that the runs belong to, in turn.
const COWORKERS: usize = 50;
/// Of these, those that the dashboard shows.
const SHOWN: usize = 20;
/// How far back the runs go: two years, in milliseconds.
const SPAN: i64 = 2 * 365 * 24 * 3_600_000;
/// Runs that are written in one statement.
const CHUNK: u64 = 100_000;
/// How long the first runs, and the rollups, may take.
const LIMIT: Duration = Duration::from_secs(7_200);

const PLAYBOOK: &str = "turns:\n  - calls:\n      - tool: finish\n        arguments: { outcome: DECLINED, reason: No., summary: \"It can't be done.\" }\n    usage: { input: 900, cache_read: 2100, output: 150 }\n";

pub(crate) async fn measure(options: &Options, kind: Kind, table: &mut Table) -> Result<()> {
    if let Some((url, key)) = &options.there {
        let conn = tests::db::connect(url).await?;
        let runs = number(&conn, "SELECT COUNT(*) FROM run").await?;
        conn.close().await?;
        let server = Server::start(options, &Database::There(url.clone()))?;
        let mut http = Http::connect(server.address(), key).await?;
        let ids = coworkers(&mut http).await?;
        figures(
            options,
            kind,
            (&mut http, &ids),
            u64::try_from(runs)?,
            table,
        )
        .await?;
        return server.stop();
    }
    let runs = options.runs;
    let database = Database::new(kind)?;
    let server = Server::start(options, &database)?;
    let key = server.first_key()?;
    let mut http = Http::connect(server.address(), &key).await?;
    let price = "mutation { modelPriceSet(input: { model: \"scripted\", input: \"3\", cacheRead: \"0.3\", output: \"15\" }) { userErrors { message } } }";
    ask(&mut http, price, json!({})).await?;
    let mut ids = Vec::new();
    for n in 0..COWORKERS {
        let id = coworker(&mut http, &format!("worker-{n}"), PLAYBOOK, json!({})).await?;
        http.post(&request("Do it", &id)).await?;
        ids.push(id);
    }
    let conn = tests::db::connect(&database.url()).await?;
    until(
        &conn,
        "SELECT COUNT(*) FROM run WHERE status = 'COMPLETED'",
        COWORKERS as i64,
    )
    .await?;
    server.stop()?;

    say(&format!("{kind}: writing {runs} runs"));
    seed(&conn, runs).await?;
    let begun = Instant::now();
    let server = Server::start(options, &database)?;
    until(&conn, "SELECT COUNT(*) FROM (SELECT 1 FROM run WHERE NOT rolled_up AND ended_at IS NOT NULL LIMIT 1) AS left_over", 0).await?;
    let took = begun.elapsed();
    // It is a server that has just started which answers: what folding left in memory is of no help.
    server.stop()?;
    settle(&conn).await?;
    conn.close().await?;
    let server = Server::start(options, &database)?;
    let rate = runs as f64 / took.as_secs_f64();
    let size = digits(runs as f64 / 1e6);
    table.put(
        &format!("runs folded into rollups per second, {size} M runs"),
        kind,
        digits(rate),
    );
    let mut http = Http::connect(server.address(), &key).await?;
    let all = trend(&mut http, "-P740D", None, &ids, 1).await?;
    ensure!(
        all.1 == i64::try_from(runs)? + COWORKERS as i64,
        "{} runs in the figures",
        all.1
    );
    figures(options, kind, (&mut http, &ids), runs, table).await?;
    server.stop()
}

/// The first coworkers of a workspace, by their ids.
async fn coworkers(http: &mut Http) -> Result<Vec<String>> {
    let found = ask(http, "{ coworkers(first: 50) { nodes { id } } }", json!({})).await?;
    let nodes = found["coworkers"]["nodes"].as_array();
    let nodes = nodes.with_context(|| found.to_string())?;
    let ids = nodes.iter().filter_map(|node| node["id"].as_str());
    let ids: Vec<_> = ids.map(str::to_owned).collect();
    ensure!(
        ids.len() == COWORKERS,
        "{} coworkers, not {COWORKERS}",
        ids.len()
    );
    Ok(ids)
}

/// Asks for weekly costs of some coworkers, many times.
async fn figures(
    options: &Options,
    kind: Kind,
    (http, ids): (&mut Http, &[String]),
    runs: u64,
    table: &mut Table,
) -> Result<()> {
    let size = digits(runs as f64 / 1e6);
    say(&format!("{kind}: asking for figures"));
    let elsewhere = "26 weeks × 20 coworkers, not in the reporting zone";
    for (name, start, zone, shown) in [
        ("26 weeks × 20 coworkers", "-P182D", None, SHOWN),
        ("two years × 50 coworkers", "-P730D", None, COWORKERS),
        (elsewhere, "-P182D", Some("Asia/Kathmandu"), SHOWN),
    ] {
        let slow = zone.is_some();
        let rounds = if options.quick || slow { 50 } else { 400 };
        let (mut samples, _) = trend(http, start, zone, &ids[..shown], rounds).await?;
        let told = samples.p50_p99();
        say(&format!("{kind}: {name}: {told}"));
        table.put(
            &format!("weekly cost, {name}, {size} M runs, p50 / p99"),
            kind,
            told,
        );
    }
    Ok(())
}

/// How long the answers take, and how many runs the last one counts.
async fn trend(
    http: &mut Http,
    start: &str,
    zone: Option<&str>,
    ids: &[String],
    rounds: usize,
) -> Result<(Samples, i64)> {
    let query = "query ($start: DateTimeOrDuration!, $zone: TimeZone, $ids: [ID!]) { metrics(range: { start: $start }, timeZone: $zone, filter: { coworker: { in: $ids } }) { \
        series(interval: WEEK, by: [COWORKER]) { group { coworker { handle } } points { start totals { runs cost { amount } } } } } }";
    let body = json!({ "query": query, "variables": { "start": start, "zone": zone, "ids": ids } })
        .to_string();
    let (mut samples, mut runs) = (Samples::default(), 0);
    for _ in 0..rounds {
        let begun = Instant::now();
        let answer = http.post(&body).await?;
        samples.push(begun.elapsed());
        let answer: Value = serde_json::from_slice(answer)?;
        let series = answer["data"]["metrics"]["series"]
            .as_array()
            .with_context(|| answer.to_string())?;
        let points = series
            .iter()
            .filter_map(|series| series["points"].as_array())
            .flatten();
        runs = points
            .filter_map(|point| point["totals"]["runs"].as_i64())
            .sum();
    }
    Ok((samples, runs))
}

/// Writes runs and their calls, each a copy of one of those that there are, spread evenly over the span.
async fn seed(conn: &DatabaseConnection, runs: u64) -> Result<()> {
    let now = number(conn, "SELECT MAX(ended_at) FROM run").await?;
    let step = SPAN / i64::try_from(runs)?;
    let last = number(conn, "SELECT MAX(number) FROM run").await?;
    let sqlite = conn.get_database_backend() == DbBackend::Sqlite;
    // The times of day and the order of coworkers differ from one day to the next: a step is no part of a day.
    let ended = format!("({now} - {SPAN} + s.n * {step})");
    let id = if sqlite {
        "unhex(printf('%032x', s.n))"
    } else {
        "CAST(lpad(to_hex(s.n), 32, '0') AS UUID)"
    };
    let run = columns(
        conn,
        "run",
        &[
            ("id", id),
            ("number", &format!("{last} + s.n")),
            ("started_at", &format!("{ended} - 60000 - s.n % 977 * 100")),
            ("ended_at", &ended),
            ("rolled_up", "FALSE"),
        ],
    )
    .await?;
    let call = columns(
        conn,
        "usage_ledger",
        &[
            ("run_id", id),
            ("at", &format!("{ended} - 1000")),
            ("rolled_up", "FALSE"),
        ],
    )
    .await?;
    // By themselves: no statement goes through what those before it wrote.
    let first = [("first_run", "run"), ("first_call", "usage_ledger")];
    for (first, table) in first {
        let copy = format!("CREATE TABLE {first} AS SELECT * FROM {table}");
        conn.execute_unprepared(&copy).await?;
    }
    let mut from = 1;
    while from <= runs {
        let to = (from + CHUNK - 1).min(runs);
        let series = if sqlite {
            format!(
                "WITH RECURSIVE s (n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM s WHERE n < {to})"
            )
        } else {
            format!("WITH s (n) AS (SELECT * FROM generate_series(CAST({from} AS BIGINT), {to}))")
        };
        let template = format!("t.number = (s.n * 7 + s.n / {COWORKERS}) % {COWORKERS} + 1");
        let (into, values) = &run;
        let of_run = format!(
            "{series} INSERT INTO run ({into}) SELECT {values} FROM s JOIN first_run AS t ON {template}"
        );
        let (into, values) = &call;
        let of_call = format!(
            "{series} INSERT INTO usage_ledger ({into}) SELECT {values} FROM s JOIN first_run AS r ON {} JOIN first_call AS t ON t.run_id = r.id",
            template.replace("t.number", "r.number")
        );
        for statement in [of_run, of_call] {
            // What copies refer to is there: looking it up for each is half of the time.
            let statement = match sqlite {
                true => statement,
                false => format!(
                    "BEGIN; SET LOCAL session_replication_role = replica; {statement}; COMMIT"
                ),
            };
            conn.execute_unprepared(&statement).await?;
        }
        say(&format!("{to} of {runs}"));
        from = to + 1;
    }
    for (first, _) in first {
        conn.execute_unprepared(&format!("DROP TABLE {first}"))
            .await?;
    }
    let counters = format!("UPDATE workspace SET last_run_number = {last} + {runs}");
    conn.execute_unprepared(&counters).await?;
    settle(conn).await
}

/// What PostgreSQL does by itself after a while; SQLite has no such habit, and Stint must not need it.
async fn settle(conn: &DatabaseConnection) -> Result<()> {
    if conn.get_database_backend() == DbBackend::Postgres {
        conn.execute_unprepared("VACUUM ANALYZE").await?;
    }
    Ok(())
}

/// The names of a table's columns, and what a copy of the row `t` has in them.
async fn columns(
    conn: &DatabaseConnection,
    table: &str,
    changed: &[(&str, &str)],
) -> Result<(String, String)> {
    let names = match conn.get_database_backend() {
        DbBackend::Sqlite => format!("SELECT name FROM pragma_table_info('{table}')"),
        _ => format!(
            "SELECT column_name::text AS name FROM information_schema.columns WHERE table_name = '{table}' AND table_schema = current_schema()"
        ),
    };
    let rows = conn
        .query_all_raw(Statement::from_string(conn.get_database_backend(), names))
        .await?;
    let (mut into, mut values) = (Vec::new(), Vec::new());
    for row in rows {
        let name: String = row.try_get("", "name")?;
        let value = changed.iter().find(|(changed, _)| *changed == name);
        values
            .push(value.map_or_else(|| format!("t.\"{name}\""), |(_, value)| (*value).to_owned()));
        into.push(format!("\"{name}\""));
    }
    Ok((into.join(", "), values.join(", ")))
}

async fn number(conn: &DatabaseConnection, sql: &str) -> Result<i64> {
    let row = conn
        .query_one_raw(Statement::from_string(conn.get_database_backend(), sql))
        .await?;
    Ok(row.context("a row")?.try_get_by_index(0)?)
}

/// Waits until a statement answers this number.
async fn until(conn: &DatabaseConnection, sql: &str, wanted: i64) -> Result<()> {
    let begun = Instant::now();
    while number(conn, sql).await? != wanted {
        ensure!(
            begun.elapsed() < LIMIT,
            "{sql} is not {wanted} after {LIMIT:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
