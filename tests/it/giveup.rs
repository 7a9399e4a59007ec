//! What becomes of a request that Triage gives up, however it came to Triage.

use serde_json::{Value, json};
use tests::{Coworker, TestApp, both_dbs};

use crate::look;

/// Whom it fits, how urgent it is, and how Triage gives it up: it fails where it is urgent.
const REQUESTS: [(&str, &str, &str); 4] = [
    ("The VPN tunnel drops", "NORMAL", "declined"),
    ("The VPN tunnel drops", "URGENT", "failed"),
    ("Translate our brochure", "NORMAL", "declined"),
    ("Translate our brochure", "URGENT", "failed"),
];

/// Triage that asks about a new request, and gives up what comes to it by this trigger; and one whom two of the requests fit.
/// Gives Triage's id.
async fn hire(app: &TestApp, trigger: &str) -> String {
    let playbook = format!(
        "
turns:
  - when: {{ trigger: INTAKE }}
    calls:
      - {{ tool: ask_requester, arguments: {{ question: Which one? }} }}
      - {{ tool: finish, arguments: {{ outcome: AWAITING_REPLY, reason: I must know., summary: I asked. }} }}
  - when: {{ trigger: {trigger}, priority: URGENT }}
    text: Hm.
    fault: rejected
  - when: {{ trigger: {trigger} }}
    calls: [{{ tool: finish, arguments: {{ outcome: DECLINED, reason: I can't tell whose it is., summary: I could not tell. }} }}]
"
    );
    let triage = Coworker::new("triage").triage().playbook(&playbook);
    let triage = triage.publish(app).await;
    let identity =
        json!({ "role": "Network Engineer", "scope": "VPN tunnels, Wi-Fi, DNS and firewalls." });
    let looks = "turns: [{ calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: Looked., summary: I looked at it. } }] }]";
    let network = Coworker::new("network").with("identity", identity);
    network.playbook(looks).publish(app).await;
    triage.id
}

/// Makes the requests for this assignee and waits until all that follows is over.
async fn made(app: &TestApp, assignee: Option<&str>) -> Vec<Value> {
    let mut made = Vec::new();
    for (title, priority, _) in REQUESTS {
        let input = json!({ "title": title, "priority": priority, "assigneeId": assignee });
        let mut answer = app.mutate("requestCreate", input, "request { id }").await;
        made.push(answer["request"]["id"].take());
    }
    app.drain().await;
    made
}

/// Asserts that the ranking decided about each of the requests when Triage had given it up.
async fn ranked(app: &TestApp, requests: &[Value]) {
    look::sound(app).await;
    for (id, (title, _, word)) in requests.iter().zip(REQUESTS) {
        let seen = look::request(app, id).await;
        let fits = title.contains("VPN");
        let assignee = if fits { json!("network") } else { Value::Null };
        assert_eq!(
            (&seen["assignee"]["displayName"], &seen["needsPerson"]),
            (&assignee, &json!(!fits)),
            "{seen:#}"
        );
        let assignments = look::list(seen["assignments"]["nodes"].clone());
        let last = assignments.last().expect("an assignment");
        let reason = last["reason"].as_str().expect("a reason");
        let begins = format!("Triage {word} in Run-");
        assert!(reason.starts_with(&begins), "{title}: {reason}");
        if !fits {
            let timeline = look::timeline(app, id).await;
            assert_eq!(
                timeline[timeline.len() - 2..],
                ["Assigned nobody", "LeftToPeople"]
            );
        }
    }
}

both_dbs! {
    /// R12, R24: Triage asks, the requester answers, and Triage can't tell all the same.
    async fn what_triage_gives_up_after_an_answer_is_ranked(app: TestApp) {
        hire(&app, "REPLY").await;
        let requests = made(&app, None).await;
        for request in &requests {
            assert_eq!(look::request(&app, request).await["status"], "PENDING");
            app.mutate("noteCreate", json!({ "requestId": request, "body": "The blue one." }), "").await;
        }
        app.drain().await;
        ranked(&app, &requests).await;
    }

    /// R12, R67: a colleague who can't do it hands it to Triage.
    async fn what_triage_gives_up_after_a_hand_off_is_ranked(app: TestApp) {
        hire(&app, "HANDOFF").await;
        let first = Coworker::new("first").playbook(&look::hands_to("triage")).publish(&app).await;
        let requests = made(&app, Some(&first.id)).await;
        ranked(&app, &requests).await;
    }

    /// R06, R12: a person gave it to Triage by name.
    async fn what_a_person_gave_to_triage_and_it_gives_up_is_ranked(app: TestApp) {
        let triage = hire(&app, "ASSIGNED").await;
        let requests = made(&app, Some(&triage)).await;
        ranked(&app, &requests).await;
    }
}
