//! A workspace with one of everything.

use serde_json::{Value, json};
use tests::{Client, Coworker, TestApp};

use crate::look;
use crate::receiver;
use crate::sender::{self, PagerDuty};

/// Things of a workspace that callers name.
pub struct Things {
    pub request: Value,
    pub own: Value,
    pub note: Value,
    pub assignment: Value,
    pub coworker: String,
    pub version: Value,
    pub skill: Value,
    pub skill_version: Value,
    pub run: Value,
    pub approval: Value,
    pub step: Value,
    pub event: Value,
    pub dispatch: Value,
    pub key: Value,
    pub person: Value,
    pub price: Value,
    pub endpoint: Value,
    pub delivery: Value,
    pub heard: Value,
    pub told: Value,
    pub alert: Value,
    pub server: Value,
    pub action: Value,
}

/// A workspace with one of everything; `own` is a request of `client`'s.
pub async fn furnish(app: &TestApp, admin: &Client, client: &Client) -> Things {
    let skill = json!({ "handle": "vpn", "name": "VPN", "text": "Turn it off." });
    let mut skill = admin
        .mutate("skillCreate", skill, "skill { id version { id } }")
        .await;
    let worker = Coworker::new("worker")
        .with("skills", json!(["vpn"]))
        .with("tools", json!([{ "server": "stint", "actions": [{ "name": "post_note", "approval": "ALWAYS" }] }]))
        .playbook("turns:\n  - calls: [{ tool: post_note, arguments: { visibility: PUBLIC, body: May I? } }]\n  - text: Done.\n")
        .publish(admin)
        .await;
    let input = json!({ "title": "Where is it?", "assigneeId": worker.id });
    let made = admin
        .mutate("requestCreate", input, "request { id requester { id } }")
        .await;
    let request = made["request"]["id"].clone();
    app.drain().await;
    let asked = admin.gql("{ approvals { nodes { id } } }", json!({})).await;
    let approval = asked["approvals"]["nodes"][0]["id"].clone();
    let denied = json!({ "approvalId": approval, "decision": "DENY" });
    admin.mutate("approvalDecide", denied, "").await;
    app.drain().await;
    let note = admin
        .mutate(
            "noteCreate",
            json!({ "requestId": request, "body": "Hello." }),
            "note { id }",
        )
        .await;
    let query = "query ($id: ID!) { request(id: $id) {
        assignments { nodes { id } }
        runs { nodes { id coworkerVersion { id } steps(first: 1) { nodes { id } } events(first: 1) { nodes { id } } } } } }";
    let mut seen = admin.gql(query, json!({ "id": request })).await["request"].take();
    let mut run = seen["runs"]["nodes"][0].take();
    admin
        .mutate("coworkerUnpublish", json!({ "id": worker.id }), "")
        .await;
    admin
        .mutate(
            "requestAssign",
            json!({ "id": request, "assigneeId": null }),
            "",
        )
        .await;
    admin
        .mutate(
            "requestAssign",
            json!({ "id": request, "assigneeId": worker.id }),
            "",
        )
        .await;
    let query = "query ($id: ID!) { request(id: $id) { timeline { nodes { ... on DispatchDropped { dispatch { id } } } } } }";
    let timeline = look::list(
        admin.gql(query, json!({ "id": request })).await["request"]["timeline"]["nodes"].take(),
    );
    let dispatch = timeline
        .iter()
        .find_map(|entry| entry.pointer("/dispatch/id"))
        .expect("it was dropped")
        .clone();
    admin
        .mutate("coworkerPublish", json!({ "id": worker.id }), "")
        .await;
    let key = admin
        .mutate(
            "apiKeyCreate",
            json!({ "name": "Spare", "role": "ANALYST" }),
            "apiKey { id }",
        )
        .await;
    let price = admin
        .mutate(
            "modelPriceSet",
            json!({ "model": "other", "input": "1", "output": "2" }),
            "modelPrice { id }",
        )
        .await;
    let pagerduty = PagerDuty::new(admin).await;
    pagerduty.deliver(b"{}", &[]).await;
    pagerduty
        .send(&sender::incident(
            "01",
            "incident.triggered",
            "P1",
            "triggered",
        ))
        .await;
    let log = pagerduty.log().await;
    let told =
        json!({ "name": "Desk", "url": "http://127.0.0.1:1/", "kinds": ["REQUEST_RESOLVED"] });
    let told = admin
        .mutate("alertEndpointCreate", told, "alertEndpoint { id }")
        .await["alertEndpoint"]["id"]
        .take();
    let resolved = json!({ "id": request, "status": "RESOLVED" });
    admin.mutate("requestUpdate", resolved, "").await;
    let told = receiver::Endpoint {
        id: told,
        secret: String::new(),
    };
    // It can't be reached: once that was tried, nothing more happens to it.
    let tried = |one: &Value| one["attemptCount"] == 1;
    let alert = receiver::until_delivery(admin, &told, tried).await["id"].take();
    let server = json!({ "name": "desk", "kind": "HTTP", "tools": [
        { "name": "get", "description": "Gets.", "url": "https://desk.example.com/", "parameters": {} },
    ] });
    let server = admin
        .mutate(
            "toolServerCreate",
            server,
            "toolServer { id actions { id } }",
        )
        .await;
    let secret = json!({ "name": "DESK", "value": "a secret value" });
    admin.mutate("secretSet", secret, "").await;
    let own = client
        .post(
            "mutation { requestCreate(input: { title: \"Mine\" }) { request { id } } }",
            json!({}),
        )
        .await;
    app.drain().await;
    Things {
        own: own.body["data"]["requestCreate"]["request"]["id"].clone(),
        note: note["note"]["id"].clone(),
        assignment: seen["assignments"]["nodes"][0]["id"].take(),
        version: run["coworkerVersion"]["id"].take(),
        skill_version: skill["skill"]["version"]["id"].take(),
        skill: skill["skill"]["id"].take(),
        step: run["steps"]["nodes"][0]["id"].take(),
        event: run["events"]["nodes"][0]["id"].take(),
        run: run["id"].take(),
        approval,
        key: key["apiKey"]["id"].clone(),
        person: made["request"]["requester"]["id"].clone(),
        price: price["modelPrice"]["id"].clone(),
        endpoint: json!(pagerduty.id),
        delivery: log[0]["id"].clone(),
        heard: log[1]["id"].clone(),
        told: told.id,
        alert,
        server: server["toolServer"]["id"].clone(),
        action: server["toolServer"]["actions"][0]["id"].clone(),
        coworker: worker.id,
        request,
        dispatch,
    }
}
