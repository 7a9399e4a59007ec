//! The oracle: what the raw logs alone say of a span, against what the API says.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};
use tests::Client;

use crate::look;

pub const HOUR_MS: i64 = 3_600_000;

/// How many figures are compared: runs that completed and failed, their turns and tool calls, model calls, of these
/// unpriced and unknown ones, input and output tokens, nano-USD, and nano-USD that were reserved for what nobody knows.
const COUNT: usize = 11;

/// What the raw logs say of a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(pub [i64; COUNT]);

impl Sum {
    pub fn add(&mut self, more: [i64; COUNT]) {
        for (sum, more) in self.0.iter_mut().zip(more) {
            *sum += more;
        }
    }

    /// All that happened.
    pub fn of(truth: &[Happened]) -> Self {
        let mut sum = Self::default();
        truth.iter().for_each(|happened| sum.add(happened.2));
        sum
    }
}

/// When something happened, whose it was, and what it adds.
pub type Happened = (i64, String, [i64; COUNT]);

/// Everything that happened, from the raw logs alone.
pub async fn truth(client: &Client) -> Vec<Happened> {
    let mut all = Vec::new();
    let query = "query ($after: String) { runs(first: 10, after: $after) { nodes { raw coworker { handle } } pageInfo { hasNextPage endCursor } } }";
    for run in look::pages(client, query, json!({}), "/runs").await {
        let handle = run["coworker"]["handle"].as_str().unwrap().to_owned();
        let (mut turns, mut tools) = (0, 0);
        for line in run["raw"].as_str().unwrap().lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            let at = DateTime::parse_from_rfc3339(event["timestamp"].as_str().unwrap())
                .unwrap()
                .timestamp_millis();
            let data = &event["data"];
            let number = |name: &str| data[name].as_i64().unwrap_or(0);
            let adds = match event["type"].as_str().unwrap() {
                "turn.started" => {
                    turns += 1;
                    continue;
                }
                "tool.requested" | "tool.refused" => {
                    tools += 1;
                    continue;
                }
                "run.completed" => [1, 0, turns, tools, 0, 0, 0, 0, 0, 0, 0],
                "run.failed" => [0, 1, turns, tools, 0, 0, 0, 0, 0, 0, 0],
                "model.completed" | "model.failed" => {
                    let usage = &data["usage"];
                    let of = |kind: &str| usage[kind].as_i64().unwrap_or(0);
                    let known = !usage.is_null();
                    [
                        0,
                        0,
                        0,
                        0,
                        1,
                        i64::from(known && data["cost_nano"].is_null()),
                        i64::from(!known),
                        of("input") + of("cache_read"),
                        of("output"),
                        number("cost_nano"),
                        number("reservation"),
                    ]
                }
                _ => continue,
            };
            all.push((at, handle.clone(), adds));
        }
    }
    all
}

/// What the rows of all runs say, without how many model calls there were: no run tells that.
pub async fn of_runs(client: &Client) -> Sum {
    let query = "query ($after: String) { runs(first: 30, after: $after) { nodes { status turnCount toolCallCount usage { inputTokens outputTokens } \
        cost { amount unpricedCalls unknownCalls estimatedAmount } } pageInfo { hasNextPage endCursor } } }";
    let mut sum = Sum::default();
    for run in look::pages(client, query, json!({}), "/runs").await {
        let number = |value: &Value| value.as_i64().unwrap();
        let (usage, cost) = (&run["usage"], &run["cost"]);
        sum.add([
            i64::from(run["status"] == "COMPLETED"),
            i64::from(run["status"] == "FAILED"),
            number(&run["turnCount"]),
            number(&run["toolCallCount"]),
            0,
            number(&cost["unpricedCalls"]),
            number(&cost["unknownCalls"]),
            number(&usage["inputTokens"]),
            number(&usage["outputTokens"]),
            nano(&cost["amount"]),
            nano(&cost["estimatedAmount"]),
        ]);
    }
    sum
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
    let (usage, cost) = (&totals["usage"], &totals["cost"]);
    let (completed, failed) = (number(&totals["completed"]), number(&totals["failed"]));
    assert_eq!(number(&totals["runs"]), completed + failed);
    Sum([
        completed,
        failed,
        number(&totals["turns"]),
        number(&totals["toolCalls"]),
        number(&totals["modelCalls"]),
        number(&cost["unpricedCalls"]),
        number(&cost["unknownCalls"]),
        number(&usage["inputTokens"]),
        number(&usage["outputTokens"]),
        nano(&cost["amount"]),
        nano(&cost["estimatedAmount"]),
    ])
}

const FIGURES: &str = "runs completed failed turns toolCalls modelCalls usage { inputTokens outputTokens } \
     cost { amount unpricedCalls unknownCalls estimatedAmount }";

/// Compares what the API says of a span with the raw logs: in total, and by the interval and the coworker.
pub async fn agree(
    client: &Client,
    truth: &[Happened],
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
    let metrics = client
        .gql(
            &query,
            json!({ "range": range, "zone": zone, "interval": interval }),
        )
        .await["metrics"]
        .take();
    let told = format!("{zone} {interval} {start}..{end}");
    let within: Vec<Happened> = truth
        .iter()
        .filter(|(at, ..)| (start..end).contains(at))
        .cloned()
        .collect();
    let whole = Sum::of(&within);
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
pub async fn agree_everywhere(client: &Client, truth: &[Happened]) {
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
        agree(
            client,
            truth,
            zone,
            interval,
            (first - 3 * HOUR_MS, last + 1),
        )
        .await;
        agree(client, truth, zone, interval, (first + 1, last)).await;
    }
    agree(
        client,
        truth,
        "Australia/Lord_Howe",
        "HOUR",
        (last - 30 * HOUR_MS, last + 17),
    )
    .await;
}
