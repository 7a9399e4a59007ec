//! What the programs say to the API.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::http::Http;

/// Performs an operation that must succeed, and returns its data.
pub(crate) async fn ask(http: &mut Http, query: &str, variables: Value) -> Result<Value> {
    let body = json!({ "query": query, "variables": variables }).to_string();
    let mut answer: Value = serde_json::from_slice(http.post(&body).await?)?;
    if answer.get("errors").is_some() {
        bail!("{query}: {answer}");
    }
    Ok(answer["data"].take())
}

/// Makes and publishes a coworker that plays this; returns its id.
pub(crate) async fn coworker(
    http: &mut Http,
    handle: &str,
    playbook: &str,
    limits: Value,
) -> Result<String> {
    let create = "mutation ($input: CoworkerCreateInput!) { \
        coworkerCreate(input: $input) { coworker { id } userErrors { message } } }";
    let input = json!({
        "name": handle,
        "handle": handle,
        "identity": { "role": "Answers, for benchmarks" },
        "goal": { "purpose": "To be measured." },
        "model": { "provider": "scripted", "playbook": playbook },
        "limits": limits,
    });
    let made = ask(http, create, json!({ "input": input })).await?;
    let id = made["coworkerCreate"]["coworker"]["id"].as_str();
    let id = id
        .with_context(|| format!("no coworker: {made}"))?
        .to_owned();
    let publish = "mutation ($input: CoworkerPublishInput!) { coworkerPublish(input: $input) { userErrors { message } } }";
    let done = ask(http, publish, json!({ "input": { "id": id } })).await?;
    match &done["coworkerPublish"]["userErrors"] {
        Value::Array(errors) if errors.is_empty() => Ok(id),
        errors => bail!("not published: {errors}"),
    }
}

/// What makes a request for this coworker.
pub(crate) fn request(title: &str, assignee: &str) -> String {
    let query = "mutation ($input: RequestCreateInput!) { \
        requestCreate(input: $input) { request { id } userErrors { message } } }";
    json!({ "query": query, "variables": { "input": { "title": title, "assigneeId": assignee } } })
        .to_string()
}
