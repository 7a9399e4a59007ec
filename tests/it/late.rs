//! Events that come in another order than they happened: the newest says how things stand, whenever it comes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tests::{TestApp, both_dbs};

use crate::sender::{deliver, hex, outcome, requests, tag, text};

/// Every order of three events, the oldest being the first of them.
const ORDERS: [[usize; 3]; 6] = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
];

/// A monitor whose events tell how an alarm stands, and when.
struct Monitor<'a> {
    app: &'a TestApp,
    kind: &'static str,
    path: String,
    secret: String,
}

impl<'a> Monitor<'a> {
    async fn new(app: &'a TestApp, kind: &'static str) -> Self {
        let mut mapping = json!({ "title": "/title", "subject": "/about", "status": "/status", "occurredAt": "/at" });
        if kind == "GENERIC" {
            mapping["eventId"] = json!("/id");
        }
        let input = json!({ "name": kind, "kind": kind, "mapping": mapping });
        let made = app
            .mutate(
                "webhookEndpointCreate",
                input,
                "webhookEndpoint { path } secret",
            )
            .await;
        Self {
            app,
            kind,
            path: text(&made["webhookEndpoint"]["path"]),
            secret: text(&made["secret"]),
        }
    }

    /// Tells that the alarm stood like this at that second; gives what became of it.
    async fn tell(&self, about: &str, second: i64, status: &str) -> String {
        let id = format!("{about}-{second}");
        let at = 1_700_000_000 + second;
        let event = json!({ "id": id, "about": about, "at": at, "status": status, "title": format!("{about} at {second}") });
        let body = event.to_string();
        let answer = if self.kind == "GENERIC" {
            let signature = tag(self.secret.as_bytes(), &[body.as_bytes()]);
            let signature = format!("sha256={}", hex(&signature));
            let headers = [("X-Hub-Signature-256", signature.as_str())];
            deliver(self.app, &self.path, body.as_bytes(), &headers).await
        } else {
            let key = self.secret.strip_prefix("whsec_").expect("a secret");
            let key = STANDARD.decode(key).expect("base64");
            let sent = (tests::app::START.0 / 1_000).to_string();
            let signed = [id.as_bytes(), b".", sent.as_bytes(), b".", body.as_bytes()];
            let signature = format!("v1,{}", STANDARD.encode(tag(&key, &signed)));
            let headers = [
                ("webhook-id", id.as_str()),
                ("webhook-timestamp", sent.as_str()),
                ("webhook-signature", signature.as_str()),
            ];
            deliver(self.app, &self.path, body.as_bytes(), &headers).await
        };
        outcome(&answer).to_owned()
    }

    /// The titles and statuses of the requests about this.
    async fn about(&self, about: &str) -> Vec<(Value, Value)> {
        let own = |title: &Value| text(title).starts_with(&format!("{about} at "));
        let mut all = requests(self.app).await;
        all.retain(|request| own(&request["title"]));
        let stands = |mut request: Value| (request["title"].take(), request["status"].take());
        all.into_iter().map(stands).collect()
    }
}

both_dbs! {
    /// R11, G16: three events that end in CLOSED, in every order: one request, and it is closed.
    async fn whatever_comes_late_neither_opens_nor_changes_anything(app: TestApp) {
        for kind in ["GENERIC", "STANDARD"] {
            let monitor = Monitor::new(&app, kind).await;
            for middle in ["IN_PROGRESS", "RESOLVED", "CLOSED"] {
                for order in ORDERS {
                    let about = format!("{kind} {middle} {order:?}");
                    let (mut newest, mut closed) = (None, false);
                    for event in order {
                        let status = ["OPEN", middle, "CLOSED"][event];
                        let expected = match newest {
                            None => "REQUEST_MADE",
                            Some(newest) if event < newest || closed => "RECORDED",
                            Some(_) => "REQUEST_UPDATED",
                        };
                        let second = 10 * event as i64;
                        assert_eq!(monitor.tell(&about, second, status).await, expected, "{about}: {event}");
                        if newest.is_none_or(|newest| newest < event) {
                            (newest, closed) = (Some(event), status == "CLOSED");
                        }
                    }
                    let stood = monitor.about(&about).await;
                    assert_eq!(stood.len(), 1, "{stood:?}");
                    assert_eq!(stood[0].1, "CLOSED", "{stood:?}");
                    // Between the two newest: it is late, however long ago the request was closed.
                    assert_eq!(monitor.tell(&about, 15, "OPEN").await, "RECORDED", "{about}");
                    assert_eq!(monitor.about(&about).await, stood, "{about}");
                }
            }
        }
    }

    /// What was closed and is back makes another request; what happened before that is late for this one too.
    async fn closed_before_it_opened_is_one_request_until_it_is_back(app: TestApp) {
        for kind in ["GENERIC", "STANDARD"] {
            let monitor = Monitor::new(&app, kind).await;
            let about = format!("{kind} alarm");
            assert_eq!(monitor.tell(&about, 20, "CLOSED").await, "REQUEST_MADE");
            assert_eq!(monitor.tell(&about, 10, "OPEN").await, "RECORDED");
            assert_eq!(monitor.tell(&about, 40, "OPEN").await, "REQUEST_MADE");
            assert_eq!(monitor.tell(&about, 30, "CLOSED").await, "RECORDED");
            let stands = |second: i64, status: &str| (json!(format!("{about} at {second}")), json!(status));
            assert_eq!(monitor.about(&about).await, [stands(20, "CLOSED"), stands(40, "OPEN")]);
        }
    }
}
