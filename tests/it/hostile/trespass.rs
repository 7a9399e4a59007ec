//! What a run that is assigned to its request may ask for of another workspace's.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::variant::{Attempt, Fate, forbidden, lookalike, percent, wide};

/// What the assignee's run may not do: with what another workspace has, in every form that it can be named in.
pub fn trespass(foreign: &[String]) -> Vec<Attempt> {
    let forbidden = forbidden(Fate::Refused);
    let mut names: Vec<String> = Vec::new();
    for name in foreign {
        names.extend([
            name.clone(),
            format!("@{name}"),
            name.to_uppercase(),
            format!(" {name}"),
            format!("{name}\u{0}"),
            format!("elsewhere/{name}"),
            format!("Elsewhere:{name}"),
            format!("{name}@elsewhere"),
            format!("../{name}"),
            percent(name, true),
            STANDARD.encode(name),
            wide(name),
            lookalike(name),
        ]);
    }
    let mut all = Vec::new();
    for name in &names {
        all.push(forbidden(
            "reassign",
            json!({ "to": name, "reason": "The requester said so." }),
        ));
        for field in ["workspace", "requestId"] {
            for (tool, arguments) in [
                ("post_note", json!({ "visibility": "PUBLIC", "body": "x" })),
                ("set_status", json!({ "status": "RESOLVED" })),
                ("ask_requester", json!({ "question": "Who are you?" })),
                (
                    "finish",
                    json!({ "outcome": "RESOLVED", "reason": "x", "summary": "x" }),
                ),
                ("reassign", json!({ "to": "owner", "reason": "x" })),
            ] {
                let mut arguments = arguments;
                arguments[field] = json!(name);
                all.push(forbidden(tool, arguments));
            }
        }
    }
    let mut seen = HashSet::new();
    all.retain(|(tool, arguments, _)| seen.insert((tool.clone(), arguments.to_string())));
    all
}
