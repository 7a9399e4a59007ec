//! When coworkers pass a request on without end.

use serde_json::{Value, json};
use tests::{Client, Coworker, TestApp, both_dbs};

use crate::look;

const REPLIES: &str = "turns: [{ calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: Looked., summary: I looked at it. } }] }]";

/// Three coworkers that pass every request on in a ring, and a request at the first.
async fn circle(app: &TestApp) -> Value {
    let first = Coworker::new("first")
        .playbook(&look::hands_to("second"))
        .publish(app)
        .await;
    Coworker::new("second")
        .playbook(&look::hands_to("third"))
        .publish(app)
        .await;
    Coworker::new("third")
        .playbook(&look::hands_to("first"))
        .publish(app)
        .await;
    let input = json!({ "title": "Whose is it?", "assigneeId": first.id });
    app.mutate("requestCreate", input, "request { id }").await["request"]["id"].take()
}

async fn settle(app: &TestApp, hops: i64, to: Option<&str>) {
    let input = json!({ "hopBudget": hops, "escalationAssigneeId": to });
    app.mutate("workspaceUpdate", input, "workspace { hopBudget }")
        .await;
}

/// The escalations on a request's timeline: to whom, and the numbers of the chain.
async fn escalations(client: &Client, request: &Value) -> Vec<(Value, Vec<Value>)> {
    let query = "query ($id: ID!) { request(id: $id) { timeline(last: 30) { nodes { ... on Escalated { to { displayName } chain { number coworker { handle } } } } } } }";
    let mut seen = client.gql(query, json!({ "id": request })).await;
    let nodes = look::list(seen["request"]["timeline"]["nodes"].take());
    let escalated = nodes.into_iter().filter(|node| node.get("chain").is_some());
    escalated
        .map(|mut node| {
            let chain = look::list(node["chain"].take());
            (
                node["to"]["displayName"].take(),
                chain
                    .into_iter()
                    .map(|mut run| run["number"].take())
                    .collect(),
            )
        })
        .collect()
}

both_dbs! {
    async fn past_the_hop_budget_a_request_goes_to_the_person_who_is_named(app: TestApp) {
        let me = app.gql("{ viewer { actor { id displayName } } }", json!({})).await["viewer"]["actor"].take();
        settle(&app, 4, me["id"].as_str()).await;
        let request = circle(&app).await;
        app.drain().await;
        look::sound(&app).await;
        assert_eq!(look::runs(&app).await.len(), 4, "a ring of three is a chain, though no two pass it back and forth");
        let seen = look::request(&app, &request).await;
        assert_eq!((&seen["assignee"]["displayName"], &seen["needsPerson"], &seen["status"]), (&me["displayName"], &json!(false), &json!("OPEN")));
        assert_eq!(escalations(&app, &request).await, [(me["displayName"].clone(), vec![json!(1), json!(2), json!(3), json!(4)])]);
        let timeline = look::timeline(&app, &request).await;
        let name = me["displayName"].as_str().expect("a name");
        assert_eq!(timeline[timeline.len() - 3..], ["DispatchDropped second HANDOFF HOP_LIMIT".to_owned(), format!("Assigned {name}"), format!("Escalated {name}")]);
        let reason = seen["assignments"]["nodes"][5]["reason"].clone();
        assert_eq!(reason, "Coworkers passed the request on in 4 runs without a person; the workspace allows 4.");
    }

    async fn a_coworker_that_it_is_escalated_to_settles_it_in_one_run(app: TestApp) {
        let last = Coworker::new("last").playbook(REPLIES).publish(&app).await;
        settle(&app, 4, Some(&last.id)).await;
        let request = circle(&app).await;
        app.drain().await;
        look::sound(&app).await;
        let runs = look::runs(&app).await;
        assert_eq!((runs.len(), &runs[4]["coworker"]["handle"], &runs[4]["trigger"]), (5, &json!("last"), &json!("ROUTED")));
        let seen = look::request(&app, &request).await;
        assert_eq!((&seen["assignee"]["displayName"], &seen["needsPerson"]), (&json!("last"), &json!(false)));
    }

    /// Escalating can't be a loop of its own.
    async fn a_coworker_that_passes_an_escalation_on_leaves_it_to_people(app: TestApp) {
        let last = Coworker::new("last").playbook(&look::hands_to("first")).publish(&app).await;
        settle(&app, 4, Some(&last.id)).await;
        let request = circle(&app).await;
        app.drain().await;
        look::sound(&app).await;
        assert_eq!(look::runs(&app).await.len(), 5);
        let seen = look::request(&app, &request).await;
        assert_eq!((&seen["assignee"], &seen["needsPerson"], &seen["status"]), (&Value::Null, &json!(true), &json!("OPEN")));
        let escalated = escalations(&app, &request).await;
        let numbers = |n: i64| (1..=n).map(Value::from).collect::<Vec<_>>();
        assert_eq!(escalated, [(json!("last"), numbers(4)), (Value::Null, numbers(5))]);
        // One of the ring itself is no way out either.
        let a = app.gql("{ coworker(handle: \"first\") { id } }", json!({})).await["coworker"]["id"].take();
        settle(&app, 4, a.as_str()).await;
        app.mutate("noteCreate", json!({ "requestId": request, "body": "Again." }), "").await;
        app.mutate("requestAssign", json!({ "id": request, "assigneeId": a }), "").await;
        app.drain().await;
        assert_eq!(look::runs(&app).await.len(), 10);
        assert_eq!(look::request(&app, &request).await["needsPerson"], true);
        // Nor is whoever has it already.
        settle(&app, 3, a.as_str()).await;
        app.mutate("requestAssign", json!({ "id": request, "assigneeId": a }), "").await;
        app.drain().await;
        assert_eq!(look::runs(&app).await.len(), 13);
        let seen = look::request(&app, &request).await;
        assert_eq!((&seen["assignee"], &seen["needsPerson"]), (&Value::Null, &json!(true)));
    }

    async fn who_is_not_published_any_more_gets_no_escalation(app: TestApp) {
        let last = Coworker::new("last").playbook(REPLIES).publish(&app).await;
        settle(&app, 2, Some(&last.id)).await;
        app.mutate("coworkerUnpublish", json!({ "id": last.id }), "").await;
        let request = circle(&app).await;
        app.drain().await;
        let seen = look::request(&app, &request).await;
        assert_eq!((&seen["assignee"], &seen["needsPerson"]), (&Value::Null, &json!(true)));
    }

    /// Decision 9: a touch is a note, an assignment or a status of a person's own; what a workflow does is none, and other changes are
    /// none either.
    async fn only_what_a_person_does_lets_coworkers_go_on(app: TestApp) {
        settle(&app, 2, None).await;
        let request = circle(&app).await;
        app.drain().await;
        let stands = async |runs: usize, needs_person: bool| {
            app.drain().await;
            assert_eq!(look::runs(&app).await.len(), runs);
            assert_eq!(look::request(&app, &request).await["needsPerson"], needs_person, "after {runs} runs");
        };
        stands(2, true).await;
        let first = app.gql("{ coworker(handle: \"first\") { id } }", json!({})).await["coworker"]["id"].take();
        let workflow = app.with_new_key(json!({ "name": "Nightly", "role": "AGENT", "kind": "WORKFLOW" })).await;
        let note = json!({ "requestId": request, "body": "Whose is it?" });
        let status = json!({ "id": request, "status": "IN_PROGRESS" });
        let assign = json!({ "id": request, "assigneeId": first });
        workflow.mutate("noteCreate", note.clone(), "").await;
        workflow.mutate("requestUpdate", status.clone(), "").await;
        workflow.mutate("requestAssign", assign.clone(), "").await;
        app.mutate("requestUpdate", json!({ "id": request, "priority": "HIGH", "labels": ["vpn"] }), "").await;
        stands(2, true).await;
        let seen = look::request(&app, &request).await;
        assert_eq!((&seen["assignee"], &seen["status"]), (&Value::Null, &json!("OPEN")), "what a workflow assigned is over the budget");
        for (i, (mutation, input)) in [("noteCreate", &note), ("requestUpdate", &status)].into_iter().enumerate() {
            app.mutate(mutation, input.clone(), "").await;
            stands(2 + 2 * i, false).await;
            workflow.mutate("requestAssign", assign.clone(), "").await;
            stands(4 + 2 * i, true).await;
        }
        app.mutate("requestAssign", assign, "").await;
        stands(8, true).await;
    }

    async fn settings_are_changed_one_by_one_and_checked(app: TestApp) {
        let worker = Coworker::new("worker").create(&app).await;
        let shown = "workspace { hopBudget escalationAssignee { kind displayName } }";
        let made = app.mutate("workspaceUpdate", json!({ "escalationAssigneeId": worker.id }), shown).await;
        assert_eq!(made["workspace"], json!({ "hopBudget": 12, "escalationAssignee": { "kind": "COWORKER", "displayName": "worker" } }));
        app.mutate("workspaceUpdate", json!({ "hopBudget": 3 }), "").await;
        let seen = app.gql("{ viewer { workspace { hopBudget escalationAssignee { displayName } } } }", json!({})).await;
        assert_eq!(seen["viewer"]["workspace"], json!({ "hopBudget": 3, "escalationAssignee": { "displayName": "worker" } }));
        let made = app.mutate("workspaceUpdate", json!({ "escalationAssigneeId": null }), shown).await;
        assert_eq!(made["workspace"], json!({ "hopBudget": 3, "escalationAssignee": null }));
        for (input, field, code) in [
            (json!({ "hopBudget": 0 }), "hopBudget", "INVALID"),
            (json!({ "hopBudget": 101 }), "hopBudget", "INVALID"),
            (json!({ "escalationAssigneeId": "req_1" }), "escalationAssigneeId", "BAD_USER_INPUT"),
        ] {
            let refused = app.refused("workspaceUpdate", input).await;
            assert_eq!((&refused[0]["field"], &refused[0]["code"]), (&json!(field), &json!(code)));
        }
        let refused = app.refused("workspaceUpdate", json!({ "escalationAssigneeId": format!("cow_{:032x}", 7) })).await;
        assert_eq!(refused[0]["code"], "NOT_FOUND");
    }
}
