//! Who holds rows and waits for others: never two for each other.

use std::time::Duration;

use api::App;
use api::config::Settings;
use domain::secret::Vault;
use entity::coworker;
use futures_util::future::join_all;
use sea_orm::{ColumnTrait as _, ConnectionTrait as _, EntityTrait, QueryFilter as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{Backend, Client, Coworker, TestApp, TestDb};

use crate::approval::ask;
use crate::look;
use crate::outside::tool;
use crate::sender::{PagerDuty, incident};
use crate::unpublish::{applied, file, requests};

/// How many coworkers the folders name.
const COWORKERS: usize = 20;
/// How often everything is done at the same time.
const TURNS: usize = 6;

/// Thinks until it is stopped.
const PONDERS: &str = "turns: [{ text: Never said., delay: 10m }]";
/// Asks a person before its only call.
const ASKS: &str = "
tools: [{ name: desk.reset, description: Resets it., effect: EFFECT, answers: [{ response: done }] }]
turns: [{ calls: [{ tool: desk.reset }] }, { calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: Done., summary: Done. } }] }]
";

/// Coworkers are locked in one order, requests and the workspace behind them, whoever changes many at once, and what a batch
/// did not lock beforehand it does not wait for. Two folders that name the same twenty the other way round, each of them taken
/// out of work, notes that mention them, assignments to them and answers to them, runs that are stopped, calls that are
/// decided, skills, tools and webhook endpoints that are changed, keys that are used twice and incidents that are reported, all
/// at two nodes at the same time, never wait for each other in a circle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_done_at_once_at_two_nodes_never_deadlocks() {
    let db = TestDb::new(Backend::Postgres).await;
    let url = db.url().to_owned();
    hasty_about_deadlocks(&url).await;
    let clock = domain::clock::Clock::system;
    let mut second = Settings {
        database_url: url.clone(),
        listen: "127.0.0.1:0".to_owned(),
        vault: Some(Vault::new(&[[7; 32]]).expect("a vault")),
        clock: clock(),
        ..Settings::default()
    };
    second.worker.grace = Duration::ZERO;
    let app = TestApp::start_on(db, |settings| {
        settings.clock = clock();
        // What still ponders at the end is handed back.
        settings.worker.grace = Duration::ZERO;
    })
    .await;
    let other = App::start(second).await.expect("another node");
    // Connections of their own, as commands in other processes have.
    let (one, two) = (
        tests::store::open(&url).await,
        tests::store::open(&url).await,
    );
    let floor = Floor::furnish(&app, Client::new(other.address(), app.key())).await;
    applied(&one, folder(0, false).path()).await.unwrap();
    let ids: Vec<String> = coworker::Entity::find()
        .filter(coworker::Column::Handle.starts_with("worker-"))
        .all(one.read())
        .await
        .unwrap()
        .iter()
        .map(|row| format!("cow_{}", row.id.0.simple()))
        .collect();
    assert_eq!(ids.len(), COWORKERS);
    for turn in 1..=TURNS {
        let (forwards, backwards) = (folder(turn, false), folder(turn, true));
        let applies = async {
            let (a, b) = tokio::join!(
                applied(&one, forwards.path()),
                applied(&two, backwards.path())
            );
            a.unwrap();
            b.unwrap();
        };
        tokio::join!(
            applies,
            floor.unpublish(&ids),
            floor.mention(),
            floor.assign(&ids),
            floor.answer(&ids),
            floor.stop(0),
            floor.stop(1),
            floor.decide(0),
            floor.decide(1),
            floor.administer(turn, false),
            floor.administer(turn, true),
            floor.report(turn, 0),
            floor.report(turn, 1),
        );
    }
    drop((one, two));
    for (what, least, sql) in [
        (
            "mentions",
            20,
            "SELECT COUNT(*) FROM dispatch WHERE trigger = 'MENTION'",
        ),
        (
            "assignments",
            20,
            "SELECT COUNT(*) FROM dispatch WHERE trigger = 'ASSIGNED'",
        ),
        (
            "answers",
            20,
            "SELECT COUNT(*) FROM dispatch WHERE trigger = 'REPLY'",
        ),
        (
            "versions",
            (TURNS * COWORKERS) as i64,
            "SELECT COUNT(*) FROM coworker_version",
        ),
        (
            "stops",
            4,
            "SELECT COUNT(*) FROM run WHERE stop_requested_at IS NOT NULL",
        ),
        (
            "decisions",
            4,
            "SELECT COUNT(*) FROM approval WHERE state IN ('APPROVED', 'DENIED')",
        ),
        (
            "versions of skills",
            2 * TURNS as i64,
            "SELECT COUNT(*) FROM skill_version",
        ),
        (
            "incidents",
            2 * TURNS as i64,
            "SELECT COUNT(*) FROM webhook_delivery WHERE outcome = 'REQUEST_MADE'",
        ),
        (
            "incidents that came twice",
            1,
            "SELECT COUNT(*) FROM webhook_delivery WHERE outcome = 'DUPLICATE'",
        ),
    ] {
        let seen = look::number(&app, sql).await;
        assert!(seen >= least, "{what}: {seen}");
    }
    let (keys, made) = (
        "SELECT COUNT(*) FROM idempotency_key",
        "SELECT COUNT(*) FROM request WHERE title = 'Once'",
    );
    assert_eq!(look::number(&app, made).await, (TURNS * KEYS) as i64);
    assert!(look::number(&app, keys).await >= (TURNS * KEYS) as i64);
    other.stop().await;
    app.stop().await;
    // The store would try again: only the database's own count says that there was none.
    assert_eq!(deadlocks(&url).await, 0);
}

/// Twenty coworkers, named in this order or the other way round.
fn folder(turn: usize, backwards: bool) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..COWORKERS {
        let name = if backwards { COWORKERS - i } else { i };
        let scope = format!("Subject{i} only, in words of turn{turn}{backwards}");
        let text = file(&format!("worker-{i:02}"), &scope, "");
        std::fs::write(dir.path().join(format!("{name:02}.yaml")), text).unwrap();
    }
    dir
}

/// Keys that both nodes are given in each turn.
const KEYS: usize = 5;

/// What is there besides the twenty, and who does something with it.
struct Floor {
    doors: [Client; 2],
    /// Where coworkers are mentioned, whom they are assigned, and where they are answered.
    requests: [Value; 3],
    ponder: String,
    asker: String,
    skills: [Value; 2],
    actions: [Value; 2],
    endpoints: [Value; 2],
    pagerduty: PagerDuty,
}

impl Floor {
    async fn furnish(app: &TestApp, other: Client) -> Self {
        let ponder = Coworker::new("ponder").playbook(PONDERS).publish(app).await;
        let asker = Coworker::new("asker").playbook(ASKS);
        let asker = asker.with("tools", ask("desk", "reset")).publish(app).await;
        let made = requests(app, 3, |i| json!({ "title": format!("Whose is {i}?") })).await;
        let skill = async |handle: &str| {
            let input = json!({ "handle": handle, "name": handle, "text": "Look." });
            app.mutate("skillCreate", input, "skill { id }").await["skill"]["id"].take()
        };
        let tools = ["get", "put"].map(|name| tool(name, "https://desk.example.com/"));
        let server = json!({ "name": "shelf", "kind": "HTTP", "tools": tools });
        let server = app
            .mutate("toolServerCreate", server, "toolServer { actions { id } }")
            .await;
        let action = |i: usize| server["toolServer"]["actions"][i]["id"].clone();
        let endpoint = async |name: &str| {
            let input = json!({ "name": name, "kind": "PAGERDUTY", "secret": "0123456789abcdef" });
            let made = app
                .mutate("webhookEndpointCreate", input, "webhookEndpoint { id }")
                .await;
            made["webhookEndpoint"]["id"].clone()
        };
        Self {
            requests: made.try_into().expect("three"),
            ponder: ponder.id,
            asker: asker.id,
            skills: [skill("vpn").await, skill("wifi").await],
            actions: [action(0), action(1)],
            endpoints: [endpoint("one").await, endpoint("two").await],
            pagerduty: PagerDuty::new(app).await,
            doors: [Client::new(app.address(), app.key()), other],
        }
    }

    async fn unpublish(&self, ids: &[String]) {
        for (i, id) in ids.iter().rev().enumerate() {
            let door = &self.doors[i % 2];
            door.mutate("coworkerUnpublish", json!({ "id": id }), "")
                .await;
        }
    }

    /// Locks coworkers too, and a request behind them.
    async fn mention(&self) {
        for i in 0..COWORKERS {
            let body = format!("@worker-{:02} and @worker-{i:02}, look.", COWORKERS - 1 - i);
            let input = json!({ "requestId": self.requests[0], "body": body });
            self.doors[i % 2].mutate("noteCreate", input, "").await;
        }
    }

    async fn assign(&self, ids: &[String]) {
        for (i, id) in ids.iter().rev().enumerate() {
            let input = json!({ "id": self.requests[1], "assigneeId": id });
            self.doors[i % 2].mutate("requestAssign", input, "").await;
        }
    }

    async fn answer(&self, ids: &[String]) {
        for (i, id) in ids.iter().enumerate() {
            let (door, request) = (&self.doors[i % 2], &self.requests[2]);
            let input = json!({ "id": request, "assigneeId": id });
            door.mutate("requestAssign", input, "").await;
            let input = json!({ "id": request, "status": "PENDING" });
            door.mutate("requestUpdate", input, "").await;
            let input = json!({ "requestId": request, "body": "@worker-00, it is blue." });
            door.mutate("noteCreate", input, "").await;
        }
    }

    /// Stops whatever runs, which may have ended by then; what is stopped is assigned anew at the same time.
    async fn stop(&self, door: usize) {
        for i in 0..6 {
            let title = format!("Ponder {i}");
            let input = json!({ "title": title, "assigneeId": self.ponder });
            let door = &self.doors[door];
            door.mutate("requestCreate", input, "").await;
            let query = "{ runs(first: 10, filter: { status: { eq: RUNNING } }) { nodes { id request { id } } } }";
            let mut data = door.gql(query, json!({})).await;
            for run in look::list(data["runs"]["nodes"].take()) {
                let nobody = json!({ "id": run["request"]["id"], "assigneeId": null });
                tokio::join!(
                    allowed(door, "runStop", json!({ "id": run["id"] })),
                    allowed(&self.doors[0], "requestAssign", nobody)
                );
            }
        }
    }

    /// Decides whatever waits for a person, both ways at both nodes at once; only one of them does.
    async fn decide(&self, door: usize) {
        for i in 0..6 {
            let input = json!({ "title": format!("Ask {i}"), "assigneeId": self.asker });
            let door = &self.doors[door];
            door.mutate("requestCreate", input, "").await;
            let query = "{ approvals(first: 10, state: PENDING) { nodes { id } } }";
            let mut data = door.gql(query, json!({})).await;
            for approval in look::list(data["approvals"]["nodes"].take()) {
                let decide = |door: usize, decision: &str| {
                    let input = json!({ "approvalId": approval["id"], "decision": decision });
                    allowed(&self.doors[door], "approvalDecide", input)
                };
                tokio::join!(decide(0, "APPROVE"), decide(1, "DENY"));
            }
        }
    }

    /// Changes skills, tools and endpoints in one order or the other, and uses keys that the other node is given too.
    async fn administer(&self, turn: usize, backwards: bool) {
        let order = if backwards { [1, 0] } else { [0, 1] };
        let door = &self.doors[usize::from(backwards)];
        let changes = order.map(|i| async move {
            let text = format!("Look {turn} times, {backwards}.");
            let input = json!({ "id": self.skills[i], "text": text });
            door.mutate("skillUpdate", input, "").await;
            let input = json!({ "id": self.actions[i], "enabled": backwards });
            door.mutate("toolActionUpdate", input, "").await;
            let input = json!({ "id": self.endpoints[i], "name": format!("{i} {turn}") });
            door.mutate("webhookEndpointUpdate", input, "").await;
        });
        let once = (0..KEYS).map(|key| {
            let input = json!({ "title": "Once", "idempotencyKey": format!("{turn}-{key}") });
            door.mutate("requestCreate", input, "")
        });
        tokio::join!(join_all(changes), join_all(once));
    }

    /// The same two incidents at both nodes, and one of its own.
    async fn report(&self, turn: usize, door: usize) {
        let at = self.pagerduty.through(&self.doors[door]);
        let mut incidents = [
            format!("{turn}a"),
            format!("{turn}b"),
            format!("{turn}c{door}"),
        ];
        incidents.rotate_left(door);
        let sent = incidents.map(|about| {
            let payload = incident(
                &format!("e{about}"),
                "incident.triggered",
                &about,
                "triggered",
            );
            let at = &at;
            async move {
                let answer = at.send(&payload).await;
                assert!(
                    matches!(answer.status, 200 | 503),
                    "{}: {}",
                    answer.status,
                    answer.body
                );
            }
        });
        join_all(sent).await;
    }
}

/// Does it if it may be done still: whoever came first did it.
async fn allowed(door: &Client, mutation: &str, input: Value) {
    let (first, rest) = mutation.split_at(1);
    let query = format!(
        "mutation ($input: {}{rest}Input!) {{ {mutation}(input: $input) {{ userErrors {{ code }} }} }}",
        first.to_uppercase()
    );
    let answer = door.post(&query, json!({ "input": input })).await;
    assert!(
        answer.body["errors"].is_null(),
        "{mutation}: {}",
        answer.body
    );
}

/// Has the database look for deadlocks sooner than it does by itself, so that none is over before it looks.
async fn hasty_about_deadlocks(url: &str) {
    let conn = tests::db::connect(url).await.unwrap();
    let hasty = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = ''50ms''', current_database()); END $$";
    conn.execute_unprepared(hasty).await.unwrap();
    conn.close().await.unwrap();
    // It holds for connections that are made from now on.
    let conn = tests::db::connect(url).await.unwrap();
    let set = "SELECT setting::bigint FROM pg_settings WHERE name = 'deadlock_timeout'";
    assert_eq!(look::answer(&conn, set).await, 50);
    conn.close().await.unwrap();
}

/// How many deadlocks a database has seen. Connections report what they saw when they are closed, so this waits until
/// there is no other.
async fn deadlocks(url: &str) -> i64 {
    let conn = tests::db::connect(url).await.unwrap();
    let others = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let alone = async {
        while look::answer(&conn, others).await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let alone = tokio::time::timeout(Duration::from_secs(30), alone).await;
    alone.expect("the others close their connections");
    let seen = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    let seen = look::answer(&conn, seen).await;
    conn.close().await.unwrap();
    seen
}
