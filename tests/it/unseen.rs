//! Requests that no person gave to their coworker do not lie unseen when it is taken out of work.

use api::config::Role;
use domain::coworker::UnpublishCoworker;
use domain::run::claim::Claim;
use serde_json::{Value, json};
use tests::{Coworker, TestApp, both_dbs};

use crate::held::{LEASE, ME};
use crate::look;
use crate::unpublish::{operator, row_id};

/// An application that executes nothing, and has no Triage.
async fn quiet(app: &TestApp) -> TestApp {
    look::with_settings(app, |settings| settings.role = Role::Api).await
}

/// Looks for work as a worker does, until nothing waits.
async fn claim_all(app: &TestApp) {
    let store = app.store().await;
    while look::number(app, "SELECT COUNT(*) FROM dispatch WHERE state = 'WAITING'").await > 0 {
        let claim = Claim {
            worker: ME,
            most: 10,
            lease_ms: LEASE,
            only: None,
        };
        let claimed = store.write(claim).await.unwrap();
        assert_eq!(claimed.len(), 0, "nothing of it starts");
    }
}

/// Who drops what waits.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    /// Whoever takes the coworker out of work.
    Caller,
    /// The next claim: the caller died after its first write, and the coworker was published again.
    Claim,
}

/// Takes a coworker out of work for which this request waits; what the request is then.
async fn out(app: &TestApp, coworker: &str, request: &Value, by: By) -> Value {
    if by == By::Caller {
        app.mutate("coworkerUnpublish", json!({ "id": coworker }), "")
            .await;
        return look::request(app, request).await;
    }
    let store = app.store().await;
    let (actor, coworker_id) = (operator(&store).await, row_id(coworker));
    let unpublish = UnpublishCoworker {
        actor,
        coworker: coworker_id,
    };
    store.write(unpublish).await.unwrap();
    assert_eq!(look::request(app, request).await["waiting"], json!([]));
    app.mutate("coworkerPublish", json!({ "id": coworker }), "")
        .await;
    assert_eq!(look::request(app, request).await["waiting"], json!([]));
    claim_all(app).await;
    look::request(app, request).await
}

async fn created(app: &TestApp, title: &str, assignee: Option<&str>) -> Value {
    let input = json!({ "title": title, "assigneeId": assignee });
    app.mutate("requestCreate", input, "request { id }").await["request"]["id"].take()
}

/// The assignee, the status, and whether a person must look.
fn stands(request: &Value) -> (&str, &str, bool) {
    let assignee = &request["assignee"]["displayName"];
    (
        assignee.as_str().unwrap_or("nobody"),
        request["status"].as_str().expect("a status"),
        request["needsPerson"] == true,
    )
}

both_dbs! {
    /// R71, decision 9: what was escalated to a coworker that was taken out of work before its run goes to nobody.
    async fn what_was_escalated_goes_to_nobody(app: TestApp) {
        let app = quiet(&app).await;
        let worker = Coworker::new("worker").publish(&app).await;
        let last = Coworker::new("last").publish(&app).await;
        app.mutate("workspaceUpdate", json!({ "hopBudget": 1, "escalationAssigneeId": last.id }), "").await;
        for by in [By::Caller, By::Claim] {
            let request = created(&app, "Whose is it?", Some(&worker.id)).await;
            look::tamper(&app, "UPDATE request SET hop_count = 1, status = 'IN_PROGRESS' WHERE assignment_epoch = 1").await;
            let claim = Claim { worker: ME, most: 10, lease_ms: LEASE, only: None };
            assert_eq!(app.store().await.write(claim).await.unwrap().len(), 0);
            assert_eq!(stands(&look::request(&app, &request).await), ("last", "OPEN", false), "{by:?}");
            assert_eq!(stands(&out(&app, &last.id, &request, by).await), ("nobody", "OPEN", true), "{by:?}");
            let timeline = look::timeline(&app, &request).await;
            assert_eq!(timeline[timeline.len() - 3..], ["DispatchDropped last ROUTED NOT_PUBLISHED", "Assigned nobody", "LeftToPeople"], "{by:?}");
            app.mutate("coworkerPublish", json!({ "id": last.id }), "").await;
        }
        app.stop().await;
    }

    /// R71: the requester answered, and whoever asked is out of work before it read the answer.
    async fn an_answer_that_nobody_reads_calls_a_person(app: TestApp) {
        let app = quiet(&app).await;
        let worker = Coworker::new("worker").publish(&app).await;
        for by in [By::Caller, By::Claim] {
            let request = created(&app, "Where is it?", Some(&worker.id)).await;
            app.mutate("requestUpdate", json!({ "id": request, "status": "PENDING" }), "").await;
            app.mutate("noteCreate", json!({ "requestId": request, "body": "It is blue.", "visibility": "PUBLIC" }), "").await;
            let seen = look::request(&app, &request).await;
            assert_eq!(stands(&seen), ("worker", "IN_PROGRESS", false), "{by:?}");
            assert_eq!(seen["waiting"][1]["trigger"], "REPLY", "{seen:#}");
            assert_eq!(stands(&out(&app, &worker.id, &request, by).await), ("worker", "IN_PROGRESS", true), "{by:?}");
            let timeline = look::timeline(&app, &request).await;
            assert_eq!(timeline[timeline.len() - 1], "DispatchDropped worker REPLY NOT_PUBLISHED", "{by:?}");
            app.mutate("coworkerPublish", json!({ "id": worker.id }), "").await;
        }
        // Nor does anyone who is out of work already.
        let request = created(&app, "Where is it?", Some(&worker.id)).await;
        app.mutate("requestUpdate", json!({ "id": request, "status": "PENDING" }), "").await;
        app.mutate("coworkerUnpublish", json!({ "id": worker.id }), "").await;
        assert_eq!(stands(&look::request(&app, &request).await), ("worker", "PENDING", false));
        app.mutate("noteCreate", json!({ "requestId": request, "body": "It is blue.", "visibility": "PUBLIC" }), "").await;
        assert_eq!(stands(&look::request(&app, &request).await), ("worker", "IN_PROGRESS", true));
        app.stop().await;
    }

    /// R71: whom the ranking chose is out of work before its run; whom a person chose is their own affair.
    async fn what_the_ranking_gave_calls_a_person_and_what_a_person_gave_does_not(app: TestApp) {
        let app = quiet(&app).await;
        let identity = json!({ "role": "Network engineer", "scope": "Routers, switches, gateways and wireless access points" });
        let network = Coworker::new("network").with("identity", identity).publish(&app).await;
        for by in [By::Caller, By::Claim] {
            let routed = created(&app, "The wireless gateway drops routers", None).await;
            let given = created(&app, "The wireless gateway drops routers", Some(&network.id)).await;
            assert_eq!(look::request(&app, &routed).await["waiting"][0]["trigger"], "ROUTED");
            assert_eq!(stands(&out(&app, &network.id, &routed, by).await), ("network", "OPEN", true), "{by:?}");
            assert_eq!(stands(&look::request(&app, &given).await), ("network", "OPEN", false), "{by:?}");
            let timeline = look::timeline(&app, &routed).await;
            assert_eq!(timeline, ["RequestCreated", "Assigned network", "DispatchDropped network ROUTED NOT_PUBLISHED"], "{by:?}");
            app.mutate("coworkerPublish", json!({ "id": network.id }), "").await;
        }
        let found = app.gql("{ requests(filter: { needsPerson: { eq: true } }) { totalCount } }", json!({})).await;
        assert_eq!(found["requests"]["totalCount"], 2);
        app.stop().await;
    }

    /// R71: what never starts waits for no run, also for who reaches it by its id.
    async fn what_waits_since_an_earlier_term_waits_for_no_run(app: TestApp) {
        let worker = Coworker::new("worker").playbook("turns: [{ repeat: true, text: Never said., delay: 10m }]").publish(&app).await;
        let request = created(&app, "Where is it?", Some(&worker.id)).await;
        let run = look::first_run(&app, &request).await;
        app.mutate("noteCreate", json!({ "requestId": request, "body": "@worker, and this?" }), "").await;
        let query = "query ($id: ID!) { request(id: $id) { waiting { id } } }";
        let waits = app.gql(query, json!({ "id": request })).await["request"]["waiting"][0]["id"].take();
        let query = "query ($id: ID!) { node(id: $id) { ... on Dispatch { trigger state waitsFor { id } } } }";
        let seen = app.gql(query, json!({ "id": waits })).await;
        assert_eq!(seen["node"], json!({ "trigger": "MENTION", "state": "WAITING", "waitsFor": { "id": run } }));
        // Whoever takes it out of work dies before what waits is dropped, and it is published again.
        let store = app.store().await;
        let actor = operator(&store).await;
        store.write(UnpublishCoworker { actor, coworker: row_id(&worker.id) }).await.unwrap();
        drop(store);
        let of_none = json!({ "trigger": "MENTION", "state": "WAITING", "waitsFor": null });
        assert_eq!(app.gql(query, json!({ "id": waits })).await["node"], of_none);
        app.mutate("coworkerPublish", json!({ "id": worker.id }), "").await;
        assert_eq!(app.gql(query, json!({ "id": waits })).await["node"], of_none);
        app.mutate("runStop", json!({ "id": run }), "").await;
        app.drain().await;
        look::sound(&app).await;
        app.stop().await;
    }

    /// R71: handed on to one that is out of work.
    async fn a_hand_off_to_one_out_of_work_calls_a_person(app: TestApp) {
        let first = Coworker::new("first").playbook(&look::hands_to("second")).publish(&app).await;
        let second = Coworker::new("second").publish(&app).await;
        app.mutate("coworkerUnpublish", json!({ "id": second.id }), "").await;
        let request = created(&app, "Whose is it?", Some(&first.id)).await;
        app.drain().await;
        look::sound(&app).await;
        let seen = look::request(&app, &request).await;
        assert_eq!(stands(&seen), ("second", "OPEN", true));
        // A person's touch ends it.
        app.mutate("noteCreate", json!({ "requestId": request, "body": "I have it." }), "").await;
        assert_eq!(look::request(&app, &request).await["needsPerson"], false);
    }
}
