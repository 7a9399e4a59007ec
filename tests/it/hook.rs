//! Webhooks in: an event of an outside system makes at most one request (R09–R11, G16), whoever sends what, however often.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tests::client::Answer;
use tests::{Client, Coworker, TestApp, both_dbs};

use crate::look;

/// The secret that PagerDuty showed.
const SECRET: &str = "AJ5zRZMXNz1xSTO6pVNs8GVHlHOWUQ7";

/// A PagerDuty webhook subscription.
pub struct PagerDuty {
    admin: Client,
    /// The endpoint's global id.
    pub id: String,
    path: String,
}

impl PagerDuty {
    /// A subscription of the first workspace.
    pub async fn new(app: &TestApp) -> Self {
        Self::of(app, app).await
    }

    /// A subscription of `admin`'s workspace.
    pub async fn of(_: &TestApp, admin: &Client) -> Self {
        let input = json!({ "name": "PagerDuty", "kind": "PAGERDUTY", "secret": SECRET });
        let made = admin
            .mutate("webhookEndpointCreate", input, "webhookEndpoint { id path } secret")
            .await;
        assert_eq!(made["secret"], Value::Null, "it was given, so it is not shown");
        Self {
            admin: admin.clone(),
            id: text(&made["webhookEndpoint"]["id"]),
            path: text(&made["webhookEndpoint"]["path"]),
        }
    }

    /// Delivers a payload as PagerDuty does.
    pub async fn send(&self, payload: &Value) -> Answer {
        self.send_signed(payload, &[SECRET]).await
    }

    async fn send_signed(&self, payload: &Value, secrets: &[&str]) -> Answer {
        let body = payload.to_string().into_bytes();
        let signatures: Vec<_> = secrets.iter().map(|secret| format!("v1={}", hex(&tag(secret.as_bytes(), &[&body])))).collect();
        let message = format!("message of {}", payload["event"]["id"]);
        self.deliver(&body, &[("X-PagerDuty-Signature", &signatures.join(",")), ("X-Webhook-Id", &message)]).await
    }

    /// Delivers these bytes under these headers.
    pub async fn deliver(&self, body: &[u8], headers: &[(&str, &str)]) -> Answer {
        deliver(&self.admin, &self.path, body, headers).await
    }

    /// Everything that came, oldest first.
    pub async fn log(&self) -> Vec<Value> {
        log(&self.admin, &self.id).await
    }
}

async fn deliver(client: &Client, path: &str, body: &[u8], headers: &[(&str, &str)]) -> Answer {
    let request = client.with_key(None).request(path).header("content-type", "application/json").body(body.to_vec());
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    client.send(request).await
}

/// The log of an endpoint, oldest first.
async fn log(client: &Client, id: &str) -> Vec<Value> {
    let query = "query ($id: ID!, $after: String) { node(id: $id) { ... on WebhookEndpoint { deliveries(first: 50, after: $after) {
        pageInfo { hasNextPage endCursor }
        nodes { id outcome refusal reason verified eventId eventType subject messageId size raw payload request { number } } } } } }";
    let mut all = look::pages(client, query, json!({ "id": id }), "/node/deliveries").await;
    all.reverse();
    all
}

fn outcomes(log: &[Value]) -> Vec<String> {
    log.iter().map(|line| line["refusal"].as_str().or(line["outcome"].as_str()).expect("a word").to_owned()).collect()
}

fn tag(secret: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// An event in the form of PagerDuty's documentation, which happened `second` seconds after the hour.
fn event(id: &str, kind: &str, second: u32, data: Value) -> Value {
    json!({ "event": {
        "id": id, "event_type": kind, "resource_type": "incident",
        "occurred_at": format!("2020-10-02T18:45:{second:02}.169Z"),
        "agent": {
            "html_url": "https://acme.pagerduty.com/users/PLH1HKV", "id": "PLH1HKV", "self": "https://api.pagerduty.com/users/PLH1HKV",
            "summary": "Tenex Engineer", "type": "user_reference"
        },
        "client": { "name": "PagerDuty" },
        "data": data
    } })
}

fn data(incident: &str, status: &str) -> Value {
    let reference = |kind: &str, id: &str, summary: &str| json!({
        "html_url": format!("https://acme.pagerduty.com/{kind}/{id}"), "id": id,
        "self": format!("https://api.pagerduty.com/{kind}/{id}"), "summary": summary, "type": format!("{kind}_reference") });
    json!({
        "id": incident, "type": "incident", "self": format!("https://api.pagerduty.com/incidents/{incident}"),
        "html_url": format!("https://acme.pagerduty.com/incidents/{incident}"), "number": 2, "status": status,
        "incident_key": "d3640fbd41094207a1c11e58e46b1662", "created_at": "2020-04-09T15:16:27Z", "title": "A little bump in the road — größer",
        "service": reference("service", "PF9KMXH", "API Service"), "assignees": [reference("user", "PTUXL6G", "User 123")],
        "escalation_policy": reference("escalation_policy", "PUS0KTE", "Default"), "teams": [reference("team", "PFCVPS0", "Engineering")],
        "priority": reference("priority", "PSO75BM", "P2"), "urgency": "high",
        "conference_bridge": { "conference_number": "+1 1234123412,,987654321#", "conference_url": "https://example.com" },
        "resolve_reason": null
    })
}

/// An event that carries the whole incident; its id says when it happened.
pub fn incident(id: &str, kind: &str, incident: &str, status: &str) -> Value {
    let second = id.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0);
    event(id, kind, second % 60, data(incident, status))
}

fn note(id: &str, incident: &str, content: &str) -> Value {
    let reference = json!({ "html_url": format!("https://acme.pagerduty.com/incidents/{incident}"), "id": incident,
        "self": format!("https://api.pagerduty.com/incidents/{incident}"), "summary": "A little bump in the road", "type": "incident_reference" });
    event(id, "incident.annotated", 30, json!({ "incident": reference, "id": "P2LA89X", "content": content, "trimmed": false, "type": "incident_note" }))
}

/// All requests, oldest first.
async fn requests(client: &Client) -> Vec<Value> {
    let query = "query ($after: String) { requests(first: 20, after: $after, order: [{ number: ASC }]) { pageInfo { hasNextPage endCursor } nodes {
        id number title description status priority source labels requester { __typename id kind displayName } assignee { displayName }
        deliveries(first: 20) { nodes { outcome eventType endpointName raw } } } } }";
    look::pages(client, query, json!({}), "/requests").await
}

async fn only_request(client: &Client) -> Value {
    let mut all = requests(client).await;
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

/// The outcome of a delivery that was taken.
fn outcome(answer: &Answer) -> &str {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["outcome"].as_str().expect("an outcome")
}

/// The status and code of a delivery that was refused, in one sentence.
fn refused(answer: &Answer) -> (u16, &str) {
    let error = &answer.body["errors"][0];
    let message = error["message"].as_str().expect("a sentence");
    assert!(message.ends_with('.') && message.len() < 300, "{message}");
    (answer.status, error["extensions"]["code"].as_str().expect("a code"))
}

/// Declines whatever comes.
const DECLINES: &str = "turns: [{ calls: [{ tool: finish, arguments: { outcome: DECLINED, reason: Not mine., summary: I looked. } }] }]";

both_dbs! {
    /// R11: a signed PagerDuty v3 webhook makes one request, with all that it says, and Triage gets it.
    async fn a_triggered_incident_makes_a_request_that_runs(app: TestApp) {
        Coworker::new("triage").triage().playbook(DECLINES).publish(&app).await;
        let pagerduty = PagerDuty::new(&app).await;
        let payload = incident("01", "incident.triggered", "PGR0VU2", "triggered");
        let answer = pagerduty.send(&payload).await;
        assert_eq!((outcome(&answer), &answer.body["request"]), ("REQUEST_MADE", &json!("REQ-1")));
        assert_eq!(answer.body["message"], "It made REQ-1.");
        app.drain().await;

        let request = only_request(&app).await;
        assert_eq!(request["title"], "A little bump in the road — größer");
        assert_eq!((&request["source"], &request["priority"], &request["labels"]), (&json!("SYSTEM"), &json!("HIGH"), &json!(["pagerduty", "API Service"])));
        let requester = &request["requester"];
        assert_eq!((&requester["__typename"], &requester["kind"], &requester["displayName"]), (&json!("System"), &json!("SYSTEM"), &json!("PagerDuty")));
        let node = app.gql("query ($id: ID!) { node(id: $id) { ... on System { displayName } } }", json!({ "id": requester["id"] })).await;
        assert_eq!(node["node"]["displayName"], "PagerDuty");
        let description = text(&request["description"]);
        for part in ["[#2](https://acme.pagerduty.com/incidents/PGR0VU2)", "- Service: API Service", "- Priority: P2", "- Assigned to: User 123", "- Teams: Engineering"] {
            assert!(description.contains(part), "{description}");
        }
        // The payload stays readable on it, to the byte, and its coworker reads it too.
        assert_eq!(request["deliveries"]["nodes"], json!([{ "outcome": "REQUEST_MADE", "eventType": "incident.triggered", "endpointName": "PagerDuty", "raw": payload.to_string() }]));
        let run = look::only_run(&app).await;
        assert_eq!((&run["trigger"], &run["outcome"]), (&json!("INTAKE"), &json!("DECLINED")));
        let read = number_of_parts_with(&app, "d3640fbd41094207a1c11e58e46b1662").await;
        assert_eq!(read, 1, "the prompt holds the payload");
        let timeline = look::timeline(&app, &request["id"]).await;
        assert_eq!(timeline, ["RequestCreated", "Assigned triage", "RunStarted Run-1", "RunEnded Run-1"]);
    }

    async fn later_events_of_an_incident_update_the_same_request(app: TestApp) {
        let pagerduty = PagerDuty::new(&app).await;
        let mut priority = incident("03", "incident.priority_updated", "P1", "acknowledged");
        priority["event"]["data"]["priority"]["summary"] = json!("P1");
        let mut update = note("05", "P1", "");
        update["event"]["event_type"] = json!("incident.status_update_published");
        update["event"]["data"] = json!({ "incident": { "id": "P1", "type": "incident_reference" }, "id": "P2LA89X", "message": "A fix is being developed", "trimmed": false, "type": "incident_status_update" });
        for (payload, expected, status) in [
            (incident("01", "incident.triggered", "P1", "triggered"), "REQUEST_MADE", "OPEN"),
            (incident("02", "incident.acknowledged", "P1", "acknowledged"), "REQUEST_UPDATED", "IN_PROGRESS"),
            (priority, "REQUEST_UPDATED", "IN_PROGRESS"),
            (note("04", "P1", "I sure am glad we are using PagerDuty!"), "REQUEST_UPDATED", "IN_PROGRESS"),
            (update, "REQUEST_UPDATED", "IN_PROGRESS"),
            (incident("06", "incident.unacknowledged", "P1", "triggered"), "REQUEST_UPDATED", "OPEN"),
            (incident("07", "incident.escalated", "P1", "triggered"), "RECORDED", "OPEN"),
            (incident("08", "incident.something_new", "P1", "triggered"), "RECORDED", "OPEN"),
            (incident("09", "incident.acknowledged", "P1", "acknowledged"), "REQUEST_UPDATED", "IN_PROGRESS"),
            (incident("10", "incident.resolved", "P1", "resolved"), "REQUEST_UPDATED", "RESOLVED"),
            (incident("11", "incident.acknowledged", "P1", "acknowledged"), "RECORDED", "RESOLVED"),
            (incident("12", "incident.reopened", "P1", "triggered"), "REQUEST_UPDATED", "OPEN"),
            (incident("13", "incident.resolved", "P1", "resolved"), "REQUEST_UPDATED", "RESOLVED"),
        ] {
            let answer = pagerduty.send(&payload).await;
            assert_eq!(outcome(&answer), expected, "{}: {}", payload["event"]["event_type"], answer.body);
            assert_eq!(answer.body["request"], "REQ-1");
            let request = only_request(&app).await;
            assert_eq!(request["status"], status, "{}", payload["event"]["event_type"]);
        }
        let request = only_request(&app).await;
        assert_eq!(request["priority"], "URGENT");
        assert_eq!(request["deliveries"]["nodes"].as_array().map(Vec::len), Some(13));
        let seen = look::request(&app, &request["id"]).await;
        assert_eq!(look::notes(&seen, "PUBLIC"), [
            "**Tenex Engineer** in PagerDuty:\n\nI sure am glad we are using PagerDuty!",
            "**Tenex Engineer** in a PagerDuty status update:\n\nA fix is being developed",
        ]);
        assert_eq!(seen["notes"]["nodes"][0]["author"], json!({ "kind": "SYSTEM", "displayName": "PagerDuty" }));
        let timeline = look::timeline(&app, &request["id"]).await;
        assert_eq!(timeline, [
            "RequestCreated", "StatusChanged OPEN IN_PROGRESS", "NotePosted PUBLIC", "NotePosted PUBLIC", "StatusChanged IN_PROGRESS OPEN",
            "StatusChanged OPEN IN_PROGRESS", "StatusChanged IN_PROGRESS RESOLVED", "StatusChanged RESOLVED OPEN", "StatusChanged OPEN RESOLVED",
        ]);
        // Another incident is another request, and what concerns none makes none.
        assert_eq!(outcome(&pagerduty.send(&incident("14", "incident.triggered", "P2", "triggered")).await), "REQUEST_MADE");
        let service = json!({ "event": { "id": "15", "event_type": "service.updated", "resource_type": "service", "occurred_at": "2021-03-02T13:35:11.682Z",
            "agent": null, "client": null, "data": { "id": "PF9KMXH", "type": "service", "summary": "testing service updates" } } });
        assert_eq!(outcome(&pagerduty.send(&service).await), "IGNORED");
        let ping = event("16", "pagey.ping", 0, json!({ "message": "Hello from your friend Pagey!", "type": "ping" }));
        assert_eq!(outcome(&pagerduty.send(&ping).await), "IGNORED");
        assert_eq!(requests(&app).await.len(), 2);
    }

    async fn a_reopened_incident_goes_to_its_coworker_again(app: TestApp) {
        Coworker::new("triage").triage().playbook(DECLINES).publish(&app).await;
        let pagerduty = PagerDuty::new(&app).await;
        pagerduty.send(&incident("01", "incident.triggered", "P1", "triggered")).await;
        app.drain().await;
        pagerduty.send(&incident("02", "incident.resolved", "P1", "resolved")).await;
        assert_eq!(look::runs(&app).await.len(), 1, "a resolution starts nothing");
        pagerduty.send(&incident("03", "incident.reopened", "P1", "triggered")).await;
        app.drain().await;
        let runs = look::runs(&app).await;
        assert_eq!((runs.len(), &runs[1]["trigger"]), (2, &json!("ASSIGNED")));

        // A request that is closed for good stays so; the incident goes on as another one.
        let first = only_request(&app).await["id"].take();
        app.mutate("requestUpdate", json!({ "id": first, "status": "CLOSED" }), "").await;
        let answer = pagerduty.send(&incident("04", "incident.resolved", "P1", "resolved")).await;
        assert_eq!((outcome(&answer), &answer.body["message"]), ("RECORDED", &json!("It was recorded on REQ-1. The request is closed for good.")));
        let answer = pagerduty.send(&incident("05", "incident.reopened", "P1", "triggered")).await;
        assert_eq!((outcome(&answer), &answer.body["request"]), ("REQUEST_MADE", &json!("REQ-2")));
        let answer = pagerduty.send(&incident("06", "incident.resolved", "P1", "resolved")).await;
        assert_eq!(answer.body["request"], "REQ-2");
        app.drain().await;
        look::sound(&app).await;
    }

    /// A note in PagerDuty is the requester's answer, if a coworker waits for one.
    async fn a_note_in_pagerduty_answers_a_coworkers_question(app: TestApp) {
        Coworker::new("triage").triage().playbook("
turns:
  - when: { trigger: REPLY, note_contains: eu-west }
    calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: I know now., summary: It is eu-west. } }]
  - when: { trigger: INTAKE }
    calls: [{ tool: ask_requester, arguments: { question: Which region? } }]
  - when: { result_of: ask_requester, result_failed: false }
    calls: [{ tool: finish, arguments: { outcome: AWAITING_REPLY, reason: I need the region., summary: I asked for the region. } }]
").publish(&app).await;
        let pagerduty = PagerDuty::new(&app).await;
        pagerduty.send(&incident("01", "incident.triggered", "P1", "triggered")).await;
        app.drain().await;
        assert_eq!(only_request(&app).await["status"], "PENDING");
        pagerduty.send(&note("02", "P1", "It is eu-west.")).await;
        app.drain().await;
        let runs = look::runs(&app).await;
        assert_eq!((runs.len(), &runs[1]["trigger"], &runs[1]["outcome"]), (2, &json!("REPLY"), &json!("REPLIED")), "{runs:#?}");
        look::sound(&app).await;
    }

    /// G16: 50 copies of an event at the same moment make one request.
    async fn copies_that_come_at_once_make_one_request(app: TestApp) {
        let pagerduty = PagerDuty::new(&app).await;
        let payload = incident("01", "incident.triggered", "P1", "triggered");
        let answers = join_all((0..50).map(|_| pagerduty.send(&payload))).await;
        let mut made = 0;
        for answer in &answers {
            match outcome(answer) {
                "REQUEST_MADE" => made += 1,
                "DUPLICATE" => {}
                other => panic!("{other}"),
            }
        }
        assert_eq!(made, 1);
        only_request(&app).await;
        let log = pagerduty.log().await;
        assert_eq!(log.iter().filter(|line| line["outcome"] == "DUPLICATE").count(), 49);
        assert!(log.iter().all(|line| line["request"]["number"] == 1 && line["eventId"] == "01" && line["messageId"] == "message of \"01\""), "{log:#?}");

        // So do the events of many incidents, each several times, all mixed.
        let payloads: Vec<_> = (0..20).flat_map(|n| {
            let id = format!("P{n}x");
            [incident(&format!("a{n}"), "incident.triggered", &id, "triggered"), incident(&format!("b{n}"), "incident.acknowledged", &id, "acknowledged"), note(&format!("c{n}"), &id, "Looking.")]
        }).collect();
        let copies = payloads.iter().chain(&payloads).chain(payloads.iter().rev());
        for answer in join_all(copies.map(|payload| pagerduty.send(payload))).await {
            outcome(&answer);
        }
        let all = requests(&app).await;
        assert_eq!(all.len(), 21);
        for request in &all[1..] {
            assert_eq!(request["status"], "IN_PROGRESS", "whether the acknowledgement came before or after: {request:#}");
        }
        look::sound(&app).await;
    }

    async fn a_delivery_repeated_for_a_month_counts_once(app: TestApp) {
        let pagerduty = PagerDuty::new(&app).await;
        let payload = incident("01", "incident.triggered", "P1", "triggered");
        assert_eq!(outcome(&pagerduty.send(&payload).await), "REQUEST_MADE");
        for _ in 0..3 {
            app.advance(Duration::from_secs(15 * 86_400)).await;
            assert_eq!(outcome(&pagerduty.send(&payload).await), "DUPLICATE");
        }
        app.restart().await;
        assert_eq!(outcome(&pagerduty.send(&payload).await), "DUPLICATE");
        only_request(&app).await;
        // The same id from another sender is another event.
        let other = PagerDuty::new(&app).await;
        assert_eq!(outcome(&other.send(&payload).await), "REQUEST_MADE");
    }

    async fn events_that_come_in_the_wrong_order_end_where_the_right_one_does(app: TestApp) {
        let pagerduty = PagerDuty::new(&app).await;
        let mut priority = incident("03", "incident.priority_updated", "P1", "acknowledged");
        priority["event"]["data"]["priority"] = json!({ "summary": "P1" });
        for payload in [incident("04", "incident.resolved", "P1", "resolved"), priority, incident("02", "incident.acknowledged", "P1", "acknowledged")] {
            assert_eq!(outcome(&pagerduty.send(&payload).await), "IGNORED");
        }
        assert_eq!(requests(&app).await.len(), 0);
        assert_eq!(outcome(&pagerduty.send(&incident("01", "incident.triggered", "P1", "triggered")).await), "REQUEST_MADE");
        let request = only_request(&app).await;
        assert_eq!((&request["status"], &request["priority"]), (&json!("RESOLVED"), &json!("URGENT")));
        let seen: Vec<_> = request["deliveries"]["nodes"].as_array().expect("deliveries").iter().map(|one| one["eventType"].as_str().expect("a type")).collect();
        assert_eq!(seen, ["incident.resolved", "incident.priority_updated", "incident.acknowledged", "incident.triggered"], "what came before is on it too");
        // A later event that is older changes nothing.
        let late = incident("03", "incident.reopened", "P1", "triggered");
        let late = { let mut late = late; late["event"]["id"] = json!("late"); late };
        let answer = pagerduty.send(&late).await;
        assert_eq!((outcome(&answer), &answer.body["message"]), ("RECORDED", &json!("It was recorded on REQ-1. A later event about it came before this one.")));
        assert_eq!(only_request(&app).await["status"], "RESOLVED");

        // And a request that is resolved before anyone could look starts no run.
        Coworker::new("triage").triage().playbook(DECLINES).publish(&app).await;
        pagerduty.send(&incident("06", "incident.resolved", "P2", "resolved")).await;
        pagerduty.send(&incident("05", "incident.triggered", "P2", "triggered")).await;
        app.drain().await;
        assert_eq!(look::runs(&app).await.len(), 0);
        let second = &requests(&app).await[1];
        let timeline = look::timeline(&app, &second["id"]).await;
        assert_eq!(timeline.last().map(String::as_str), Some("DispatchDropped triage INTAKE REQUEST_CLOSED"), "{timeline:?}");
    }

    async fn what_is_not_from_the_sender_changes_nothing_and_is_logged(app: TestApp) {
        let pagerduty = PagerDuty::new(&app).await;
        let payload = incident("01", "incident.triggered", "P1", "triggered");
        let body = payload.to_string();
        let signature = format!("v1={}", hex(&tag(SECRET.as_bytes(), &[body.as_bytes()])));
        let signed = |value: &str| vec![("X-PagerDuty-Signature", value.to_owned())];
        let tampered = body.replace("bump", "dump");
        let spaced = body.replacen(':', ": ", 1);
        for (bytes, headers, expected) in [
            (body.as_str(), vec![], (401, "SIGNATURE_MISSING")),
            (body.as_str(), signed(""), (401, "SIGNATURE_MISSING")),
            (body.as_str(), signed(&signature.replace("v1=", "v0=")), (401, "SIGNATURE_INVALID")),
            (body.as_str(), signed("v1=00"), (401, "SIGNATURE_INVALID")),
            (tampered.as_str(), signed(&signature), (401, "SIGNATURE_INVALID")),
            (spaced.as_str(), signed(&signature), (401, "SIGNATURE_INVALID")),
        ] {
            let before = look::counts(&app).await;
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let answer = pagerduty.deliver(bytes.as_bytes(), &headers).await;
            assert_eq!(refused(&answer), expected);
            let mut expected = before;
            *expected.get_mut("webhook_delivery").expect("a table") += 1;
            assert_eq!(look::counts(&app).await, expected, "only the log grows");
        }
        let log = pagerduty.log().await;
        assert!(log.iter().all(|line| line["outcome"] == "REFUSED" && line["verified"] == false && line["raw"].is_null() && line["size"] != 0), "{log:#?}");
        assert!(log.iter().all(|line| line["reason"].as_str().is_some_and(|reason| reason.ends_with('.'))));

        // Signed, and nonsense all the same.
        let sign = |body: &[u8]| format!("v1={}", hex(&tag(SECRET.as_bytes(), &[body])));
        for (body, expected) in [
            (b"this is no JSON".as_slice(), (400, "NOT_JSON")),
            (b"", (400, "NOT_JSON")),
            (b"\xff\xfe", (400, "NOT_JSON")),
            (b"{\"event\":{\"id\":\"1\",", (400, "NOT_JSON")),
            (b"{}", (422, "NOT_UNDERSTOOD")),
            (b"[1]", (422, "NOT_UNDERSTOOD")),
            (b"{\"event\":{\"id\":\"\",\"event_type\":\"incident.triggered\",\"data\":{\"type\":\"incident\",\"id\":\"P1\"}}}", (422, "NOT_UNDERSTOOD")),
        ] {
            let answer = pagerduty.deliver(body, &[("X-PagerDuty-Signature", &sign(body))]).await;
            assert_eq!(refused(&answer), expected, "{}", String::from_utf8_lossy(body));
        }
        let log = pagerduty.log().await;
        assert_eq!(log[6]["raw"], "this is no JSON");
        assert_eq!((&log[6]["payload"], &log[8]["raw"], &log[6]["verified"]), (&Value::Null, &Value::Null, &json!(true)));
        assert_eq!(requests(&app).await.len(), 0);
        // What was refused once is welcome when it is right.
        assert_eq!(outcome(&pagerduty.send(&payload).await), "REQUEST_MADE");
    }

    async fn addresses_that_take_nothing_say_so(app: TestApp) {
        let pagerduty = PagerDuty::new(&app).await;
        let payload = incident("01", "incident.triggered", "P1", "triggered");
        for path in [format!("/hooks/whe_{:032x}", 7), "/hooks/whe_7".into(), "/hooks/run_1".into(), "/hooks/%00".into()] {
            let answer = deliver(&app, &path, payload.to_string().as_bytes(), &[]).await;
            assert_eq!(refused(&answer), (404, "NOT_FOUND"), "{path}");
        }
        app.mutate("webhookEndpointUpdate", json!({ "id": pagerduty.id, "enabled": false }), "webhookEndpoint { enabled }").await;
        assert_eq!(refused(&pagerduty.send(&payload).await), (410, "DISABLED"));
        app.mutate("webhookEndpointUpdate", json!({ "id": pagerduty.id, "enabled": true }), "webhookEndpoint { enabled }").await;
        let large = vec![b'x'; (512 << 10) + 1];
        assert_eq!(refused(&pagerduty.deliver(&large, &[]).await), (413, "TOO_LARGE"));
        let largest = vec![b'x'; 512 << 10];
        assert_eq!(refused(&pagerduty.deliver(&largest, &[]).await), (401, "SIGNATURE_MISSING"));
        let log = pagerduty.log().await;
        assert_eq!(outcomes(&log), ["DISABLED", "TOO_LARGE", "SIGNATURE_MISSING"]);
        assert_eq!((&log[1]["size"], &log[2]["size"]), (&json!((512 << 10) + 1), &json!(512 << 10)));
        // It takes nothing but POST.
        let answer = reqwest::get(app.url(&pagerduty.path)).await.expect("an answer");
        assert_eq!((answer.status().as_u16(), answer.headers()["allow"].to_str().unwrap()), (405, "POST"));

        let input = json!({ "name": "Later", "kind": "PAGERDUTY" });
        let made = app.mutate("webhookEndpointCreate", input, "webhookEndpoint { id path secrets { createdAt } } secret").await;
        assert_eq!((&made["secret"], &made["webhookEndpoint"]["secrets"]), (&Value::Null, &json!([])));
        let later = PagerDuty { admin: (*app).clone(), id: text(&made["webhookEndpoint"]["id"]), path: text(&made["webhookEndpoint"]["path"]) };
        assert_eq!(refused(&later.send(&payload).await), (401, "NO_SECRET"));
        let required = app.refused("webhookEndpointSecretRotate", json!({ "id": later.id })).await;
        assert_eq!((&required[0]["code"], &required[0]["field"]), (&json!("REQUIRED"), &json!("secret")));
        app.mutate("webhookEndpointSecretRotate", json!({ "id": later.id, "secret": SECRET }), "").await;
        assert_eq!(outcome(&later.send(&payload).await), "REQUEST_MADE");
    }

    async fn the_log_of_refusals_is_bounded(app: TestApp) {
        let pagerduty = PagerDuty::new(&app).await;
        let answers = join_all((0..90).map(|_| pagerduty.deliver(b"{}", &[]))).await;
        assert!(answers.iter().all(|answer| refused(answer) == (401, "SIGNATURE_MISSING")));
        let logged = pagerduty.log().await.len();
        assert!((60..80).contains(&logged), "{logged}");
    }

    async fn a_rotated_secret_overlaps_with_the_one_before(app: TestApp) {
        let pagerduty = PagerDuty::new(&app).await;
        let new = "0123456789abcdefghij";
        let rotate = json!({ "id": pagerduty.id, "secret": new, "overlap": "PT1H", "idempotencyKey": "k" });
        for _ in 0..2 {
            let rotated = app.mutate("webhookEndpointSecretRotate", rotate.clone(), "webhookEndpoint { secrets { createdAt endsAt } } secret").await;
            assert_eq!(rotated["webhookEndpoint"]["secrets"], json!([
                { "createdAt": "2026-05-20T03:30:00.000Z", "endsAt": null }, { "createdAt": "2026-05-20T03:30:00.000Z", "endsAt": "2026-05-20T04:30:00.000Z" },
            ]));
        }
        let payload = |n: usize| incident(&format!("{n:02}"), "incident.triggered", &format!("P{n}"), "triggered");
        assert_eq!(outcome(&pagerduty.send_signed(&payload(1), &[SECRET]).await), "REQUEST_MADE");
        assert_eq!(outcome(&pagerduty.send_signed(&payload(2), &[new]).await), "REQUEST_MADE");
        assert_eq!(outcome(&pagerduty.send_signed(&payload(3), &["someone else's", SECRET]).await), "REQUEST_MADE");
        app.advance(Duration::from_secs(3_599)).await;
        assert_eq!(outcome(&pagerduty.send_signed(&payload(4), &[SECRET]).await), "REQUEST_MADE");
        app.advance(Duration::from_secs(1)).await;
        assert_eq!(refused(&pagerduty.send_signed(&payload(5), &[SECRET]).await), (401, "SIGNATURE_INVALID"));
        assert_eq!(outcome(&pagerduty.send_signed(&payload(5), &[SECRET, new]).await), "REQUEST_MADE");
        // Without an overlap the old one ends at once.
        app.mutate("webhookEndpointSecretRotate", json!({ "id": pagerduty.id, "secret": SECRET, "overlap": "PT0S" }), "").await;
        assert_eq!(refused(&pagerduty.send_signed(&payload(6), &[new]).await), (401, "SIGNATURE_INVALID"));
        assert_eq!(outcome(&pagerduty.send_signed(&payload(6), &[SECRET]).await), "REQUEST_MADE");
        for (input, field, code) in [
            (json!({ "id": pagerduty.id, "secret": "short" }), Some("secret"), "INVALID"),
            (json!({ "id": pagerduty.id, "secret": SECRET, "overlap": "P8D" }), Some("overlap"), "INVALID"),
            (json!({ "id": pagerduty.id, "secret": SECRET, "overlap": "-PT1S" }), Some("overlap"), "INVALID"),
        ] {
            let errors = app.refused("webhookEndpointSecretRotate", input).await;
            assert_eq!((errors[0]["field"].as_str(), errors[0]["code"].as_str()), (field, Some(code)));
        }
    }

    /// A Standard Webhooks 1.0 sender: the id and the time are signed with the body.
    async fn a_standard_webhook_makes_a_request_by_its_mapping(app: TestApp) {
        let mapping = json!({
            "title": "/data/name", "description": "/data/details", "priority": "/data/severity", "labels": "/data/tags",
            "priorities": [{ "value": "sev0", "means": "URGENT" }], "subject": "/data/id",
            "status": "/data/state", "statuses": [{ "value": "fixed", "means": "RESOLVED" }],
            "eventTypes": ["incident.opened", "incident.changed"],
        });
        let input = json!({ "name": "Status page", "kind": "STANDARD", "mapping": mapping, "idempotencyKey": "k" });
        let fields = "webhookEndpoint { id path mapping { title subject eventTypes priorities { value means } } } secret";
        let made = app.mutate("webhookEndpointCreate", input.clone(), fields).await;
        let endpoint = &made["webhookEndpoint"];
        assert_eq!(endpoint["mapping"], json!({ "title": "/data/name", "subject": "/data/id", "eventTypes": ["incident.opened", "incident.changed"], "priorities": [{ "value": "sev0", "means": "URGENT" }] }));
        let secret = text(&made["secret"]);
        let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("a Standard Webhooks secret")).expect("base64");
        assert_eq!(key.len(), 32);
        let again = app.mutate("webhookEndpointCreate", input, fields).await;
        assert_eq!((&again["webhookEndpoint"]["id"], &again["secret"]), (&endpoint["id"], &Value::Null), "shown once");

        let (path, start) = (text(&endpoint["path"]), tests::app::START.0 / 1_000);
        let send = async |id: &str, at: i64, payload: &Value| {
            let (body, at) = (payload.to_string(), at.to_string());
            let signature = format!("v1,{}", STANDARD.encode(tag(&key, &[id.as_bytes(), b".", at.as_bytes(), b".", body.as_bytes()])));
            deliver(&app, &path, body.as_bytes(), &[("webhook-id", id), ("webhook-timestamp", &at), ("webhook-signature", &signature)]).await
        };
        let payload = |kind: &str, second: u32, state: &str, severity: &str| json!({ "type": kind, "timestamp": format!("2026-05-20T03:29:{second:02}.000Z"), "data": {
            "id": "inc-1", "name": "The site is down", "details": { "region": "eu" }, "severity": severity, "tags": ["web", 7], "state": state } });
        assert_eq!(outcome(&send("msg_1", start, &payload("incident.opened", 1, "new", "SEV0")).await), "REQUEST_MADE");
        let request = only_request(&app).await;
        assert_eq!((&request["title"], &request["priority"], &request["labels"]), (&json!("The site is down"), &json!("URGENT"), &json!(["web", "7"])));
        assert_eq!((&request["description"], &request["status"]), (&json!("{\n  \"region\": \"eu\"\n}"), &json!("OPEN")));
        // A retry has another time and the same id.
        assert_eq!(outcome(&send("msg_1", start + 5, &payload("incident.opened", 1, "new", "SEV0")).await), "DUPLICATE");
        assert_eq!(outcome(&send("msg_2", start, &payload("incident.seen", 2, "new", "SEV0")).await), "IGNORED");
        assert_eq!(outcome(&send("msg_3", start, &payload("incident.changed", 4, "fixed", "low")).await), "REQUEST_UPDATED");
        let request = only_request(&app).await;
        assert_eq!((&request["status"], &request["priority"]), (&json!("RESOLVED"), &json!("LOW")));
        assert_eq!(outcome(&send("msg_4", start, &payload("incident.changed", 3, "OPEN", "SEV0")).await), "RECORDED", "it is older");
        assert_eq!(only_request(&app).await["status"], "RESOLVED");
        // Replayed after five minutes, it is refused whatever its signature.
        app.advance(Duration::from_secs(300)).await;
        assert_eq!(outcome(&send("msg_1", start, &payload("incident.opened", 1, "new", "SEV0")).await), "DUPLICATE");
        app.advance(Duration::from_secs(1)).await;
        assert_eq!(refused(&send("msg_5", start, &payload("incident.opened", 5, "new", "SEV0")).await), (401, "TIMESTAMP_OUT_OF_RANGE"));
        assert_eq!(refused(&send("msg_5", start + 602, &payload("incident.opened", 5, "new", "SEV0")).await), (401, "TIMESTAMP_OUT_OF_RANGE"));
        assert_eq!(refused(&send("msg.5", start + 301, &payload("incident.opened", 5, "new", "SEV0")).await), (401, "SIGNATURE_INVALID"));
        assert_eq!(only_request(&app).await["status"], "RESOLVED");
    }

    /// Any JSON, signed as many do: what the mapping finds makes the request; without a title it is refused.
    async fn a_generic_webhook_makes_a_request_by_its_mapping(app: TestApp) {
        let mapping = json!({ "title": "/alert/name", "description": "/alert/text", "priority": "/alert/level", "subject": "/alert/id", "eventIdHeader": "X-Event-Id", "signatureHeader": "X-Signature" });
        let secret = "It's-a-Secret-to-Everybody";
        let input = json!({ "name": "Monitor", "kind": "GENERIC", "mapping": mapping, "secret": secret });
        let made = app.mutate("webhookEndpointCreate", input, "webhookEndpoint { id path }").await;
        let (id, path) = (text(&made["webhookEndpoint"]["id"]), text(&made["webhookEndpoint"]["path"]));
        let send = async |event: &str, payload: &Value| {
            let body = payload.to_string();
            let signature = format!("sha256={}", hex(&tag(secret.as_bytes(), &[body.as_bytes()])));
            deliver(&app, &path, body.as_bytes(), &[("X-Event-Id", event), ("X-Signature", &signature)]).await
        };
        // Two events with the very same body are two events.
        let bare = json!({ "alert": { "name": "Backup failed\u{0}", "text": 7 } });
        assert_eq!(outcome(&send("1", &bare).await), "REQUEST_MADE");
        assert_eq!(outcome(&send("2", &bare).await), "REQUEST_MADE");
        assert_eq!(outcome(&send("2", &bare).await), "DUPLICATE");
        let all = requests(&app).await;
        assert_eq!(all.len(), 2);
        assert_eq!((&all[1]["title"], &all[1]["description"], &all[1]["priority"], &all[1]["labels"]), (&json!("Backup failed"), &json!("7"), &json!("NORMAL"), &json!([])));
        // With a subject they are about the same thing.
        let about = |name: &str| json!({ "alert": { "id": 9, "name": name.repeat(400), "level": "high" } });
        assert_eq!(outcome(&send("3", &about("x")).await), "REQUEST_MADE");
        assert_eq!(outcome(&send("4", &about("y")).await), "REQUEST_UPDATED");
        let third = &requests(&app).await[2];
        assert_eq!((text(&third["title"]).chars().count(), &third["priority"]), (300, &json!("HIGH")));
        assert!(text(&third["title"]).ends_with("y…"));
        let answer = send("5", &json!({ "alert": { "text": "Without a name" } })).await;
        assert_eq!(refused(&answer), (422, "NOT_UNDERSTOOD"));
        assert_eq!(answer.body["errors"][0]["message"], "There is no title at \"/alert/name\", where this endpoint's mapping says.");
        let answer = send("", &bare).await;
        assert_eq!(refused(&answer), (422, "NOT_UNDERSTOOD"));
        // Once the mapping is right the same event is welcome, and the log tells both.
        app.mutate("webhookEndpointUpdate", json!({ "id": id, "mapping": { "title": "/alert/text", "eventIdHeader": "X-Event-Id", "signatureHeader": "X-Signature" } }), "").await;
        assert_eq!(outcome(&send("5", &json!({ "alert": { "text": "Without a name" } })).await), "REQUEST_MADE");
        let query = "query ($id: ID!) { node(id: $id) { ... on WebhookEndpoint { deliveries(filter: { outcome: { in: [REFUSED] }, verified: { eq: true } }) { totalCount } } } }";
        assert_eq!(app.gql(query, json!({ "id": id })).await["node"]["deliveries"]["totalCount"], 2);
    }

    async fn what_is_wrong_with_an_endpoint_is_said_in_a_sentence(app: TestApp) {
        let with = |kind: &str, mapping: Value| json!({ "name": "Monitor", "kind": kind, "mapping": mapping });
        let pagerduty = PagerDuty::new(&app).await;
        for (input, field, code) in [
            (json!({ "name": " ", "kind": "PAGERDUTY" }), "name", "REQUIRED"),
            (with("PAGERDUTY", json!({ "title": "/a" })), "mapping", "INVALID"),
            (with("STANDARD", Value::Null), "mapping", "REQUIRED"),
            (with("GENERIC", json!({ "title": "/a" })), "mapping.eventId", "REQUIRED"),
            (with("STANDARD", json!({ "title": "a.b" })), "mapping.title", "INVALID"),
            (with("STANDARD", json!({ "title": "/a", "eventId": "/b" })), "mapping", "INVALID"),
            (json!({ "name": "M", "kind": "STANDARD", "mapping": { "title": "/a" }, "secret": "not a whsec" }), "secret", "INVALID"),
        ] {
            let errors = app.refused("webhookEndpointCreate", input.clone()).await;
            assert_eq!((errors[0]["field"].as_str(), errors[0]["code"].as_str()), (Some(field), Some(code)), "{input}: {errors:?}");
        }
        let errors = app.refused("webhookEndpointUpdate", json!({ "id": pagerduty.id, "mapping": { "title": "/a" } })).await;
        assert_eq!(errors[0]["field"], "mapping");
    }

    /// The planted secret is nowhere but where it was sealed.
    async fn secrets_are_sealed_and_never_shown(app: TestApp) {
        let pagerduty = PagerDuty::new(&app).await;
        pagerduty.send(&incident("01", "incident.triggered", "P1", "triggered")).await;
        for (table, columns) in [
            ("webhook_endpoint", "name || COALESCE(mapping, '')"),
            ("webhook_delivery", "COALESCE(payload, '') || COALESCE(reason, '')"),
            ("idempotency_key", "key"),
        ] {
            let found = look::number(&app, &format!("SELECT COUNT(*) AS n FROM {table} WHERE {columns} LIKE '%{SECRET}%'")).await;
            assert_eq!(found, 0, "{table}");
        }
        let bytes = match app.db().backend() {
            tests::Backend::Sqlite => format!("instr(sealed, CAST('{SECRET}' AS BLOB)) > 0"),
            tests::Backend::Postgres => format!("position('{SECRET}'::bytea in sealed) > 0"),
        };
        assert_eq!(look::number(&app, &format!("SELECT COUNT(*) AS n FROM webhook_secret WHERE {bytes}")).await, 0);
        assert_eq!(look::number(&app, "SELECT COUNT(*) AS n FROM webhook_secret").await, 1);

        // Moved to another endpoint, it opens nothing there.
        let input = json!({ "name": "Other", "kind": "PAGERDUTY", "secret": "another secret of its own".replace(' ', "-") });
        let other = app.mutate("webhookEndpointCreate", input, "webhookEndpoint { id path }").await;
        look::tamper(&app, "UPDATE webhook_secret SET sealed = (SELECT sealed FROM webhook_secret ORDER BY id LIMIT 1)").await;
        let other = PagerDuty { admin: (*app).clone(), id: text(&other["webhookEndpoint"]["id"]), path: text(&other["webhookEndpoint"]["path"]) };
        let answer = other.send(&incident("02", "incident.triggered", "P2", "triggered")).await;
        assert_eq!((answer.status, &answer.body["errors"][0]["extensions"]["code"]), (500, &json!("INTERNAL")));
        assert_eq!(requests(&app).await.len(), 1);
    }
}

/// How many prompt parts hold this text.
async fn number_of_parts_with(app: &TestApp, text: &str) -> i64 {
    look::number(app, &format!("SELECT COUNT(*) AS n FROM prompt_part WHERE body LIKE '%{text}%'")).await
}
