//! How the tools of a server are reached, as an administrator declares it.

mod check;

use std::collections::BTreeSet;

use entity::ToolServerKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Defined, Reference};
use crate::error::{Error, Result};
use crate::tool::Effect;

/// How the tools of a server are reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Declaration {
    /// A program of the operator's configuration, which speaks MCP on its standard input and output.
    McpStdio(McpStdio),
    /// A server that speaks MCP over streamable HTTP.
    McpHttp(McpHttp),
    /// Calls over HTTP, declared one by one.
    Http(HttpServer),
}

/// A program that speaks MCP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpStdio {
    /// The NAME of `[mcp.NAME]` in the settings file. The command itself stands there and nowhere else.
    pub command: String,
}

/// A server that speaks MCP over streamable HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpHttp {
    /// Its address.
    pub url: String,
    /// What is sent with each request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
}

/// Calls over HTTP, declared one by one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpServer {
    /// What is sent with each call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
    /// The calls.
    pub tools: Vec<HttpTool>,
}

/// A header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value; `{{secret:NAME}}` stands for the secret of that name.
    pub value: String,
}

/// A call over HTTP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpTool {
    /// What stands after the dot of the tool's name.
    pub name: String,
    /// What models are told that it does.
    pub description: String,
    /// The method.
    #[serde(default)]
    pub method: HttpMethod,
    /// The address, with `{argument}` in its path and query.
    pub url: String,
    /// What is sent besides the server's headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
    /// Arguments that go to the query where the model gives them. Of those that stand neither in the address nor
    /// here, GET and DELETE send all in the query too, the others in a JSON object as the body.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<String>,
    /// JSON Schema of the arguments, an object.
    #[serde(default = "any_object")]
    #[schemars(with = "serde_json::Map<String, Value>")]
    pub parameters: Value,
    /// What happens when a call is repeated.
    #[serde(default = "unknown_effect")]
    #[schemars(with = "EffectWord")]
    pub effect: Effect,
    /// Whether a call may destroy something.
    #[serde(default)]
    pub destructive: bool,
    /// The most bytes that it may answer, at most 1 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_response_bytes: Option<usize>,
}

/// A method of HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// Reads.
    #[default]
    Get,
    /// Makes.
    Post,
    /// Replaces.
    Put,
    /// Changes.
    Patch,
    /// Deletes.
    Delete,
}

impl HttpMethod {
    /// Whether arguments that stand nowhere else go to the body.
    pub const fn has_body(self) -> bool {
        match self {
            Self::Post | Self::Put | Self::Patch => true,
            Self::Get | Self::Delete => false,
        }
    }
}

/// The words of [`Effect`], for the JSON Schema of files.
#[derive(JsonSchema)]
#[schemars(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(dead_code, reason = "only its schema is used")]
enum EffectWord {
    Read,
    Idempotent,
    Effect,
}

fn any_object() -> Value {
    serde_json::json!({ "type": "object" })
}

const fn unknown_effect() -> Effect {
    Effect::Effect
}

impl Declaration {
    /// How its tools are reached.
    pub const fn kind(&self) -> ToolServerKind {
        match self {
            Self::McpStdio(_) => ToolServerKind::McpStdio,
            Self::McpHttp(_) => ToolServerKind::McpHttp,
            Self::Http(_) => ToolServerKind::Http,
        }
    }

    /// As a row holds it.
    ///
    /// # Errors
    /// [`Error::Internal`], which does not happen for these types.
    pub fn to_row(&self) -> Result<String> {
        serde_json::to_string(self).map_err(Error::internal)
    }

    /// As it was when it was declared.
    ///
    /// # Errors
    /// [`Error::Internal`] for a text that this release can't read.
    pub fn from_row(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(Error::internal)
    }

    /// The names of the secrets that it refers to.
    pub fn secrets(&self) -> BTreeSet<String> {
        let headers: Vec<&Header> = match self {
            Self::McpStdio(_) => Vec::new(),
            Self::McpHttp(server) => server.headers.iter().collect(),
            Self::Http(server) => {
                let own = server.tools.iter().flat_map(|tool| &tool.headers);
                server.headers.iter().chain(own).collect()
            }
        };
        let references = headers
            .into_iter()
            .filter_map(|header| Reference::parse(&header.value).ok());
        references
            .flat_map(|reference| reference.names().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    /// What it defines by itself; `None`: the server says.
    pub fn defined(&self) -> Option<Vec<Defined>> {
        match self {
            Self::McpStdio(_) | Self::McpHttp(_) => None,
            Self::Http(server) => Some(
                server
                    .tools
                    .iter()
                    .map(|tool| Defined {
                        name: tool.name.clone(),
                        description: tool.description.clone(),
                        parameters: tool.parameters.clone(),
                        effect: tool.effect,
                        destructive: tool.destructive,
                    })
                    .collect(),
            ),
        }
    }
}

#[cfg(test)]
mod tests;
