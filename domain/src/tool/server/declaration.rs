//! How the tools of a server are reached, as an administrator declares it.

use std::collections::{BTreeSet, HashSet};

use entity::ToolServerKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Defined, MOST_ACTIONS, Reference, Template};
use crate::coworker::tools::{is_action, is_server};
use crate::error::{Error, Result};
use crate::tool::{Effect, LARGEST, schema};

/// The most headers of a server and of a tool.
const HEADERS: usize = 50;
/// The most bytes of a declaration.
const LONGEST: usize = 512 * 1024;

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

    /// The place in their list of the tool that [`Self::check`] refuses, for whoever shows where it stands.
    pub fn refused_tool(&self) -> Option<usize> {
        match self {
            Self::McpStdio(_) | Self::McpHttp(_) => None,
            Self::Http(server) => {
                let mut names = HashSet::new();
                let mut tools = server.tools.iter();
                tools.position(|tool| !names.insert(&tool.name) || tool.check().is_err())
            }
        }
    }

    /// Refuses what can't work.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the field and the remedy.
    pub fn check(&self) -> Result<()> {
        let size = self.to_row()?.len();
        if size > LONGEST {
            let message = format!(
                "the declaration has {size} bytes; {LONGEST} are allowed: make several servers of it"
            );
            return Err(Error::invalid("tools", "TOO_LONG", message));
        }
        match self {
            Self::McpStdio(McpStdio { command }) => {
                if !is_server(command) {
                    let message = format!(
                        "{:?} is no name of a command; write the NAME of [mcp.NAME] in the settings file",
                        cut(command)
                    );
                    return Err(Error::invalid("command", "INVALID", message));
                }
                Ok(())
            }
            Self::McpHttp(McpHttp { url, headers }) => {
                let template = Template::parse(url)
                    .map_err(|message| Error::invalid("url", "INVALID", message))?;
                if template.arguments().next().is_some() {
                    let message =
                        "the address of an MCP server has no places for arguments; write it out";
                    return Err(Error::invalid("url", "INVALID", message));
                }
                check_headers(headers, OF_SERVER)
            }
            Self::Http(HttpServer { headers, tools }) => {
                check_headers(headers, OF_SERVER)?;
                if tools.is_empty() || tools.len() > MOST_ACTIONS {
                    let message = format!(
                        "a server of the kind HTTP declares 1 to {MOST_ACTIONS} tools; there are {}",
                        tools.len()
                    );
                    return Err(Error::invalid("tools", "INVALID", message));
                }
                let mut names = HashSet::new();
                for tool in tools {
                    if !names.insert(&tool.name) {
                        let message = format!("the tool {} stands twice; keep one", tool.name);
                        return Err(Error::invalid("tools.name", "INVALID", message));
                    }
                    tool.check()?;
                }
                Ok(())
            }
        }
    }
}

impl HttpTool {
    fn check(&self) -> Result<()> {
        let refuse = |field, message| Err(Error::invalid(field, "INVALID", message));
        let name = cut(&self.name);
        if !is_action(&self.name) {
            let message = format!(
                "{name:?} is no name of a tool; write 1 to 64 letters, digits, _ and -, such as get_ticket"
            );
            return refuse("tools.name", message);
        }
        if self.description.trim().is_empty() || self.description.len() > 16 * 1024 {
            let message = format!(
                "say in a few words what {name} does (at most 16 KiB): models choose by it"
            );
            return refuse("tools.description", message);
        }
        let template = match Template::parse(&self.url) {
            Ok(template) => template,
            Err(message) => return refuse("tools.url", format!("the tool {name}: {message}")),
        };
        check_headers(&self.headers, OF_TOOL)?;
        if let Err(why) = schema::check_schema(&self.parameters) {
            let message =
                format!("the parameters of {name} are no JSON Schema of an object: {why}");
            return refuse("tools.parameters", message);
        }
        let known = self.parameters.get("properties").and_then(Value::as_object);
        for argument in template.arguments() {
            if !known.is_some_and(|known| known.contains_key(argument)) {
                let message = format!(
                    "the address of {name} has a place for {argument}, and its parameters have no such property; add it, and require it"
                );
                return refuse("tools.parameters", message);
            }
        }
        for argument in &self.query {
            if !known.is_some_and(|known| known.contains_key(argument)) {
                let message = format!(
                    "{name} sends {argument} in the query, and its parameters have no such property; add it"
                );
                return refuse("tools.query", message);
            }
        }
        if self
            .max_response_bytes
            .is_some_and(|most| most == 0 || most > LARGEST)
        {
            let message = format!("{name} may answer 1 to {LARGEST} bytes");
            return refuse("tools.maxResponseBytes", message);
        }
        Ok(())
    }
}

/// Headers that the protocol needs for itself.
const RESERVED: [&str; 12] = [
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "trailer",
    "accept",
    "mcp-session-id",
    "mcp-protocol-version",
    "last-event-id",
];

/// What the headers are called that are refused: all of them, a name, a value.
type Fields = [&'static str; 3];

const OF_SERVER: Fields = ["headers", "headers.name", "headers.value"];
const OF_TOOL: Fields = ["tools.headers", "tools.headers.name", "tools.headers.value"];

fn check_headers(headers: &[Header], [all, its_name, its_value]: Fields) -> Result<()> {
    let refuse = |field, message| Err(Error::invalid(field, "INVALID", message));
    if headers.len() > HEADERS {
        let message = format!("there are {} headers; {HEADERS} are allowed", headers.len());
        return refuse(all, message);
    }
    for Header { name, value } in headers {
        let shown = cut(name);
        if reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_err() || name.len() > 100 {
            return refuse(its_name, format!("{shown:?} is no name of a header"));
        }
        if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
            let message = format!("the header {shown} is set by Stint itself; leave it out");
            return refuse(its_name, message);
        }
        if value.len() > 8 * 1024 || value.bytes().any(|b| !(0x20..0x7f).contains(&b)) {
            let message =
                format!("the value of {shown} has at most 8 KiB of plain ASCII characters");
            return refuse(its_value, message);
        }
        if let Err(message) = Reference::parse(value) {
            return refuse(its_value, format!("the header {shown}: {message}"));
        }
    }
    Ok(())
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests;
