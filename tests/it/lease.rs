//! Two servers on one PostgreSQL: a run has one owner, whoever freezes, sleeps or lies about the time.

use std::time::Duration;

use serde_json::json;
use tests::binary::Stint;
use tests::{Backend, Coworker, TestDb, on_both};

use crate::ruin::{Found, Site, request};
use crate::telemetry::value;

/// Calls a tool that takes a while the first time, and ends.
fn slow(effect: &str, first: &str) -> String {
    format!(
        "tools:\n  - name: device.reset\n    description: Resets it.\n    effect: {effect}\n    answers:\n      \
         - {{ when: {{ call: 1 }}, delay: {first}, response: first }}\n      - response: again\n\
         turns:\n  - calls: [{{ tool: device.reset, arguments: {{}} }}]\n\
         \x20 - calls: [{{ tool: finish, arguments: {{ outcome: REPLIED, reason: r, summary: s }} }}]\n"
    )
}

/// How many leases have run out that somebody should have renewed.
const EXPIRED: &str = "SELECT COUNT(*) FROM run WHERE status = 'RUNNING' \
                       AND lease_until < extract(epoch FROM clock_timestamp()) * 1000";

/// A figure of a server's own.
async fn figure(server: &Stint, name: &str) -> f64 {
    let answer = reqwest::get(format!("http://{}/metrics", server.address())).await;
    let text = answer.unwrap().text().await.unwrap();
    value(&text, &format!("{name} "))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_a_frozen_owner_writes_stands_once_another_has_taken_over() {
    const RUNS: i64 = 6;
    let mut site = Site::start(TestDb::new(Backend::Postgres).await);
    site.triage(&slow("IDEMPOTENT", "900ms")).await;
    let mut ended = 0;
    for round in 0..2 {
        for i in 0..RUNS {
            request(&site.client, &format!("k{round}.{i}")).await;
        }
        let calling = "SELECT COUNT(*) FROM run_step WHERE kind = 'TOOL_CALL' AND ended_at IS NULL";
        site.until_number(calling, RUNS).await;
        site.server.freeze();
        site.until_number(EXPIRED, RUNS).await;
        // Everything goes to another one, which ends it all.
        let mut other = site.another(&["--role", "worker"]);
        ended += RUNS;
        site.until_ended(ended).await;
        // Operators see it: who took over, and, once it goes on, who lost.
        assert_eq!(figure(&other, "stint_takeovers_total").await as i64, RUNS);
        assert_eq!(figure(&other, "stint_leases_lost_total").await as i64, 0);
        // The answers of the tools wait for the one that was frozen; it must not write them.
        site.server.thaw();
        request(&site.client, &format!("after {round}")).await;
        ended += 1;
        site.until_ended(ended).await;
        let seen = async {
            while figure(&site.server, "stint_leases_lost_total").await < 1.0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let seen = tokio::time::timeout(Duration::from_secs(60), seen).await;
        seen.expect("a lease that was lost is counted");
        // Both end in order, so that whatever they would still write has been written or refused.
        for server in [&mut site.server, &mut other] {
            server.terminate();
            assert!(server.wait().success(), "{}", server.stderr());
        }
        site.restart();
    }
    for run in site.audit().await {
        assert_eq!(run.run.outcome, Some(entity::Outcome::Replied));
        assert_eq!(
            (run.count("tool.requested"), run.count("tool.completed")),
            (2, 2),
            "{:?}",
            run.kinds()
        );
        assert!(run.count("attempt.started") <= 1);
    }
}

on_both! {
    async fn a_machine_that_slept_goes_on_with_what_it_had_in_hand(backend: Backend) {
        let site = Site::start(TestDb::new(backend).await);
        // Each call has an effect: taking it for lost would block the run.
        site.triage(&slow("EFFECT", "3s")).await;
        for i in 0..5 {
            request(&site.client, &format!("k{i}")).await;
        }
        let requested = "SELECT COUNT(*) FROM run_event WHERE kind = 'tool.requested'";
        site.until_number(requested, 5).await;
        site.server.freeze();
        let expired = match backend {
            Backend::Postgres => EXPIRED,
            Backend::Sqlite => "SELECT COUNT(*) FROM run WHERE status = 'RUNNING' AND lease_until < unixepoch('subsec') * 1000",
        };
        site.until_number(expired, 5).await;
        site.server.thaw();
        site.until_ended(5).await;
        for run in site.audit().await {
            assert_eq!(run.run.outcome, Some(entity::Outcome::Replied), "{:?}", run.kinds());
            assert_eq!((run.count("attempt.started"), run.count("tool.outcome_unknown")), (0, 0));
        }
    }

    async fn of_many_runs_that_may_have_killed_their_worker_each_gets_its_turn(backend: Backend) {
        let mut site = Site::start(TestDb::new(backend).await);
        // Killed before any of them has done anything, each is a suspect; one of them hangs for good.
        let hang = "turns:\n  - calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: r, summary: s } }]\n    \
                    fault: { class: hang, times: 1 }\n";
        site.triage(hang).await;
        for i in 0..20 {
            request(&site.client, &format!("k{i}")).await;
        }
        let asked = "SELECT COUNT(*) FROM run_event WHERE kind = 'model.requested'";
        site.until_number(asked, 20).await;
        site.server.kill();
        // Reaped at leisure: what is found to be innocent makes room for the next at once.
        let mut calm = Stint::serve(site.db.url(), &[
            "--listen", &site.client.address().to_string(), "--lease", "2s", "--renew", "500ms", "--reap", "3s",
        ]);
        calm.address();
        let begun = std::time::Instant::now();
        site.until_ended(20).await;
        assert!(begun.elapsed() < Duration::from_secs(20), "one suspect each 3 s: {:?}", begun.elapsed());
        for run in site.audit().await {
            assert_eq!((run.run.outcome, run.run.attempt), (Some(entity::Outcome::Replied), 2));
        }
        calm.terminate();
        assert!(calm.wait().success());
    }

    async fn there_are_never_more_runs_at_once_than_slots(backend: Backend) {
        let mut site = Site::start_with(TestDb::new(backend).await, &["--slots", "3"]);
        site.triage(&slow("IDEMPOTENT", "100ms")).await;
        for i in 0..9 {
            request(&site.client, &format!("k{i}")).await;
        }
        site.until_number("SELECT COUNT(*) FROM run WHERE status = 'RUNNING'", 3).await;
        // After a crash both what is waiting and what was running want the slots.
        site.crash();
        site.until_ended(9).await;
        let audited = site.audit().await;
        let most = match backend {
            // One writer, so that the order of the rows is that of the commits, whatever its clock says.
            Backend::Sqlite => site.number(MOST_AT_ONCE).await,
            Backend::Postgres => most_at_once(&audited),
        };
        assert!(most <= 3, "{most} at once");
    }
}

/// How many runs were between their start, or their last attempt, and their end at once, in the order of the rows.
const MOST_AT_ONCE: &str = "SELECT MAX(n) AS n FROM (SELECT SUM(change) OVER (ORDER BY place) AS n FROM (
    SELECT e.rowid AS place, CASE WHEN e.kind IN ('run.completed', 'run.failed') THEN -1 ELSE 1 END AS change FROM run_event e
    WHERE e.kind IN ('run.completed', 'run.failed') OR (e.kind IN ('run.started', 'attempt.started') AND NOT EXISTS (
        SELECT 1 FROM run_event l WHERE l.run_id = e.run_id AND l.kind = 'attempt.started' AND l.seq > e.seq))))";

/// The same by the time that the events say.
fn most_at_once(runs: &[Found]) -> i64 {
    let mut edges: Vec<(i64, i64)> = Vec::new();
    for run in runs {
        let mut events = run.events.iter().rev();
        let began =
            events.find(|event| matches!(event.kind.as_str(), "run.started" | "attempt.started"));
        edges.push((began.unwrap().at.0, 1));
        // A few milliseconds' grace: a virtual machine's clock may step back between an end and the next start.
        edges.push((run.run.ended_at.unwrap().0 - 5, -1));
    }
    // At the same millisecond, ends come first.
    edges.sort_by_key(|(at, change)| (*at, *change));
    let mut most = 0;
    edges.iter().fold(0, |now, (_, change)| {
        most = most.max(now + change);
        now + change
    });
    most
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_claim_at_once_share_the_work_and_the_numbers() {
    let site = Site::start_with(TestDb::new(Backend::Postgres).await, &["--role", "api"]);
    let quick = "turns:\n  - calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: r, summary: s } }]\n";
    let coworker = Coworker::new("triage")
        .triage()
        .playbook(quick)
        .publish(&site.client)
        .await;
    for i in 0..120 {
        let input =
            json!({ "title": "T", "assigneeId": coworker.id, "idempotencyKey": format!("k{i}") });
        site.client.mutate("requestCreate", input, "").await;
    }
    let mut workers: Vec<_> = (0..3)
        .map(|_| {
            // With the usual leases: nothing but a death may begin a second attempt here.
            Stint::serve(site.db.url(), &["--role", "worker", "--slots", "7"])
        })
        .collect();
    site.until_ended(120).await;
    for worker in &mut workers {
        worker.terminate();
        assert!(worker.wait().success(), "{}", worker.stderr());
    }
    let runs = site.audit().await;
    assert_eq!(runs.len(), 120);
    let owners = "SELECT COUNT(DISTINCT dispatch_id) FROM run";
    assert_eq!(site.number(owners).await, 120);
    assert!(runs.iter().all(|run| run.run.attempt == 1));
}
