//! A builder for coworkers that play a playbook.

use serde_json::{Value, json};

use crate::client::Client;

/// A coworker to be made through the API. Everything that the contract asks for has a plain default.
///
/// ```ignore
/// let aws = Coworker::new("aws").playbook("turns:\n  - text: The subnets are healthy.\n").publish(&app).await;
/// ```
#[derive(Clone, Debug)]
pub struct Coworker {
    input: Value,
}

/// A coworker that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its global id.
    pub id: String,
    /// Its handle, without the @.
    pub handle: String,
}

impl Coworker {
    /// A coworker with this handle; it is also its name. It says nothing and ends, until it is given a playbook.
    pub fn new(handle: &str) -> Self {
        Self {
            input: json!({
                "name": handle,
                "handle": handle,
                "identity": { "role": format!("{handle}, for tests") },
                "goal": { "purpose": "To be tested." },
                "model": { "provider": "scripted", "playbook": "turns:\n  - text: Done.\n" },
            }),
        }
    }

    /// Its name, where it should differ from the handle.
    pub fn name(self, name: &str) -> Self {
        self.with("name", name)
    }

    /// It gets each new request that names no assignee.
    pub fn triage(self) -> Self {
        self.with("isTriage", true)
    }

    /// What its model plays, YAML.
    pub fn playbook(self, yaml: &str) -> Self {
        self.with("model", json!({ "provider": "scripted", "playbook": yaml }))
    }

    /// Where its runs must end: `json!({ "maxTurns": 3 })`.
    pub fn limits(self, limits: Value) -> Self {
        self.with("limits", limits)
    }

    /// Any other part of `CoworkerCreateInput`.
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.input[field] = value.into();
        self
    }

    /// What is sent to `coworkerCreate`.
    pub fn input(&self) -> Value {
        self.input.clone()
    }

    /// Makes it as a draft.
    pub async fn create(self, client: &Client) -> Made {
        let mut payload = client
            .mutate("coworkerCreate", self.input, "coworker { id handle }")
            .await;
        let mut text = |field: &str| match payload["coworker"][field].take() {
            Value::String(text) => text,
            other => panic!("coworker.{field} is {other}"),
        };
        Made {
            id: text("id"),
            handle: text("handle"),
        }
    }

    /// Makes it and publishes it: from then on it takes work.
    pub async fn publish(self, client: &Client) -> Made {
        let made = self.create(client).await;
        client
            .mutate("coworkerPublish", json!({ "id": made.id }), "")
            .await;
        made
    }
}
