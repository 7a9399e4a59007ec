//! How a request that names nobody finds whom it fits.

use domain::access::Actor;
use domain::request::CreateRequest;
use domain::request::route::{self, Ahead};
use entity::{Priority, Role};
use sea_orm::EntityTrait as _;
use serde_json::{Value, json};
use tests::{Client, Coworker, TestApp, both_dbs};

use crate::look;

const NOTES: &str = "turns: [{ calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: Looked., summary: I looked at it. } }] }]";
const VPN: &str = "The VPN tunnel drops";
const MISFIT: &str = "Translate our brochure";

/// A coworker of this identity that looks at what it gets.
fn expert(handle: &str, role: &str, scope: &str, out: &str) -> Coworker {
    let identity = json!({ "role": role, "scope": scope, "outOfScope": out });
    Coworker::new(handle)
        .with("identity", identity)
        .playbook(NOTES)
}

/// Two coworkers whose scopes have nothing in common.
async fn hire(app: &TestApp) {
    expert(
        "network",
        "Network Engineer",
        "VPN tunnels, Wi-Fi, DNS and firewalls.",
        "Defective laptops.",
    )
    .publish(app)
    .await;
    expert(
        "finance",
        "Accountant",
        "Invoices, expenses, receipts and payments.",
        "Salaries.",
    )
    .publish(app)
    .await;
}

/// Makes a request without an assignee and waits until it is worked on.
async fn made(app: &TestApp, title: &str) -> Value {
    let request = app.request(title).await["id"].take();
    app.drain().await;
    request
}

/// The entries of a request's timeline that say that it is left to people.
async fn left(client: &Client, request: &Value) -> Vec<Value> {
    let query = "query ($id: ID!) { request(id: $id) { timeline { nodes { ... on LeftToPeople { actor { displayName } run { id } reason } } } } }";
    let mut seen = client.gql(query, json!({ "id": request })).await;
    let nodes = look::list(seen["request"]["timeline"]["nodes"].take());
    nodes
        .into_iter()
        .filter(|node| node.get("actor").is_some())
        .collect()
}

/// Triage with this playbook.
async fn triage(app: &TestApp, playbook: &str) {
    Coworker::new("triage")
        .triage()
        .playbook(playbook)
        .publish(app)
        .await;
}

const DECLINES: &str = "turns: [{ calls: [{ tool: finish, arguments: { outcome: DECLINED, reason: I can't tell whose it is., summary: I could not tell. } }] }]";

both_dbs! {
    /// R05, R08: to whom it fits, with the reason stored, and once however often the call is repeated.
    async fn a_request_goes_to_the_coworker_whom_it_fits(app: TestApp) {
        hire(&app).await;
        let mut request = Value::Null;
        for _ in 0..3 {
            let input = json!({ "title": VPN, "idempotencyKey": "a" });
            request = app.mutate("requestCreate", input, "request { id }").await["request"]["id"].take();
            app.drain().await;
        }
        look::sound(&app).await;
        let run = look::only_run(&app).await;
        assert_eq!((&run["coworker"]["handle"], &run["trigger"]), (&json!("network"), &json!("ROUTED")));
        let seen = look::request(&app, &request).await;
        assert_eq!((&seen["assignee"]["displayName"], &seen["needsPerson"]), (&json!("network"), &json!(false)));
        assert_eq!(seen["assignments"]["nodes"], json!([{
            "epoch": 1, "assignee": { "displayName": "network" }, "assignedBy": { "kind": "SYSTEM", "displayName": "Stint" },
            "reason": "@network fits: 2 of 3 telling words of the request (VPN, tunnel) stand in its role and scope; no other does.",
        }]));
    }

    async fn a_request_that_fits_nobody_is_left_to_people_with_the_reason(app: TestApp) {
        hire(&app).await;
        let requester = app.as_role(Role::Requester).await;
        let request = requester.mutate("requestCreate", json!({ "title": MISFIT }), "request { id }").await["request"]["id"].take();
        app.drain().await;
        assert_eq!(look::runs(&app).await.len(), 0);
        let reason = "The request has no word in common with the role and scope of any of the 2 published coworkers.";
        assert_eq!(left(&app, &request).await, [json!({ "actor": { "displayName": "Stint" }, "run": null, "reason": reason })]);
        assert_eq!(left(&requester, &request).await[0]["reason"], Value::Null, "who fits is not the requester's concern");
        let seen = look::request(&app, &request).await;
        assert_eq!((&seen["assignee"], &seen["status"], &seen["needsPerson"]), (&Value::Null, &json!("OPEN"), &json!(true)));
        let query = "{ requests(filter: { needsPerson: { eq: true } }) { nodes { id } } }";
        assert_eq!(app.gql(query, json!({})).await["requests"]["nodes"], json!([{ "id": request }]));
        // Once a person has looked, it needs none any more.
        app.mutate("noteCreate", json!({ "requestId": request, "body": "Mine." }), "").await;
        assert_eq!(look::request(&app, &request).await["needsPerson"], false);
    }

    async fn one_word_in_common_is_chance(app: TestApp) {
        hire(&app).await;
        let request = made(&app, "Our invoices have an ugly logo in the corner of every page").await;
        assert_eq!(look::runs(&app).await.len(), 0);
        let reason = left(&app, &request).await[0]["reason"].take();
        assert_eq!(reason, "@finance fits best, but only 1 of 6 telling words of the request (invoices) stands in its role and scope.");
    }

    /// R66, R67: two that fit about equally well are a matter for people; with one more word that only one of them has it is clear.
    async fn of_two_that_fit_equally_well_none_gets_it(app: TestApp) {
        expert("office", "Network Engineer", "VPN tunnels of offices, Wi-Fi, switches and cabling.", "").publish(&app).await;
        expert("abroad", "Field Engineer", "VPN tunnels of laptops abroad, roaming and hotel portals.", "").publish(&app).await;
        let request = made(&app, VPN).await;
        assert_eq!(look::runs(&app).await.len(), 0);
        let reason = left(&app, &request).await[0]["reason"].take();
        let reason = reason.as_str().expect("a reason");
        assert!(reason.contains("@office and @abroad fit about equally well") || reason.contains("@abroad and @office fit about equally well"), "{reason}");
        let seen = look::request(&app, &request).await;
        assert_eq!((&seen["assignee"], &seen["needsPerson"]), (&Value::Null, &json!(true)));
        let request = made(&app, "The VPN tunnel drops while roaming abroad, in a hotel").await;
        let seen = look::request(&app, &request).await;
        assert_eq!((&seen["assignee"]["displayName"], &seen["needsPerson"]), (&json!("abroad"), &json!(false)));
        let reason = seen["assignments"]["nodes"][0]["reason"].as_str().expect("a reason");
        assert!(reason.ends_with("@office comes next, clearly behind."), "{reason}");
    }

    /// Only who is published is ranked, as it was published.
    async fn routing_follows_what_is_published(app: TestApp) {
        let nobody = made(&app, VPN).await;
        assert_eq!(left(&app, &nobody).await[0]["reason"], "No coworker is published that could take it.");
        let draft = expert("network", "Network Engineer", "VPN tunnels.", "").create(&app).await;
        made(&app, VPN).await;
        assert_eq!(look::runs(&app).await.len(), 0);
        app.mutate("coworkerPublish", json!({ "id": draft.id }), "").await;
        made(&app, VPN).await;
        assert_eq!(look::runs(&app).await.len(), 1);
        // A draft changes nothing, its publication does.
        app.mutate("coworkerUpdate", json!({ "id": draft.id, "identity": { "role": "Gardener", "scope": "Trees and hedges." } }), "").await;
        made(&app, VPN).await;
        assert_eq!(look::runs(&app).await.len(), 2);
        app.mutate("coworkerPublish", json!({ "id": draft.id }), "").await;
        made(&app, VPN).await;
        made(&app, "Hedges and trees").await;
        assert_eq!(look::runs(&app).await.len(), 3);
        app.mutate("coworkerUnpublish", json!({ "id": draft.id }), "").await;
        made(&app, "Hedges and trees").await;
        assert_eq!(look::runs(&app).await.len(), 3);
    }

    /// R12: the outcome of Triage's run is an assignment.
    async fn triage_lists_candidates_and_assigns_with_a_reason(app: TestApp) {
        hire(&app).await;
        triage(&app, "
turns:
  - calls: [{ tool: list_candidates }]
  - when: { result_of: list_candidates, result_contains: '\"handle\":\"network\"' }
    calls:
      - { tool: reassign, arguments: { to: network, reason: It is about the VPN. } }
      - { tool: finish, arguments: { outcome: HANDED_OFF, reason: It is about the VPN., summary: I gave it to the network engineer. } }
").await;
        let request = made(&app, "The VPN tunnel of my defective laptop drops").await;
        look::sound(&app).await;
        let runs = look::runs(&app).await;
        let seen: Vec<_> = runs.iter().map(|run| (run["coworker"]["handle"].as_str(), run["trigger"].as_str(), run["outcome"].as_str())).collect();
        assert_eq!(seen, [(Some("triage"), Some("INTAKE"), Some("HANDED_OFF")), (Some("network"), Some("ROUTED"), Some("REPLIED"))]);
        let seen = look::request(&app, &request).await;
        assert_eq!(seen["assignments"]["nodes"][1]["reason"], "It is about the VPN.");
        assert_eq!(seen["assignments"]["nodes"][1]["assignedBy"], json!({ "kind": "COWORKER", "displayName": "triage" }));

        let log = look::events(&app, &runs[0]).await;
        let told = look::data(&log, "tool.completed")[0]["response"].as_str().expect("a response");
        let told: Value = serde_json::from_str(told).expect("JSON");
        let mut candidates = look::list(told["candidates"].clone());
        assert!(candidates[0]["score"].as_f64() > Some(0.0));
        candidates[0]["score"].take();
        assert_eq!(candidates, [json!({
            "handle": "network", "role": "Network Engineer", "scope": "VPN tunnels, Wi-Fi, DNS and firewalls.", "score": null,
            "matched": ["VPN", "tunnel"], "outOfScope": ["defective", "laptop"], "routes": [],
        })]);
        assert!(told["ranking"].as_str().is_some_and(|text| text.starts_with("Assign it to @network.")), "{told}");
    }

    async fn only_who_routes_a_new_request_may_list_candidates(app: TestApp) {
        let plays = "turns: [{ calls: [{ tool: list_candidates }, { tool: finish, arguments: { outcome: REPLIED, reason: Looked., summary: I looked. } }] }]";
        let other = Coworker::new("other").playbook(plays).publish(&app).await;
        app.mutate("requestCreate", json!({ "title": VPN, "assigneeId": other.id }), "").await;
        app.drain().await;
        let log = look::events(&app, &look::only_run(&app).await).await;
        let refused = look::data(&log, "tool.refused");
        assert_eq!((&refused[0]["tool"], &refused[0]["reason"]), (&json!("list_candidates"), &json!("unknown")));
        assert!(!look::data(&log, "model.requested")[0]["tools"].to_string().contains("list_candidates"));
    }

    /// R12: also for a request that a colleague hands back to it.
    async fn triage_lists_candidates_for_what_is_handed_back_to_it(app: TestApp) {
        hire(&app).await;
        triage(&app, "
turns:
  - calls: [{ tool: list_candidates }]
  - when: { result_of: list_candidates, result_contains: '\"handle\":\"network\"' }
    calls:
      - { tool: reassign, arguments: { to: ' @Network ', reason: It is about the VPN. } }
      - { tool: finish, arguments: { outcome: HANDED_OFF, reason: It is about the VPN., summary: I gave it to the network engineer. } }
").await;
        let first = Coworker::new("first").playbook(&look::hands_to("triage")).publish(&app).await;
        app.mutate("requestCreate", json!({ "title": VPN, "assigneeId": first.id }), "").await;
        app.drain().await;
        look::sound(&app).await;
        let runs = look::runs(&app).await;
        let seen: Vec<_> = runs.iter().map(|run| (run["coworker"]["handle"].as_str(), run["trigger"].as_str())).collect();
        assert_eq!(seen, [(Some("first"), Some("ASSIGNED")), (Some("triage"), Some("HANDOFF")), (Some("network"), Some("ROUTED"))]);
        let log = look::events(&app, &runs[1]).await;
        assert!(look::data(&log, "model.requested")[0]["tools"].to_string().contains("list_candidates"));
        assert_eq!(look::data(&log, "run.started")[0]["coworker"]["is_triage"], true);
    }

    /// Ranking is done before the writer is asked; what has changed until then is decided anew.
    async fn what_changes_between_the_ranking_and_the_writing_is_not_overlooked(app: TestApp) {
        hire(&app).await;
        let store = app.store().await;
        let workspace = entity::workspace::Entity::find().one(store.read()).await.unwrap().unwrap().id;
        let id = |handle: &'static str| {
            let app = app.clone();
            async move { app.gql("query ($h: String!) { coworker(handle: $h) { id } }", json!({ "h": handle })).await["coworker"]["id"].take() }
        };
        let create = |ahead: Option<Ahead>| CreateRequest {
            actor: Actor::stint(workspace),
            title: VPN.into(),
            description: String::new(),
            priority: Priority::Normal,
            labels: Vec::new(),
            assignee: None,
            idempotency_key: None,
            ahead,
        };
        let look = async || route::ahead(store.read(), workspace, VPN, "").await.unwrap();
        let (network, finance) = (id("network").await, id("finance").await);

        // The one whom it fits stops working.
        let ahead = look().await;
        app.mutate("coworkerUnpublish", json!({ "id": network }), "").await;
        let made = store.write(create(Some(ahead))).await.unwrap();
        assert_eq!((made.assignee_id, made.needs_person), (None, true));
        // Triage stops working.
        app.mutate("coworkerPublish", json!({ "id": network }), "").await;
        triage(&app, DECLINES).await;
        let ahead = look().await;
        assert!(matches!(ahead, Ahead::Triage(_)), "{ahead:?}");
        app.mutate("coworkerUnpublish", json!({ "id": id("triage").await }), "").await;
        let made = store.write(create(Some(ahead))).await.unwrap();
        assert_eq!(Some(&format!("cow_{}", made.assignee_id.unwrap().simple())), network.as_str().map(str::to_owned).as_ref());
        // Someone who does not concern it stops working.
        let ahead = look().await;
        app.mutate("coworkerUnpublish", json!({ "id": finance }), "").await;
        let kept = store.write(create(Some(ahead))).await.unwrap();
        assert_eq!(kept.assignee_id, made.assignee_id);
        // The one whom it fits takes on something else from now on.
        let ahead = look().await;
        let other = json!({ "role": "Network Engineer", "scope": "Cables and switches." });
        app.mutate("coworkerUpdate", json!({ "id": network, "identity": other }), "").await;
        app.mutate("coworkerPublish", json!({ "id": network }), "").await;
        let moved = store.write(create(Some(ahead))).await.unwrap();
        assert_eq!((moved.assignee_id, moved.needs_person), (None, true));
        app.mutate("coworkerRollback", json!({ "id": network, "version": 1 }), "").await;
        // And nobody looked.
        let anew = store.write(create(None)).await.unwrap();
        assert_eq!(anew.assignee_id, made.assignee_id);
        app.drain().await;
        drop(store);
        look::sound(&app).await;
    }

    async fn when_triage_declines_the_ranking_decides(app: TestApp) {
        hire(&app).await;
        triage(&app, DECLINES).await;
        let request = made(&app, VPN).await;
        look::sound(&app).await;
        let runs = look::runs(&app).await;
        assert_eq!((&runs[0]["outcome"], &runs[1]["coworker"]["handle"], &runs[1]["trigger"]), (&json!("DECLINED"), &json!("network"), &json!("ROUTED")));
        let seen = look::request(&app, &request).await;
        let reason = seen["assignments"]["nodes"][1]["reason"].as_str().expect("a reason");
        assert!(reason.starts_with("Triage declined in Run-1 (I can't tell whose it is). @network fits: 2 of 3"), "{reason}");
        // In the transaction that ends Triage's run: what follows its end on the timeline is the assignment.
        let timeline = look::timeline(&app, &request).await;
        assert_eq!(timeline, ["RequestCreated", "Assigned triage", "RunStarted Run-1", "RunEnded Run-1", "Assigned network", "RunStarted Run-2", "RunEnded Run-2"]);

        let misfit = made(&app, MISFIT).await;
        assert_eq!(look::timeline(&app, &misfit).await, ["RequestCreated", "Assigned triage", "RunStarted Run-3", "RunEnded Run-3", "Assigned nobody", "LeftToPeople"]);
        let seen = look::request(&app, &misfit).await;
        assert_eq!((&seen["assignee"], &seen["needsPerson"]), (&Value::Null, &json!(true)));
        let reason = left(&app, &misfit).await[0]["reason"].take();
        assert!(reason.as_str().is_some_and(|text| text.starts_with("Triage declined in Run-3 (I can't tell whose it is). The request has no word")), "{reason}");
    }

    async fn when_triage_fails_the_ranking_decides(app: TestApp) {
        hire(&app).await;
        triage(&app, "turns: [{ text: Hm., fault: rejected }]").await;
        let request = made(&app, VPN).await;
        look::sound(&app).await;
        let runs = look::runs(&app).await;
        assert_eq!((&runs[0]["failureCode"], &runs[1]["coworker"]["handle"]), (&json!("MODEL_ERROR"), &json!("network")));
        let reason = look::request(&app, &request).await["assignments"]["nodes"][1]["reason"].take();
        assert!(reason.as_str().is_some_and(|text| text.starts_with("Triage failed in Run-1 (")), "{reason}");
    }

    async fn what_triage_answered_or_a_person_stopped_is_not_routed(app: TestApp) {
        hire(&app).await;
        triage(&app, "
turns:
  - when: { title_contains: slow }
    text: Never said.
    delay: 10m
  - calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: I know that one., summary: I answered. } }]
").await;
        let answered = made(&app, VPN).await;
        assert_eq!(look::request(&app, &answered).await["assignee"]["displayName"], "triage");
        let stopped = app.request("The VPN tunnel is slow").await["id"].take();
        let run = look::first_run(&app, &stopped).await;
        app.mutate("runStop", json!({ "id": run }), "").await;
        app.drain().await;
        assert_eq!(look::request(&app, &stopped).await["assignee"]["displayName"], "triage");
        assert_eq!(look::runs(&app).await.len(), 2);
    }

    /// R71: a new request on its way to Triage was given to nobody by name; it finds whom it fits.
    async fn what_waits_for_triage_is_routed_when_triage_is_unpublished(app: TestApp) {
        let app = look::with_settings(&app, |settings| settings.worker.slots = 1).await;
        hire(&app).await;
        Coworker::new("busy").playbook("turns: [{ text: Never said., delay: 10m }]").publish(&app).await;
        triage(&app, DECLINES).await;
        let busy = app.gql("{ coworker(handle: \"busy\") { id } }", json!({})).await["coworker"]["id"].take();
        let first = app.mutate("requestCreate", json!({ "title": "Keeps the worker", "assigneeId": busy }), "request { id }").await["request"]["id"].take();
        let run = look::first_run(&app, &first).await;
        let request = app.request(VPN).await["id"].take();
        let id = app.gql("{ coworker(handle: \"triage\") { id } }", json!({})).await["coworker"]["id"].take();
        app.mutate("coworkerUnpublish", json!({ "id": id }), "").await;
        app.mutate("runStop", json!({ "id": run }), "").await;
        app.drain().await;
        look::sound(&app).await;
        assert_eq!(look::timeline(&app, &request).await, [
            "RequestCreated", "Assigned triage", "DispatchDropped triage INTAKE NOT_PUBLISHED", "Assigned network", "RunStarted Run-2", "RunEnded Run-2",
        ]);
        let reason = look::request(&app, &request).await["assignments"]["nodes"][1]["reason"].take();
        assert!(reason.as_str().is_some_and(|text| text.starts_with("Triage was taken out of work. @network fits")), "{reason}");
        app.stop().await;
    }

    /// R66, R67: what is out of its scope counts against a coworker, for whom it routes to, and it is told where to route.
    async fn out_of_scope_says_where_to_route(app: TestApp) {
        let goal = json!({ "purpose": "To mend.", "outOfScope": [{ "when": "The laptop was stolen", "routeTo": "@security" }] });
        expert("security", "Security Analyst", "Theft, phishing and malware.", "").publish(&app).await;
        expert("hardware", "Hardware Specialist", "Laptop repair, screens, batteries.", "").with("goal", goal).publish(&app).await;
        made(&app, "Stolen laptop").await;
        let run = look::only_run(&app).await;
        assert_eq!(run["coworker"]["handle"], "security");
        made(&app, "Laptop screen needs repair").await;
        assert_eq!(look::runs(&app).await[1]["coworker"]["handle"], "hardware");
        let told = "SELECT COUNT(*) AS n FROM prompt_part WHERE body LIKE '%# Route elsewhere%- The laptop was stolen: reassign to @security%'";
        assert_eq!(look::number(&app, told).await, 1);
    }

    /// The text of a request may be anything.
    async fn texts_of_any_kind_are_routed(app: TestApp) {
        hire(&app).await;
        for (title, description) in [("🙂", ""), ("' OR 1=1 --", "%_!\\"), ("Überweisung", "Größe Ñandú"), ("VPN", &*"w0rd ".repeat(12_000))] {
            let input = json!({ "title": title, "description": description });
            app.mutate("requestCreate", input, "request { id }").await;
        }
        app.drain().await;
        assert_eq!(look::runs(&app).await.len(), 0);
    }
}
