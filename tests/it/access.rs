//! Who may do what, through the API: exactly what the policy says; and no workspace knows of another.

mod things;

use api::auth::MakeKey;
use domain::access::{Action, Standing, allows};
use domain::key::Holder;
use entity::Role;
use serde_json::{Value, json};
use tests::{Client, Coworker, TestApp, both_dbs};
use things::furnish;

use crate::look;

/// Whether a mutation was refused for want of a right. What the caller may not see is not there at all.
async fn is_forbidden(client: &Client, mutation: &str, input: &Value) -> bool {
    let (first, rest) = mutation.split_at(1);
    let query = format!(
        "mutation ($input: {}{rest}Input!) {{ {mutation}(input: $input) {{ userErrors {{ code message }} }} }}",
        first.to_uppercase()
    );
    let answer = client.post(&query, json!({ "input": input })).await;
    let payload = &answer.body["data"][mutation];
    assert!(
        payload["userErrors"].is_array(),
        "{mutation}: {}",
        answer.body
    );
    payload["userErrors"][0]["code"] == "FORBIDDEN"
}

/// A workspace of this name, and its admin.
pub async fn workspace(app: &TestApp, name: &str) -> Client {
    let make = MakeKey {
        workspace: Some(name.to_owned()),
        name: name.to_owned(),
        role: Role::Admin,
        holder: Holder::NewPerson(name.to_owned()),
        only_first: false,
    };
    let key = app
        .store()
        .await
        .write(make)
        .await
        .expect("a key")
        .expect("its text");
    app.with_key(Some(key.reveal()))
}

both_dbs! {
    async fn each_mutation_is_allowed_to_exactly_the_roles_of_the_policy(app: TestApp) {
        for role in Role::ALL {
            let client = app.as_role(*role).await;
            let maker = if *role == Role::Analyst { (*app).clone() } else { client.clone() };
            let name = role.as_str().to_lowercase();
            let coworker = Coworker::new(&format!("spare-{name}")).create(&app).await.id;
            let made = maker.mutate("requestCreate", json!({ "title": "Mine" }), "request { id }").await;
            let own = &made["request"]["id"];
            let me = client.gql("{ viewer { actor { id } } }", json!({})).await["viewer"]["actor"]["id"].take();
            for (mutation, input, needed) in [
                ("requestCreate", json!({ "title": "a" }), vec![Action::RequestCreate]),
                ("requestCreate", json!({ "title": "a", "assigneeId": coworker }), vec![Action::RequestCreate, Action::RequestAssign]),
                ("requestUpdate", json!({ "id": own, "title": "b" }), vec![Action::RequestUpdate]),
                ("requestUpdate", json!({ "id": own, "priority": "HIGH" }), vec![Action::RequestUpdate]),
                ("requestUpdate", json!({ "id": own, "status": "PENDING" }), vec![Action::RequestSetStatus]),
                ("requestUpdate", json!({ "id": own, "labels": ["a"], "status": "OPEN" }), vec![Action::RequestUpdate, Action::RequestSetStatus]),
                ("requestAssign", json!({ "id": own, "assigneeId": me }), vec![Action::RequestAssign]),
                ("noteCreate", json!({ "requestId": own, "body": "a" }), vec![Action::NotePublic]),
                ("noteCreate", json!({ "requestId": own, "body": "a", "visibility": "PRIVATE" }), vec![Action::NotePrivate]),
                ("coworkerCreate", Coworker::new(&format!("by-{name}")).input(), vec![Action::CoworkerWrite]),
                ("coworkerUpdate", json!({ "id": coworker, "name": "b" }), vec![Action::CoworkerWrite]),
                ("coworkerPublish", json!({ "id": coworker }), vec![Action::CoworkerPublish]),
                ("coworkerUnpublish", json!({ "id": coworker }), vec![Action::CoworkerPublish]),
                ("coworkerRollback", json!({ "id": coworker, "version": 1 }), vec![Action::CoworkerPublish]),
                ("skillCreate", json!({ "handle": format!("by-{name}"), "name": "a", "text": "a" }), vec![Action::CoworkerWrite]),
                ("skillUpdate", json!({ "id": format!("skl_{:032x}", 7), "text": "b" }), vec![Action::CoworkerWrite]),
                ("runStop", json!({ "id": format!("run_{:032x}", 7) }), vec![Action::RunStop]),
                ("approvalDecide", json!({ "approvalId": format!("apr_{:032x}", 7), "decision": "DENY" }), vec![Action::ApprovalDecide]),
                ("apiKeyCreate", json!({ "name": "a", "role": "ANALYST" }), vec![Action::KeyManage]),
                ("apiKeyRevoke", json!({ "id": format!("key_{:032x}", 7) }), vec![Action::KeyManage]),
                ("workspaceUpdate", json!({ "hopBudget": 12 }), vec![Action::WorkspaceUpdate]),
                ("modelPriceSet", json!({ "model": role.as_str(), "input": "1", "output": "2" }), vec![Action::PriceWrite]),
                ("webhookEndpointCreate", json!({ "name": role.as_str(), "kind": "PAGERDUTY" }), vec![Action::HookManage]),
                ("webhookEndpointUpdate", json!({ "id": format!("whe_{:032x}", 7), "enabled": false }), vec![Action::HookManage]),
                ("webhookEndpointSecretRotate", json!({ "id": format!("whe_{:032x}", 7) }), vec![Action::HookManage]),
                ("alertEndpointCreate", json!({ "name": role.as_str(), "url": "https://desk.example.com/", "kinds": ["RUN_ENDED"] }), vec![Action::AlertManage]),
                ("alertEndpointUpdate", json!({ "id": format!("ale_{:032x}", 7), "enabled": false }), vec![Action::AlertManage]),
                ("alertEndpointSecretRotate", json!({ "id": format!("ale_{:032x}", 7) }), vec![Action::AlertManage]),
                ("alertDeliveryReplay", json!({ "id": format!("ald_{:032x}", 7) }), vec![Action::AlertManage]),
                ("toolServerCreate", json!({ "name": name, "kind": "MCP_STDIO", "command": "none" }), vec![Action::ToolManage]),
                ("toolServerUpdate", json!({ "id": format!("tls_{:032x}", 7), "command": "none" }), vec![Action::ToolManage]),
                ("toolServerDelete", json!({ "id": format!("tls_{:032x}", 7) }), vec![Action::ToolManage]),
                ("toolServerRefresh", json!({ "id": format!("tls_{:032x}", 7) }), vec![Action::ToolManage]),
                ("toolActionAccept", json!({ "id": format!("tla_{:032x}", 7), "digest": "" }), vec![Action::ToolManage]),
                ("toolActionUpdate", json!({ "id": format!("tla_{:032x}", 7), "enabled": false }), vec![Action::ToolManage]),
                ("secretSet", json!({ "name": name, "value": "a secret value" }), vec![Action::ToolManage]),
                ("secretDelete", json!({ "name": name }), vec![Action::ToolManage]),
            ] {
                let before = look::counts(&app).await;
                let allowed = needed.iter().all(|action| allows(Standing::Role(*role), *action));
                assert_eq!(!is_forbidden(&client, mutation, &input).await, allowed, "{role:?} {mutation} {input}");
                if !allowed {
                    assert_eq!(look::counts(&app).await, before, "{role:?} {mutation}");
                }
            }
        }
    }

    async fn each_query_shows_exactly_what_the_policy_says(app: TestApp) {
        let requester = app.as_role(Role::Requester).await;
        let things = furnish(&app, &app, &requester).await;
        for role in Role::ALL {
            let client = if *role == Role::Requester { requester.clone() } else { app.as_role(*role).await };
            let may = |action| allows(Standing::Role(*role), action);
            for (query, variables, action) in [
                ("query ($id: ID!) { request(id: $id) { id } }", json!({ "id": things.request }), Action::RequestReadAll),
                ("query ($id: ID!) { request(id: $id) { id } }", json!({ "id": things.own }), Action::RequestReadOwn),
                ("query ($id: ID!) { coworker(id: $id) { id } }", json!({ "id": things.coworker }), Action::CoworkerRead),
                ("{ coworker(handle: \"worker\") { id } }", json!({}), Action::CoworkerRead),
                ("query ($id: ID!) { run(id: $id) { id } }", json!({ "id": things.run }), Action::RunRead),
                ("{ run(number: 1) { id } }", json!({}), Action::RunRead),
                ("query ($id: ID!) { node(id: $id) { id } }", json!({ "id": things.note }), Action::RequestReadAll),
                ("query ($id: ID!) { node(id: $id) { id } }", json!({ "id": things.assignment }), Action::RequestReadAll),
                ("query ($id: ID!) { node(id: $id) { id } }", json!({ "id": things.dispatch }), Action::RequestReadAll),
                ("query ($id: ID!) { node(id: $id) { id } }", json!({ "id": things.version }), Action::CoworkerRead),
                ("query ($id: ID!) { node(id: $id) { id } }", json!({ "id": things.skill }), Action::CoworkerRead),
                ("query ($id: ID!) { node(id: $id) { id } }", json!({ "id": things.skill_version }), Action::CoworkerRead),
                ("{ skill(handle: \"vpn\") { id usedBy { id } } }", json!({}), Action::CoworkerRead),
                ("query ($id: ID!) { coworker(id: $id) { lint { place } } }", json!({ "id": things.coworker }), Action::CoworkerRead),
                ("query ($id: ID!) { coworker(id: $id) { diff { text } } }", json!({ "id": things.coworker }), Action::CoworkerRead),
                ("query ($id: ID!) { node(id: $id) { id } }", json!({ "id": things.step }), Action::RunRead),
                ("query ($id: ID!) { node(id: $id) { id } }", json!({ "id": things.event }), Action::RunRead),
                ("query ($id: ID!) { node(id: $id) { id } }", json!({ "id": things.approval }), Action::RunRead),
                ("query ($id: ID!) { node(id: $id) { id } }", json!({ "id": things.key }), Action::KeyManage),
                ("query ($id: ID!) { node(id: $id) { id } }", json!({ "id": things.price }), Action::MetricsRead),
                ("{ metrics(range: { start: \"-P7D\" }) { totals { runs } } }", json!({}), Action::MetricsRead),
                ("{ modelPrices { id } }", json!({}), Action::MetricsRead),
                ("{ apiKeys { nodes { id } } }", json!({}), Action::KeyManage),
                ("query ($id: ID!) { node(id: $id) { id } }", json!({ "id": things.endpoint }), Action::HookManage),
                ("query ($id: ID!) { node(id: $id) { id } }", json!({ "id": things.delivery }), Action::HookManage),
                ("query ($id: ID!) { node(id: $id) { id } }", json!({ "id": things.heard }), Action::RequestReadAll),
                ("{ webhookEndpoints { nodes { id } } }", json!({}), Action::HookManage),
                ("query ($id: ID!) { node(id: $id) { id } }", json!({ "id": things.told }), Action::AlertManage),
                ("query ($id: ID!) { node(id: $id) { id } }", json!({ "id": things.alert }), Action::AlertManage),
                ("{ alertEndpoints { nodes { id url } } }", json!({}), Action::AlertManage),
                ("query ($id: ID!) { node(id: $id) { id } }", json!({ "id": things.server }), Action::ToolManage),
                ("query ($id: ID!) { node(id: $id) { id } }", json!({ "id": things.action }), Action::ToolManage),
                ("{ toolServers { nodes { id name actions { name } health { state } } } }", json!({}), Action::ToolManage),
                ("{ secrets { name } }", json!({}), Action::ToolManage),
            ] {
                let answer = client.post(query, variables).await;
                let code = answer.body["errors"][0]["extensions"]["code"].as_str();
                let told = format!("{role:?} {query}: {}", answer.body);
                match (may(action), code) {
                    (true, None) => {}
                    (false, Some("NOT_FOUND" | "FORBIDDEN")) => {}
                    _ => panic!("{told}"),
                }
            }
            // Who only meets a coworker as an actor sees nothing of what it is made of.
            let query = "query ($id: ID!) { request(id: $id) { assignee { ... on Coworker { handle tools { server } skills lint { place } diff { text } } } } }";
            let answer = client.post(query, json!({ "id": things.request })).await;
            if may(Action::RequestReadAll) {
                assert_eq!(answer.body.get("errors").is_none(), may(Action::CoworkerRead), "{}", answer.body);
            }
            let lists = client.gql("{ requests { totalCount } coworkers { totalCount } skills { totalCount } runs { totalCount } approvals { totalCount } }", json!({})).await;
            let count = |shown: bool, all: i64| if shown { all } else { 0 };
            assert_eq!(lists["requests"]["totalCount"], if may(Action::RequestReadAll) { 3 } else { 1 });
            assert_eq!(lists["coworkers"]["totalCount"], count(may(Action::CoworkerRead), 1));
            assert_eq!(lists["skills"]["totalCount"], count(may(Action::CoworkerRead), 1));
            assert_eq!(lists["runs"]["totalCount"], count(may(Action::RunRead), 1));
            assert_eq!(lists["approvals"]["totalCount"], count(may(Action::RunRead), 1));
            // `permissions` say beforehand what the mutations then do.
            let query = "query ($id: ID!) { request(id: $id) { permissions { requestUpdate requestAssign noteCreate noteCreatePrivate } } }";
            let seen = client.gql(query, json!({ "id": things.own })).await["request"]["permissions"].take();
            assert_eq!(seen, json!({
                "requestUpdate": may(Action::RequestUpdate), "requestAssign": may(Action::RequestAssign),
                "noteCreate": may(Action::NotePublic), "noteCreatePrivate": may(Action::NotePrivate),
            }), "{role:?}");
        }
    }

    async fn another_workspace_is_not_there(app: TestApp) {
        let things = furnish(&app, &app, &app).await;
        let stranger = workspace(&app, "Elsewhere").await;
        let theirs = stranger.mutate("requestCreate", json!({ "title": "Theirs" }), "request { id number }").await;
        assert_eq!(theirs["request"]["number"], 1, "numbers count per workspace");
        let before = look::counts(&app).await;

        let node = "query ($id: ID!) { node(id: $id) { id } }";
        let ids = [
            &things.request, &things.note, &things.assignment, &json!(things.coworker), &things.version, &things.skill, &things.skill_version, &things.run,
            &things.approval, &things.step, &things.event, &things.dispatch, &things.key, &things.person, &things.price,
            &things.endpoint, &things.delivery, &things.heard, &things.told, &things.alert, &things.server, &things.action,
        ];
        for id in ids {
            app.gql(node, json!({ "id": id })).await;
            // What another workspace has is what nobody has: the same answer, to the word.
            let text = id.as_str().expect("an id");
            let (prefix, rest) = text.split_once('_').expect("a prefix");
            let absent = format!("{prefix}_{:032x}{}", 7, &rest[32..]);
            let answers = [stranger.gql_errors(node, json!({ "id": id })).await, stranger.gql_errors(node, json!({ "id": absent })).await];
            let said = |errors: &[Value]| (errors[0]["message"].clone(), errors[0]["extensions"]["code"].clone());
            assert_eq!(said(&answers[0]), said(&answers[1]), "{id}");
            assert_eq!(answers[0][0]["extensions"]["code"], "NOT_FOUND", "{id}");
        }
        for (mutation, input) in [
            ("requestUpdate", json!({ "id": things.request, "title": "Ours" })),
            ("requestAssign", json!({ "id": things.request, "assigneeId": null })),
            ("requestAssign", json!({ "id": theirs["request"]["id"], "assigneeId": things.coworker })),
            ("requestAssign", json!({ "id": theirs["request"]["id"], "assigneeId": things.person })),
            ("requestCreate", json!({ "title": "Ours", "assigneeId": things.coworker })),
            ("noteCreate", json!({ "requestId": things.request, "body": "Hello." })),
            ("coworkerUpdate", json!({ "id": things.coworker, "name": "Ours" })),
            ("coworkerPublish", json!({ "id": things.coworker })),
            ("coworkerUnpublish", json!({ "id": things.coworker })),
            ("coworkerRollback", json!({ "id": things.coworker, "version": 1 })),
            ("skillUpdate", json!({ "id": things.skill, "text": "Ours" })),
            ("runStop", json!({ "id": things.run })),
            ("approvalDecide", json!({ "approvalId": things.approval, "decision": "DENY" })),
            ("apiKeyCreate", json!({ "name": "Ours", "role": "ADMIN", "personId": things.person })),
            ("apiKeyRevoke", json!({ "id": things.key })),
            ("webhookEndpointUpdate", json!({ "id": things.endpoint, "enabled": false })),
            ("webhookEndpointSecretRotate", json!({ "id": things.endpoint, "secret": "0123456789abcdef" })),
            ("alertEndpointUpdate", json!({ "id": things.told, "enabled": false })),
            ("alertEndpointSecretRotate", json!({ "id": things.told })),
            ("alertEndpointCreate", json!({ "name": "Ours", "url": "https://desk.example.com/", "kinds": ["RUN_ENDED"], "coworkerIds": [things.coworker] })),
            ("alertDeliveryReplay", json!({ "id": things.alert })),
            ("toolServerUpdate", json!({ "id": things.server, "headers": [] })),
            ("toolServerRefresh", json!({ "id": things.server })),
            ("toolServerDelete", json!({ "id": things.server })),
            ("toolActionUpdate", json!({ "id": things.action, "enabled": false })),
            ("toolActionAccept", json!({ "id": things.action, "digest": "" })),
            ("secretDelete", json!({ "name": "DESK" })),
            ("workspaceUpdate", json!({ "escalationAssigneeId": things.coworker })),
            ("workspaceUpdate", json!({ "escalationAssigneeId": things.person })),
        ] {
            let refused = stranger.refused(mutation, input.clone()).await;
            assert_eq!(refused[0]["code"], "NOT_FOUND", "{mutation} {input}");
        }
        // A skill of the same handle elsewhere is another one, and none here.
        let ours = Coworker::new("ours").with("skills", json!(["vpn"])).create(&stranger).await;
        assert_eq!(stranger.refused("coworkerPublish", json!({ "id": ours.id })).await[0]["code"], "SKILL_UNKNOWN");
        // Whom one may mention is at home.
        let query = "{ mentionables(prefix: \"\") { actor { id } } }";
        let here = look::list(app.gql(query, json!({})).await["mentionables"].take());
        let there = look::list(stranger.gql(query, json!({})).await["mentionables"].take());
        assert!(there.len() == 1 && !here.contains(&there[0]), "{here:?} {there:?}");
        // Mentions stay at home, and so do lists, metrics and boards.
        stranger.mutate("noteCreate", json!({ "requestId": theirs["request"]["id"], "body": "@worker" }), "").await;
        app.drain().await;
        let query = "{ runs { totalCount } approvals { totalCount } coworkers { totalCount } skills { totalCount } requests { totalCount } modelPrices(startsWith: \"scripted\") { id } apiKeys { totalCount } webhookEndpoints { totalCount } toolServers { totalCount } secrets { name } }";
        let mut seen = stranger.gql(query, json!({})).await;
        let query = "{ metrics(range: { start: \"-P7D\", end: \"2030-01-01T00:00:00Z\" }) { totals { runs modelCalls } } }";
        seen["alertEndpoints"] = stranger.gql("{ alertEndpoints { totalCount } }", json!({})).await["alertEndpoints"].take();
        seen["metrics"] = stranger.gql(query, json!({})).await["metrics"].take();
        assert_eq!(seen, json!({
            "runs": { "totalCount": 0 }, "approvals": { "totalCount": 0 }, "coworkers": { "totalCount": 1 }, "skills": { "totalCount": 0 }, "requests": { "totalCount": 1 }, "modelPrices": [],
            "apiKeys": { "totalCount": 1 }, "webhookEndpoints": { "totalCount": 0 }, "alertEndpoints": { "totalCount": 0 }, "toolServers": { "totalCount": 0 }, "secrets": [], "metrics": { "totals": { "runs": 0, "modelCalls": 0 } },
        }));
        let mut expected = before;
        for (table, more) in [("note", 1), ("request_event", 1), ("coworker", 1)] {
            *expected.get_mut(table).expect("a table") += more;
        }
        assert_eq!(look::counts(&app).await, expected);
        for (subscription, id) in [
            ("subscription ($id: ID!) { runEvents(runId: $id) { sequence } }", &things.run),
            ("subscription ($id: ID!) { runSteps(runId: $id) { cursor } }", &things.run),
            ("subscription ($id: ID!) { runDeltas(runId: $id) { text } }", &things.run),
            ("subscription ($id: ID!) { requestTimeline(requestId: $id) { __typename } }", &things.request),
        ] {
            match stranger.subscribe(subscription, json!({ "id": id })).await.item().await {
                tests::Item::Error(errors) => assert_eq!(errors[0]["extensions"]["code"], "NOT_FOUND"),
                other => panic!("{other:?}"),
            }
        }
        // A cursor of one workspace opens nothing in another.
        let cursor = app.gql("{ requests(first: 1) { pageInfo { endCursor } } }", json!({})).await["requests"]["pageInfo"]["endCursor"].take();
        let code = stranger.gql_code("query ($after: String) { requests(after: $after) { nodes { id } } }", json!({ "after": cursor })).await;
        assert_eq!(code, "INVALID_CURSOR");
    }

    async fn a_request_is_routed_within_its_workspace(app: TestApp) {
        let stranger = workspace(&app, "Elsewhere").await;
        let identity = json!({ "role": "Network Engineer", "scope": "VPN tunnels." });
        Coworker::new("network").with("identity", identity).publish(&app).await;
        for (client, routed) in [(&stranger, 0), (&*app, 1)] {
            client.mutate("requestCreate", json!({ "title": "The VPN tunnel drops" }), "").await;
            app.drain().await;
            assert_eq!(look::runs(client).await.len(), routed);
        }
    }

    async fn two_workspaces_have_runs_of_their_own_numbers(app: TestApp) {
        let stranger = workspace(&app, "Elsewhere").await;
        for client in [&*app, &stranger, &*app, &stranger] {
            let found = client.gql("{ coworkers { nodes { id } } }", json!({})).await;
            let id = match found.pointer("/coworkers/nodes/0/id").and_then(Value::as_str) {
                Some(id) => id.to_owned(),
                None => Coworker::new("worker").publish(client).await.id,
            };
            client.mutate("requestCreate", json!({ "title": "Where is it?", "assigneeId": id }), "").await;
        }
        app.drain().await;
        for client in [&*app, &stranger] {
            let numbers: Vec<Value> = look::runs(client).await.iter().map(|run| run["number"].clone()).collect();
            assert_eq!(numbers, [1, 2]);
        }
    }

    async fn a_key_that_was_revoked_or_has_expired_opens_nothing(app: TestApp) {
        let app = look::with_settings(&app, |settings| settings.key_life = std::time::Duration::ZERO).await;
        let made = app.mutate("apiKeyCreate", json!({ "name": "Ada", "role": "AGENT" }), "apiKey { id } secret").await;
        let ada = app.with_key(made["secret"].as_str());
        ada.gql("{ viewer { role } }", json!({})).await;
        app.mutate("apiKeyRevoke", json!({ "id": made["apiKey"]["id"] }), "apiKey { revokedAt }").await;
        assert_eq!(ada.post("{ viewer { role } }", json!({})).await.status, 401);

        let brief = app.with_new_key(json!({ "name": "Brief", "role": "AGENT", "expiresAt": "PT1H" })).await;
        brief.gql("{ viewer { role } }", json!({})).await;
        app.advance(std::time::Duration::from_secs(3_600)).await;
        let answer = brief.post("{ viewer { role } }", json!({})).await;
        assert_eq!((answer.status, &answer.body["errors"][0]["extensions"]["code"]), (401, &json!("UNAUTHENTICATED")));
        app.stop().await;
    }
}
