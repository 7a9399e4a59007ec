//! Intake: where requests come from, that each comes once, and that what is wrong is refused in one clear sentence.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::{Coworker, TestApp, both_dbs};

use crate::look;

/// Performs a mutation that must be refused with this code for this field, in one sentence, changing nothing.
async fn refused(app: &TestApp, mutation: &str, input: Value, field: Option<&str>, code: &str) {
    let before = look::counts(app).await;
    let errors = app.refused(mutation, input.clone()).await;
    let told = format!("{mutation} {}: {errors:?}", shortened(&input));
    assert_eq!(
        (errors[0]["code"].as_str(), errors[0]["field"].as_str()),
        (Some(code), field),
        "{told}"
    );
    a_sentence(&errors[0]["message"]);
    assert_eq!(look::counts(app).await, before, "{told}");
}

fn a_sentence(message: &Value) {
    let text = message.as_str().expect("a message");
    let ends = text.ends_with(['.', '!', '?', '`', '"']);
    assert!(ends && text.len() > 10 && text.len() < 400, "{text:?}");
    let begins = text
        .chars()
        .next()
        .is_some_and(|first| !first.is_lowercase());
    let inside = [
        "Error", "error:", "SQL", "sqlx", "panicked", "Some(", "DbErr",
    ];
    assert!(
        begins && !inside.iter().any(|word| text.contains(word)),
        "{text:?}"
    );
}

fn shortened(input: &Value) -> String {
    input.to_string().chars().take(120).collect()
}

/// A global id of this type that nothing has.
fn absent(prefix: &str) -> String {
    format!("{prefix}_{:032x}", 7)
}

both_dbs! {
    /// R01, R09–R11: whoever asks is an actor, and says what kind of source it is.
    async fn a_request_says_where_it_came_from(app: TestApp) {
        for (kind, source) in [("PERSON", "EMPLOYEE"), ("WORKFLOW", "WORKFLOW"), ("SYSTEM", "SYSTEM")] {
            let client = app.with_new_key(json!({ "name": format!("A {kind}"), "role": "AGENT", "kind": kind })).await;
            let made = client.mutate("requestCreate", json!({ "title": "The disk is full" }), "request { source requester { __typename kind displayName } }").await;
            assert_eq!((&made["request"]["source"], &made["request"]["requester"]["kind"]), (&json!(source), &json!(kind)));
            assert_eq!(made["request"]["requester"]["displayName"], format!("A {kind}"));
        }
    }

    /// R10: a workflow's request is worked on as a person's is, says whose it is, and is found by its source; the workflow reads on.
    async fn a_workflows_request_is_worked_on_and_found_by_its_source(app: TestApp) {
        Coworker::new("triage").triage().publish(&app).await;
        app.request("A person asks").await;
        let workflow = app.with_new_key(json!({ "name": "Nightly backup", "role": "AGENT", "kind": "WORKFLOW" })).await;
        let input = json!({ "title": "The backup of vault-3 failed", "labels": ["backup"], "priority": "HIGH", "idempotencyKey": "2026-05-20" });
        let mut made = Value::Null;
        // It tries again, as workflows do.
        for _ in 0..2 {
            made = workflow.mutate("requestCreate", input.clone(), "request { id number source }").await["request"].take();
        }
        assert_eq!((&made["number"], &made["source"]), (&json!(2), &json!("WORKFLOW")));
        app.drain().await;
        look::sound(&app).await;
        let query = "{ requests(filter: { source: { eq: WORKFLOW } }) { nodes { id source requester { __typename kind displayName }
                        timeline(first: 1) { nodes { __typename ... on TimelineEntry { actor { __typename displayName } } } } runs { nodes { trigger status } } } } }";
        let nodes = app.gql(query, json!({})).await["requests"]["nodes"].take();
        assert_eq!(nodes, json!([{
            "id": made["id"], "source": "WORKFLOW", "requester": { "__typename": "Workflow", "kind": "WORKFLOW", "displayName": "Nightly backup" },
            "timeline": { "nodes": [{ "__typename": "RequestCreated", "actor": { "__typename": "Workflow", "displayName": "Nightly backup" } }] },
            "runs": { "nodes": [{ "trigger": "INTAKE", "status": "COMPLETED" }] },
        }]));
        let seen = workflow.gql("query ($id: ID!) { request(id: $id) { source } }", json!({ "id": made["id"] })).await;
        assert_eq!(seen["request"]["source"], "WORKFLOW");
        // What a workflow says starts nobody but through its request.
        workflow.mutate("noteCreate", json!({ "requestId": made["id"], "body": "@triage, it failed again." }), "").await;
        assert_eq!(look::runs(&app).await.len(), 2);
    }

    /// R12.
    async fn new_requests_go_to_triage_if_there_is_one(app: TestApp) {
        let first = app.request("Nobody is there").await;
        app.drain().await;
        let seen = look::request(&app, &first["id"]).await;
        assert_eq!((&seen["assignee"], &seen["status"], &seen["number"]), (&Value::Null, &json!("OPEN"), &json!(1)));

        let triage = Coworker::new("triage").triage().create(&app).await;
        app.request("It is a draft").await;
        app.drain().await;
        assert_eq!(look::runs(&app).await.len(), 0);

        app.mutate("coworkerPublish", json!({ "id": triage.id }), "").await;
        let third = app.request("It is published").await;
        app.drain().await;
        let run = look::only_run(&app).await;
        assert_eq!((&run["trigger"], &run["request"]["id"]), (&json!("INTAKE"), &third["id"]));
        assert_eq!(look::request(&app, &third["id"]).await["assignments"]["nodes"][0]["assignedBy"]["kind"], "SYSTEM");
        // R12: at most one per workspace.
        let second = Coworker::new("triage-2").triage().input();
        refused(&app, "coworkerCreate", second, Some("isTriage"), "CONFLICT").await;
        let other = Coworker::new("triage-3").create(&app).await;
        refused(&app, "coworkerUpdate", json!({ "id": other.id, "isTriage": true }), Some("isTriage"), "CONFLICT").await;
    }

    async fn requests_that_come_together_are_numbered_without_gaps(app: TestApp) {
        let worker = Coworker::new("worker").publish(&app).await;
        // Every key twice, and a third of the calls refused: none of these may cost a number.
        let calls = (0..60).map(|i| {
            let input = match i % 3 {
                2 => json!({ "title": "  ", "assigneeId": worker.id }),
                _ => json!({ "title": "Where is it?", "assigneeId": worker.id, "idempotencyKey": format!("key {}", i / 6) }),
            };
            let query = "mutation ($input: RequestCreateInput!) { requestCreate(input: $input) { request { number } userErrors { code } } }";
            app.gql(query, json!({ "input": input }))
        });
        let made = join_all(calls).await;
        let mut numbers: Vec<_> = made.iter().filter_map(|made| made["requestCreate"]["request"]["number"].as_i64()).collect();
        assert_eq!(numbers.len(), 40);
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers, (1..=10).collect::<Vec<_>>());
    }

    async fn the_same_call_under_one_key_makes_one_thing(app: TestApp) {
        let worker = Coworker::new("worker").publish(&app).await;
        let create = |key: &str, title: &str| json!({ "title": title, "assigneeId": worker.id, "idempotencyKey": key });
        let calls = (0..20).map(|_| app.mutate("requestCreate", create("k", "Once"), "request { id number }"));
        let made = join_all(calls).await;
        assert!(made.iter().all(|one| one["request"] == made[0]["request"]), "{made:?}");
        app.drain().await;
        assert_eq!(look::runs(&app).await.len(), 1);
        refused(&app, "requestCreate", create("k", "Twice"), None, "IDEMPOTENCY_MISMATCH").await;
        refused(&app, "requestCreate", create("", "Empty"), Some("idempotencyKey"), "INVALID").await;
        refused(&app, "requestCreate", create(&"k".repeat(201), "Long"), Some("idempotencyKey"), "INVALID").await;

        // Another person's key of the same name is another key, and so is that of another mutation.
        let other = app.with_new_key(json!({ "name": "Ada", "role": "AGENT" })).await;
        let theirs = other.mutate("requestCreate", create("k", "Mine"), "request { number }").await;
        assert_eq!(theirs["request"]["number"], 2);
        let request = &made[0]["request"]["id"];
        let mut notes = Vec::new();
        for _ in 0..2 {
            let note = app.mutate("noteCreate", json!({ "requestId": request, "body": "Hello.", "idempotencyKey": "k" }), "note { id }").await;
            notes.push(note["note"]["id"].clone());
        }
        assert_eq!(notes[0], notes[1]);
        let coworker = Coworker::new("another").with("idempotencyKey", "k").input();
        let mut made = Vec::new();
        for _ in 0..2 {
            made.push(app.mutate("coworkerCreate", coworker.clone(), "coworker { id }").await);
        }
        assert_eq!(made[0], made[1]);

        // For 24 hours.
        app.advance(Duration::from_secs(24 * 3600 - 1)).await;
        assert_eq!(app.mutate("requestCreate", create("k", "Once"), "request { number }").await["request"]["number"], 1);
        app.advance(Duration::from_secs(2)).await;
        assert_eq!(app.mutate("requestCreate", create("k", "Twice"), "request { number }").await["request"]["number"], 3);
    }

    async fn a_key_made_under_one_key_shows_its_secret_once(app: TestApp) {
        let input = json!({ "name": "Ada", "role": "AGENT", "idempotencyKey": "k", "expiresAt": "P30D" });
        let first = app.mutate("apiKeyCreate", input.clone(), "apiKey { id } secret").await;
        app.advance(Duration::from_secs(1)).await;
        let second = app.mutate("apiKeyCreate", input, "apiKey { id } secret").await;
        assert_eq!(first["apiKey"], second["apiKey"]);
        assert!(first["secret"].is_string() && second["secret"].is_null());
        let price = json!({ "model": "scripted", "input": "1", "output": "2.5", "idempotencyKey": "k" });
        let first = app.mutate("modelPriceSet", price.clone(), "modelPrice { id output }").await;
        app.advance(Duration::from_secs(1)).await;
        assert_eq!(app.mutate("modelPriceSet", price.clone(), "modelPrice { id output }").await, first);
        for rate in ["cacheRead", "cacheWriteShort", "cacheWriteLong", "input", "output"] {
            let mut other = price.clone();
            other[rate] = json!("0.7");
            refused(&app, "modelPriceSet", other, None, "IDEMPOTENCY_MISMATCH").await;
        }
    }

    async fn what_is_wrong_with_a_request_is_said_in_a_sentence(app: TestApp) {
        let worker = Coworker::new("worker").create(&app).await;
        let request = app.request("Where is it?").await["id"].take();
        let (long, longest) = ("x".repeat(301), "x".repeat(64 * 1024 + 1));
        let labels: Vec<String> = (0..21).map(|i| format!("label {i}")).collect();
        for (input, field, code) in [
            (json!({ "title": "" }), Some("title"), "REQUIRED"),
            (json!({ "title": " \n " }), Some("title"), "REQUIRED"),
            (json!({ "title": long }), Some("title"), "TOO_LONG"),
            (json!({ "title": "a\0b" }), Some("title"), "INVALID"),
            (json!({ "title": "a", "description": longest }), Some("description"), "TOO_LONG"),
            (json!({ "title": "a", "labels": labels }), Some("labels"), "TOO_LONG"),
            (json!({ "title": "a", "labels": [""] }), Some("labels"), "REQUIRED"),
            (json!({ "title": "a", "labels": ["x".repeat(61)] }), Some("labels"), "TOO_LONG"),
            (json!({ "title": "a", "assigneeId": absent("cow") }), None, "NOT_FOUND"),
            (json!({ "title": "a", "assigneeId": absent("per") }), None, "NOT_FOUND"),
            (json!({ "title": "a", "assigneeId": request }), Some("assigneeId"), "BAD_USER_INPUT"),
            (json!({ "title": "a", "assigneeId": "nonsense" }), Some("assigneeId"), "BAD_USER_INPUT"),
        ] {
            refused(&app, "requestCreate", input.clone(), field, code).await;
            // What can't be made can't be updated to either.
            let mut update = input;
            if update["title"] != "a" && update["title"] != json!(null) {
                update["id"] = request.clone();
                refused(&app, "requestUpdate", update, field, code).await;
            }
        }
        for (mutation, input, field, code) in [
            ("requestUpdate", json!({ "id": absent("req"), "title": "b" }), None, "NOT_FOUND"),
            ("requestUpdate", json!({ "id": worker.id, "title": "b" }), Some("id"), "BAD_USER_INPUT"),
            ("requestAssign", json!({ "id": absent("req"), "assigneeId": worker.id }), None, "NOT_FOUND"),
            ("requestAssign", json!({ "id": request, "assigneeId": absent("cow") }), None, "NOT_FOUND"),
            ("requestAssign", json!({ "id": request, "assigneeId": "" }), Some("assigneeId"), "BAD_USER_INPUT"),
            ("requestAssign", json!({ "id": request, "assigneeId": worker.id, "reason": "a\0b" }), Some("reason"), "INVALID"),
            ("requestAssign", json!({ "id": request, "assigneeId": worker.id, "reason": longest }), Some("reason"), "TOO_LONG"),
            ("noteCreate", json!({ "requestId": absent("req"), "body": "b" }), None, "NOT_FOUND"),
            ("noteCreate", json!({ "requestId": "REQ-1", "body": "b" }), Some("requestId"), "BAD_USER_INPUT"),
            ("noteCreate", json!({ "requestId": request, "body": " " }), Some("body"), "REQUIRED"),
            ("noteCreate", json!({ "requestId": request, "body": longest }), Some("body"), "TOO_LONG"),
            ("noteCreate", json!({ "requestId": request, "body": "a\0b" }), Some("body"), "INVALID"),
            ("runStop", json!({ "id": absent("run") }), None, "NOT_FOUND"),
            ("runStop", json!({ "id": request }), Some("id"), "BAD_USER_INPUT"),
            ("runStop", json!({ "id": absent("run"), "reason": "a\0b" }), Some("reason"), "INVALID"),
            ("apiKeyCreate", json!({ "name": "", "role": "AGENT" }), Some("name"), "REQUIRED"),
            ("apiKeyCreate", json!({ "name": "a\0b", "role": "AGENT" }), Some("name"), "INVALID"),
            ("apiKeyCreate", json!({ "name": "a", "role": "AGENT", "personId": absent("per") }), None, "NOT_FOUND"),
            ("apiKeyCreate", json!({ "name": "a", "role": "AGENT", "expiresAt": "2020-01-01T00:00:00Z" }), Some("expiresAt"), "INVALID"),
            ("apiKeyRevoke", json!({ "id": absent("key") }), None, "NOT_FOUND"),
            ("modelPriceSet", json!({ "model": "", "input": "1", "output": "1" }), Some("model"), "REQUIRED"),
            ("modelPriceSet", json!({ "model": "m", "input": "-1", "output": "1" }), Some("input"), "INVALID"),
            ("modelPriceSet", json!({ "model": "m", "input": "1", "output": "1000001" }), Some("output"), "INVALID"),
            ("modelPriceSet", json!({ "model": "m", "input": "1", "output": "1", "source": "x".repeat(201) }), Some("source"), "TOO_LONG"),
        ] {
            refused(&app, mutation, input, field, code).await;
        }
        assert_eq!(look::request(&app, &request).await["assignments"]["nodes"], json!([]));
        assert_eq!(app.gql("{ request(number: 1) { title } }", json!({})).await["request"]["title"], "Where is it?");
    }

    async fn what_is_wrong_with_a_coworker_is_said_in_a_sentence(app: TestApp) {
        let taken = Coworker::new("taken").create(&app).await;
        let with = |field: &str, value: Value| Coworker::new("worker").with(field, value).input();
        let longest = json!("x".repeat(64 * 1024 + 1));
        for (input, field, code) in [
            (with("handle", json!("taken")), "handle", "CONFLICT"),
            (with("handle", json!("No Spaces")), "handle", "INVALID"),
            (with("handle", json!("-edge-")), "handle", "INVALID"),
            (with("handle", json!("x")), "handle", "INVALID"),
            (with("name", json!("")), "name", "REQUIRED"),
            (with("name", json!("x".repeat(101))), "name", "TOO_LONG"),
            (with("identity", json!({ "role": " " })), "identity.role", "REQUIRED"),
            (with("goal", json!({ "purpose": "" })), "goal.purpose", "REQUIRED"),
            (with("goal", json!({ "purpose": "x", "endOfRun": [{ "when": "" }] })), "goal.endOfRun.when", "REQUIRED"),
            (with("soul", longest), "soul", "TOO_LONG"),
            (with("soul", json!("a\0b")), "soul", "INVALID"),
            (with("goal", json!({ "purpose": "x", "endOfRun": [{ "when": "a\0b" }] })), "goal.endOfRun.when", "INVALID"),
            (with("goal", json!({ "purpose": "x", "flow": ["a\0b"] })), "goal.flow", "INVALID"),
            (with("model", json!({ "provider": "Oracle" })), "model.provider", "INVALID"),
            (with("model", json!({ "provider": "oracle" })), "model.model", "REQUIRED"),
            (with("model", json!({ "provider": "oracle:m", "parameters": { "temperature": 3 } })), "model.parameters.temperature", "INVALID"),
            (with("limits", json!({ "maxTurns": 0 })), "limits.maxTurns", "INVALID"),
            (with("limits", json!({ "maxTurns": -1 })), "limits.maxTurns", "INVALID"),
            (with("limits", json!({ "maxToolCalls": -1 })), "limits.maxToolCalls", "INVALID"),
            (with("limits", json!({ "maxDuration": "PT0S" })), "limits.maxDuration", "INVALID"),
            (with("limits", json!({ "maxTokens": 0 })), "limits.maxTokens", "INVALID"),
            (with("limits", json!({ "maxCost": "0" })), "limits.maxCost", "INVALID"),
            (with("limits", json!({ "maxCost": "-1" })), "limits.maxCost", "INVALID"),
            (with("budget", json!({ "daily": "0" })), "budget.daily", "INVALID"),
            (with("budget", json!({ "monthly": "-1" })), "budget.monthly", "INVALID"),
        ] {
            refused(&app, "coworkerCreate", input, Some(field), code).await;
        }
        for (mutation, input, field, code) in [
            ("coworkerUpdate", json!({ "id": absent("cow"), "name": "b" }), None, "NOT_FOUND"),
            ("coworkerUpdate", json!({ "id": taken.id, "limits": { "maxTurns": 0 } }), Some("limits.maxTurns"), "INVALID"),
            ("coworkerPublish", json!({ "id": absent("cow") }), None, "NOT_FOUND"),
            ("coworkerUnpublish", json!({ "id": absent("cow") }), None, "NOT_FOUND"),
            ("coworkerUnpublish", json!({ "id": taken.id }), None, "NOT_PUBLISHED"),
            ("coworkerPublish", json!({ "id": absent("req") }), Some("id"), "BAD_USER_INPUT"),
        ] {
            refused(&app, mutation, input, field, code).await;
        }
    }

    async fn a_malformed_playbook_is_refused_with_its_line_and_column(app: TestApp) {
        for (playbook, place) in [
            ("", "line 1, column 1"),
            ("turns: []", "line 1, column 8"),
            ("turns:\n  - txet: Hello.\n", "line 2, column 5"),
            ("turns:\n  - text: Hello.\n    delay: soon\n", "line 3, column 12"),
            ("turns:\n  - text: Hello.\n - text: Bye.\n", "line 3"),
            ("turns:\n  - when: { trigger: SOMEHOW }\n    text: Hello.\n", "line 2, column 22"),
            ("tools:\n  - name: nodot\n    description: x\n    answers: [{ response: 1 }]\nturns: [{ text: x }]\n", "line 2, column 11"),
            ("turns: [{ text: \"{request.colour}\" }]", "line 1"),
        ] {
            let input = Coworker::new("worker").playbook(playbook).input();
            let before = look::counts(&app).await;
            let errors = app.refused("coworkerCreate", input).await;
            assert_eq!((&errors[0]["code"], &errors[0]["field"]), (&json!("INVALID_PLAYBOOK"), &json!("model.playbook")));
            let message = errors[0]["message"].as_str().expect("a message");
            assert!(message.contains(place), "{playbook:?}: {message}");
            a_sentence(&errors[0]["message"]);
            assert_eq!(look::counts(&app).await, before);
        }
    }

    async fn what_is_wrong_with_a_question_is_a_coded_error(app: TestApp) {
        let request = app.request("Where is it?").await["id"].take();
        let of_the_request = json!({ "id": request });
        for (query, variables, code) in [
            ("query ($id: ID!) { run(id: $id) { id } }", json!({ "id": absent("run") }), "NOT_FOUND"),
            ("query ($id: ID!) { run(id: $id) { id } }", of_the_request.clone(), "BAD_USER_INPUT"),
            ("query ($id: ID!) { node(id: $id) { id } }", json!({ "id": absent("note") }), "NOT_FOUND"),
            ("query ($id: ID!) { node(id: $id) { id } }", json!({ "id": "nonsense" }), "BAD_USER_INPUT"),
            ("{ run(number: 1) { id } }", json!({}), "NOT_FOUND"),
            ("{ request(number: 2147483647) { id } }", json!({}), "NOT_FOUND"),
            ("{ request { id } }", json!({}), "BAD_USER_INPUT"),
            ("query ($id: ID!) { request(id: $id, number: 1) { id } }", of_the_request.clone(), "BAD_USER_INPUT"),
            ("query ($handle: String) { coworker(handle: $handle) { id } }", json!({ "handle": "a\0b" }), "NOT_FOUND"),
            ("{ requests(first: 101) { nodes { id } } }", json!({}), "PAGE_TOO_LARGE"),
            ("{ requests(first: -1) { nodes { id } } }", json!({}), "BAD_USER_INPUT"),
            ("{ requests(first: 1, last: 1) { nodes { id } } }", json!({}), "BAD_USER_INPUT"),
            ("{ requests(after: \"nonsense\") { nodes { id } } }", json!({}), "INVALID_CURSOR"),
            ("{ runs(after: \"\") { nodes { id } } }", json!({}), "INVALID_CURSOR"),
            ("query ($id: ID!) { request(id: $id) { notes(last: 101) { nodes { id } } } }", of_the_request, "PAGE_TOO_LARGE"),
        ] {
            let errors = app.gql_errors(query, variables).await;
            assert_eq!(errors[0]["extensions"]["code"], code, "{query}: {errors:?}");
            a_sentence(&errors[0]["message"]);
            assert!(errors[0]["extensions"]["requestId"].is_string(), "{errors:?}");
        }
        // A text that no row can hold is no text to look for.
        for filter in [
            json!({ "title": { "eq": "a\0b" } }),
            json!({ "title": { "contains": "\0" } }),
            json!({ "title": { "startsWith": "\0" } }),
            json!({ "title": { "in": ["\0"] } }),
            json!({ "labels": { "has": "\0" } }),
        ] {
            let query = "query ($filter: RequestFilter) { requests(filter: $filter) { totalCount } }";
            let errors = app.gql_errors(query, json!({ "filter": filter })).await;
            assert_eq!(errors[0]["extensions"]["code"], "BAD_USER_INPUT", "{errors:?}");
            a_sentence(&errors[0]["message"]);
        }
    }
}
