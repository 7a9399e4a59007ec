//! Requests whose coworker may not start for want of money do not lie unseen, unless a person gave them to it.

use serde_json::{Value, json};
use tests::{Coworker, TestApp, both_dbs};

use crate::approval::{ask, decide, pending};
use crate::budget::{ONCE, priced, work};
use crate::look;

/// Asks about what it is given, and answers all else.
const ASKS: &str = "
turns:
  - when: { trigger: ASSIGNED }
    calls:
      - { tool: ask_requester, arguments: { question: Which one? } }
      - { tool: finish, arguments: { outcome: AWAITING_REPLY, reason: I must know., summary: I asked. } }
  - calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: Looked., summary: I looked at it. } }]
";

/// Hands its request on, once a person lets it.
const GIVES: &str = "
tools: [{ name: desk.reset, description: Resets it., effect: EFFECT, answers: [{ response: done }] }]
turns:
  - calls:
      - { tool: desk.reset }
      - { tool: reassign, arguments: { to: network, reason: It is theirs. } }
      - { tool: finish, arguments: { outcome: HANDED_OFF, reason: It is theirs., summary: I handed it on. } }
";

async fn given(app: &TestApp, coworker: &str) -> Value {
    let input = json!({ "title": "Where is it?", "assigneeId": coworker });
    let request =
        app.mutate("requestCreate", input, "request { id }").await["request"]["id"].take();
    app.drain().await;
    request
}

/// Asserts that a request's work was dropped, and whether a person is called for it.
async fn dropped(app: &TestApp, request: &Value, what: &str, calls: bool) {
    let timeline = look::timeline(app, request).await;
    let last = timeline.last().expect("an entry");
    assert_eq!(*last, format!("DispatchDropped network {what}"));
    let seen = look::request(app, request).await;
    assert_eq!(
        (&seen["assignee"]["displayName"], &seen["needsPerson"]),
        (&json!("network"), &json!(calls)),
        "{what}: {seen:#}"
    );
}

/// An answer, a hand-off, a routing and an assignment that come when there is no money any more.
async fn without_money(app: &TestApp, reason: &str) {
    let exhausted = reason == "BUDGET_EXHAUSTED";
    if exhausted {
        priced(app).await;
    }
    let identity =
        json!({ "role": "Network Engineer", "scope": "VPN tunnels, Wi-Fi, DNS and firewalls." });
    let network = Coworker::new("network").with("identity", identity);
    let network = network.playbook(ASKS).publish(app).await;
    let giver = Coworker::new("giver").playbook(GIVES);
    let giver = giver.with("tools", ask("desk", "reset")).publish(app).await;
    let burner = Coworker::new("burner").playbook(ONCE).publish(app).await;
    let asked = given(app, &network.id).await;
    assert_eq!(look::request(app, &asked).await["status"], "PENDING");
    let handed = given(app, &giver.id).await;

    let daily = if exhausted { "0.000001" } else { "10" };
    let input = json!({ "budget": { "daily": daily } });
    app.mutate("workspaceUpdate", input, "").await;
    // Budgets are known for a second; whoever starts reads them.
    app.restart().await;
    if exhausted {
        let burnt = work(app, &burner.id).await;
        assert_eq!(burnt["runs"][0]["failureCode"], reason, "{burnt:#}");
    }
    decide(app, &pending(app).await, "APPROVE").await;
    let answer = json!({ "requestId": asked, "body": "The blue one." });
    app.mutate("noteCreate", answer, "").await;
    let routed = app.request("The VPN tunnel drops").await["id"].take();
    app.drain().await;
    look::sound(app).await;
    for (request, trigger) in [(&asked, "REPLY"), (&handed, "HANDOFF"), (&routed, "ROUTED")] {
        dropped(app, request, &format!("{trigger} {reason}"), true).await;
    }
    let own = given(app, &network.id).await;
    dropped(app, &own, &format!("ASSIGNED {reason}"), false).await;
    let query = "{ requests(filter: { needsPerson: { eq: true } }) { totalCount } }";
    let found = app.gql(query, json!({})).await;
    assert_eq!(found["requests"]["totalCount"], 3);
}

both_dbs! {
    /// Decision 8, R25: the budget is used up.
    async fn what_nobody_gave_to_a_coworker_without_a_budget_calls_a_person(app: TestApp) {
        without_money(&app, "BUDGET_EXHAUSTED").await;
    }

    /// Decision 8: what has no price can't be kept within a budget.
    async fn what_nobody_gave_to_a_coworker_without_a_price_calls_a_person(app: TestApp) {
        without_money(&app, "UNPRICED_MODEL").await;
    }

    /// Decision 9: whom it was escalated to has no money for it.
    async fn what_is_escalated_to_a_coworker_without_money_goes_to_nobody(app: TestApp) {
        priced(&app).await;
        let last = Coworker::new("last").playbook(ONCE).with("budget", json!({ "daily": "0.000001" })).publish(&app).await;
        assert_eq!(work(&app, &last.id).await["runs"][0]["failureCode"], "BUDGET_EXHAUSTED");
        app.mutate("workspaceUpdate", json!({ "hopBudget": 1, "escalationAssigneeId": last.id }), "").await;
        let first = Coworker::new("first").playbook(&look::hands_to("second")).publish(&app).await;
        Coworker::new("second").playbook(ONCE).publish(&app).await;
        let request = given(&app, &first.id).await;
        look::sound(&app).await;
        let timeline = look::timeline(&app, &request).await;
        assert_eq!(timeline[timeline.len() - 3..], ["DispatchDropped last ROUTED BUDGET_EXHAUSTED", "Assigned nobody", "LeftToPeople"]);
        let seen = look::request(&app, &request).await;
        assert_eq!((&seen["assignee"], &seen["status"], &seen["needsPerson"]), (&Value::Null, &json!("OPEN"), &json!(true)));
    }
}
