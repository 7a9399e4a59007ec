//! Whatever models say and people do at the same time: every run ends once, and what is stored can be rebuilt.

use std::time::Duration;

use domain::clock::Clock;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::{Client, Coworker, TestApp, both_dbs};

use crate::look;

/// Chance, the same in every run of a test; `STINT_TEST_SEED` takes another one.
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        let other = std::env::var("STINT_TEST_SEED").ok();
        let other = other.map_or(0, |text| text.parse::<u64>().expect("a number"));
        Self(seed ^ other.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn of(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % n
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.of(of.len())]
    }
}

/// What a model may ask for, sensible or not.
const CALLS: [&str; 21] = [
    "{ tool: post_note, arguments: { visibility: PUBLIC, body: Hello. } }",
    "{ tool: post_note, arguments: { visibility: PRIVATE, body: \"@zero @one, look.\" } }",
    "{ tool: post_note, arguments: { visibility: PRIVATE } }",
    "{ tool: set_status, arguments: { status: RESOLVED } }",
    "{ tool: set_status, arguments: { status: OPEN } }",
    "{ tool: set_status, arguments: { status: GONE } }",
    "{ tool: reassign, arguments: { to: seven, reason: Theirs. } }",
    "{ tool: reassign, arguments: { to: one, reason: Theirs. } }",
    "{ tool: reassign, arguments: { to: null, reason: Nobody's. } }",
    "{ tool: ask_requester, arguments: { question: Which one? } }",
    "{ tool: finish, arguments: { outcome: RESOLVED, reason: Done., summary: Done. } }",
    "{ tool: finish, arguments: { outcome: HANDED_OFF, reason: Done., summary: Done. } }",
    "{ tool: finish, arguments: { outcome: AWAITING_REPLY, reason: Done., summary: Done. } }",
    "{ tool: finish, arguments: { outcome: DECLINED, reason: Done., summary: Done. } }",
    "{ tool: finish, arguments: { outcome: SUPERSEDED, reason: Done., summary: Done. } }",
    "{ tool: desk.look }",
    "{ tool: desk.look, arguments: \"}{\" }",
    "{ tool: desk.break }",
    "{ tool: \"a\\0b\" }",
    "{ tool: http.get, arguments: { url: \"http://169.254.169.254/\" } }",
    "{ tool: finish }",
];

/// What happens instead of an answer now and then.
const FAULTS: [&str; 4] = [
    "{ class: overloaded, times: 1 }",
    "rejected",
    "{ class: unreachable, times: 1, message: \"a\\0b\" }",
    "abort",
];

fn playbook(chance: &mut Chance) -> String {
    let mut text = String::from(
        "tools:
  - { name: desk.look, description: Looks., effect: READ, answers: [{ response: { empty: true } }] }
  - { name: desk.break, description: Breaks., effect: EFFECT, answers: [{ fault: offline }] }
turns:
",
    );
    for _ in 0..1 + chance.of(5) {
        let calls: Vec<&str> = (0..1 + chance.of(4))
            .map(|_| *chance.pick(&CALLS))
            .collect();
        text.push_str(&format!(
            "  - {{ text: Hm., calls: [{}], delay: {}ms",
            calls.join(", "),
            chance.of(60)
        ));
        if chance.of(10) == 0 {
            text.push_str(&format!(", fault: {}", chance.pick(&FAULTS)));
        }
        if chance.of(6) == 0 {
            text.push_str(", repeat: true");
        }
        text.push_str(" }\n");
    }
    text
}

/// What is asked of nobody in particular.
const TITLES: [&str; 3] = ["Zero, for tests", "Tests for three", "Nothing at all"];

/// Publishes coworkers that do anything.
async fn hire(app: &TestApp, chance: &mut Chance) -> Vec<String> {
    let mut ids = Vec::new();
    for handle in [
        "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    ] {
        let coworker = Coworker::new(handle)
            .playbook(&playbook(chance))
            .limits(json!({ "maxTurns": 6, "maxToolCalls": 12, "maxDuration": "PT20S" }));
        ids.push(coworker.publish(app).await.id);
    }
    ids
}

/// Asserts what must be so at the end of everything.
async fn in_order(app: &TestApp) {
    look::sound(app).await;
    let runs = look::runs(app).await;
    assert!(runs.len() > 15, "{} runs", runs.len());
    let numbers: Vec<_> = runs
        .iter()
        .map(|run| run["number"].as_u64().expect("a number"))
        .collect();
    assert_eq!(numbers, (1..=runs.len() as u64).collect::<Vec<_>>());
    let started: Vec<_> = runs
        .iter()
        .map(|run| run["startedAt"].as_str().expect("a time"))
        .collect();
    assert!(started.is_sorted(), "{started:?}");
    for run in &runs {
        assert_ne!(run["status"], "RUNNING", "{run:#}");
        assert_ne!(run["failureCode"], "INTERNAL", "{run:#}");
        let log = look::events(app, run).await;
        if run["trigger"] == "MENTION" {
            let changes = look::data(&log, "request.status_changed").len()
                + look::data(&log, "request.reassigned").len();
            assert_eq!(changes, 0, "{run:#}");
        }
        // Nothing but its ending follows a hand-off.
        let handed = log
            .iter()
            .position(|event| event["type"] == "request.reassigned");
        for event in handed.map_or(&[][..], |at| &log[at + 2..]) {
            assert!(
                !matches!(
                    event["type"].as_str(),
                    Some("note.posted" | "request.reassigned" | "request.status_changed")
                ),
                "{log:#?}"
            );
        }
    }
    let gaps = "SELECT COUNT(*) AS n FROM request r WHERE last_seq <> (SELECT COUNT(*) FROM request_event e WHERE e.request_id = r.id)
        OR assignment_epoch <> (SELECT COUNT(*) FROM assignment a WHERE a.request_id = r.id)";
    assert_eq!(
        look::number(app, gaps).await,
        0,
        "timelines and epochs have no gaps"
    );
    let decided = "SELECT COUNT(*) AS n FROM dispatch WHERE state = 'WAITING' OR (state = 'STARTED') <> (run_id IS NOT NULL)
        OR (state = 'DROPPED') <> (drop_reason IS NOT NULL)";
    assert_eq!(
        look::number(app, decided).await,
        0,
        "each dispatch was started or dropped"
    );
    let idle = "SELECT COUNT(*) AS n FROM request q WHERE assignee_kind = 'COWORKER' AND NOT EXISTS (SELECT 1 FROM dispatch d
        WHERE d.request_id = q.id AND d.coworker_id = q.assignee_id AND d.assignment_epoch = q.assignment_epoch)";
    assert_eq!(
        look::number(app, idle).await,
        0,
        "whoever is assigned has a dispatch of that assignment, which says what became of it"
    );
    let twice = "SELECT COUNT(*) AS n FROM (SELECT kind, LAG(kind, 1, 'RUN_ENDED') OVER (PARTITION BY request_id, actor_id ORDER BY seq) AS prior
        FROM request_event WHERE kind IN ('RUN_STARTED', 'RUN_ENDED')) e WHERE e.kind = e.prior";
    assert_eq!(
        look::number(app, twice).await,
        0,
        "no two runs of one coworker on one request at a time"
    );
    let lost = "SELECT COUNT(*) AS n FROM dispatch d WHERE state = 'STARTED' AND NOT EXISTS (SELECT 1 FROM run r WHERE r.dispatch_id = d.id AND r.id = d.run_id)";
    assert_eq!(look::number(app, lost).await, 0);
}

/// Does something to a request, and does not mind being refused.
async fn meddle(client: &Client, chance: &mut Chance, requests: &[Value], coworkers: &[String]) {
    let request = chance.pick(requests);
    let coworker = chance.pick(coworkers);
    let (mutation, input) = match chance.of(11) {
        0 | 1 => (
            "requestAssign",
            json!({ "id": request, "assigneeId": coworker }),
        ),
        2 => (
            "requestAssign",
            json!({ "id": request, "assigneeId": null }),
        ),
        3 => (
            "requestUpdate",
            json!({ "id": request, "status": chance.pick(&["OPEN", "PENDING", "RESOLVED", "IN_PROGRESS"]) }),
        ),
        4 => (
            "noteCreate",
            json!({ "requestId": request, "body": "@zero, @two and @five: what is it?" }),
        ),
        5 => (
            "noteCreate",
            json!({ "requestId": request, "body": "It is blue." }),
        ),
        6 => ("coworkerUnpublish", json!({ "id": coworker })),
        7 | 8 => ("coworkerPublish", json!({ "id": coworker })),
        9 => ("requestCreate", json!({ "title": chance.pick(&TITLES) })),
        _ => {
            let running =
                "{ runs(first: 5, filter: { status: { eq: RUNNING } }) { nodes { id } } }";
            let runs = look::list(client.gql(running, json!({})).await["runs"]["nodes"].take());
            match runs.first() {
                Some(run) => ("runStop", json!({ "id": run["id"] })),
                None => return,
            }
        }
    };
    let (first, rest) = mutation.split_at(1);
    let query = format!(
        "mutation ($input: {}{rest}Input!) {{ {mutation}(input: $input) {{ userErrors {{ code }} }} }}",
        first.to_uppercase()
    );
    let answer = client.post(&query, json!({ "input": input })).await;
    assert!(
        answer.body["errors"].is_null(),
        "{mutation} {input}: {}",
        answer.body
    );
}

both_dbs! {
    async fn a_hostile_model_does_nothing_that_it_may_not_and_its_runs_end(app: TestApp) {
        let app = look::with_settings(&app, |settings| settings.clock = Clock::system()).await;
        let mut chance = Chance::new(20_260_520);
        let coworkers = hire(&app, &mut chance).await;
        let creates = (0..10).map(|i| {
            let input = json!({ "title": format!("Request {i}"), "assigneeId": coworkers[i % coworkers.len()] });
            app.mutate("requestCreate", input, "request { id }")
        });
        for made in join_all(creates).await {
            let note = json!({ "requestId": made["request"]["id"], "body": "@two @three @four?" });
            app.mutate("noteCreate", note, "").await;
        }
        app.drain().await;
        in_order(&app).await;
        app.stop().await;
    }

    /// Assignments, mentions, notes, hand-offs, stops, publications, routed requests and escalations, in any order: never
    /// two runs of one coworker on one request, a run without an end, a number left out, or an assignment that does not
    /// say what became of it.
    async fn people_who_meddle_while_runs_work_break_nothing(app: TestApp) {
        let app = look::with_settings(&app, |settings| {
            settings.clock = Clock::system();
            settings.worker.poll = Duration::from_millis(100);
        }).await;
        let mut chance = Chance::new(7);
        let mut coworkers = hire(&app, &mut chance).await;
        app.mutate("workspaceUpdate", json!({ "hopBudget": 5, "escalationAssigneeId": coworkers[3] }), "").await;
        coworkers.push(Coworker::new("triage").triage().playbook(&playbook(&mut chance)).publish(&app).await.id);
        let mut requests = Vec::new();
        for i in 0..8 {
            let input = json!({ "title": format!("Request {i}"), "assigneeId": coworkers[i % coworkers.len()] });
            requests.push(app.mutate("requestCreate", input, "request { id }").await["request"]["id"].take());
        }
        join_all((1..=6).map(|seed| {
            let (client, requests, coworkers) = (&*app, &requests, &coworkers);
            async move {
                let mut chance = Chance::new(seed);
                for _ in 0..40 {
                    meddle(client, &mut chance, requests, coworkers).await;
                }
            }
        })).await;
        app.drain().await;
        in_order(&app).await;
        app.stop().await;
    }
}
