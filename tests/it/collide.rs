//! Publishing at the same instant, on several nodes: the lint of one sees what another publishes.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::{Backend, Client, Coworker, TestDb, on_both};

use crate::ruin::Site;

const PUBLISH: &str = "mutation ($id: ID!) { coworkerPublish(input: { id: $id }) { coworker { state } userErrors { code } } }";

/// What became of a publication: the state, or the codes of what refused it.
async fn publish(client: &Client, id: &str) -> Value {
    let mut payload = client.gql(PUBLISH, json!({ "id": id })).await["coworkerPublish"].take();
    match payload["coworker"].take() {
        Value::Null => payload["userErrors"].take(),
        coworker => coworker["state"].clone(),
    }
}

on_both! {
    /// R66, R67: of twenty coworkers of one scope that are published at the same instant exactly one passes, whichever
    /// node each was published on.
    async fn of_coworkers_that_collide_and_are_published_at_once_exactly_one_passes(backend: Backend) {
        let site = Site::start(TestDb::new(backend).await);
        let nodes: Vec<_> = match backend {
            // A file has one process.
            Backend::Sqlite => Vec::new(),
            Backend::Postgres => (0..3).map(|_| site.another(&[])).collect(),
        };
        let mut clients = vec![site.client.clone()];
        clients.extend(nodes.iter().map(|node| Client::new(node.address(), site.client.key())));
        let identity = json!({ "role": "Technician", "scope": "Laptops, printers and the wireless network of offices" });
        let mut ids = Vec::new();
        for i in 0..20 {
            let made = Coworker::new(&format!("technician-{i}")).with("identity", identity.clone()).create(&site.client).await;
            ids.push(made.id);
        }
        for _ in 0..3 {
            let all = ids.iter().zip(clients.iter().cycle());
            let told = join_all(all.map(|(id, client)| publish(client, id))).await;
            let passed: Vec<_> = ids.iter().zip(&told).filter(|(_, told)| **told == "PUBLISHED").collect();
            assert_eq!(passed.len(), 1, "{told:?}");
            let refused = told.iter().filter(|told| **told == json!([{ "code": "SCOPE_COLLISION" }]));
            assert_eq!(refused.count(), 19, "{told:?}");
            site.client.mutate("coworkerUnpublish", json!({ "id": passed[0].0 }), "").await;
        }
    }
}
