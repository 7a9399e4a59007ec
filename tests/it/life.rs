//! A request's life: its statuses, whom notes on it can mention, and its timeline while a coworker works.

use entity::Role;
use serde_json::{Value, json};
use tests::{Coworker, TestApp, both_dbs};

use crate::approval::ask;
use crate::look;

const WORKS: &str = "
tools:
  - { name: desk.look, description: Looks., effect: READ, answers: [{ delay: 300ms, response: { found: true } }] }
turns:
  - calls: [{ tool: desk.look }, { tool: set_status, arguments: { status: RESOLVED } }]
  - calls: [{ tool: ask_requester, arguments: { question: Is it? } }]
  - when: { result_of: ask_requester, result_failed: true, result_contains: 'can''t go from RESOLVED to PENDING; allowed are: OPEN, IN_PROGRESS, CLOSED' }
    calls: [{ tool: finish, arguments: { outcome: RESOLVED, reason: Found., summary: I found it. } }]
";

async fn found(app: &TestApp, prefix: &str, first: i64) -> Vec<String> {
    let query = "query ($prefix: String!, $first: Int!) { mentionables(prefix: $prefix, first: $first) { text startsRun actor { kind displayName } } }";
    let mut seen = app
        .gql(query, json!({ "prefix": prefix, "first": first }))
        .await;
    let line = |one: Value| {
        format!(
            "{} {} {}",
            one["text"].as_str().unwrap_or(""),
            one["actor"]["kind"].as_str().unwrap_or(""),
            one["startsRun"]
        )
    };
    look::list(seen["mentionables"].take())
        .into_iter()
        .map(line)
        .collect()
}

both_dbs! {
    async fn people_change_labels_and_priority(app: TestApp) {
        let request = app.request("Where is it?").await["id"].take();
        let fields = "request { labels priority title }";
        let change = json!({ "id": request, "labels": ["vpn", "office"], "priority": "URGENT" });
        let seen = app.mutate("requestUpdate", change, fields).await["request"].take();
        assert_eq!(seen, json!({ "labels": ["vpn", "office"], "priority": "URGENT", "title": "Where is it?" }));
        let seen = app.mutate("requestUpdate", json!({ "id": request, "labels": [] }), fields).await["request"].take();
        assert_eq!((&seen["labels"], &seen["priority"]), (&json!([]), &json!("URGENT")));
        let refused = app.refused("requestUpdate", json!({ "id": request, "labels": [""] })).await;
        assert_eq!(refused[0]["field"], "labels");
        let ana = app.as_role(Role::Analyst).await;
        assert_eq!(ana.refused("requestUpdate", json!({ "id": request, "priority": "LOW" })).await[0]["code"], "FORBIDDEN");
    }

    /// The same table for people, coworkers and whoever else sets a status; `allowedStatuses` says it beforehand.
    async fn statuses_follow_one_table(app: TestApp) {
        const ALL: [&str; 5] = ["OPEN", "IN_PROGRESS", "PENDING", "RESOLVED", "CLOSED"];
        for before in ALL {
            for after in ALL {
                let request = app.request("Where is it?").await["id"].take();
                app.mutate("requestUpdate", json!({ "id": request, "status": before }), "").await;
                let seen = app.gql("query ($id: ID!) { request(id: $id) { allowedStatuses } }", json!({ "id": request })).await;
                let allowed = look::list(seen["request"]["allowedStatuses"].clone());
                if before == after || allowed.contains(&json!(after)) {
                    let made = app.mutate("requestUpdate", json!({ "id": request, "status": after }), "request { status }").await;
                    assert_eq!(made["request"]["status"], after);
                } else {
                    let refused = app.refused("requestUpdate", json!({ "id": request, "status": after })).await;
                    let code = if before == "CLOSED" { "REQUEST_CLOSED" } else { "STATUS_TRANSITION" };
                    assert_eq!(refused[0]["code"], code);
                    let message = refused[0]["message"].as_str().expect("a message");
                    assert!(message.contains(before) && message.contains(after), "{message}");
                    assert_eq!(look::request(&app, &request).await["status"], before);
                }
            }
        }
        let worker = Coworker::new("worker").playbook(WORKS).publish(&app).await;
        app.mutate("requestCreate", json!({ "title": "Where is it?", "assigneeId": worker.id }), "").await;
        app.drain().await;
        look::sound(&app).await;
        let run = look::only_run(&app).await;
        assert_eq!((&run["outcome"], &run["summary"]), (&json!("RESOLVED"), &json!("I found it.")));
    }

    /// R28–R30: the timeline's entry of a run leads to the coworker, the number, the steps taken so far, the status and the
    /// summary, live.
    async fn a_runs_entry_says_how_far_it_is(app: TestApp) {
        // It goes no further than to its first call until a person says so.
        let worker = Coworker::new("worker").playbook(WORKS).with("tools", ask("desk", "look")).publish(&app).await;
        let made = app.mutate("requestCreate", json!({ "title": "Where is it?", "assigneeId": worker.id }), "request { id }").await;
        let query = "subscription ($id: ID!) { requestTimeline(requestId: $id) { __typename ... on TimelineEntry {
            actor { displayName } run { number status stepCount summary coworker { handle } } } } }";
        let mut live = app.subscribe(query, json!({ "id": made["request"]["id"] })).await;
        let of = |kind: &'static str| move |item: &Value| item["requestTimeline"]["__typename"] == kind;
        let started = live.until(of("RunStarted")).await.pop().expect("the entry");
        let (entry, run) = (&started["requestTimeline"], &started["requestTimeline"]["run"]);
        assert_eq!((&entry["actor"]["displayName"], &run["number"], &run["coworker"]["handle"]), (&json!("worker"), &json!(1), &json!("worker")));
        assert!(run["status"] == "RUNNING" || run["status"] == "PAUSED_FOR_APPROVAL", "{run}");
        assert_eq!(run["summary"], Value::Null);
        let early = run["stepCount"].as_i64().expect("a count");
        app.drain().await;
        let mut asked = app.gql("{ approvals(state: PENDING) { nodes { id } } }", json!({})).await;
        let input = json!({ "approvalId": asked["approvals"]["nodes"][0]["id"].take(), "decision": "APPROVE" });
        app.mutate("approvalDecide", input, "").await;
        let ended = live.until(of("RunEnded")).await.pop().expect("the entry");
        let run = &ended["requestTimeline"]["run"];
        assert_eq!((&run["number"], &run["status"], &run["summary"]), (&json!(1), &json!("COMPLETED"), &json!("I found it.")));
        assert!(run["stepCount"].as_i64() > Some(early), "{run}");
        // Read anew, the entry of its start shows the run as it is now.
        let query = "query ($id: ID!) { request(id: $id) { timeline { nodes { ... on RunStarted { run { status stepCount } } } } } }";
        let seen = app.gql(query, json!({ "id": made["request"]["id"] })).await;
        assert_eq!(seen["request"]["timeline"]["nodes"][2]["run"], json!({ "status": "COMPLETED", "stepCount": run["stepCount"] }));
    }

    /// R07: whom a note can mention, as a text field completes it.
    async fn mentions_are_completed_by_handle_and_name(app: TestApp) {
        for (handle, name) in [("aws-engineer", "Cloud Engineer"), ("hardware", "Hardware Specialist"), ("access", "Anna 100%")] {
            Coworker::new(handle).name(name).publish(&app).await;
        }
        Coworker::new("apprentice").create(&app).await;
        app.with_new_key(json!({ "name": "Ada Lovelace", "role": "AGENT" })).await;
        assert_eq!(found(&app, "a", 10).await, ["@access COWORKER true", "@aws-engineer COWORKER true", "@Ada Lovelace PERSON false", "@Admin PERSON false"]);
        assert_eq!(found(&app, "@AWS", 10).await, ["@aws-engineer COWORKER true"]);
        assert_eq!(found(&app, "cloud", 10).await, ["@aws-engineer COWORKER true"], "by name too");
        assert_eq!(found(&app, "a", 3).await.len(), 3);
        assert_eq!(found(&app, "", 2).await, ["@access COWORKER true", "@aws-engineer COWORKER true"]);
        for nothing in ["%", "_ws", "anna 100_", "!", "apprentice"] {
            assert_eq!(found(&app, nothing, 10).await, Vec::<String>::new(), "{nothing}");
        }
        assert_eq!(found(&app, "ANNA 100%", 10).await, ["@access COWORKER true"]);
        // Nobody for those who can't mention, or must not know who works here.
        let query = "{ mentionables(prefix: \"\") { text } }";
        let workflow = app.with_new_key(json!({ "name": "Nightly", "role": "AGENT", "kind": "WORKFLOW" })).await;
        for client in [app.as_role(Role::Requester).await, app.as_role(Role::Analyst).await, workflow] {
            assert_eq!(client.gql(query, json!({})).await["mentionables"], json!([]));
        }
        for (first, prefix, code) in [(0, "a".to_owned(), "PAGE_TOO_LARGE"), (51, "a".to_owned(), "PAGE_TOO_LARGE"), (5, "a".repeat(101), "BAD_USER_INPUT"), (5, "\0".to_owned(), "BAD_USER_INPUT")] {
            let query = "query ($prefix: String!, $first: Int!) { mentionables(prefix: $prefix, first: $first) { text } }";
            assert_eq!(app.gql_code(query, json!({ "prefix": prefix, "first": first })).await, code);
        }
    }
}
