//! The oracle: what the raw logs alone say of a span, against what the API says.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};
use tests::TestApp;

use crate::look;

pub const HOUR_MS: i64 = 3_600_000;

/// What the raw logs say of a span: runs, calls, input, output, nano-USD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum([i64; 5]);

impl Sum {
    fn add(&mut self, more: [i64; 5]) {
        for (sum, more) in self.0.iter_mut().zip(more) {
            *sum += more;
        }
    }
}

/// Everything that happened, from the raw logs alone: when, whose, and what it adds.
pub async fn truth(app: &TestApp) -> Vec<(i64, String, [i64; 5])> {
    let mut all = Vec::new();
    let query = "query ($after: String) { runs(first: 10, after: $after) { nodes { raw coworker { handle } } pageInfo { hasNextPage endCursor } } }";
    for run in look::pages(app, query, json!({}), "/runs").await {
        let handle = run["coworker"]["handle"].as_str().unwrap().to_owned();
        for line in run["raw"].as_str().unwrap().lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            let at = DateTime::parse_from_rfc3339(event["timestamp"].as_str().unwrap())
                .unwrap()
                .timestamp_millis();
            let data = &event["data"];
            let adds = match event["type"].as_str().unwrap() {
                "run.completed" | "run.failed" => [1, 0, 0, 0, 0],
                "model.completed" => {
                    let of = |kind: &str| data["usage"][kind].as_i64().unwrap_or(0);
                    [
                        0,
                        1,
                        of("input") + of("cache_read"),
                        of("output"),
                        data["cost_nano"].as_i64().unwrap_or(0),
                    ]
                }
                _ => continue,
            };
            all.push((at, handle.clone(), adds));
        }
    }
    all
}

pub fn moment(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms)
        .unwrap()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

pub fn nano(decimal: &Value) -> i64 {
    let text = decimal.as_str().unwrap_or("0");
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    whole.parse::<i64>().unwrap() * 1_000_000_000 + format!("{part:0<9}").parse::<i64>().unwrap()
}

fn read(totals: &Value) -> Sum {
    let number = |value: &Value| value.as_i64().unwrap();
    Sum([
        number(&totals["runs"]),
        number(&totals["modelCalls"]),
        number(&totals["usage"]["inputTokens"]),
        number(&totals["usage"]["outputTokens"]),
        nano(&totals["cost"]["amount"]),
    ])
}

const FIGURES: &str = "runs modelCalls usage { inputTokens outputTokens } cost { amount }";

/// Compares what the API says of a span with the raw logs: in total, and by the interval and the coworker.
async fn agree(
    app: &TestApp,
    truth: &[(i64, String, [i64; 5])],
    zone: &str,
    interval: &str,
    (start, end): (i64, i64),
) {
    let query = format!(
        "query ($range: TimeRangeInput!, $zone: TimeZone!, $interval: MetricsInterval!) {{ metrics(range: $range, timeZone: $zone) {{ totals {{ {FIGURES} }} \
         series(interval: $interval, by: [COWORKER]) {{ group {{ coworker {{ handle }} }} points {{ start end totals {{ {FIGURES} }} }} }} \
         sources: series(interval: $interval, by: [SOURCE, OUTCOME]) {{ points {{ totals {{ {FIGURES} }} }} }} }} }}"
    );
    let range = json!({ "start": moment(start), "end": moment(end) });
    let metrics = app
        .gql(
            &query,
            json!({ "range": range, "zone": zone, "interval": interval }),
        )
        .await["metrics"]
        .take();
    let told = format!("{zone} {interval} {start}..{end}");
    let mut whole = Sum::default();
    truth
        .iter()
        .filter(|(at, ..)| (start..end).contains(at))
        .for_each(|(.., adds)| whole.add(*adds));
    assert_eq!(read(&metrics["totals"]), whole, "totals of {told}");
    let mut sum = Sum::default();
    for series in look::list(metrics["series"].clone()) {
        let handle = series["group"]["coworker"]["handle"].as_str().unwrap();
        let mut at = start;
        for point in look::list(series["points"].clone()) {
            let of = |name: &str| {
                DateTime::parse_from_rfc3339(point[name].as_str().unwrap())
                    .unwrap()
                    .timestamp_millis()
            };
            assert_eq!(of("start"), at, "no gap in {told}");
            at = of("end");
            let mut expected = Sum::default();
            let within = truth.iter().filter(|(when, whose, _)| {
                whose == handle && (of("start")..of("end")).contains(when)
            });
            within.for_each(|(.., adds)| expected.add(*adds));
            assert_eq!(
                read(&point["totals"]),
                expected,
                "{handle} from {} in {told}",
                point["start"]
            );
            sum.add(expected.0);
        }
        assert_eq!(at, end, "{told}");
    }
    assert_eq!(sum, whole, "the series of {told}");
    let mut sum = Sum::default();
    for series in look::list(metrics["sources"].clone()) {
        look::list(series["points"].clone())
            .iter()
            .for_each(|point| sum.add(read(&point["totals"]).0));
    }
    assert_eq!(sum, whole, "the series by source and outcome of {told}");
}

/// All zones and intervals over spans that begin and end anywhere.
pub async fn agree_everywhere(app: &TestApp, truth: &[(i64, String, [i64; 5])]) {
    let (first, last) = (
        truth.iter().map(|row| row.0).min().unwrap(),
        truth.iter().map(|row| row.0).max().unwrap(),
    );
    for (zone, interval) in [
        ("UTC", "DAY"),
        ("UTC", "WEEK"),
        ("Asia/Kathmandu", "DAY"),
        ("Asia/Kolkata", "MONTH"),
        ("Europe/Berlin", "WEEK"),
        ("America/Santiago", "DAY"),
    ] {
        agree(app, truth, zone, interval, (first - 3 * HOUR_MS, last + 1)).await;
        agree(app, truth, zone, interval, (first + 1, last)).await;
    }
    agree(
        app,
        truth,
        "Australia/Lord_Howe",
        "HOUR",
        (last - 30 * HOUR_MS, last + 17),
    )
    .await;
}
