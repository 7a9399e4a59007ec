//! Who gets the room that there is for alerts: whoever hangs keeps no other workspace waiting, and whoever asks to be left
//! alone is.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{Coworker, TestApp, both_dbs};

use crate::alert::{DONE, work};
use crate::look;
use crate::receiver::{Endpoint, Receiver, Reply, deliveries, endpoint, state};

const HOUR: Duration = Duration::from_secs(3_600);

/// How many endpoints hang: four tries at once to each of them would be all that there is room for.
const HANGING: usize = 32;

/// Waits until deliveries to an endpoint are like this; gives them, the newest first.
async fn until(app: &TestApp, to: &Endpoint, fits: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let looking = async {
        loop {
            let all = deliveries(app, to).await;
            if fits(&all) {
                return all;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(60), looking).await;
    match found {
        Ok(found) => found,
        Err(_) => panic!("it stays like this: {:#?}", deliveries(app, to).await),
    }
}

fn all_are(all: &[Value], state: &str) -> bool {
    all.iter().all(|one| one["state"] == state)
}

both_dbs! {
    async fn a_workspace_whose_endpoints_hang_keeps_no_other_waiting(app: TestApp) {
        let receiver = Receiver::open().await;
        let app = look::with_settings(&app, |settings| {
            receiver.allow(settings);
            // Nothing that hangs makes room while this test lasts.
            settings.alerts.timeout = HOUR;
        })
        .await;
        let room = domain::alert::Options::default().at_once;
        assert!(HANGING * 4 >= room, "they could take all of it");
        let stranger = crate::access::workspace(&app, "Elsewhere").await;
        let theirs = Coworker::new("done").playbook(DONE).publish(&stranger).await;
        endpoint(&stranger, &receiver.url("/elsewhere"), &["RUN_ENDED"], json!({})).await;

        let done = Coworker::new("done").playbook(DONE).publish(&app).await;
        receiver.always("/hangs", Reply::Silence);
        for _ in 0..HANGING {
            endpoint(&app, &receiver.url("/hangs"), &["RUN_ENDED"], json!({})).await;
        }
        for _ in 0..5 {
            work(&app, &done.id, json!([])).await;
        }
        receiver.until("/hangs", room / 2).await;

        for told in 1..=3 {
            stranger.mutate("requestCreate", json!({ "title": "Theirs", "assigneeId": theirs.id }), "").await;
            app.drain().await;
            receiver.until("/elsewhere", told).await;
        }
        assert_eq!(receiver.heard("/hangs").len(), room / 2, "no more than half of the room");
        app.stop().await;
    }

    /// `Retry-After` of a 429 or a 503: nothing is sent to the endpoint before, be it another alert; a day of it is heeded.
    async fn a_receiver_that_asks_to_be_left_alone_is(app: TestApp) {
        let receiver = Receiver::open().await;
        let app = look::with_settings(&app, |settings| receiver.allow(settings)).await;
        let done = Coworker::new("done").playbook(DONE).publish(&app).await.id;
        let to = endpoint(&app, &receiver.url("/a"), &["RUN_ENDED"], json!({})).await;
        endpoint(&app, &receiver.url("/well"), &["RUN_ENDED"], json!({})).await;
        assert_eq!(state(&app, &to).await["restsUntil"], Value::Null);

        receiver.say("/a", &[Reply::Later(429, 3_600)]);
        work(&app, &done, json!([])).await;
        let tried = until(&app, &to, |all| all.len() == 1 && all[0]["attemptCount"] == 1).await;
        let in_an_hour = json!("2026-05-20T04:30:00.000Z");
        assert_eq!((&tried[0]["nextAttemptAt"], &tried[0]["attempts"][0]["status"]), (&in_an_hour, &json!(429)));
        assert_eq!(state(&app, &to).await["restsUntil"], in_an_hour);
        // What comes meanwhile waits, too; others do not.
        work(&app, &done, json!([])).await;
        receiver.until("/well", 2).await;
        app.advance(HOUR - Duration::from_secs(1)).await;
        work(&app, &done, json!([])).await;
        receiver.until("/well", 3).await;
        assert_eq!(receiver.heard("/a").len(), 1);
        app.advance(Duration::from_secs(1)).await;
        until(&app, &to, |all| all.len() == 3 && all_are(all, "DELIVERED")).await;
        assert_eq!(receiver.heard("/a").len(), 4);
        assert_eq!(state(&app, &to).await["restsUntil"], Value::Null);

        // Nobody is left alone for years; and whoever is enabled anew is asked anew.
        receiver.always("/a", Reply::Later(503, 999_999_999));
        work(&app, &done, json!([])).await;
        let tried = until(&app, &to, |all| all.len() == 4 && all[0]["attemptCount"] == 1).await;
        let tomorrow = json!("2026-05-21T04:30:00.000Z");
        assert_eq!((&tried[0]["nextAttemptAt"], &state(&app, &to).await["restsUntil"]), (&tomorrow, &tomorrow));
        receiver.always("/a", Reply::Status(200));
        app.mutate("alertEndpointUpdate", json!({ "id": to.id, "enabled": true }), "").await;
        assert_eq!(state(&app, &to).await["restsUntil"], Value::Null);
        app.mutate("alertDeliveryReplay", json!({ "id": tried[0]["id"] }), "").await;
        until(&app, &to, |all| all_are(all, "DELIVERED")).await;
        // Any other status is no such word.
        receiver.always("/a", Reply::Later(500, 3_600));
        work(&app, &done, json!([])).await;
        until(&app, &to, |all| all.len() == 5 && all[0]["attemptCount"] == 1).await;
        assert_eq!(state(&app, &to).await["restsUntil"], Value::Null);
        app.stop().await;
    }
}
