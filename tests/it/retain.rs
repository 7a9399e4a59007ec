//! How long deliveries are kept: what made a request, and what makes an event count once, for ever; all else for a while.

use std::time::Duration;

use domain::hook::retain::BATCH;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tests::{TestApp, both_dbs};

use crate::look;
use crate::sender::{PagerDuty, incident, note, only_request, outcome};

const DAY: Duration = Duration::from_secs(86_400);

/// Each line of an endpoint's log, oldest first: what became of it, and whether its payload is there.
async fn lines(pagerduty: &PagerDuty) -> Vec<(String, bool)> {
    let log = pagerduty.log().await;
    let line = |line: &Value| {
        let outcome = line["outcome"].as_str().expect("an outcome").to_owned();
        (outcome, line["raw"].is_string())
    };
    log.iter().map(line).collect()
}

/// Waits until the worker has swept, which it does by itself: so many lines are left, so many of them with a payload.
async fn until_left(app: &TestApp, expected: (i64, i64)) {
    let looking = async {
        loop {
            let lines = look::number(app, "SELECT COUNT(*) AS n FROM webhook_delivery").await;
            let payloads =
                look::number(app, "SELECT COUNT(payload) AS n FROM webhook_delivery").await;
            if (lines, payloads) == expected {
                return;
            }
            assert!(
                lines >= expected.0 && payloads >= expected.1,
                "{lines}, {payloads}: too much is gone"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(30), looking).await;
    done.unwrap_or_else(|_| panic!("{expected:?} are never left"));
}

both_dbs! {
    async fn what_was_delivered_is_kept_for_thirty_days_and_what_made_a_request_for_ever(app: TestApp) {
        let app = look::with_settings(&app, |settings| settings.worker.sweep = Duration::from_millis(20)).await;
        let pagerduty = PagerDuty::new(&app).await;
        let opened = incident("01", "incident.triggered", "P1", "triggered");
        let acknowledged = incident("02", "incident.acknowledged", "P1", "acknowledged");
        let other = incident("03", "incident.escalated", "P1", "acknowledged");
        let early = note("04", "P2", "Nobody knows of it yet.");
        for (payload, expected) in [(&opened, "REQUEST_MADE"), (&acknowledged, "REQUEST_UPDATED"), (&other, "RECORDED"), (&early, "IGNORED"), (&opened, "DUPLICATE")] {
            assert_eq!(outcome(&pagerduty.send(payload).await), expected);
        }
        assert_eq!(pagerduty.deliver(b"{}", &[]).await.status, 401);
        assert_eq!(lines(&pagerduty).await.len(), 6);

        // To the day, nothing goes.
        app.advance(30 * DAY).await;
        assert_eq!(outcome(&pagerduty.send(&acknowledged).await), "DUPLICATE");
        until_left(&app, (7, 4)).await;

        app.advance(Duration::from_millis(1)).await;
        until_left(&app, (5, 3)).await;
        let kept = |outcome: &str, payload| (outcome.to_owned(), payload);
        assert_eq!(lines(&pagerduty).await, [
            kept("REQUEST_MADE", true), kept("REQUEST_UPDATED", true), kept("RECORDED", true), kept("IGNORED", false), kept("DUPLICATE", false),
        ]);
        let request = only_request(&app).await;
        assert_eq!(request["deliveries"]["nodes"][0]["raw"], opened.to_string(), "what made the request stays readable on it");

        // A year later an event still counts once, and the incident's own still find its request.
        app.advance(365 * DAY).await;
        until_left(&app, (4, 3)).await;
        for payload in [&opened, &acknowledged, &other, &early] {
            assert_eq!(outcome(&pagerduty.send(payload).await), "DUPLICATE");
        }
        let answer = pagerduty.send(&incident("05", "incident.resolved", "P1", "resolved")).await;
        assert_eq!((outcome(&answer), &answer.body["request"]), ("REQUEST_UPDATED", &json!("REQ-1")));
        let request = only_request(&app).await;
        assert_eq!((&request["status"], &request["deliveries"]["nodes"][0]["raw"]), (&json!("RESOLVED"), &json!(opened.to_string())));

        // Once the request is closed, what made it stays, and what came of late.
        app.mutate("requestUpdate", json!({ "id": request["id"], "status": "CLOSED" }), "").await;
        until_left(&app, (9, 2)).await;
        app.stop().await;
    }

    /// However much there is to sweep, it is done in small steps, to the end.
    async fn more_than_one_step_can_hold_is_swept_in_several(app: TestApp) {
        let app = look::with_settings(&app, |settings| settings.worker.sweep = Duration::from_millis(20)).await;
        let pagerduty = PagerDuty::new(&app).await;
        let copies = usize::try_from(2 * BATCH + 50).expect("a few");
        let payload = incident("01", "incident.triggered", "P1", "triggered");
        let sending = stream::iter(0..copies).map(|_| pagerduty.send(&payload)).buffer_unordered(8);
        sending.for_each(async |answer| { outcome(&answer); }).await;
        assert_eq!(look::number(&app, "SELECT COUNT(*) AS n FROM webhook_delivery").await, copies as i64);
        app.advance(31 * DAY).await;
        until_left(&app, (1, 1)).await;
        app.stop().await;
    }
}
