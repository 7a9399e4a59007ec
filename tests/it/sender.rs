//! Outside systems that send webhooks, and what tests read of them.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tests::Client;
use tests::client::Answer;

use crate::look;

/// The secret that PagerDuty showed.
pub const SECRET: &str = "AJ5zRZMXNz1xSTO6pVNs8GVHlHOWUQ7";

/// A PagerDuty webhook subscription.
pub struct PagerDuty {
    admin: Client,
    /// The endpoint's global id.
    pub id: String,
    /// The path of its address.
    pub path: String,
}

impl PagerDuty {
    /// A subscription of `admin`'s workspace.
    pub async fn new(admin: &Client) -> Self {
        let input = json!({ "name": "PagerDuty", "kind": "PAGERDUTY", "secret": SECRET });
        let made = admin
            .mutate(
                "webhookEndpointCreate",
                input,
                "webhookEndpoint { id path } secret",
            )
            .await;
        assert_eq!(
            made["secret"],
            Value::Null,
            "it was given, so it is not shown"
        );
        Self::at(admin, &made["webhookEndpoint"])
    }

    /// The subscription of an endpoint by its `id` and `path`.
    pub fn at(admin: &Client, endpoint: &Value) -> Self {
        Self {
            admin: admin.clone(),
            id: text(&endpoint["id"]),
            path: text(&endpoint["path"]),
        }
    }

    /// The same subscription, which delivers to another node.
    pub fn through(&self, door: &Client) -> Self {
        Self {
            admin: door.clone(),
            id: self.id.clone(),
            path: self.path.clone(),
        }
    }

    /// Delivers a payload as PagerDuty does.
    pub async fn send(&self, payload: &Value) -> Answer {
        self.send_signed(payload, &[SECRET]).await
    }

    /// Delivers a payload that is signed with these secrets.
    pub async fn send_signed(&self, payload: &Value, secrets: &[&str]) -> Answer {
        let body = payload.to_string().into_bytes();
        let signatures: Vec<_> = secrets
            .iter()
            .map(|secret| format!("v1={}", hex(&tag(secret.as_bytes(), &[&body]))))
            .collect();
        let message = format!("message of {}", payload["event"]["id"]);
        self.deliver(
            &body,
            &[
                ("X-PagerDuty-Signature", &signatures.join(",")),
                ("X-Webhook-Id", &message),
            ],
        )
        .await
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

/// Delivers these bytes to this path under these headers.
pub async fn deliver(client: &Client, path: &str, body: &[u8], headers: &[(&str, &str)]) -> Answer {
    let request = client
        .with_key(None)
        .request(path)
        .header("content-type", "application/json")
        .body(body.to_vec());
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    client.send(request).await
}

/// The log of an endpoint, oldest first.
pub async fn log(client: &Client, id: &str) -> Vec<Value> {
    let query = "query ($id: ID!, $after: String) { node(id: $id) { ... on WebhookEndpoint { deliveries(first: 50, after: $after) {
        pageInfo { hasNextPage endCursor }
        nodes { id outcome refusal reason verified eventId eventType subject messageId size raw payload request { number } } } } } }";
    let mut all = look::pages(client, query, json!({ "id": id }), "/node/deliveries").await;
    all.reverse();
    all
}

/// What became of each delivery of a log: why it was refused, or its outcome.
pub fn outcomes(log: &[Value]) -> Vec<String> {
    log.iter()
        .map(|line| {
            line["refusal"]
                .as_str()
                .or(line["outcome"].as_str())
                .expect("a word")
                .to_owned()
        })
        .collect()
}

/// The HMAC-SHA256 of these parts.
pub fn tag(secret: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A text.
pub fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// An event in the form of PagerDuty's documentation, which happened `second` seconds after the hour.
pub fn event(id: &str, kind: &str, second: u32, data: Value) -> Value {
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

/// An incident in the form of PagerDuty's documentation.
pub fn data(incident: &str, status: &str) -> Value {
    let reference = |kind: &str, id: &str, summary: &str| {
        json!({
        "html_url": format!("https://acme.pagerduty.com/{kind}/{id}"), "id": id,
        "self": format!("https://api.pagerduty.com/{kind}/{id}"), "summary": summary, "type": format!("{kind}_reference") })
    };
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
    let second = id
        .trim_start_matches(|c: char| !c.is_ascii_digit())
        .parse()
        .unwrap_or(0);
    event(id, kind, second % 60, data(incident, status))
}

/// A note on an incident.
pub fn note(id: &str, incident: &str, content: &str) -> Value {
    let reference = json!({ "html_url": format!("https://acme.pagerduty.com/incidents/{incident}"), "id": incident,
        "self": format!("https://api.pagerduty.com/incidents/{incident}"), "summary": "A little bump in the road", "type": "incident_reference" });
    event(
        id,
        "incident.annotated",
        30,
        json!({ "incident": reference, "id": "P2LA89X", "content": content, "trimmed": false, "type": "incident_note" }),
    )
}

/// All requests, oldest first.
pub async fn requests(client: &Client) -> Vec<Value> {
    let query = "query ($after: String) { requests(first: 20, after: $after, order: [{ number: ASC }]) { pageInfo { hasNextPage endCursor } nodes {
        id number title description status priority source labels requester { __typename id kind displayName } assignee { displayName }
        deliveries(first: 20) { nodes { outcome eventType endpointName raw } } } } }";
    look::pages(client, query, json!({}), "/requests").await
}

pub async fn only_request(client: &Client) -> Value {
    let mut all = requests(client).await;
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

/// The outcome of a delivery that was taken.
pub fn outcome(answer: &Answer) -> &str {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["outcome"].as_str().expect("an outcome")
}

/// The status and code of a delivery that was refused, in one sentence.
pub fn refused(answer: &Answer) -> (u16, &str) {
    let error = &answer.body["errors"][0];
    let message = error["message"].as_str().expect("a sentence");
    assert!(message.ends_with('.') && message.len() < 300, "{message}");
    (
        answer.status,
        error["extensions"]["code"].as_str().expect("a code"),
    )
}
