//! How alerts are sent: tried again by their schedule, under one id, each endpoint for itself, until they are taken or given up.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::tool::Exception;
use serde_json::{Value, json};
use tests::{Coworker, TestApp, both_dbs, process};

use crate::alert::{DONE, work};
use crate::look;
use crate::receiver::{Endpoint, Receiver, Reply, deliveries, endpoint, state, until_delivery};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// An application that may reach the receiver, and a coworker whose runs end at once.
async fn furnish(app: &TestApp, receiver: &Receiver) -> (TestApp, String) {
    let app = look::with_settings(app, |settings| {
        receiver.allow(settings);
        settings.alerts.timeout = Duration::from_millis(300);
        settings.worker.sweep = Duration::from_millis(20);
    })
    .await;
    let done = Coworker::new("done").playbook(DONE).publish(&app).await;
    (app, done.id)
}

/// Waits until so many tries of an endpoint's only delivery are written down.
async fn tried(app: &TestApp, endpoint: &Endpoint, times: i64) -> Value {
    until_delivery(app, endpoint, |one| one["attemptCount"] == times).await
}

/// Waits until an endpoint is told nothing more.
async fn until_disabled(app: &TestApp, endpoint: &Endpoint) {
    let looking = async {
        while state(app, endpoint).await["enabled"] == true {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(60), looking).await;
    ended.expect("it is disabled");
}

/// Milliseconds from now, by the test's clock, until the next try.
fn pause(app: &TestApp, delivery: &Value) -> i64 {
    let text = delivery["nextAttemptAt"].as_str().expect("a next try");
    let at = chrono::DateTime::parse_from_rfc3339(text).expect("a moment");
    at.timestamp_millis() - app.clock().now().0
}

both_dbs! {
    /// 500, silence, a cut line, a redirect: each is tried again when the schedule says, give or take a tenth, under the
    /// same id, with a signature of its own moment.
    async fn what_fails_is_sent_again_by_the_schedule_until_it_is_taken(app: TestApp) {
        let receiver = Receiver::open().await;
        let (app, done) = furnish(&app, &receiver).await;
        let to = endpoint(&app, &receiver.url("/a"), &["RUN_ENDED"], json!({})).await;
        receiver.say("/a", &[Reply::Status(500), Reply::Silence, Reply::Cut, Reply::Status(302)]);
        work(&app, &done, json!([])).await;
        let errors = ["It answered 500", "It did not answer within 300ms.", "It could not be reached", "redirects are not followed"];
        for (times, (error, seconds)) in errors.iter().zip([5, 300, 1_800, 7_200]).enumerate() {
            let times = times as i64 + 1;
            let one = tried(&app, &to, times).await;
            assert_eq!((&one["state"], &one["settledAt"]), (&json!("WAITING"), &Value::Null));
            let try_ = &one["attempts"][0];
            assert_eq!(try_["number"], times);
            assert!(try_["error"].as_str().unwrap().contains(error), "{try_:#}");
            let pause = pause(&app, &one);
            assert!((900 * seconds..=1_100 * seconds).contains(&pause), "{pause} ms after try {times}");
            assert_eq!(receiver.heard("/a").len() as i64, times, "not before its time");
            app.advance(Duration::from_millis(pause as u64)).await;
        }
        assert!(state(&app, &to).await["failingSince"].is_string());
        let one = until_delivery(&app, &to, |one| one["state"] == "DELIVERED").await;
        assert_eq!((&one["nextAttemptAt"], &one["attemptCount"]), (&Value::Null, &json!(5)));
        let tries = look::list(one["attempts"].clone());
        let statuses: Vec<_> = tries.iter().map(|one| one["status"].clone()).collect();
        assert_eq!(statuses, [json!(200), json!(302), Value::Null, Value::Null, json!(500)]);
        assert_eq!((&tries[0]["response"], &tries[0]["error"], &tries[4]["response"]), (&json!("said 200"), &Value::Null, &json!("said 500")));
        assert_eq!(state(&app, &to).await["failingSince"], Value::Null);

        let heard = receiver.heard("/a");
        assert!(heard.iter().all(|one| one.id == heard[0].id && one.text == heard[0].text && one.is_signed_with(&to.secret)));
        let times: BTreeSet<_> = heard.iter().map(|one| one.seconds).collect();
        assert_eq!((times.len(), one["id"].as_str()), (5, Some(heard[0].id.as_str())));
        app.stop().await;
    }

    async fn what_fails_again_and_again_is_given_up_and_can_be_replayed(app: TestApp) {
        let receiver = Receiver::open().await;
        let (app, done) = furnish(&app, &receiver).await;
        let to = endpoint(&app, &receiver.url("/a"), &["RUN_ENDED"], json!({})).await;
        receiver.always("/a", Reply::Status(503));
        work(&app, &done, json!([])).await;
        for times in 1..7 {
            let one = tried(&app, &to, times).await;
            app.advance(Duration::from_millis(pause(&app, &one) as u64)).await;
        }
        let one = until_delivery(&app, &to, |one| one["state"] == "GIVEN_UP").await;
        assert_eq!((&one["attemptCount"], &one["nextAttemptAt"]), (&json!(7), &Value::Null));
        app.advance(DAY).await;

        // Its schedule begins anew; under one key, once.
        let input = json!({ "id": one["id"], "idempotencyKey": "k" });
        let again = app.mutate("alertDeliveryReplay", input.clone(), "alertDelivery { state attemptCount }").await;
        assert_eq!(again["alertDelivery"]["state"], "WAITING");
        let failed = tried(&app, &to, 8).await;
        assert!((4_500..=5_500).contains(&pause(&app, &failed)), "{failed:#}");
        app.mutate("alertDeliveryReplay", input, "").await;
        receiver.always("/a", Reply::Status(204));
        app.advance(Duration::from_millis(pause(&app, &failed) as u64)).await;
        until_delivery(&app, &to, |one| one["state"] == "DELIVERED").await;
        // What was taken can be sent again, too: the receiver knows it by its id.
        app.mutate("alertDeliveryReplay", json!({ "id": one["id"] }), "").await;
        let heard = receiver.until("/a", 10).await;
        assert!(heard.iter().all(|one| one.id == heard[0].id));
        tried(&app, &to, 10).await;
        app.mutate("alertEndpointUpdate", json!({ "id": to.id, "enabled": false }), "").await;
        let refused = app.refused("alertDeliveryReplay", json!({ "id": one["id"] })).await;
        assert_eq!(refused[0]["code"], "DISABLED");

        // The log is kept for 32 days: 30, and two more.
        app.advance(30 * DAY).await;
        app.drain().await;
        assert_eq!(deliveries(&app, &to).await.len(), 1);
        app.advance(2 * DAY).await;
        let left = "SELECT (SELECT COUNT(*) FROM alert_delivery) + (SELECT COUNT(*) FROM alert_attempt) AS n";
        for _ in 0..1_000 {
            if look::number(&app, left).await == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(look::number(&app, left).await, 0, "the log is never swept");
        app.stop().await;
    }

    async fn an_endpoint_that_is_gone_is_told_nothing_more(app: TestApp) {
        let receiver = Receiver::open().await;
        let (app, done) = furnish(&app, &receiver).await;
        let to = endpoint(&app, &receiver.url("/gone"), &["RUN_ENDED"], json!({})).await;
        let well = endpoint(&app, &receiver.url("/well"), &["RUN_ENDED"], json!({})).await;
        receiver.always("/gone", Reply::Status(410));
        work(&app, &done, json!([])).await;
        let one = until_delivery(&app, &to, |one| one["state"] == "DROPPED").await;
        assert_eq!((&one["attemptCount"], &one["attempts"][0]["status"]), (&json!(1), &json!(410)));
        let now = state(&app, &to).await;
        assert_eq!((&now["enabled"], &now["disabledReason"], &now["disabledAt"]), (&json!(false), &json!("GONE"), &json!("2026-05-20T03:30:00.000Z")));
        work(&app, &done, json!([])).await;
        receiver.until("/well", 2).await;
        assert_eq!((deliveries(&app, &to).await.len(), deliveries(&app, &well).await.len()), (1, 2));
        assert_eq!(receiver.heard("/gone").len(), 1);
        // It is there again, and so is what it missed, if someone replays it.
        receiver.always("/gone", Reply::Status(200));
        app.mutate("alertEndpointUpdate", json!({ "id": to.id, "enabled": true }), "").await;
        app.mutate("alertDeliveryReplay", json!({ "id": one["id"] }), "").await;
        until_delivery(&app, &to, |one| one["state"] == "DELIVERED").await;
        app.stop().await;
    }

    async fn an_endpoint_that_fails_for_three_days_is_disabled(app: TestApp) {
        let receiver = Receiver::open().await;
        // Nobody listens there.
        let port = process::free_port();
        let exception = Exception::parse(&format!("127.0.0.1:{port}")).unwrap();
        let app = look::with_settings(&app, |settings| {
            receiver.allow(settings);
            settings.tools.exceptions.push(exception);
        }).await;
        let done = Coworker::new("done").playbook(DONE).publish(&app).await.id;
        let to = endpoint(&app, &format!("http://127.0.0.1:{port}/?key=s3cret"), &["RUN_ENDED"], json!({})).await;
        let tries = "SELECT COUNT(*) AS n FROM alert_attempt";
        let until = async |tried: i64| {
            let looking = async {
                while look::number(&app, tries).await < tried {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(60), looking).await.expect("it is tried");
        };
        let one = async || {
            work(&app, &done, json!([])).await;
        };
        one().await;
        until(1).await;
        let log = deliveries(&app, &to).await;
        let error = log[0]["attempts"][0]["error"].as_str().unwrap();
        assert!(error.contains("could not be reached") && !error.contains("s3cret"), "{error}");
        assert_eq!(state(&app, &to).await["failingSince"], "2026-05-20T03:30:00.000Z");
        // Three days and three tries: of the days between nobody knows.
        app.advance(3 * DAY).await;
        until(2).await;
        app.advance(HOUR).await;
        until(3).await;
        assert_eq!(state(&app, &to).await["enabled"], true);
        // The fourth day: so many tries, but of two days only.
        for tried in 4..=11 {
            one().await;
            until(tried).await;
        }
        assert_eq!(state(&app, &to).await["enabled"], true);
        app.advance(DAY).await;
        until_disabled(&app, &to).await;
        let now = state(&app, &to).await;
        assert_eq!((&now["disabledReason"], &now["failingSince"]), (&json!("FAILING"), &json!("2026-05-20T03:30:00.000Z")));
        let before = deliveries(&app, &to).await.len();
        one().await;
        assert_eq!(deliveries(&app, &to).await.len(), before);
        // Another address begins anew.
        let well = json!({ "id": to.id, "url": receiver.url("/well"), "enabled": true });
        app.mutate("alertEndpointUpdate", well, "").await;
        assert_eq!(state(&app, &to).await["failingSince"], Value::Null);
        one().await;
        receiver.until("/well", 1).await;
        app.stop().await;
    }

    async fn a_slow_endpoint_keeps_no_other_waiting(app: TestApp) {
        let receiver = Receiver::open().await;
        let app = look::with_settings(&app, |settings| {
            receiver.allow(settings);
            // Of which a workspace alone gets half.
            settings.alerts.at_once = 16;
        })
        .await;
        let done = Coworker::new("done").playbook(DONE).publish(&app).await;
        let slow = endpoint(&app, &receiver.url("/slow"), &["RUN_ENDED"], json!({})).await;
        endpoint(&app, &receiver.url("/quick"), &["RUN_ENDED"], json!({})).await;
        receiver.always("/slow", Reply::Silence);
        for _ in 0..20 {
            let input = json!({ "title": "Where is it?", "assigneeId": done.id });
            app.mutate("requestCreate", input, "").await;
        }
        let heard = receiver.until("/quick", 20).await;
        let ids: BTreeSet<_> = heard.iter().map(|one| &one.id).collect();
        assert_eq!(ids.len(), 20, "each once");
        assert_eq!(receiver.until("/slow", 4).await.len(), 4, "no more at once than four");
        assert_eq!(deliveries(&app, &slow).await.len(), 20);
        app.stop().await;
    }

    async fn a_private_address_is_refused_and_the_log_says_why(app: TestApp) {
        let receiver = Receiver::open().await;
        let app = look::with_settings(&app, |settings| settings.alerts.look = Duration::from_millis(20)).await;
        let done = Coworker::new("done").playbook(DONE).publish(&app).await;
        let name = receiver.url("/name").replace("127.0.0.1", "localhost");
        for url in [receiver.url("/number"), name, "http://169.254.169.254/latest/".to_owned(), "http://[::1]/".to_owned()] {
            let to = endpoint(&app, &url, &["RUN_ENDED"], json!({})).await;
            work(&app, &done.id, json!([])).await;
            let one = tried(&app, &to, 1).await;
            let error = one["attempts"][0]["error"].as_str().unwrap();
            assert!(error.contains("is no public address; an operator may except it with --allow-private-host"), "{url}: {error}");
            app.mutate("alertEndpointUpdate", json!({ "id": to.id, "enabled": false }), "").await;
            // What waits for it is dropped at once.
            until_delivery(&app, &to, |one| one["state"] == "DROPPED").await;
        }
        assert_eq!(receiver.heard("/number").len() + receiver.heard("/name").len(), 0);
        app.stop().await;
    }

    async fn while_secrets_are_rotated_both_sign(app: TestApp) {
        let receiver = Receiver::open().await;
        let (app, done) = furnish(&app, &receiver).await;
        let own = format!("whsec_{}", "A".repeat(32));
        let to = endpoint(&app, &receiver.url("/a"), &["RUN_ENDED"], json!({ "secret": own })).await;
        assert_eq!(to.secret, "", "what was given is not shown again");
        let input = json!({ "id": to.id, "overlap": "PT1H" });
        let rotated = app.mutate("alertEndpointSecretRotate", input, "secret alertEndpoint { secrets { createdAt endsAt } }").await;
        assert_eq!(rotated["alertEndpoint"]["secrets"], json!([
            { "createdAt": "2026-05-20T03:30:00.000Z", "endsAt": null }, { "createdAt": "2026-05-20T03:30:00.000Z", "endsAt": "2026-05-20T04:30:00.000Z" },
        ]));
        let new = rotated["secret"].as_str().unwrap().to_owned();
        work(&app, &done, json!([])).await;
        let both = receiver.until("/a", 1).await.remove(0);
        assert!(both.signatures.len() == 2 && both.is_signed_with(&own) && both.is_signed_with(&new), "{both:#?}");
        app.advance(HOUR).await;
        work(&app, &done, json!([])).await;
        let one = receiver.until("/a", 2).await.remove(1);
        assert!(one.signatures.len() == 1 && one.is_signed_with(&new), "{one:#?}");
        for (field, value) in [("secret", json!("whsec_short")), ("overlap", json!("P8D"))] {
            let refused = app.refused("alertEndpointSecretRotate", json!({ "id": to.id, field: value })).await;
            assert_eq!((&refused[0]["field"], &refused[0]["code"]), (&json!(field), &json!("INVALID")));
        }
        app.stop().await;
    }
}
