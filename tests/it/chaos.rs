//! Whatever models say and people do at the same time: every run ends once, and what is stored can be rebuilt.
//!
//! Each case is a workspace of its own: coworkers that play at random, and people and an outside system that do this and that at
//! the same time. A case that fails is made as small as it can be. `STINT_TEST_SEED` takes other cases, `STINT_TEST_CASES` more.

use std::cell::{Cell, RefCell};
use std::sync::Mutex;
use std::time::Duration;

use domain::clock::Clock;
use futures_util::future::join_all;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use tests::{Backend, Client, Coworker, TestApp};

use crate::access::workspace;
use crate::look;
use crate::sender::{PagerDuty, incident, note};

/// Those that do the work, besides Triage.
const STAFF: [&str; 4] = ["zero", "one", "two", "three"];

/// What a model may ask for, sensible or not.
const CALLS: [&str; 21] = [
    "{ tool: finish, arguments: { outcome: RESOLVED, reason: Done., summary: Done. } }",
    "{ tool: finish, arguments: { outcome: DECLINED, reason: Done., summary: Done. } }",
    "{ tool: finish, arguments: { outcome: HANDED_OFF, reason: Done., summary: Done. } }",
    "{ tool: finish, arguments: { outcome: AWAITING_REPLY, reason: Done., summary: Done. } }",
    "{ tool: finish, arguments: { outcome: SUPERSEDED, reason: Done., summary: Done. } }",
    "{ tool: finish }",
    "{ tool: reassign, arguments: { to: one, reason: Theirs. } }",
    "{ tool: reassign, arguments: { to: two, reason: Theirs. } }",
    "{ tool: reassign, arguments: { to: null, reason: Nobody's. } }",
    "{ tool: ask_requester, arguments: { question: Which one? } }",
    "{ tool: post_note, arguments: { visibility: PUBLIC, body: Hello. } }",
    "{ tool: post_note, arguments: { visibility: PRIVATE, body: \"@zero @one, look.\" } }",
    "{ tool: post_note, arguments: { visibility: PRIVATE } }",
    "{ tool: set_status, arguments: { status: RESOLVED } }",
    "{ tool: set_status, arguments: { status: OPEN } }",
    "{ tool: set_status, arguments: { status: GONE } }",
    "{ tool: desk.look }",
    "{ tool: desk.look, arguments: \"}{\" }",
    "{ tool: desk.break }",
    "{ tool: \"a\\0b\" }",
    "{ tool: http.get, arguments: { url: \"http://169.254.169.254/\" } }",
];

/// What happens instead of an answer now and then.
const FAULTS: [&str; 4] = [
    "{ class: overloaded, times: 1 }",
    "rejected",
    "{ class: unreachable, times: 1, message: \"a\\0b\" }",
    "abort",
];

/// A playbook of one to four turns.
fn playbook() -> impl Strategy<Value = String> {
    let fault = prop_oneof![9 => Just(None), 1 => select(&FAULTS[..]).prop_map(Some)];
    let turn = (vec(select(&CALLS[..]), 1..=4), 0..30_u32, fault, 0..6_u32);
    vec(turn, 1..=4).prop_map(|turns| {
        let mut text = String::from(
            "tools:
  - { name: desk.look, description: Looks., effect: READ, answers: [{ response: { empty: true } }] }
  - { name: desk.break, description: Breaks., effect: EFFECT, answers: [{ fault: offline }] }
turns:
",
        );
        for (calls, delay, fault, repeat) in turns {
            let calls = calls.join(", ");
            text.push_str(&format!(
                "  - {{ text: Hm., calls: [{calls}], delay: {delay}ms"
            ));
            if let Some(fault) = fault {
                text.push_str(&format!(", fault: {fault}"));
            }
            if repeat == 5 {
                text.push_str(", repeat: true");
            }
            text.push_str(" }\n");
        }
        text
    })
}

/// Something that happens to a workspace. Requests and coworkers are named by their place, modulo how many there are.
#[derive(Clone, Debug)]
enum Act {
    Assign {
        request: usize,
        to: Option<usize>,
    },
    Mention {
        request: usize,
    },
    Note {
        request: usize,
    },
    Status {
        request: usize,
        status: &'static str,
    },
    Create {
        title: &'static str,
        to: Option<usize>,
    },
    Deliver {
        incident: usize,
        event: usize,
    },
    Stop {
        run: usize,
    },
    Unpublish {
        coworker: usize,
    },
    /// With another soul, or as it is.
    Publish {
        coworker: usize,
        changed: bool,
    },
    Rollback {
        coworker: usize,
        version: i32,
    },
}

fn act() -> impl Strategy<Value = Act> {
    let (request, coworker) = (0..8_usize, 0..STAFF.len());
    let to = prop_oneof![1 => Just(None), 4 => coworker.clone().prop_map(Some)];
    let statuses = &["OPEN", "PENDING", "RESOLVED", "IN_PROGRESS"][..];
    let titles = &["Zero, for tests", "Tests for three", "Nothing at all"][..];
    prop_oneof![
        3 => (request.clone(), to.clone()).prop_map(|(request, to)| Act::Assign { request, to }),
        2 => request.clone().prop_map(|request| Act::Mention { request }),
        1 => request.clone().prop_map(|request| Act::Note { request }),
        1 => (request, select(statuses)).prop_map(|(request, status)| Act::Status { request, status }),
        1 => (select(titles), to).prop_map(|(title, to)| Act::Create { title, to }),
        3 => (0..2_usize, 0..5_usize).prop_map(|(incident, event)| Act::Deliver { incident, event }),
        1 => (0..5_usize).prop_map(|run| Act::Stop { run }),
        1 => coworker.clone().prop_map(|coworker| Act::Unpublish { coworker }),
        2 => (coworker.clone(), any::<bool>()).prop_map(|(coworker, changed)| Act::Publish { coworker, changed }),
        1 => (coworker, 1..4_i32).prop_map(|(coworker, version)| Act::Rollback { coworker, version }),
    ]
}

/// One case.
#[derive(Clone, Debug)]
struct Plan {
    /// What each of [`STAFF`] plays.
    staff: Vec<String>,
    /// What Triage plays, if there is one.
    triage: Option<String>,
    /// Who gets the requests that are there from the start; a coworker that does not exist is nobody.
    requests: Vec<usize>,
    /// What each person does, one after the other; people do it at the same time.
    people: Vec<Vec<Act>>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let parts = (
        vec(playbook(), STAFF.len()),
        proptest::option::of(playbook()),
        vec(0..=STAFF.len(), 1..=4),
        vec(vec(act(), 0..=10), 1..=4),
    );
    parts.prop_map(|(staff, triage, requests, people)| Plan {
        staff,
        triage,
        requests,
        people,
    })
}

/// A workspace in which a plan is carried out.
struct Place {
    admin: Client,
    pagerduty: PagerDuty,
    coworkers: Vec<String>,
    requests: Mutex<Vec<Value>>,
}

impl Place {
    async fn furnish(app: &TestApp, name: &str, plan: &Plan) -> Self {
        let admin = workspace(app, name).await;
        let limits = json!({ "maxTurns": 6, "maxToolCalls": 12, "maxDuration": "PT20S" });
        let hire = async |handle: &str, playbook: &str, triage: bool| {
            let coworker = Coworker::new(handle)
                .playbook(playbook)
                .limits(limits.clone());
            coworker.with("isTriage", triage).publish(&admin).await.id
        };
        let mut coworkers = Vec::new();
        for (handle, playbook) in STAFF.iter().zip(&plan.staff) {
            coworkers.push(hire(handle, playbook, false).await);
        }
        if let Some(playbook) = &plan.triage {
            hire("triage", playbook, true).await;
        }
        let input = json!({ "hopBudget": 5, "escalationAssigneeId": coworkers[3] });
        admin.mutate("workspaceUpdate", input, "").await;
        let place = Self {
            pagerduty: PagerDuty::new(&admin).await,
            admin,
            coworkers,
            requests: Mutex::default(),
        };
        for (i, to) in plan.requests.iter().enumerate() {
            place.create(&format!("Request {i}"), Some(*to)).await;
        }
        place
    }

    async fn create(&self, title: &str, to: Option<usize>) {
        let to = to.and_then(|to| self.coworkers.get(to));
        let input = json!({ "title": title, "assigneeId": to });
        let mut made = self.attempt("requestCreate", input, "request { id }").await;
        let id = made["request"]["id"].take();
        if id.is_string() {
            self.requests.lock().expect("no panic").push(id);
        }
    }

    fn request(&self, n: usize) -> Value {
        let requests = self.requests.lock().expect("no panic");
        requests[n % requests.len()].clone()
    }

    /// Does what a person does, and does not mind being refused.
    async fn perform(&self, act: &Act) {
        let (mutation, input) = match act {
            Act::Assign { request, to } => {
                let to = to.map(|to| &self.coworkers[to]);
                let input = json!({ "id": self.request(*request), "assigneeId": to });
                ("requestAssign", input)
            }
            Act::Mention { request } => {
                let body = "@zero, @two and @three: what is it?";
                let input = json!({ "requestId": self.request(*request), "body": body });
                ("noteCreate", input)
            }
            Act::Note { request } => {
                let input = json!({ "requestId": self.request(*request), "body": "It is blue." });
                ("noteCreate", input)
            }
            Act::Status { request, status } => {
                let input = json!({ "id": self.request(*request), "status": status });
                ("requestUpdate", input)
            }
            Act::Create { title, to } => return self.create(title, *to).await,
            Act::Deliver { incident, event } => return self.deliver(*incident, *event).await,
            Act::Stop { run } => {
                let query =
                    "{ runs(first: 5, filter: { status: { eq: RUNNING } }) { nodes { id } } }";
                let mut data = self.admin.gql(query, json!({})).await;
                let running = look::list(data["runs"]["nodes"].take());
                if running.is_empty() {
                    return;
                }
                (
                    "runStop",
                    json!({ "id": running[run % running.len()]["id"] }),
                )
            }
            Act::Unpublish { coworker } => (
                "coworkerUnpublish",
                json!({ "id": self.coworkers[*coworker] }),
            ),
            Act::Publish { coworker, changed } => {
                let id = &self.coworkers[*coworker];
                if *changed {
                    let input = json!({ "id": id, "soul": "Calm." });
                    self.attempt("coworkerUpdate", input, "").await;
                }
                ("coworkerPublish", json!({ "id": id }))
            }
            Act::Rollback { coworker, version } => {
                let input = json!({ "id": self.coworkers[*coworker], "version": version });
                ("coworkerRollback", input)
            }
        };
        self.attempt(mutation, input, "").await;
    }

    async fn attempt(&self, mutation: &str, input: Value, fields: &str) -> Value {
        let (first, rest) = mutation.split_at(1);
        let query = format!(
            "mutation ($input: {}{rest}Input!) {{ {mutation}(input: $input) {{ {fields} userErrors {{ code }} }} }}",
            first.to_uppercase()
        );
        let mut answer = self.admin.post(&query, json!({ "input": input })).await;
        assert!(
            answer.body["errors"].is_null(),
            "{mutation} {input}: {}",
            answer.body
        );
        answer.body["data"][mutation].take()
    }

    /// An event of one of two incidents, in any order, and again.
    async fn deliver(&self, n: usize, event: usize) {
        let (id, about) = (format!("{n}-{}", 10 + event), format!("P{n}"));
        let payload = match event {
            0 => incident(&id, "incident.triggered", &about, "triggered"),
            1 => incident(&id, "incident.acknowledged", &about, "acknowledged"),
            2 => note(&id, &about, "It is blue."),
            3 => incident(&id, "incident.resolved", &about, "resolved"),
            _ => incident(&id, "incident.reopened", &about, "triggered"),
        };
        let answer = self.pagerduty.send(&payload).await;
        assert!(
            matches!(answer.status, 200 | 503),
            "{}: {}",
            answer.status,
            answer.body
        );
    }
}

/// Carries a plan out in a workspace of its own; gives how many runs it had.
async fn carry_out(app: &TestApp, name: &str, plan: &Plan) -> usize {
    let place = Place::furnish(app, name, plan).await;
    join_all(plan.people.iter().map(async |acts| {
        for act in acts {
            place.perform(act).await;
        }
    }))
    .await;
    app.drain().await;
    in_order(app, &place.admin).await
}

/// Asserts what must be so at the end of everything; gives how many runs there were.
async fn in_order(app: &TestApp, admin: &Client) -> usize {
    look::sound_for(app, admin).await;
    let runs = look::runs(admin).await;
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
        assert!(run["endedAt"].is_string(), "a run without an end: {run:#}");
        assert_ne!(run["failureCode"], "INTERNAL", "{run:#}");
        let log = look::events(admin, run).await;
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
    for (wrong, sql) in WRONG {
        assert_eq!(look::number(app, sql).await, 0, "{wrong}");
    }
    runs.len()
}

/// What must not be in the database, and how many of it there are.
const WRONG: [(&str, &str); 6] = [
    (
        "timelines and epochs with gaps",
        "SELECT COUNT(*) AS n FROM request r WHERE last_seq <> (SELECT COUNT(*) FROM request_event e WHERE e.request_id = r.id)
            OR assignment_epoch <> (SELECT COUNT(*) FROM assignment a WHERE a.request_id = r.id)",
    ),
    (
        "dispatches that were neither started nor dropped with a reason",
        "SELECT COUNT(*) AS n FROM dispatch WHERE state = 'WAITING' OR (state = 'STARTED') <> (run_id IS NOT NULL)
            OR (state = 'DROPPED') <> (drop_reason IS NOT NULL)",
    ),
    (
        "assignments without a dispatch that says what became of them",
        "SELECT COUNT(*) AS n FROM request q WHERE assignee_kind = 'COWORKER' AND NOT EXISTS (SELECT 1 FROM dispatch d
            WHERE d.request_id = q.id AND d.coworker_id = q.assignee_id AND d.assignment_epoch = q.assignment_epoch)",
    ),
    (
        "runs that began while another of the same coworker on the same request was active",
        "SELECT COUNT(*) AS n FROM (SELECT kind, LAG(kind, 1, 'RUN_ENDED') OVER (PARTITION BY request_id, actor_id ORDER BY seq) AS prior
            FROM request_event WHERE kind IN ('RUN_STARTED', 'RUN_ENDED')) e WHERE e.kind = e.prior",
    ),
    (
        "dispatches whose run is not there",
        "SELECT COUNT(*) AS n FROM dispatch d WHERE state = 'STARTED' AND NOT EXISTS (SELECT 1 FROM run r WHERE r.dispatch_id = d.id AND r.id = d.run_id)",
    ),
    (
        "events of an outside system that count twice",
        "SELECT COUNT(*) AS n FROM (SELECT 1 AS one FROM webhook_delivery WHERE outcome NOT IN ('DUPLICATE', 'REFUSED')
            GROUP BY endpoint_id, event_id HAVING COUNT(*) > 1) twice",
    ),
];

/// A number that the caller of the tests may set.
fn setting(name: &str, usual: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(usual, |text| text.parse().expect("a number"))
}

/// Assignments, mentions, notes, hand-offs, stops, publications, webhooks and hostile models, in any order and at the same time:
/// never two runs of one coworker on one request, a run without an end, a number left out, or an assignment that does not say
/// what became of it (R08, R24, R26).
fn nothing_breaks(backend: Backend) {
    let seed = setting("STINT_TEST_SEED", 20_260_520);
    let config = Config {
        cases: u32::try_from(setting("STINT_TEST_CASES", 16)).expect("fewer"),
        // A test that hangs is ended after three minutes; what was found until then is told.
        max_shrink_time: 60_000,
        failure_persistence: None,
        ..Config::default()
    };
    let cases = config.cases;
    let bytes: Vec<u8> = seed.to_le_bytes().repeat(4);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let start = async || {
        TestApp::start_with(backend, |settings| {
            settings.clock = Clock::system();
            settings.worker.poll = Duration::from_millis(100);
        })
        .await
    };
    // All cases have one server, until one fails: what it left behind must not make the next one fail too.
    let app = RefCell::new(None);
    let (case, runs) = (Cell::new(0), Cell::new(0));
    let tried = TestRunner::new_with_rng(config, rng).run(&plan(), |plan| {
        case.set(case.get() + 1);
        let earlier: Option<TestApp> = app.take();
        let (kept, had) = runtime.block_on(async {
            let app = match earlier {
                Some(app) => app,
                None => start().await,
            };
            let had = carry_out(&app, &format!("Case {}", case.get()), &plan).await;
            (app, had)
        });
        runs.set(runs.get() + had);
        app.replace(Some(kept));
        Ok(())
    });
    if let Some(app) = app.take() {
        runtime.block_on(app.stop());
    }
    tried.unwrap_or_else(|failed| panic!("STINT_TEST_SEED={seed}: {failed}"));
    let least = 2 * cases as usize;
    assert!(
        runs.get() > least,
        "{} runs in {cases} cases show little",
        runs.get()
    );
}

mod whatever_models_say_and_people_do_nothing_breaks {
    use super::*;

    #[test]
    fn sqlite() {
        nothing_breaks(Backend::Sqlite);
    }

    #[test]
    fn postgres() {
        nothing_breaks(Backend::Postgres);
    }
}
