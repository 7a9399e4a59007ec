//! What can't work of a declaration, and where it stands.

use std::collections::HashSet;

use serde_json::Value;

use super::super::{MOST_ACTIONS, Reference, Template};
use super::{Declaration, Header, HttpServer, HttpTool, McpHttp, McpStdio};
use crate::coworker::tools::{is_action, is_server};
use crate::error::{Error, Result};
use crate::tool::{LARGEST, schema};

/// The most headers of a server and of a tool.
const HEADERS: usize = 50;
/// The most bytes of a declaration.
const LONGEST: usize = 512 * 1024;

impl Declaration {
    /// The path of what [`Self::check`] refuses, such as `tools[1].headers[0].name`, for whoever shows where it stands.
    pub fn refused_at(&self) -> Option<String> {
        self.refused().err().map(|refused| refused.path)
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
        self.refused().map_err(|refused| {
            let Refused { field, message, .. } = refused;
            Error::invalid(field, "INVALID", message)
        })
    }

    fn refused(&self) -> Result<(), Refused> {
        match self {
            Self::McpStdio(McpStdio { command }) => {
                if !is_server(command) {
                    let message = format!(
                        "{:?} is no name of a command; write the NAME of [mcp.NAME] in the settings file",
                        cut(command)
                    );
                    return Err(Refused::at("command", message));
                }
                Ok(())
            }
            Self::McpHttp(McpHttp { url, headers }) => {
                let template =
                    Template::parse(url).map_err(|message| Refused::at("url", message))?;
                if template.arguments().next().is_some() {
                    let message =
                        "the address of an MCP server has no places for arguments; write it out";
                    return Err(Refused::at("url", message));
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
                    return Err(Refused::at("tools", message));
                }
                let mut names = HashSet::new();
                for (place, tool) in tools.iter().enumerate() {
                    let refused = if names.insert(&tool.name) {
                        tool.check()
                    } else {
                        let message = format!("the tool {} stands twice; keep one", tool.name);
                        Err(Refused::at("tools.name", message))
                    };
                    refused.map_err(|refused| refused.within("tools", place))?;
                }
                Ok(())
            }
        }
    }
}

/// What can't work.
struct Refused {
    /// The field, as the API names it.
    field: &'static str,
    /// The same with the places in lists.
    path: String,
    /// What is wrong, and the remedy.
    message: String,
}

impl Refused {
    fn at(field: &'static str, message: impl Into<String>) -> Self {
        Self {
            field,
            path: field.to_owned(),
            message: message.into(),
        }
    }

    /// It stands in a list: `tools.name` at 1 is `tools[1].name`.
    fn within(mut self, list: &str, place: usize) -> Self {
        if let Some(rest) = self.path.strip_prefix(list) {
            self.path = format!("{list}[{place}]{rest}");
        }
        self
    }
}

impl HttpTool {
    fn check(&self) -> Result<(), Refused> {
        let refuse = |field, message: String| Err(Refused::at(field, message));
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

fn check_headers(headers: &[Header], fields: Fields) -> Result<(), Refused> {
    let [all, ..] = fields;
    if headers.len() > HEADERS {
        let message = format!("there are {} headers; {HEADERS} are allowed", headers.len());
        return Err(Refused::at(all, message));
    }
    for (place, header) in headers.iter().enumerate() {
        header
            .check(fields)
            .map_err(|refused| refused.within(all, place))?;
    }
    Ok(())
}

impl Header {
    fn check(&self, [_, its_name, its_value]: Fields) -> Result<(), Refused> {
        let refuse = |field, message: String| Err(Refused::at(field, message));
        let Self { name, value } = self;
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
        Ok(())
    }
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}
