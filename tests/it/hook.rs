//! Webhooks in: who may send what, to which address, by which secret and mapping.

use std::time::Duration;

use api::hooks::Rate;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::secret::Vault;
use entity::Role;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};
use tests::{TestApp, both_dbs};

use crate::look;
use crate::sender::{
    PagerDuty, SECRET, deliver, hex, incident, only_request, outcome, outcomes, refused, requests,
    tag, text,
};

both_dbs! {
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
        for path in [format!("/hooks/in_{:032x}", 7), format!("/hooks/{}", pagerduty.id), "/hooks/in_7".into(), "/hooks/run_1".into(), "/hooks/%00".into()] {
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
        let later = PagerDuty::at(&app, &made["webhookEndpoint"]);
        assert_eq!(refused(&later.send(&payload).await), (401, "NO_SECRET"));
        let required = app.refused("webhookEndpointSecretRotate", json!({ "id": later.id })).await;
        assert_eq!((&required[0]["code"], &required[0]["field"]), (&json!("REQUIRED"), &json!("secret")));
        app.mutate("webhookEndpointSecretRotate", json!({ "id": later.id, "secret": SECRET }), "").await;
        assert_eq!(outcome(&later.send(&payload).await), "REQUEST_MADE");
    }

    /// Whoever sees a request sees the id of the system that it came from; where that system delivers to, only admins see.
    async fn an_endpoints_id_does_not_give_its_address_away(app: TestApp) {
        let pagerduty = PagerDuty::new(&app).await;
        pagerduty.send(&incident("01", "incident.triggered", "P1", "triggered")).await;
        let system = text(&only_request(&app).await["requester"]["id"]);
        let (_, digits) = system.split_once('_').expect("an id");
        assert_eq!(pagerduty.id, format!("whe_{digits}"), "they are one");
        assert!(!pagerduty.path.contains(digits), "{}", pagerduty.path);
        for guess in ["in", "whe", "sys"] {
            let answer = deliver(&app, &format!("/hooks/{guess}_{digits}"), b"{}", &[]).await;
            assert_eq!(refused(&answer), (404, "NOT_FOUND"), "{guess}");
        }
        let agent = app.as_role(Role::Agent).await;
        let query = "query ($id: ID!) { node(id: $id) { ... on WebhookEndpoint { path } } }";
        assert_eq!(agent.gql_code(query, json!({ "id": pagerduty.id })).await, "NOT_FOUND");
        // An address that was given to a sender by the first release goes on working.
        look::tamper(&app, &format!("UPDATE webhook_endpoint SET address = 'whe_{digits}'")).await;
        let path = json!({ "id": pagerduty.id, "path": format!("/hooks/whe_{digits}") });
        let answer = PagerDuty::at(&app, &path).send(&incident("02", "incident.triggered", "P2", "triggered")).await;
        assert_eq!(outcome(&answer), "REQUEST_MADE");
    }

    /// Made-up addresses cost one look for all that come at once, and keep no sender from being heard.
    async fn a_flood_of_made_up_addresses_keeps_nobody_out(app: TestApp) {
        let pagerduty = PagerDuty::new(&app).await;
        let flood = (0..300).map(|n| {
            let app = &app;
            async move { deliver(app, &format!("/hooks/in_{n:032x}"), b"{}", &[]).await }
        });
        let payload = incident("01", "incident.triggered", "P1", "triggered");
        let (answers, own) = tokio::join!(join_all(flood), pagerduty.send(&payload));
        assert!(answers.iter().all(|answer| refused(answer) == (404, "NOT_FOUND")));
        assert_eq!(outcome(&own), "REQUEST_MADE");
        assert_eq!(pagerduty.log().await.len(), 1, "what comes to no endpoint is in no log");

        // Also when the flood is there before a server that has just started: more than may wait to be looked up.
        app.restart().await;
        let flood = (0..1_500).map(|n| {
            let app = app.clone();
            tokio::spawn(async move { deliver(&app, &format!("/hooks/in_{n:032x}"), b"{}", &[]).await })
        });
        let mut flood: FuturesUnordered<_> = flood.collect();
        flood.next().await.expect("an answer").expect("not cancelled");
        let other = incident("02", "incident.triggered", "P2", "triggered");
        assert_eq!(outcome(&pagerduty.send(&other).await), "REQUEST_MADE");
        while let Some(answer) = flood.next().await {
            let answer = answer.expect("not cancelled");
            assert!(matches!(refused(&answer).0, 404 | 429), "{}", answer.body);
        }
    }

    async fn too_many_deliveries_are_told_when_to_come_again(app: TestApp) {
        let app = look::with_settings(&app, |settings| settings.hook_rate = Rate { per_second: 1, burst: 3 }).await;
        let (one, other) = (PagerDuty::new(&app).await, PagerDuty::new(&app).await);
        let payload = incident("01", "incident.triggered", "P1", "triggered");
        let answers = join_all((0..20).map(|_| one.send(&payload))).await;
        let (taken, refusals): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        assert!((3..10).contains(&taken.len()), "{}", taken.len());
        for answer in refusals {
            assert_eq!(refused(answer), (429, "TOO_MANY"));
            assert_eq!(answer.headers["retry-after"], "1");
        }
        assert_eq!(outcome(&other.send(&payload).await), "REQUEST_MADE", "another endpoint has a rate of its own");
        assert_eq!(requests(&app).await.len(), 2);
        app.stop().await;
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
        // What came before is known again whatever signs the copy; a secret that is not in force any more opens nothing for it.
        for (n, secret) in [(1, new), (4, new), (2, new)] {
            assert_eq!(outcome(&pagerduty.send_signed(&payload(n), &[secret]).await), "DUPLICATE", "{n}");
        }
        assert_eq!(refused(&pagerduty.send_signed(&payload(1), &[SECRET]).await), (401, "SIGNATURE_INVALID"));
        let made = app.gql("{ requests { totalCount } }", json!({})).await;
        assert_eq!(made["requests"]["totalCount"], 5);
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
        // Two events with the very same body are two events: what is signed does not tell one that is sent again from another.
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
        let other = PagerDuty::at(&app, &other["webhookEndpoint"]);
        let answer = other.send(&incident("02", "incident.triggered", "P2", "triggered")).await;
        assert_eq!((answer.status, &answer.body["errors"][0]["extensions"]["code"]), (500, &json!("INTERNAL")));
        assert_eq!(requests(&app).await.len(), 1);
    }

    /// Without a key of the installation there is nowhere to keep a secret: it says so, and keeps none.
    async fn without_a_key_no_secret_is_taken(app: TestApp) {
        let app = look::with_settings(&app, |settings| settings.vault = Some(Vault::default())).await;
        let input = json!({ "name": "PagerDuty", "kind": "PAGERDUTY", "secret": SECRET });
        let errors = app.refused("webhookEndpointCreate", input).await;
        assert_eq!(errors[0]["code"], "NO_SECRET_KEY");
        assert!(errors[0]["message"].as_str().is_some_and(|text| text.contains("STINT_SECRET_KEY")), "{errors:?}");
        assert_eq!(look::counts(&app).await["webhook_endpoint"], 0);
        app.stop().await;
    }
}
