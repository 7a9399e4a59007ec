//! G17: the same creating call under one key makes one thing. The mutations are those of the contract: one that is new
//! fails here until it takes a key, or is known to create nothing.

use std::collections::BTreeSet;

use async_graphql_parser::parse_schema;
use async_graphql_parser::types::{
    FieldDefinition, InputObjectType, ObjectType, TypeKind, TypeSystemDefinition,
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::{Coworker, TestApp, both_dbs};

use crate::look;

/// The mutations that create nothing: to repeat them sets again what is set already.
const CREATE_NOTHING: [&str; 15] = [
    "requestUpdate",
    "coworkerUpdate",
    "coworkerUnpublish",
    "runStop",
    "apiKeyRevoke",
    "webhookEndpointUpdate",
    "alertEndpointUpdate",
    "workspaceUpdate",
    "toolServerUpdate",
    "toolServerDelete",
    "toolServerRefresh",
    "toolActionAccept",
    "toolActionUpdate",
    "secretSet",
    "secretDelete",
];

/// The definition of an object or input type of the contract.
fn definition(name: &str) -> TypeKind {
    let contract = parse_schema(include_str!("../../schema.graphql")).expect("the contract");
    let found = contract
        .definitions
        .into_iter()
        .find_map(|definition| match definition {
            TypeSystemDefinition::Type(ty) if ty.node.name.node == name => Some(ty.node.kind),
            _ => None,
        });
    found.unwrap_or_else(|| panic!("no type {name}"))
}

fn mutations() -> Vec<FieldDefinition> {
    match definition("Mutation") {
        TypeKind::Object(ObjectType { fields, .. }) => {
            fields.into_iter().map(|field| field.node).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_mutation_that_creates_something_takes_an_idempotency_key() {
    let mut known = BTreeSet::from(CREATE_NOTHING);
    for mutation in mutations() {
        let name = mutation.name.node.as_str();
        if known.remove(name) {
            continue;
        }
        let input = mutation.arguments[0].node.ty.node.to_string();
        let TypeKind::InputObject(InputObjectType { fields }) = definition(input.trim_matches('!'))
        else {
            panic!("{name} takes no input object");
        };
        let key = fields
            .iter()
            .find(|field| field.node.name.node == "idempotencyKey");
        let key = key.unwrap_or_else(|| panic!("{name} takes no idempotencyKey: give {input} one"));
        assert_eq!(key.node.ty.node.to_string(), "String", "{name}");
    }
    assert!(known.is_empty(), "no such mutations: {known:?}");
}

/// What a payload holds besides what errors and callers say.
fn payload(mutation: &FieldDefinition) -> Vec<String> {
    let name = mutation.ty.node.to_string();
    let TypeKind::Object(ObjectType { fields, .. }) = definition(name.trim_matches('!')) else {
        panic!("{name} is no object");
    };
    let names = fields.iter().map(|field| field.node.name.node.to_string());
    names
        .filter(|name| !["userErrors", "clientMutationId"].contains(&name.as_str()))
        .collect()
}

/// A creating call, another input for the same key, and what of the answer must be the same.
struct Sample {
    mutation: &'static str,
    input: Value,
    other: Value,
    made: &'static str,
}

/// One call of every creating mutation.
async fn samples(app: &TestApp) -> Vec<Sample> {
    let viewer = app
        .gql("{ viewer { actor { id } } }", json!({}))
        .await
        .pointer("/viewer/actor/id")
        .cloned();
    let request = app.request("Where is it?").await["id"].take();
    let skill = json!({ "handle": "old", "name": "Old", "text": "Old." });
    let skill = app.mutate("skillCreate", skill, "skill { id }").await["skill"]["id"].take();
    // Only a forced publication makes a version each time.
    let wrong = json!({ "purpose": "Ask netbox.lookup." });
    let draft = Coworker::new("draft").with("goal", wrong).create(app).await;
    let published = Coworker::new("published").publish(app).await;
    app.mutate(
        "coworkerUpdate",
        json!({ "id": published.id, "soul": "Calm." }),
        "",
    )
    .await;
    app.mutate("coworkerPublish", json!({ "id": published.id }), "")
        .await;
    let mapping = json!({ "title": "/title", "eventId": "/id" });
    let endpoint = json!({ "name": "Old", "kind": "GENERIC", "mapping": mapping });
    let endpoint = app
        .mutate("webhookEndpointCreate", endpoint, "webhookEndpoint { id }")
        .await["webhookEndpoint"]["id"]
        .take();
    let wait =
        json!([{ "server": "stint", "actions": [{ "name": "set_status", "approval": "ALWAYS" }] }]);
    let asks = Coworker::new("asks")
        .playbook("turns:\n  - calls: [{ tool: set_status, arguments: { status: PENDING } }]\n")
        .with("tools", wait)
        .publish(app)
        .await;
    let input = json!({ "title": "May I?", "assigneeId": asks.id });
    app.mutate("requestCreate", input, "").await;
    app.drain().await;
    let asked = app.gql("{ approvals { nodes { id } } }", json!({})).await;
    let told =
        json!({ "name": "Old", "url": "http://127.0.0.1:1/", "kinds": ["REQUEST_RESOLVED"] });
    let told = app
        .mutate("alertEndpointCreate", told, "alertEndpoint { id }")
        .await["alertEndpoint"]["id"]
        .take();
    let delivery = |title: &'static str| {
        let told = told.clone();
        async move {
            let request = app.request(title).await["id"].take();
            app.mutate(
                "requestUpdate",
                json!({ "id": request, "status": "RESOLVED" }),
                "",
            )
            .await;
            let query = "query ($id: ID!) { node(id: $id) { ... on AlertEndpoint { deliveries(first: 1) { nodes { id } } } } }";
            let seen = app.gql(query, json!({ "id": told })).await;
            seen["node"]["deliveries"]["nodes"][0]["id"].clone()
        }
    };
    let (first, second) = (delivery("Told").await, delivery("Told too").await);
    let declared = json!({ "name": "get", "description": "Gets.", "url": "https://desk.example.com/", "parameters": {} });
    let sample = |mutation, input: Value, change: Value, made| {
        let mut other = input.clone();
        for (field, value) in change.as_object().expect("fields") {
            other[field] = value.clone();
        }
        Sample {
            mutation,
            input,
            other,
            made,
        }
    };
    vec![
        sample(
            "requestCreate",
            json!({ "title": "Once" }),
            json!({ "title": "Twice" }),
            "request { id number }",
        ),
        sample(
            "requestAssign",
            json!({ "id": request, "assigneeId": viewer }),
            json!({ "reason": "Mine." }),
            "request { id assignments { totalCount } }",
        ),
        sample(
            "noteCreate",
            json!({ "requestId": request, "body": "Once" }),
            json!({ "body": "Twice" }),
            "note { id }",
        ),
        sample(
            "coworkerCreate",
            Coworker::new("once").input(),
            json!({ "handle": "twice" }),
            "coworker { id }",
        ),
        sample(
            "coworkerPublish",
            json!({ "id": draft.id, "force": true, "reason": "Once" }),
            json!({ "reason": "Twice" }),
            "coworker { id version { id number } } findings { severity rule place message remedy }",
        ),
        sample(
            "coworkerRollback",
            json!({ "id": published.id, "version": 1 }),
            json!({ "version": 2 }),
            "coworker { id version { id number } } findings { severity rule place message remedy }",
        ),
        sample(
            "skillCreate",
            json!({ "handle": "once", "name": "Once", "text": "Once." }),
            json!({ "text": "Twice." }),
            "skill { id version { id } }",
        ),
        sample(
            "skillUpdate",
            json!({ "id": skill, "text": "New." }),
            json!({ "text": "Newer." }),
            "skill { id version { id number } }",
        ),
        sample(
            "approvalDecide",
            json!({ "approvalId": asked["approvals"]["nodes"][0]["id"], "decision": "DENY" }),
            json!({ "decision": "APPROVE" }),
            "approval { id state decidedAt }",
        ),
        sample(
            "apiKeyCreate",
            json!({ "name": "Once", "role": "AGENT" }),
            json!({ "name": "Twice" }),
            "apiKey { id } secret",
        ),
        sample(
            "modelPriceSet",
            json!({ "model": "scripted", "input": "1", "output": "2", "tiers": [{ "promptOver": 1000, "input": "3", "output": "4" }] }),
            json!({ "output": "3" }),
            "modelPrice { id } tiers { id input }",
        ),
        sample(
            "webhookEndpointCreate",
            json!({ "name": "Once", "kind": "GENERIC", "mapping": mapping }),
            json!({ "name": "Twice" }),
            "webhookEndpoint { id } secret",
        ),
        sample(
            "webhookEndpointSecretRotate",
            json!({ "id": endpoint }),
            json!({ "secret": "fedcba9876543210" }),
            "webhookEndpoint { id } secret",
        ),
        sample(
            "alertEndpointCreate",
            json!({ "name": "Once", "url": "https://desk.example.com/", "kinds": ["RUN_ENDED"] }),
            json!({ "name": "Twice" }),
            "alertEndpoint { id } secret",
        ),
        sample(
            "alertEndpointSecretRotate",
            json!({ "id": told }),
            json!({ "overlap": "PT1H" }),
            "alertEndpoint { id } secret",
        ),
        sample(
            "alertDeliveryReplay",
            json!({ "id": first }),
            json!({ "id": second }),
            "alertDelivery { id }",
        ),
        sample(
            "toolServerCreate",
            json!({ "name": "once", "kind": "HTTP", "tools": [declared] }),
            json!({ "name": "twice" }),
            "toolServer { id }",
        ),
    ]
}

both_dbs! {
    async fn whatever_creates_creates_once_under_one_key(app: TestApp) {
        let samples = samples(&app).await;
        let creating: BTreeSet<String> = mutations().iter().map(|mutation| mutation.name.node.to_string())
            .filter(|name| !CREATE_NOTHING.contains(&name.as_str())).collect();
        let sampled: BTreeSet<String> = samples.iter().map(|sample| sample.mutation.to_owned()).collect();
        assert_eq!(sampled, creating, "each mutation that creates something has a sample here");
        for Sample { mutation, input, other, made } in samples {
            let definition = mutations().into_iter().find(|one| one.name.node == mutation).expect("a mutation");
            for field in payload(&definition) {
                assert!(made.contains(&field), "{mutation}: {field} must be the same too");
            }
            let keyed = |mut input: Value| { input["idempotencyKey"] = json!("k"); input };
            // Five at once, and one afterwards.
            let mut answers = join_all((0..5).map(|_| app.mutate(mutation, keyed(input.clone()), made))).await;
            // What was decided goes on by itself.
            app.drain().await;
            let before = look::counts(&app).await;
            answers.push(app.mutate(mutation, keyed(input.clone()), made).await);
            // A secret is shown to one of them, and to nobody again.
            if made.ends_with(" secret") {
                let secrets = answers.iter_mut().map(|answer| answer["secret"].take());
                assert_eq!(secrets.filter(Value::is_string).count(), 1, "{mutation}");
            }
            assert!(answers.iter().all(|answer| *answer == answers[0]), "{mutation}: {answers:#?}");
            assert_eq!(app.refused(mutation, keyed(other)).await[0]["code"], "IDEMPOTENCY_MISMATCH", "{mutation}");
            assert_eq!(look::counts(&app).await, before, "{mutation}");
        }
        // What was found once is told again: the forced publication had findings.
        let query = "{ coworker(handle: \"draft\") { version { findings { rule } } } }";
        let found = app.gql(query, json!({})).await["coworker"]["version"]["findings"].take();
        assert_ne!(found, json!([]));
        // What five calls at once made is one thing each.
        let made = app.gql("{ requests { totalCount } coworkers { totalCount } skills { totalCount } \
                             draft: coworker(handle: \"draft\") { versions { totalCount } } \
                             published: coworker(handle: \"published\") { versions { totalCount } } \
                             skill(handle: \"old\") { versions { totalCount } } }", json!({})).await;
        let n = |n: i64| json!({ "totalCount": n });
        let expected = json!({ "requests": n(5), "coworkers": n(4), "skills": n(2), "draft": { "versions": n(1) },
                               "published": { "versions": n(3) }, "skill": { "versions": n(2) } });
        assert_eq!(made, expected);
    }
}
