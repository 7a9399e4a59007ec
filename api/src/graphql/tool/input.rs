//! How tool servers are declared.

use async_graphql::InputObject;
use domain::error::{Error, Result};
use domain::tool::server::{Declaration, Header, HttpServer, HttpTool, McpHttp, McpStdio};
use entity::ToolServerKind;

use super::{HttpMethod, ToolEffect};
use crate::graphql::scalar::Json;

/// A header that is sent with calls.
#[derive(InputObject, Clone, Debug)]
pub struct ToolServerHeaderInput {
    /// Its name.
    pub name: String,
    /// Its value, plain ASCII. `{{secret:NAME}}` stands for the secret of that name: `Bearer {{secret:TICKETS}}`.
    pub value: String,
}

impl From<ToolServerHeaderInput> for Header {
    fn from(ToolServerHeaderInput { name, value }: ToolServerHeaderInput) -> Self {
        Self { name, value }
    }
}

/// A call over HTTP.
#[derive(InputObject, Clone, Debug)]
pub struct HttpToolInput {
    /// What stands after the dot of the tool's name: 1 to 64 letters, digits, `_` and `-`.
    pub name: String,
    /// What models are told that it does; they choose by it.
    pub description: String,
    /// The method.
    #[graphql(default_with = "HttpMethod::Get")]
    pub method: HttpMethod,
    /// The address, with `{argument}` in its path and query, never in its host: `https://desk.example.com/tickets/{id}`.
    pub url: String,
    /// What is sent besides the server's headers.
    #[graphql(default)]
    pub headers: Vec<ToolServerHeaderInput>,
    /// Arguments that go to the query where the model gives them. Of those that stand neither in the address nor here, GET and DELETE send all in the query too, the others in a JSON object as the body.
    #[graphql(default)]
    pub query: Vec<String>,
    /// JSON Schema of the arguments, an object. Calls that do not fit it are never sent.
    pub parameters: Json,
    /// What happens when a call is repeated.
    #[graphql(default_with = "ToolEffect::Effect")]
    pub effect: ToolEffect,
    /// Whether a call may destroy something.
    #[graphql(default)]
    pub destructive: bool,
    /// The most bytes that it may answer: at most 1 MiB, which holds without it.
    pub max_response_bytes: Option<i32>,
}

impl TryFrom<HttpToolInput> for HttpTool {
    type Error = Error;

    fn try_from(input: HttpToolInput) -> Result<Self> {
        let HttpToolInput {
            name,
            description,
            method,
            url,
            headers,
            query,
            parameters,
            effect,
            destructive,
            max_response_bytes,
        } = input;
        let most = max_response_bytes.map(|most| {
            usize::try_from(most).map_err(|_| {
                let message = format!("maxResponseBytes of {name} is negative");
                Error::invalid("tools.maxResponseBytes", "INVALID", message)
            })
        });
        Ok(Self {
            max_response_bytes: most.transpose()?,
            name,
            description,
            method: method.into(),
            url,
            headers: headers.into_iter().map(Into::into).collect(),
            query,
            parameters: parameters.0,
            effect: effect.into(),
            destructive,
        })
    }
}

/// The parts of a declaration, of which each kind has its own.
pub(super) struct Parts {
    pub(super) command: Option<String>,
    pub(super) url: Option<String>,
    pub(super) headers: Option<Vec<ToolServerHeaderInput>>,
    pub(super) tools: Option<Vec<HttpToolInput>>,
}

impl Parts {
    /// The declaration of a server of this kind; what is left out stays as it is in `before`.
    pub(super) fn declare(
        self,
        kind: ToolServerKind,
        before: Option<Declaration>,
    ) -> Result<Declaration> {
        let Self {
            command,
            url,
            headers,
            tools,
        } = self;
        let kind_has = |there: bool, field: &'static str| {
            if there {
                let message = format!(
                    "a tool server of the kind {} has no {field}; leave it out",
                    kind.as_str()
                );
                return Err(Error::invalid(field, "INVALID", message));
            }
            Ok(())
        };
        let needed = |field: &'static str| {
            let message = format!("a tool server of the kind {} needs {field}", kind.as_str());
            Error::invalid(field, "REQUIRED", message)
        };
        let headers: Option<Vec<Header>> =
            headers.map(|headers| headers.into_iter().map(Into::into).collect());
        match kind {
            ToolServerKind::McpStdio => {
                kind_has(url.is_some(), "url")?;
                kind_has(headers.is_some(), "headers")?;
                kind_has(tools.is_some(), "tools")?;
                let before = match before {
                    Some(Declaration::McpStdio(stdio)) => Some(stdio.command),
                    Some(Declaration::McpHttp(_) | Declaration::Http(_)) | None => None,
                };
                let command = command.or(before).ok_or_else(|| needed("command"))?;
                Ok(Declaration::McpStdio(McpStdio { command }))
            }
            ToolServerKind::McpHttp => {
                kind_has(command.is_some(), "command")?;
                kind_has(tools.is_some(), "tools")?;
                let (had_url, had) = match before {
                    Some(Declaration::McpHttp(http)) => (Some(http.url), http.headers),
                    Some(Declaration::McpStdio(_) | Declaration::Http(_)) | None => {
                        (None, Vec::new())
                    }
                };
                let url = url.or(had_url).ok_or_else(|| needed("url"))?;
                let headers = headers.unwrap_or(had);
                Ok(Declaration::McpHttp(McpHttp { url, headers }))
            }
            ToolServerKind::Http => {
                kind_has(command.is_some(), "command")?;
                kind_has(url.is_some(), "url")?;
                let (had_tools, had) = match before {
                    Some(Declaration::Http(http)) => (Some(http.tools), http.headers),
                    Some(Declaration::McpStdio(_) | Declaration::McpHttp(_)) | None => {
                        (None, Vec::new())
                    }
                };
                let tools = tools.map(|tools| tools.into_iter().map(HttpTool::try_from).collect());
                let tools: Option<Vec<HttpTool>> = tools.transpose()?;
                let tools = tools.or(had_tools).ok_or_else(|| needed("tools"))?;
                let headers = headers.unwrap_or(had);
                Ok(Declaration::Http(HttpServer { headers, tools }))
            }
        }
    }
}
