//! The real server is killed in the middle of its work: it goes on where the log ends, and ends once.

use std::time::Duration;

use serde_json::json;
use tests::{Backend, Coworker, TestApp, TestDb, both_dbs, on_both};

use crate::chance::Chance;
use crate::ruin::{Site, request};

/// One answer of the model that calls the tool, and one that ends the run.
fn calling(effect: &str, answers: &str) -> String {
    format!(
        "tools:\n  - {{ name: device.reset, description: Resets it., effect: {effect}, answers: [{answers}] }}\n\
         turns:\n  - calls: [{{ tool: device.reset, arguments: {{ hard: true }} }}]\n\
         \x20 - calls: [{{ tool: finish, arguments: {{ outcome: REPLIED, reason: r, summary: s }} }}]\n"
    )
}

/// Never answers the first time.
const ONCE_SILENT: &str = "{ when: { call: 1 }, fault: hang }, { response: done }";

/// Never answers the first time, as a model.
const HANGS_ONCE: &str = "turns:\n  - calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: r, summary: s } }]\n\
                          \x20   fault: { class: hang, times: 1 }\n";

/// A stop that is asked for at one node ends the run that another one executes, in the middle of a call of its model.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_reaches_the_node_that_executes_the_run() {
    let site = Site::start(TestDb::new(Backend::Postgres).await);
    site.triage("turns: [{ text: Never said., delay: 10m }]")
        .await;
    request(&site.client, "k").await;
    site.until(1, "model.requested").await;
    let door = site.another(&["--role", "api"]);
    let client = tests::Client::new(door.address(), site.client.key());
    let run = client.gql("{ run(number: 1) { id } }", json!({})).await["run"]["id"].take();
    client.mutate("runStop", json!({ "id": run }), "").await;
    site.until_ended(1).await;
    let run = site.audit().await.remove(0);
    assert_eq!(run.run.failure_code, Some(entity::FailureCode::Stopped));
}

on_both! {
    async fn a_call_that_may_be_repeated_is_repeated_under_its_key(backend: Backend) {
        for effect in ["READ", "IDEMPOTENT"] {
            let mut site = Site::start(TestDb::new(backend).await);
            site.triage(&calling(effect, ONCE_SILENT)).await;
            request(&site.client, "k").await;
            site.until(1, "tool.requested").await;
            site.crash();
            site.until_ended(1).await;
            let run = site.audit().await.remove(0);
            assert_eq!(run.kinds(), [
                "run.started", "turn.started", "model.requested", "model.completed", "tool.requested",
                "attempt.started", "tool.completed",
                "turn.started", "model.requested", "model.completed", "tool.requested", "tool.completed",
                "summary.written", "run.completed",
            ], "{effect}");
            assert_eq!(run.data("attempt.started")[0]["reason"], "lease_expired");
            assert_eq!(run.data("attempt.started")[0]["attempt"], 2);
            assert_eq!((run.run.attempt, run.run.outcome), (2, Some(entity::Outcome::Replied)));
        }
    }

    async fn a_call_with_an_effect_is_never_repeated_and_the_run_is_blocked(backend: Backend) {
        let mut site = Site::start(TestDb::new(backend).await);
        site.triage(&calling("EFFECT", ONCE_SILENT)).await;
        request(&site.client, "k").await;
        site.until(1, "tool.requested").await;
        site.crash();
        site.until_ended(1).await;
        let run = site.audit().await.remove(0);
        assert_eq!((run.count("tool.requested"), run.count("tool.completed"), run.count("tool.outcome_unknown")), (1, 0, 1));
        assert_eq!(run.run.outcome, Some(entity::Outcome::Blocked));
        // R72: it is in progress, and whoever picks it up is told.
        let query = "{ requests { nodes { status notes { nodes { visibility body } } } } }";
        let shown = &site.client.gql(query, json!({})).await["requests"]["nodes"][0];
        assert_eq!(shown["status"], "IN_PROGRESS");
        let note = &shown["notes"]["nodes"][0];
        assert_eq!(note["visibility"], "PUBLIC");
        assert!(note["body"].as_str().unwrap().contains("device.reset"), "{note}");
    }

    async fn a_model_that_was_being_asked_is_asked_again(backend: Backend) {
        let mut site = Site::start(TestDb::new(backend).await);
        site.triage(HANGS_ONCE).await;
        request(&site.client, "k").await;
        site.until(1, "model.requested").await;
        site.crash();
        site.until_ended(1).await;
        let run = site.audit().await.remove(0);
        assert_eq!((run.count("model.requested"), run.count("model.failed"), run.count("model.completed")), (2, 1, 1));
        assert_eq!(run.data("model.failed")[0]["class"], "abandoned");
        // What the first call used is not known, and is not called nothing.
        assert_eq!((run.run.unknown_calls, run.run.outcome), (1, Some(entity::Outcome::Replied)));
    }

    async fn a_run_that_kills_its_worker_is_poisoned_and_others_go_on(backend: Backend) {
        let mut site = Site::start_with(TestDb::new(backend).await, &["--allow-aborts"]);
        let slow = calling("READ", "{ response: done, delay: 100ms }");
        let well = Coworker::new("well").playbook(&slow).publish(&site.client).await;
        for i in 0..5 {
            let input = json!({ "title": "Another", "assigneeId": well.id, "idempotencyKey": format!("k{i}") });
            site.client.mutate("requestCreate", input, "").await;
        }
        // It may die before it has answered: then the request is there all the same, or can be made again.
        site.triage("turns:\n  - fault: abort\n").await;
        let killer = json!({ "query": "mutation { requestCreate(input: { title: \"Killer\", idempotencyKey: \"k\" }) { request { id } } }" });
        drop(site.client.request("/graphql").json(&killer).send().await);
        let mut deaths = 0;
        while died(&mut site).await {
            deaths += 1;
            assert!(deaths <= 3, "it was tried a fourth time");
            site.restart_unready();
        }
        assert_eq!(deaths, 3);
        site.until_ended(6).await;
        let runs = site.audit().await;
        let (poisoned, well): (Vec<_>, Vec<_>) = runs.iter().partition(|run| run.run.failure_code.is_some());
        assert_eq!(poisoned.len(), 1);
        assert_eq!(poisoned[0].run.failure_code, Some(entity::FailureCode::Poisoned));
        assert_eq!(poisoned[0].count("attempt.started"), 3);
        assert!(well.iter().all(|run| run.run.outcome == Some(entity::Outcome::Replied)));
    }

    async fn a_server_that_is_asked_to_stop_hands_its_runs_back(backend: Backend) {
        let mut site = Site::start(TestDb::new(backend).await);
        site.triage(HANGS_ONCE).await;
        request(&site.client, "k").await;
        site.until(1, "model.requested").await;
        site.server.terminate();
        assert!(site.server.wait().success(), "{}", site.server.stderr());
        assert_eq!(site.number("SELECT COUNT(*) FROM run WHERE lease_owner IS NULL AND idle_attempts = 1").await, 1);
        site.restart();
        site.until_ended(1).await;
        let run = site.audit().await.remove(0);
        assert_eq!(run.data("attempt.started")[0]["reason"], "handed_back");
        assert_eq!((run.run.outcome, run.run.failure_code), (Some(entity::Outcome::Replied), None));
    }

    async fn a_server_that_is_asked_to_stop_lets_short_runs_end(backend: Backend) {
        let mut site = Site::start(TestDb::new(backend).await);
        site.triage("turns:\n  - delay: 100ms\n    calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: r, summary: s } }]\n").await;
        request(&site.client, "k").await;
        site.until(1, "model.requested").await;
        site.server.terminate();
        assert!(site.server.wait().success(), "{}", site.server.stderr());
        assert_eq!(site.number("SELECT COUNT(*) FROM run WHERE status = 'COMPLETED' AND attempt = 1").await, 1);
    }

    async fn whatever_the_moment_of_its_death_every_run_ends_once(backend: Backend) {
        let mut chance = Chance::new();
        println!("STINT_TEST_SEED={}", chance.0);
        let mut site = Site::start(TestDb::new(backend).await);
        site.triage(LONG).await;
        for i in 0..10 {
            request(&site.client, &format!("k{i}")).await;
        }
        for death in 0..10 {
            // After so many more events, or right now.
            let so_far = site.number(EVENTS).await;
            site.until_number(EVENTS, (so_far + 10 + chance.below(10)).min(10 * 12)).await;
            site.server.kill();
            if death % 3 == 2 {
                // Twice in a row: the second time before it is ready, perhaps.
                drop(site.another(&[]));
            }
            site.restart();
        }
        site.until_ended(10).await;
        let runs = site.audit().await;
        assert_eq!(runs.len(), 10);
        for run in &runs {
            // A run that died three times in a row without getting anything done may be given up.
            assert!(
                run.run.outcome == Some(entity::Outcome::Replied)
                    || run.run.failure_code == Some(entity::FailureCode::Poisoned),
                "{:#?}", run.run
            );
            assert!(run.count("note.posted") <= 1, "a note was posted twice");
            let mut calls: Vec<String> = run.data("tool.completed").iter().map(|data| data["call_id"].to_string()).collect();
            calls.sort();
            let before = calls.len();
            calls.dedup();
            assert_eq!(calls.len(), before, "a call was completed twice");
        }
        let poisoned = runs.iter().filter(|run| run.run.failure_code.is_some()).count();
        assert!(poisoned < 5, "{poisoned} of 10 runs were given up");
    }
}

both_dbs! {
    async fn being_handed_back_again_and_again_condemns_nobody(app: TestApp) {
        // The application in this process, because its grace can be made short.
        app.stop().await;
        let hasty = TestApp::start_with(app.db().backend(), |settings| {
            settings.worker.grace = Duration::from_millis(1);
            settings.worker.reap = Duration::from_millis(20);
        }).await;
        Coworker::new("triage").triage().playbook(&HANGS_ONCE.replace("times: 1", "times: 6")).publish(&hasty).await;
        hasty.request("The VPN is slow").await;
        let mut asked = 0;
        while asked < 6 {
            let run = loop {
                let runs = crate::look::runs(&hasty).await;
                if let Some(run) = runs.into_iter().next() {
                    break run;
                }
            };
            let query = "subscription ($run: ID!) { runEvents(runId: $run) { sequence type } }";
            let mut events = hasty.subscribe(query, json!({ "run": run["id"] })).await;
            let mut seen = 0;
            events.until(|event| {
                seen += i32::from(event["runEvents"]["type"] == "model.requested");
                seen > asked
            }).await;
            asked = seen;
            drop(events);
            hasty.restart().await;
        }
        hasty.drain().await;
        let run = crate::look::only_run(&hasty).await;
        assert_eq!((&run["outcome"], &run["attempt"]), (&json!("REPLIED"), &json!(7)), "{run:#}");
        crate::look::sound(&hasty).await;
        hasty.stop().await;
    }
}

/// All events of all runs.
const EVENTS: &str = "SELECT COUNT(*) FROM run_event";

/// Three turns with a note, calls that may be repeated, and moments in which nothing seems to happen.
const LONG: &str = "
tools:
  - { name: device.read, description: Reads it., effect: READ, answers: [{ response: ok, delay: 15ms }] }
  - { name: device.reset, description: Resets it., effect: IDEMPOTENT, answers: [{ response: ok, delay: 15ms }] }
turns:
  - calls:
      - { tool: device.read, arguments: {} }
      - { tool: post_note, arguments: { visibility: PUBLIC, body: I look at it. } }
    delay: 30ms
  - calls: [{ tool: device.reset, arguments: {} }]
    delay: 30ms
  - calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: r, summary: s } }]
    delay: 30ms
";

/// Waits until the server has died, which is true, or given up what kills it.
async fn died(site: &mut Site) -> bool {
    for _ in 0..600 {
        if site
            .server
            .ended_within(Duration::from_millis(50))
            .is_some()
        {
            return true;
        }
        if site
            .number("SELECT COUNT(*) FROM run WHERE failure_code = 'POISONED'")
            .await
            > 0
        {
            return false;
        }
    }
    panic!("neither dead nor poisoned: {}", site.server.stderr());
}
