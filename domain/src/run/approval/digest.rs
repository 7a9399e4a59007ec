//! What an approval is bound to. Pure.

use std::fmt::Write as _;

use entity::{Millis, RunId, WorkspaceId, approval};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::run::envelope::hex;
use crate::tool::ToolSpec;

/// Exactly one call as it was shown, and until when it may be approved.
///
/// The fields stand in the order of their names: written as JSON without spaces they are canonical (RFC 8785).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bound<'a> {
    /// The exact arguments.
    pub arguments: &'a str,
    /// The call, within its run.
    pub call: &'a str,
    /// From when on nobody can approve it any more.
    pub expires_at: Millis,
    /// The run.
    pub run: RunId,
    /// The hash of the tool's definition; see [`schema_hash`].
    pub schema: &'a str,
    /// The tool.
    pub tool: &'a str,
    /// The workspace.
    pub workspace: WorkspaceId,
}

impl<'a> Bound<'a> {
    /// What a row says was shown.
    pub fn of(row: &'a approval::Model) -> Self {
        Self {
            arguments: &row.arguments,
            call: &row.call_id,
            expires_at: row.expires_at,
            run: row.run_id,
            schema: &row.schema_hash,
            tool: &row.tool,
            workspace: row.workspace_id,
        }
    }

    /// SHA-256 of its canonical JSON, hexadecimal.
    pub fn digest(&self) -> String {
        hash(&canonical(&serde_json::json!(self)))
    }
}

/// SHA-256 of the canonical JSON of a tool's name, description and parameters, hexadecimal: another definition under the
/// same name is another tool.
pub fn schema_hash(spec: &ToolSpec) -> String {
    let (name, description, parameters) = (&spec.name, &spec.description, &spec.parameters);
    hash(&canonical(&serde_json::json!({
        "name": name, "description": description, "parameters": parameters,
    })))
}

fn hash(text: &str) -> String {
    hex(&Sha256::digest(text))
}

/// JSON without spaces, the keys of every object in their order.
fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value);
    text
}

fn write(text: &mut String, value: &Value) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| name.as_str());
            let mut before = '{';
            for (name, value) in &fields {
                text.push(before);
                // A text into a text: nothing can fail.
                write!(text, "{}:", Value::from(name.as_str())).ok();
                write(text, value);
                before = ',';
            }
            text.push_str(if fields.is_empty() { "{}" } else { "}" });
        }
        Value::Array(items) => {
            let mut before = '[';
            for item in items {
                text.push(before);
                write(text, item);
                before = ',';
            }
            text.push_str(if items.is_empty() { "[]" } else { "]" });
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            write!(text, "{value}").ok();
        }
    }
}

#[cfg(test)]
mod tests;
