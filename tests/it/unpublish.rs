//! Out of work, however much waits: no write is long, nothing is forgotten, and nothing comes back.

use std::path::Path;
use std::sync::Arc;

use api::config::Role;
use api::files::apply::Apply;
use api::files::plan::plan;
use api::files::read::{Source, read};
use api::files::state::State;
use domain::access::{Actor, Principal, Standing};
use domain::coworker::{DropWaiting, Force, UnpublishCoworker};
use domain::error::Error;
use domain::store::Store;
use entity::{CoworkerId, workspace};
use futures_util::future::join_all;
use sea_orm::{ConnectionTrait as _, EntityTrait};
use serde_json::{Value, json};
use tests::postgres::Postgres;
use tests::{Client, Coworker, TestApp, TestDb, both_dbs};

use crate::held::idle;
use crate::look;

/// Makes so many requests, a few at a time; gives their ids.
pub async fn requests(client: &Client, n: usize, input: impl Fn(usize) -> Value) -> Vec<Value> {
    let mut made = Vec::with_capacity(n);
    for some in (0..n).collect::<Vec<_>>().chunks(100) {
        let made_now = some.iter().map(async |i| {
            let mut payload = client
                .mutate("requestCreate", input(*i), "request { id }")
                .await;
            payload["request"]["id"].take()
        });
        made.extend(join_all(made_now).await);
    }
    made
}

/// Whoever works on the database itself, in the only workspace.
pub async fn operator(store: &Store) -> Actor {
    let only = workspace::Entity::find().one(store.read()).await.unwrap();
    Actor {
        workspace: only.expect("a workspace").id,
        principal: Principal::Operator,
        standing: Standing::Stint,
    }
}

/// The id that rows have.
pub fn row_id(coworker: &str) -> CoworkerId {
    CoworkerId(coworker.strip_prefix("cow_").unwrap().parse().unwrap())
}

both_dbs! {
    /// R71: 1,000 requests wait for Triage when it is taken out of work. Others write between the chunks, nothing is left
    /// waiting, and each timeline says why, and who has the request now.
    async fn a_coworker_for_whom_a_thousand_wait_keeps_nobody_waiting(app: TestApp) {
        const WAITING: usize = 1_000;
        let app = { app.stop().await; idle(app.db().backend()).await };
        let identity = json!({ "role": "Network engineer", "scope": "Routers, switches, gateways and wireless access points" });
        Coworker::new("network").with("identity", identity).publish(&app).await;
        let mut made = requests(&app, WAITING - 1, |i| json!({ "title": if i % 2 == 0 { "The wireless gateway drops routers" } else { "A cake is missing" } })).await;
        // The last that is dropped.
        let last = app.request("A cake is missing").await["id"].take();
        let query = "subscription ($id: ID!) { requestTimeline(requestId: $id) { __typename } }";
        let mut timeline = app.subscribe(query, json!({ "id": last })).await;
        made.push(last);
        let waits = "SELECT COUNT(*) FROM dispatch d JOIN coworker c ON c.id = d.coworker_id WHERE c.handle = 'triage' AND d.state = 'WAITING'";
        assert_eq!(look::number(&app, waits).await, WAITING as i64);

        let triage = app.gql("{ coworker(handle: \"triage\") { id } }", json!({})).await["coworker"]["id"].take();
        let unpublish = app.mutate("coworkerUnpublish", json!({ "id": triage }), "coworker { state }");
        tokio::pin!(unpublish);
        // Someone writes notes on those very requests meanwhile, the newest first: each waits for no more than a chunk.
        let mut notes = 0;
        let mut left = vec![WAITING as i64];
        let told = loop {
            let input = json!({ "requestId": made[WAITING - 1 - notes], "body": "I wait." });
            let note = app.mutate("noteCreate", input, "");
            tokio::pin!(note);
            tokio::select! {
                told = &mut unpublish => {
                    note.await;
                    break told;
                }
                _ = &mut note => {
                    notes += 1;
                    left.push(look::number(&app, waits).await);
                }
            }
        };
        assert_eq!(told["coworker"]["state"], "UNPUBLISHED");
        let within = left.iter().filter(|left| (1..WAITING as i64).contains(*left)).count();
        assert!(notes >= 1 && within >= 1, "{notes} notes meanwhile; waiting: {left:?}");
        // Where it takes long the rest is dropped behind the answer.
        timeline.until(|item| item["requestTimeline"]["__typename"] == "LeftToPeople").await;
        assert_eq!(look::number(&app, waits).await, 0);

        for (wrong, sql) in [
            ("timelines that do not say why", "SELECT COUNT(*) FROM request r WHERE 1 <> (SELECT COUNT(*) FROM request_event e JOIN dispatch d ON d.request_id = e.request_id
                WHERE e.request_id = r.id AND e.kind = 'DISPATCH_DROPPED' AND d.state = 'DROPPED' AND d.drop_reason = 'NOT_PUBLISHED')"),
            ("requests that went nowhere", "SELECT COUNT(*) FROM request r WHERE 1 <> (SELECT COUNT(*) FROM dispatch d WHERE d.request_id = r.id AND d.state = 'WAITING')
                + (SELECT COUNT(*) FROM request_event e WHERE e.request_id = r.id AND e.kind = 'LEFT_TO_PEOPLE')"),
            ("gaps in timelines", "SELECT COUNT(*) FROM request r WHERE last_seq <> (SELECT COUNT(*) FROM request_event e WHERE e.request_id = r.id)"),
        ] {
            assert_eq!(look::number(&app, sql).await, 0, "{wrong}");
        }
        let fits = "DispatchDropped triage INTAKE NOT_PUBLISHED";
        assert_eq!(look::timeline(&app, &made[0]).await, ["RequestCreated", "Assigned triage", fits, "Assigned network"]);
        assert_eq!(look::timeline(&app, &made[1]).await, ["RequestCreated", "Assigned triage", fits, "Assigned nobody", "LeftToPeople"]);
        app.stop().await;
    }

    /// Whoever took it out of work died after the first chunk, and it was published again: what waited before starts no
    /// more, each says why when it would, and what comes since is worked on.
    async fn what_a_death_left_waiting_never_starts_after_a_republication(app: TestApp) {
        let app = look::with_settings(&app, |settings| settings.worker.slots = 1).await;
        let blocker = Coworker::new("blocker").playbook("turns: [{ repeat: true, text: Never said., delay: 10m }]").publish(&app).await;
        let blocked = requests(&app, 1, |_| json!({ "title": "It takes its time", "assigneeId": blocker.id })).await;
        let holds = look::first_run(&app, &blocked[0]).await;
        let worker = Coworker::new("worker").publish(&app).await;
        let made = requests(&app, 120, |_| json!({ "title": "Where is it?", "assigneeId": worker.id })).await;

        let store = app.store().await;
        let actor = operator(&store).await;
        let out = store.write(UnpublishCoworker { actor: actor.clone(), coworker: row_id(&worker.id) }).await.unwrap();
        let some = DropWaiting::find(&store, &actor, &out).await.unwrap();
        store.write(some.expect("some wait")).await.unwrap();
        drop(store);
        // A death here: nobody comes for the rest.
        let waits = "SELECT COUNT(*) FROM dispatch WHERE state = 'WAITING'";
        assert_eq!(look::number(&app, waits).await, 70);
        // Nobody is told that they wait.
        assert_eq!(look::request(&app, &made[119]).await["waiting"], json!([]));
        app.mutate("coworkerPublish", json!({ "id": worker.id }), "").await;
        // Its work is given to it once more: what waits in vain does not count as under way.
        let again = &made[119];
        app.mutate("requestAssign", json!({ "id": again, "assigneeId": worker.id }), "").await;
        assert_eq!(look::number(&app, waits).await, 71);
        assert_eq!(look::request(&app, again).await["waiting"].as_array().map(Vec::len), Some(1));
        assert_eq!(look::request(&app, &made[118]).await["waiting"], json!([]));

        app.mutate("runStop", json!({ "id": holds }), "").await;
        app.drain().await;
        let runs = look::runs(&app).await;
        let worked: Vec<_> = runs.iter().filter(|run| run["coworker"]["handle"] == "worker").map(|run| &run["request"]["id"]).collect();
        assert_eq!(worked, [again]);
        let dropped = "SELECT COUNT(*) FROM dispatch WHERE state = 'DROPPED' AND drop_reason = 'NOT_PUBLISHED'";
        assert_eq!(look::number(&app, dropped).await, 120);
        for request in [&made[0], &made[49], &made[50], &made[118]] {
            let timeline = look::timeline(&app, request).await;
            assert_eq!(timeline, ["RequestCreated", "Assigned worker", "DispatchDropped worker ASSIGNED NOT_PUBLISHED"]);
        }
        look::sound(&app).await;
        app.stop().await;
    }

    /// Asked again, it drops what an earlier call could not.
    async fn taking_out_of_work_again_drops_what_was_left(app: TestApp) {
        let app = { app.stop().await; idle(app.db().backend()).await };
        let worker = Coworker::new("worker").publish(&app).await;
        let made = requests(&app, 3, |_| json!({ "title": "Where is it?", "assigneeId": worker.id })).await;
        let store = app.store().await;
        let actor = operator(&store).await;
        store.write(UnpublishCoworker { actor, coworker: row_id(&worker.id) }).await.unwrap();
        drop(store);
        app.mutate("coworkerUnpublish", json!({ "id": worker.id }), "").await;
        for request in &made {
            let timeline = look::timeline(&app, request).await;
            assert_eq!(timeline, ["RequestCreated", "Assigned worker", "DispatchDropped worker ASSIGNED NOT_PUBLISHED"]);
        }
        app.stop().await;
    }

    /// What a file takes out of work goes the same way: the rest waits for nobody, and is dropped after the files stand.
    async fn files_that_take_triage_out_of_work_route_what_waited(app: TestApp) {
        let app = { app.stop().await; idle(app.db().backend()).await };
        let made = requests(&app, 250, |_| json!({ "title": "The wireless gateway drops routers" })).await;
        let dir = tempfile::tempdir().unwrap();
        let network = file("network", "Routers, switches, gateways and wireless access points", "");
        let triage = file("triage", "Everything", "isTriage: true\npublished: false\n");
        std::fs::write(dir.path().join("network.yaml"), network).unwrap();
        std::fs::write(dir.path().join("triage.yaml"), triage).unwrap();
        let store = app.store().await;
        applied(&store, dir.path()).await.unwrap();
        drop(store);
        for request in [&made[0], &made[249]] {
            let timeline = look::timeline(&app, request).await;
            assert_eq!(timeline, ["RequestCreated", "Assigned triage", "DispatchDropped triage INTAKE NOT_PUBLISHED", "Assigned network"]);
        }
        let waits = "SELECT COUNT(*) FROM dispatch d JOIN coworker c ON c.id = d.coworker_id WHERE d.state = 'WAITING' AND c.handle = 'network'";
        assert_eq!(look::number(&app, waits).await, 250);
        app.stop().await;
    }
}

/// A coworker as a file.
pub fn file(handle: &str, scope: &str, more: &str) -> String {
    format!(
        "kind: coworker\nname: {handle}\nhandle: {handle}\n{more}identity: {{ role: Specialist, scope: \"{scope}\" }}\n\
         goal: {{ purpose: Helps. }}\nmodel: {{ provider: scripted, playbook: \"turns: [{{ text: Done. }}]\" }}\n"
    )
}

/// Applies a folder through this store, as the command does, until nobody else changes the workspace at the same time.
/// Lint errors are overridden: what is shown here is who waits for whom.
pub async fn applied(store: &Store, dir: &Path) -> domain::Result<()> {
    let actor = operator(store).await;
    let sources: Arc<[Source]> = read(dir).expect("files that can be read").into();
    loop {
        let state = State::load(store.read(), &actor).await?;
        let plan = Arc::new(plan(&sources, &state).expect("a plan"));
        if plan.is_empty() {
            return Ok(());
        }
        let apply = Apply {
            actor: actor.clone(),
            sources: sources.clone(),
            plan,
            force: Force {
                force: true,
                reason: Some("A test.".into()),
            },
        };
        match apply.submit(store).await {
            // Someone changed it since it was read, or made what it was about to make.
            Err(Error::Conflict {
                code: "CHANGED" | "CONFLICT",
                ..
            }) => {}
            done => return done.map(drop),
        }
    }
}

/// R71: what a write drops it asks about all at once: ten times as much that waits takes a few statements more, for rows are
/// written by the dozen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_write_asks_does_not_grow_with_what_it_drops() {
    let server = Postgres::start();
    let db = TestDb::on(server.address()).await;
    let conn = tests::db::connect(db.url()).await.unwrap();
    let told = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET log_statement = ''all''', current_database()); END $$";
    conn.execute_unprepared(told).await.unwrap();
    conn.close().await.unwrap();
    let app = TestApp::start_on(db, |settings| settings.role = Role::Api).await;
    let triage = Coworker::new("triage").triage().publish(&app).await;
    let statements = || {
        let log = std::fs::read_to_string(server.address().dir.join("log")).unwrap();
        let one =
            |line: &&str| line.contains("LOG:  execute ") || line.contains("LOG:  statement: ");
        log.lines().filter(one).count()
    };
    let mut asked = Vec::new();
    for waiting in [5, 50] {
        app.mutate("coworkerPublish", json!({ "id": triage.id }), "")
            .await;
        requests(&app, waiting, |i| json!({ "title": format!("Cake {i}") })).await;
        let waits = "SELECT COUNT(*) FROM dispatch WHERE state = 'WAITING'";
        assert_eq!(look::number(&app, waits).await, waiting as i64);
        let before = statements();
        app.mutate("coworkerUnpublish", json!({ "id": triage.id }), "")
            .await;
        asked.push(statements() - before);
        assert_eq!(look::number(&app, waits).await, 0);
    }
    let unseen = "SELECT COUNT(*) FROM request WHERE assignee_id IS NOT NULL";
    assert_eq!(look::number(&app, unseen).await, 0);
    app.stop().await;
    assert!(asked[0] > 10 && asked[1] < asked[0] + 30, "{asked:?}");
}
