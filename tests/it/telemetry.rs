//! What operators see: spans that hang together from the mutation to the run, and figures for Prometheus.
//!
//! Figures are a process's own. Each test is a process of its own here: nextest runs them so, and `.config/nextest.toml` says it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use api::config::Role;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::{Value, json};
use tests::binary::Stint;
use tests::provider::{StubProvider, http};
use tests::{Backend, Client, Coworker, TestApp, TestDb, app, both_dbs};

use crate::look;

mod dashboard;

const PLAYBOOK: &str = "tools:\n  - name: device.telemetry\n    description: Reads the telemetry of a device.\n    effect: READ\n    answers: [{ fault: failed }]\n\
    turns:\n  - calls: [{ tool: device.telemetry, arguments: { device: LT } }]\n    usage: { input: 100, cache_read: 900, output: 20 }\n  \
    - calls: [{ tool: finish, arguments: { outcome: DECLINED, reason: No., summary: \"It can't be done.\" } }]\n    usage: { input: 10, output: 5 }\n";

/// How long what must happen may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A span that a collector got.
#[derive(Debug)]
pub struct Told {
    /// The process that sent it.
    pub pid: i64,
    pub span: Span,
}

/// What a collector got.
pub fn told(collector: &StubProvider) -> Vec<Told> {
    let asked = collector.asked().into_iter();
    let requests = asked.map(|asked| {
        assert!(asked.head.starts_with("POST /v1/traces "), "{}", asked.head);
        ExportTraceServiceRequest::decode(&asked.bytes[..]).expect("the protocol's own form")
    });
    let mut all = Vec::new();
    for resource in requests.flat_map(|request| request.resource_spans) {
        let of = pairs(&resource.resource.expect("a resource").attributes);
        assert_eq!(of["service.name"], "stint");
        let pid = of["process.pid"].as_i64().expect("the process");
        let spans = resource
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans);
        all.extend(spans.map(|span| Told { pid, span }));
    }
    all
}

fn spans(collector: &StubProvider) -> Vec<Span> {
    told(collector).into_iter().map(|told| told.span).collect()
}

/// What a span says.
pub fn attributes(span: &Span) -> BTreeMap<String, Value> {
    pairs(&span.attributes)
}

fn pairs(pairs: &[KeyValue]) -> BTreeMap<String, Value> {
    pairs
        .iter()
        .map(|pair| {
            let value = match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
                Some(any_value::Value::StringValue(text)) => json!(text),
                Some(any_value::Value::IntValue(number)) => json!(number),
                Some(any_value::Value::BoolValue(yes)) => json!(yes),
                Some(any_value::Value::ArrayValue(list)) => {
                    let texts = list.values.iter().map(|one| match &one.value {
                        Some(any_value::Value::StringValue(text)) => json!(text),
                        other => json!(format!("{other:?}")),
                    });
                    texts.collect()
                }
                other => json!(format!("{other:?}")),
            };
            (pair.key.clone(), value)
        })
        .collect()
}

/// Spans follow the GenAI conventions, and one trace holds the mutation, the wait and the run.
#[test]
fn a_trace_goes_from_the_mutation_to_the_run() {
    app::run(Backend::Sqlite, |_| async {
        let collector = StubProvider::start(vec![http("200 OK", &[], "")]).await;
        let endpoint = collector.url().trim_end_matches("/v1").to_owned();
        let db = TestDb::new(Backend::Sqlite).await;
        let mut stint = Stint::serve(db.url(), &["--otlp-endpoint", &endpoint]);
        let client = stint.client();
        let coworker = Coworker::new("aws")
            .playbook(PLAYBOOK)
            .publish(&client)
            .await;
        let query = "mutation Ask($input: RequestCreateInput!) { requestCreate(input: $input) { request { id } } }";
        let body = json!({ "query": query, "operationName": "Ask", "variables": { "input": { "title": "Do it", "assigneeId": coworker.id } } });
        let theirs = "4bf92f3577b34da6a3ce929d0e0e4736";
        let sent = client
            .request("/graphql")
            .header("traceparent", format!("00-{theirs}-00f067aa0ba902b7-01"));
        let made = client.send(sent.json(&body)).await;
        assert!(made.body["errors"].is_null(), "{:?}", made.body);
        until_a_run_ended(&client).await;
        stint.terminate();
        // The collector must be able to answer meanwhile.
        let stint = tokio::task::spawn_blocking(move || {
            stint.wait();
            stint
        });
        let stderr = stint.await.unwrap().stderr();
        assert!(!stderr.contains("could not be sent"), "{stderr}");

        let all = spans(&collector);
        let trace: Vec<&Span> = all
            .iter()
            .filter(|span| hex(&span.trace_id) == theirs)
            .collect();
        let named = |name: &str| -> Vec<&Span> {
            trace
                .iter()
                .copied()
                .filter(|span| span.name == name)
                .collect()
        };
        let names: BTreeSet<&str> = trace.iter().map(|span| span.name.as_str()).collect();
        let expected = [
            "chat scripted",
            "dispatch",
            "execute_tool device.telemetry",
            "invoke_agent aws",
            "mutation Ask",
        ];
        assert_eq!(names, BTreeSet::from(expected));
        let parents = [
            ("dispatch", "mutation Ask"),
            ("invoke_agent aws", "dispatch"),
            ("chat scripted", "invoke_agent aws"),
            ("execute_tool device.telemetry", "invoke_agent aws"),
        ];
        for (child, parent) in parents {
            for span in named(child) {
                assert_eq!(
                    span.parent_span_id,
                    named(parent)[0].span_id,
                    "{child} hangs below {parent}"
                );
            }
        }
        assert_eq!(
            hex(&named("mutation Ask")[0].parent_span_id),
            "00f067aa0ba902b7",
            "below the caller's own span"
        );
        let chats = named("chat scripted");
        assert_eq!(chats.len(), 2);
        let chat = attributes(
            chats
                .iter()
                .min_by_key(|span| span.start_time_unix_nano)
                .unwrap(),
        );
        assert_eq!(chat["gen_ai.operation.name"], "chat");
        assert_eq!(chat["gen_ai.request.model"], "scripted");
        assert_eq!(chat["gen_ai.provider.name"], "scripted");
        assert_eq!(chat["gen_ai.usage.input_tokens"], 1000);
        assert_eq!(chat["gen_ai.usage.cache_read.input_tokens"], 900);
        assert_eq!(chat["gen_ai.usage.output_tokens"], 20);
        assert_eq!(
            chat["gen_ai.response.finish_reasons"],
            json!(["tool_calls"]),
            "a list, as the conventions have it"
        );
        let tool = attributes(named("execute_tool device.telemetry")[0]);
        assert_eq!(tool["gen_ai.tool.name"], "device.telemetry");
        assert_eq!(tool["error.type"], "failed");
        let agent = attributes(named("invoke_agent aws")[0]);
        assert_eq!(agent["gen_ai.agent.name"], "aws");
        assert_eq!(agent["gen_ai.request.model"], "scripted");
        assert_eq!(agent["gen_ai.provider.name"], "scripted");
        assert_eq!(agent["stint.run.number"], 1);
        assert_eq!(agent["stint.run.result"], "DECLINED");
        assert_eq!(agent["gen_ai.usage.input_tokens"], 1010);
        // What people and models wrote is in no span.
        let text = format!("{all:?}");
        for written in ["Do it", "It can't be done"] {
            assert!(!text.contains(written), "{written}");
        }
    });
}

/// Waits until a run has completed.
pub async fn until_a_run_ended(client: &Client) {
    let ended = "{ runs(filter: { status: { eq: COMPLETED } }) { totalCount } }";
    let wait = async {
        while client.gql(ended, json!({})).await["runs"]["totalCount"] != 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("a run completes");
}

/// A collector's address that can't be one is refused in a sentence, and one that nobody answers at stops nothing.
#[test]
fn a_collector_that_is_not_there_stops_nothing() {
    let refused = tests::binary::run(&["serve", "--otlp-endpoint", "collector:4318"]);
    assert!(!refused.status.success());
    assert!(
        refused
            .stderr
            .contains("--otlp-endpoint (STINT_OTLP_ENDPOINT) is \"collector:4318\""),
        "{}",
        refused.stderr
    );
    app::run(Backend::Sqlite, |_| async {
        let db = TestDb::new(Backend::Sqlite).await;
        let mut stint = Stint::serve(db.url(), &["--otlp-endpoint", "http://127.0.0.1:9"]);
        let client = stint.client();
        let coworker = Coworker::new("aws").publish(&client).await;
        client
            .mutate(
                "requestCreate",
                json!({ "title": "Do it", "assigneeId": coworker.id }),
                "request { id }",
            )
            .await;
        until_a_run_ended(&client).await;
        stint.terminate();
        assert!(stint.wait().success());
    });
}

/// The digits of an id.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The value of a line of `/metrics` that begins like this.
pub fn value(text: &str, begins: &str) -> f64 {
    let line = text.lines().find(|line| line.starts_with(begins));
    let line = line.unwrap_or_else(|| panic!("no {begins} in\n{text}"));
    line.rsplit(' ')
        .next()
        .and_then(|value| value.parse().ok())
        .expect("a number")
}

async fn metrics(app: &TestApp) -> String {
    let answer = reqwest::get(app.url("/metrics")).await.unwrap();
    assert_eq!(answer.status(), 200);
    let text = answer.text().await.unwrap();
    assert!(text.contains("# TYPE stint_watchers gauge"), "{text}");
    text
}

both_dbs! {
    /// Figures: runs by result, tokens, cost, times, waiting work and watchers; without a key, and without names of people's work.
    async fn figures_say_what_a_process_did(app: TestApp) {
        app.mutate("modelPriceSet", json!({ "model": "scripted", "input": "3", "cacheRead": "0.3", "output": "15" }), "modelPrice { id }").await;
        let secret = "zanzibar";
        let coworker = Coworker::new(secret).playbook(PLAYBOOK).publish(&app).await;
        app.mutate("requestCreate", json!({ "title": secret, "assigneeId": coworker.id }), "request { id }").await;
        app.drain().await;
        let watching = app.subscribe("subscription { runChanged { run { number } } }", json!({})).await;
        let watched = async {
            loop {
                let text = metrics(&app).await;
                if value(&text, "stint_watchers") >= 1.0 {
                    break text;
                }
                tokio::task::yield_now().await;
            }
        };
        let text = tokio::time::timeout(PATIENCE, watched).await.expect("the watcher is counted");
        drop(watching);
        for (line, expected) in [
            ("stint_runs_ended_total{result=\"DECLINED\"}", 1.0),
            ("stint_tokens_total{model=\"scripted\",kind=\"input\"}", 110.0),
            ("stint_tokens_total{model=\"scripted\",kind=\"cache_read\"}", 900.0),
            ("stint_tokens_total{model=\"scripted\",kind=\"output\"}", 25.0),
            // 110 × 3 + 900 × 0.3 + 25 × 15 USD per million tokens.
            ("stint_cost_nano_usd_total{model=\"scripted\"}", 975_000.0),
            ("stint_model_call_duration_seconds_count{model=\"scripted\",result=\"ok\"}", 2.0),
            ("stint_tool_call_duration_seconds_count{tool=\"device.telemetry\",result=\"failed\"}", 1.0),
            ("stint_dispatches_waiting", 0.0),
            ("stint_queue_age_seconds", 0.0),
            ("stint_runs_active{state=\"running\"}", 0.0),
            ("stint_leases_lost_total", 0.0),
        ] {
            assert_eq!(value(&text, line).to_bits(), f64::to_bits(expected), "{line} in\n{text}");
        }
        dashboard::asks_for_labels_that_there_are(&text);
        // One that a person is asked about, and one whose model says nothing.
        crate::approval::wait_for_a_reset(&app).await;
        let silent = Coworker::new("silent").playbook("turns: [{ fault: hang }]").publish(&app).await;
        app.mutate("requestCreate", json!({ "title": "Do it", "assigneeId": silent.id }), "request { id }").await;
        let active = async {
            loop {
                let text = metrics(&app).await;
                if value(&text, "stint_runs_active{state=\"running\"}") >= 1.0 {
                    break text;
                }
                tokio::task::yield_now().await;
            }
        };
        let text = tokio::time::timeout(PATIENCE, active).await.expect("the run goes on");
        for state in ["running", "paused"] {
            let active = value(&text, &format!("stint_runs_active{{state=\"{state}\"}}"));
            assert_eq!(active.to_bits(), 1.0_f64.to_bits(), "{state} in\n{text}");
        }
        assert!(value(&text, "stint_write_batch_size_count") >= 1.0);
        assert!(value(&text, "stint_graphql_operation_duration_seconds_count{kind=\"mutation\",result=\"ok\"}") >= 3.0);
        assert!(!text.contains(secret), "{text}");
        // Work that nobody takes waits, and is seen to.
        let app = look::with_settings(&app, |settings| settings.role = Role::Api).await;
        let nobody = Coworker::new("away").publish(&app).await;
        app.mutate("requestCreate", json!({ "title": "Wait", "assigneeId": nobody.id }), "request { id }").await;
        app.advance(Duration::from_secs(90)).await;
        let text = metrics(&app).await;
        assert_eq!(value(&text, "stint_dispatches_waiting").to_bits(), 1.0_f64.to_bits(), "{text}");
        assert_eq!(value(&text, "stint_queue_age_seconds").to_bits(), 90.0_f64.to_bits(), "{text}");
        app.stop().await;
    }
}
