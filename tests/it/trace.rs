//! Traces that go over several processes: from who asked to who did it, also where that one died on the way.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::binary::Stint;
use tests::provider::{StubProvider, http};
use tests::{Backend, Coworker, TestDb, app, on_both};

use crate::ruin::{HASTY, Site};
use crate::sender::{self, PagerDuty, SECRET};
use crate::telemetry::{Told, attributes, hex, told};

/// The trace of whoever asks.
const THEIRS: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// Stint's own key, the same for all nodes.
const KEY: [&str; 2] = [
    "--secret-key",
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
];

const QUICK: &str = "turns:\n  - calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: r, summary: s } }]\n";

/// Looks something up, which takes a while the first time.
const SLOW: &str = "tools:\n  - name: device.look\n    description: Looks.\n    effect: READ\n    answers:\n      \
                    - { when: { call: 1 }, delay: 3s, response: first }\n      - response: again\n\
                    turns:\n  - calls: [{ tool: device.look, arguments: {} }]\n  \
                    - calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: r, summary: s } }]\n";

fn traceparent() -> String {
    format!("00-{THEIRS}-00f067aa0ba902b7-01")
}

async fn collector() -> (StubProvider, &'static str) {
    let collector = StubProvider::start(vec![http("200 OK", &[], "")]).await;
    let address = collector.url().trim_end_matches("/v1").to_owned();
    (collector, address.leak())
}

/// A node that is asked and does not work.
async fn asked(collector: &'static str) -> Site {
    let args = ["--role", "api", "--otlp-endpoint", collector];
    Site::start_with(TestDb::new(Backend::Postgres).await, &args)
}

/// A node that works, beside it.
fn worker(site: &Site, collector: &str) -> Stint {
    let args = ["--role", "worker", "--otlp-endpoint", collector];
    Stint::serve(site.db.url(), &[&HASTY[..], &args].concat())
}

/// Ends a server, which sends what it has left meanwhile.
async fn end(mut server: Stint) {
    server.terminate();
    let ended = tokio::task::spawn_blocking(move || (server.wait().success(), server.stderr()));
    let (success, stderr) = ended.await.unwrap();
    assert!(success && !stderr.contains("could not be sent"), "{stderr}");
}

/// The spans of the asker's trace.
fn trace(collector: &StubProvider) -> Vec<Told> {
    let mut all = told(collector);
    all.retain(|told| hex(&told.span.trace_id) == THEIRS);
    all
}

/// The only span of this name.
fn one<'a>(trace: &'a [Told], name: &str) -> &'a Told {
    let named: Vec<_> = trace.iter().filter(|told| told.span.name == name).collect();
    assert_eq!(named.len(), 1, "{name} in {trace:#?}");
    named[0]
}

fn names(trace: &[Told]) -> BTreeSet<&str> {
    trace.iter().map(|told| told.span.name.as_str()).collect()
}

/// Asks for work, as a program with a trace of its own does.
async fn ask(site: &Site, coworker: &str) {
    let query = "mutation Ask($input: RequestCreateInput!) { requestCreate(input: $input) { request { id } } }";
    let input = json!({ "title": "Do it", "assigneeId": coworker });
    let body = json!({ "query": query, "operationName": "Ask", "variables": { "input": input } });
    let asked = site.client.request("/graphql");
    let asked = asked.header("traceparent", traceparent()).json(&body);
    let made = site.client.send(asked).await;
    assert!(made.body["errors"].is_null(), "{:?}", made.body);
}

/// The mutation at one node, the run at another: one trace.
#[test]
fn a_trace_goes_from_the_node_that_was_asked_to_the_node_that_works() {
    app::run(Backend::Sqlite, |_| async {
        let (collector, address) = collector().await;
        let site = asked(address).await;
        let works_here = worker(&site, address);
        let coworker = Coworker::new("aws")
            .playbook(QUICK)
            .publish(&site.client)
            .await;
        ask(&site, &coworker.id).await;
        site.until_ended(1).await;
        let (was_asked, works) = (i64::from(site.server.pid()), i64::from(works_here.pid()));
        let Site { server, db, .. } = site;
        end(works_here).await;
        end(server).await;
        drop(db);

        let trace = trace(&collector);
        assert_eq!(
            names(&trace),
            BTreeSet::from([
                "chat scripted",
                "dispatch",
                "invoke_agent aws",
                "mutation Ask"
            ])
        );
        for (child, parent, pid) in [
            ("dispatch", "mutation Ask", works),
            ("invoke_agent aws", "dispatch", works),
            ("chat scripted", "invoke_agent aws", works),
        ] {
            let child = one(&trace, child);
            assert_eq!(
                child.span.parent_span_id,
                one(&trace, parent).span.span_id,
                "{child:#?}"
            );
            assert_eq!(child.pid, pid, "{child:#?}");
        }
        assert_eq!(one(&trace, "mutation Ask").pid, was_asked);
    });
}

/// Whoever takes a run over from a worker that died goes on in the trace that the run belongs to.
#[test]
fn a_run_that_is_taken_over_stays_in_its_trace() {
    app::run(Backend::Sqlite, |_| async {
        let (collector, address) = collector().await;
        let site = asked(address).await;
        let mut first = worker(&site, address);
        let coworker = Coworker::new("aws")
            .playbook(SLOW)
            .publish(&site.client)
            .await;
        ask(&site, &coworker.id).await;
        site.until(1, "tool.requested").await;
        first.kill();
        let second = worker(&site, address);
        site.until_ended(1).await;
        let works = i64::from(second.pid());
        let text = reqwest::get(format!("http://{}/metrics", second.address()))
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        assert!(text.contains("\nstint_takeovers_total 1\n"), "{text}");
        let Site { server, db, .. } = site;
        end(second).await;
        end(server).await;
        drop(db);

        let trace = trace(&collector);
        let agent = one(&trace, "invoke_agent aws");
        let said = attributes(&agent.span);
        assert_eq!(
            (
                &said["stint.run.attempt"],
                &said["stint.run.result"],
                agent.pid
            ),
            (&json!(2), &json!("REPLIED"), works)
        );
        assert_eq!(
            agent.span.parent_span_id,
            one(&trace, "mutation Ask").span.span_id,
            "what lay between died with its worker"
        );
        assert_eq!(
            one(&trace, "execute_tool device.look").span.parent_span_id,
            agent.span.span_id
        );
    });
}

on_both! {
    /// What an outside system's event makes goes on in that system's trace.
    async fn a_trace_goes_from_a_webhook_to_the_run(backend: Backend) {
        let (collector, address) = collector().await;
        let db = TestDb::new(backend).await;
        let server = Stint::serve(db.url(), &[&KEY[..], &["--otlp-endpoint", address]].concat());
        let client = server.client();
        Coworker::new("triage").triage().playbook(QUICK).publish(&client).await;
        let pagerduty = PagerDuty::new(&client).await;
        let event = sender::incident("e1", "incident.triggered", "PGR0VU2", "triggered");
        let body = event.to_string().into_bytes();
        let signature = format!("v1={}", sender::hex(&sender::tag(SECRET.as_bytes(), &[&body])));
        let headers = [("X-PagerDuty-Signature", signature.as_str()), ("traceparent", &traceparent())];
        let taken = pagerduty.deliver(&body, &headers).await;
        assert_eq!(taken.status, 200, "{:?}", taken.body);
        crate::telemetry::until_a_run_ended(&client).await;
        end(server).await;

        let trace = trace(&collector);
        assert_eq!(names(&trace), BTreeSet::from(["POST /hooks/{endpoint}", "chat scripted", "dispatch", "invoke_agent triage"]));
        for (child, parent) in [("dispatch", "POST /hooks/{endpoint}"), ("invoke_agent triage", "dispatch")] {
            assert_eq!(one(&trace, child).span.parent_span_id, one(&trace, parent).span.span_id, "{child}");
        }
        let outside: &[u8] = &one(&trace, "POST /hooks/{endpoint}").span.parent_span_id;
        assert_eq!(hex(outside), "00f067aa0ba902b7", "below the sender's own span");
        // What the event says is in no span.
        let text = format!("{:?}", told(&collector));
        let title = &event["event"]["data"]["title"];
        assert!(title.as_str().is_some_and(|title| !text.contains(title)), "{title}");
        assert_ne!(*title, Value::Null);
    }
}
