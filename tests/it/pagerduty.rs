//! PagerDuty's incidents: one request each, whatever comes of it, in whatever order, however often (R11, G16).

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use serde_json::json;
use tests::{Coworker, TestApp, both_dbs};

use crate::look;
use crate::sender::{PagerDuty, event, incident, note, only_request, outcome, requests, text};

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
        assert_eq!(timeline, ["RequestCreated", "Assigned triage", "RunStarted Run-1", "RunEnded Run-1", "Assigned nobody", "LeftToPeople"]);
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
            "RequestCreated", "LeftToPeople", "StatusChanged OPEN IN_PROGRESS", "NotePosted PUBLIC", "NotePosted PUBLIC", "StatusChanged IN_PROGRESS OPEN",
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
        let replies = DECLINES.replace("DECLINED", "REPLIED");
        Coworker::new("triage").triage().playbook(&replies).publish(&app).await;
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

    /// Nobody reads what becomes of an event's dispatch but who looks for what needs a person.
    async fn a_reopened_incident_whose_coworker_is_out_of_work_calls_a_person(app: TestApp) {
        let replies = DECLINES.replace("DECLINED", "REPLIED");
        let triage = Coworker::new("triage").triage().playbook(&replies).publish(&app).await;
        let pagerduty = PagerDuty::new(&app).await;
        pagerduty.send(&incident("01", "incident.triggered", "P1", "triggered")).await;
        app.drain().await;
        pagerduty.send(&incident("02", "incident.resolved", "P1", "resolved")).await;
        app.mutate("coworkerUnpublish", json!({ "id": triage.id }), "").await;
        let request = only_request(&app).await["id"].take();
        assert_eq!(look::request(&app, &request).await["needsPerson"], false);
        pagerduty.send(&incident("03", "incident.reopened", "P1", "triggered")).await;
        let seen = look::request(&app, &request).await;
        assert_eq!((&seen["status"], &seen["needsPerson"]), (&json!("OPEN"), &json!(true)));
        let timeline = look::timeline(&app, &request).await;
        assert_eq!(timeline.last().map(String::as_str), Some("DispatchDropped triage ASSIGNED NOT_PUBLISHED"));
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
        // As many at once as before: each has to be answered within the time that a sender waits.
        let sent: Vec<_> = copies.map(|payload| pagerduty.send(payload)).collect();
        let sent = stream::iter(sent).buffer_unordered(50);
        for answer in sent.collect::<Vec<_>>().await {
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
}

/// How many prompt parts hold this text.
async fn number_of_parts_with(app: &TestApp, text: &str) -> i64 {
    look::number(
        app,
        &format!("SELECT COUNT(*) AS n FROM prompt_part WHERE body LIKE '%{text}%'"),
    )
    .await
}
