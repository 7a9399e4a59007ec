//! What several tests look at, and the few things that the API does not show.

use std::collections::BTreeMap;

use api::config::Settings;
use domain::run::rebuild;
use entity::RunId;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use serde_json::{Value, json};
use tests::{Backend, Client, TestApp};

/// What tests read of a run.
const RUN: &str = "id number identifier status outcome failureCode reason trigger startedAt endedAt attempt summary \
                   summaryAuthor endOfRunRule turnCount toolCallCount stepCount lastSequence \
                   coworker { handle } request { id number }";

/// All runs, oldest first.
pub async fn runs(client: &Client) -> Vec<Value> {
    let query = format!(
        "query ($after: String) {{ runs(first: 30, after: $after, order: [{{ number: ASC }}]) {{ \
           nodes {{ {RUN} }} pageInfo {{ hasNextPage endCursor }} }} }}"
    );
    pages(client, &query, json!({}), "/runs").await
}

/// The only run that there is.
pub async fn only_run(client: &Client) -> Value {
    let mut runs = runs(client).await;
    assert_eq!(runs.len(), 1, "{runs:#?}");
    runs.remove(0)
}

/// The id of the first run of a request, as soon as it has one.
pub async fn first_run(client: &Client, request: &Value) -> Value {
    let query = "subscription ($id: ID!) { requestTimeline(requestId: $id) { ... on RunStarted { run { id } } } }";
    let mut timeline = client.subscribe(query, json!({ "id": request })).await;
    let started = |item: &Value| item["requestTimeline"]["run"]["id"].is_string();
    let mut items = timeline.until(started).await;
    items.pop().expect("the last one")["requestTimeline"]["run"]["id"].take()
}

/// A request as its page shows it.
pub async fn request(client: &Client, id: &Value) -> Value {
    let query = "query ($id: ID!) { request(id: $id) {
        id number status needsPerson resolvedAt
        assignee { kind displayName }
        notes(first: 40) { nodes { visibility body author { kind displayName } } }
        waiting { trigger coworker { handle } waitsFor { number } }
        assignments(first: 40) { nodes { epoch assignee { displayName } assignedBy { kind displayName } reason } }
    } }";
    client.gql(query, json!({ "id": id })).await["request"].take()
}

/// The bodies of a request's notes of this visibility, oldest first.
pub fn notes<'a>(request: &'a Value, visibility: &str) -> Vec<&'a str> {
    let all = request["notes"]["nodes"].as_array().expect("notes");
    let seen = all.iter().filter(|note| note["visibility"] == visibility);
    seen.map(|note| note["body"].as_str().expect("a body"))
        .collect()
}

/// A request's timeline, one line an entry: `RunStarted hardware-specialist`.
pub async fn timeline(client: &Client, id: &Value) -> Vec<String> {
    let query =
        "query ($id: ID!, $after: String) { request(id: $id) { timeline(first: 30, after: $after) {
        pageInfo { hasNextPage endCursor } nodes {
        __typename
        ... on TimelineEntry { sequence actor { displayName } run { number coworker { handle } } }
        ... on NotePosted { note { visibility } }
        ... on StatusChanged { before after }
        ... on Assigned { assignment { assignee { displayName } } }
        ... on DispatchDropped { dispatch { coworker { handle } trigger dropReason } }
        ... on Escalated { to { displayName } }
        ... on ApprovalDecided { approval { state } }
    } } } }";
    let entries = pages(client, query, json!({ "id": id }), "/request/timeline").await;
    entries.iter().map(line).collect()
}

fn line(entry: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("nobody").to_owned();
    let kind = text(&entry["__typename"]);
    let what = match kind.as_str() {
        "NotePosted" => text(&entry["note"]["visibility"]),
        "StatusChanged" => format!("{} {}", text(&entry["before"]), text(&entry["after"])),
        "Assigned" => text(&entry["assignment"]["assignee"]["displayName"]),
        "RunStarted" | "RunEnded" => format!("Run-{}", entry["run"]["number"]),
        "DispatchDropped" => {
            let dispatch = &entry["dispatch"];
            format!(
                "{} {} {}",
                text(&dispatch["coworker"]["handle"]),
                text(&dispatch["trigger"]),
                text(&dispatch["dropReason"])
            )
        }
        "Escalated" => text(&entry["to"]["displayName"]),
        "ApprovalDecided" => format!(
            "{} {}",
            text(&entry["approval"]["state"]),
            text(&entry["actor"]["displayName"])
        ),
        _ => String::new(),
    };
    format!("{kind} {what}").trim_end().to_owned()
}

/// A run's whole log, parsed, in order.
pub async fn events(client: &Client, run: &Value) -> Vec<Value> {
    let query =
        "query ($id: ID!, $after: String) { run(id: $id) { events(first: 100, after: $after) {
        nodes { sequence type payload } pageInfo { hasNextPage endCursor } } } }";
    let events = pages(client, query, json!({ "id": run["id"] }), "/run/events").await;
    events
        .into_iter()
        .map(|mut event| event["payload"].take())
        .collect()
}

/// All nodes of the connection at this place, page by page.
pub async fn pages(client: &Client, query: &str, mut variables: Value, place: &str) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let mut data = client.gql(query, variables.clone()).await;
        let page = data
            .pointer_mut(place)
            .unwrap_or_else(|| panic!("nothing at {place}"));
        all.extend(list(page["nodes"].take()));
        if page["pageInfo"]["hasNextPage"] == false {
            return all;
        }
        variables["after"] = page["pageInfo"]["endCursor"].take();
    }
}

/// The types of a log, in order.
pub fn types(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["type"].as_str().expect("a type"))
        .collect()
}

/// The data of the events of this type, in order.
pub fn data<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events
        .iter()
        .filter(|event| event["type"] == kind)
        .map(|event| &event["data"])
        .collect()
}

/// Asserts of every run that what is stored beside its log can be rebuilt from it, and that it ended once, with a
/// reason and a summary if it ended.
pub async fn sound(app: &TestApp) {
    sound_for(app, app).await;
}

/// As [`sound`], of the runs of this client's workspace.
pub async fn sound_for(app: &TestApp, client: &Client) {
    let store = app.store().await;
    for run in runs(client).await {
        let differences = rebuild::differences(store.read(), run_id(&run["id"]))
            .await
            .expect("a log that can be read");
        assert_eq!(differences, Vec::<String>::new(), "Run-{}", run["number"]);
        let events = events(client, &run).await;
        let sequences: Vec<_> = events
            .iter()
            .map(|event| event["sequence"].as_u64().expect("a sequence"))
            .collect();
        assert_eq!(
            sequences,
            (1..=events.len() as u64).collect::<Vec<_>>(),
            "Run-{}",
            run["number"]
        );
        if run["endedAt"].is_null() {
            continue;
        }
        let ends = types(&events)
            .into_iter()
            .filter(|kind| matches!(*kind, "run.completed" | "run.failed"))
            .count();
        assert_eq!(ends, 1, "Run-{}", run["number"]);
        for field in ["reason", "summary", "summaryAuthor"] {
            assert!(
                run[field].as_str().is_some_and(|text| !text.is_empty()),
                "Run-{}: {field}",
                run["number"]
            );
        }
        assert_ne!(
            run["outcome"].is_null(),
            run["failureCode"].is_null(),
            "{run:#}"
        );
    }
}

/// The id that rows have.
pub fn run_id(id: &Value) -> RunId {
    let digits = id
        .as_str()
        .and_then(|id| id.strip_prefix("run_"))
        .expect("the id of a run");
    RunId(digits.parse().expect("digits"))
}

/// How many rows each table has, for tests that nothing was changed.
pub async fn counts(app: &TestApp) -> BTreeMap<&'static str, i64> {
    const TABLES: [&str; 31] = [
        "approval",
        "workspace",
        "person",
        "api_key",
        "idempotency_key",
        "coworker",
        "coworker_version",
        "coworker_version_skill",
        "request",
        "request_event",
        "note",
        "assignment",
        "dispatch",
        "run",
        "run_event",
        "run_step",
        "skill",
        "skill_version",
        "usage_ledger",
        "prompt_part",
        "model_price",
        "webhook_endpoint",
        "webhook_secret",
        "webhook_delivery",
        "webhook_subject",
        "alert_endpoint",
        "alert_secret",
        "alert_delivery",
        "tool_server",
        "tool_action",
        "secret",
    ];
    let mut counts = BTreeMap::new();
    for table in TABLES {
        counts.insert(
            table,
            number(app, &format!("SELECT COUNT(*) AS n FROM {table}")).await,
        );
    }
    counts
}

/// The number that a statement answers, on the application's own database.
pub async fn number(app: &TestApp, sql: &str) -> i64 {
    answer(app.store().await.read(), sql).await
}

/// The number that a statement answers.
pub async fn answer(conn: &DatabaseConnection, sql: &str) -> i64 {
    let statement = Statement::from_string(conn.get_database_backend(), sql);
    let row = conn.query_one_raw(statement).await;
    row.expect("the database answers")
        .expect("a row")
        .try_get_by_index(0)
        .expect("a number")
}

/// A playbook of a coworker that hands every request on to another.
pub fn hands_to(handle: &str) -> String {
    format!(
        "turns:
  - calls:
      - {{ tool: reassign, arguments: {{ to: {handle}, reason: It is theirs. }} }}
      - {{ tool: finish, arguments: {{ outcome: HANDED_OFF, reason: It is theirs., summary: I handed it on. }} }}
"
    )
}

/// Changes the database behind the application's back.
pub async fn tamper(app: &TestApp, sql: &str) {
    let db = tests::db::connect(app.db().url())
        .await
        .expect("the database is there");
    db.execute_unprepared(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    db.close().await.expect("closed");
}

/// Has the database change rows of a table as soon as they are written, by these statements: before anything else sees them.
pub async fn as_written(app: &TestApp, table: &str, changes: &[String]) {
    let changes = changes.join("; ");
    let name = format!("as_written_{table}");
    let trigger = match app.db().backend() {
        Backend::Sqlite => {
            format!("CREATE TRIGGER {name} AFTER INSERT ON {table} BEGIN {changes}; END")
        }
        Backend::Postgres => format!(
            "CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {changes}; RETURN NULL; END $$; \
             CREATE TRIGGER {name} AFTER INSERT ON {table} EXECUTE FUNCTION {name}()"
        ),
    };
    tamper(app, &trigger).await;
}

/// Another application in the place of this one, with other settings. Stop it at the end of the test.
pub async fn with_settings(app: &TestApp, change: impl FnOnce(&mut Settings)) -> TestApp {
    app.stop().await;
    TestApp::start_with(app.db().backend(), change).await
}

/// What a list holds.
pub fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        other => panic!("{other} is no list"),
    }
}
