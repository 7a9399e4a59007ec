//! A connection to an MCP server: opened, asked what it offers, called.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use parking_lot::Mutex;
use reqwest::Url;
use rmcp::handler::client::ClientHandler;
use rmcp::model::{
    CallToolRequestParams, ClientConfig, ClientRequest, ErrorCode, Implementation, JsonObject,
    PaginatedRequestParams, ProtocolVersion, Request, RequestMetaObject, ToolAnnotations,
};
use rmcp::service::{
    ClientInitializeError, ClientLifecycleMode, ClientServiceExt, NotificationContext, Peer,
    PeerRequestOptions, RoleClient, RunningService, ServiceError, ServiceExt,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::Value;
use tokio_util::task::TaskTracker;

use super::answer::read;
use super::exact::{Announced, Exact, Listening, Results};
use super::group::Group;
use super::stdio;
use super::tap::TOO_LONG;
use crate::coworker::tools::is_action;
use crate::secret::{Secret, Veil};
use crate::tool::catalog::Server;
use crate::tool::http::headers;
use crate::tool::outside::Outside;
use crate::tool::server::{Declaration, Defined, MOST_ACTIONS};
use crate::tool::{Effect, Invocation, LARGEST, ToolError, ToolErrorClass, schema};

/// The most pages that a list of tools is read in.
const PAGES: usize = 50;
/// Where an idempotency key stands in the `_meta` of a call.
const KEY: &str = "dev.stint/idempotencyKey";

/// An open connection. It ends, with the program behind it, when it is dropped.
pub(super) struct Connection {
    peer: Peer<RoleClient>,
    /// The digests of what the server offers.
    offered: Mutex<HashMap<String, Vec<u8>>>,
    /// How often the server said that its list of tools has changed.
    changed: Arc<AtomicU64>,
    /// Which of these changes `offered` has.
    listed: tokio::sync::Mutex<u64>,
    results: Results,
    /// Takes the server's secrets out of what it says of itself.
    veil: Veil,
    /// Before the group: the server sees its input end before it is asked to end.
    _service: RunningService<RoleClient, Listener>,
    _group: Option<Group>,
}

/// What Stint is to a server: it offers nothing that a server may ask for.
struct Listener {
    changed: Arc<AtomicU64>,
}

impl ClientHandler for Listener {
    fn on_tool_list_changed(
        &self,
        _: NotificationContext<RoleClient>,
    ) -> impl Future<Output = ()> + Send + '_ {
        self.changed.fetch_add(1, Ordering::Relaxed);
        std::future::ready(())
    }

    fn get_info(&self) -> ClientConfig {
        let mut config = ClientConfig::default();
        config.client_info = Implementation::new("stint", env!("CARGO_PKG_VERSION"));
        config
    }
}

fn offline(message: String) -> ToolError {
    ToolError::new(ToolErrorClass::Offline, message)
}

impl Connection {
    /// Opens one, and asks what the server offers.
    pub(super) async fn open(
        outside: &Outside,
        server: &Server,
        secrets: &BTreeMap<String, Secret>,
        tasks: &TaskTracker,
    ) -> Result<(Self, Vec<Defined>), ToolError> {
        let name = &server.row.name;
        let (_, veil) = outside.secrets(server)?;
        let changed = Arc::new(AtomicU64::new(0));
        let listener = Listener {
            changed: changed.clone(),
        };
        let failed = |err: ClientInitializeError| {
            offline(format!("{name} could not be reached: {}", causes(&err)))
        };
        let (service, results, group) = match &server.declaration {
            Declaration::McpStdio(declared) => {
                let program = outside.program(&declared.command).map_err(offline)?;
                let started = stdio::start(&declared.command, program, outside.keeper(), tasks);
                let started = started.map_err(offline)?;
                let transport = Announced {
                    transport: AsyncRwTransport::new_client(started.output, started.input),
                    results: started.results.clone(),
                };
                let service = match listener.serve(transport).await {
                    Ok(service) => service,
                    Err(err) => {
                        let said = started.errors.last().await;
                        let said = if said.is_empty() {
                            String::new()
                        } else {
                            format!("; it said: {said}")
                        };
                        let why = causes(&err);
                        return Err(offline(format!("{name} did not start: {why}{said}")));
                    }
                };
                (service, started.results, Some(started.group))
            }
            Declaration::McpHttp(declared) => {
                let url = Url::parse(&declared.url).map_err(|err| offline(err.to_string()))?;
                let client = outside.guard().client(&url).map_err(offline)?.clone();
                let mut config =
                    StreamableHttpClientTransportConfig::with_uri(declared.url.clone());
                let resolved = headers(&declared.headers, secrets);
                let resolved =
                    resolved.map_err(|why| ToolError::new(ToolErrorClass::Failed, why))?;
                let custom = resolved
                    .into_iter()
                    .filter_map(|(name, value)| Some((name?, value)));
                config.custom_headers = custom.collect::<HashMap<HeaderName, HeaderValue>>();
                config.max_sse_event_size = 2 * LARGEST;
                config.max_json_response_size = 2 * LARGEST;
                let results = Results::default();
                let client = Listening {
                    client,
                    results: results.clone(),
                };
                let transport = Announced {
                    transport: StreamableHttpClientTransport::with_client(client, config),
                    results: results.clone(),
                };
                let mode = ClientLifecycleMode::Auto {
                    preferred_versions: vec![ProtocolVersion::V_2026_07_28],
                    legacy_version: None,
                };
                let service = listener.serve_with_lifecycle(transport, mode).await;
                (service.map_err(failed)?, results, None)
            }
            Declaration::Http(_) => {
                return Err(offline(format!("{name} is no MCP server")));
            }
        };
        let connection = Self {
            peer: service.peer().clone(),
            offered: Mutex::default(),
            changed,
            listed: tokio::sync::Mutex::default(),
            results,
            veil,
            _service: service,
            _group: group,
        };
        let found = connection.list(name).await?;
        Ok((connection, found))
    }

    /// Whether it can be called still.
    pub(super) fn is_open(&self) -> bool {
        !self.peer.is_transport_closed()
    }

    /// Asks again what the server offers, if it said that this has changed. Who comes while it is asked waits for the
    /// answer: no call is compared with what was offered before.
    pub(super) async fn relist(&self, name: &str) -> Result<Option<Vec<Defined>>, ToolError> {
        let mut listed = self.listed.lock().await;
        // What changes while the answer comes is asked about again.
        let changed = self.changed.load(Ordering::Relaxed);
        if *listed == changed {
            return Ok(None);
        }
        let found = self.list(name).await?;
        *listed = changed;
        Ok(Some(found))
    }

    /// Asks what the server offers. What has a name or a schema that can't be is left out.
    pub(super) async fn list(&self, name: &str) -> Result<Vec<Defined>, ToolError> {
        let (mut found, mut cursor) = (Vec::new(), None);
        for _ in 0..PAGES {
            let asked = PaginatedRequestParams::default().with_cursor(cursor.take());
            let page = self.peer.list_tools(Some(asked)).await;
            let page = page.map_err(|err| classify(name, &err))?;
            for tool in page.tools {
                let usable = |parameters: &Value| {
                    is_action(&tool.name) && schema::check_schema(parameters).is_ok()
                };
                let parameters = self.veiled(Value::Object(tool.input_schema.as_ref().clone()));
                let Some(parameters) = parameters.filter(usable) else {
                    tracing::warn!(
                        tool_server.name = name,
                        tool = %tool.name.chars().take(80).collect::<String>(),
                        "a tool is left out: its name or its schema can't be used"
                    );
                    continue;
                };
                let (effect, destructive) = hints(tool.annotations.as_ref());
                let described = tool.description.as_deref().or(tool.title.as_deref());
                found.push(Defined {
                    description: self
                        .veil
                        .over(described.unwrap_or(&tool.name).replace('\0', "\u{fffd}"))
                        .0,
                    name: tool.name.into_owned(),
                    parameters,
                    effect,
                    destructive,
                });
            }
            cursor = page.next_cursor;
            if cursor.is_none() || found.len() >= MOST_ACTIONS {
                break;
            }
        }
        found.truncate(MOST_ACTIONS);
        let offered = found
            .iter()
            .map(|defined| (defined.name.clone(), defined.digest()));
        *self.offered.lock() = offered.collect();
        Ok(found)
    }

    /// A schema without the server's secrets; none if it can't be read without them.
    fn veiled(&self, schema: Value) -> Option<Value> {
        match self.veil.over(schema.to_string()) {
            (_, found) if found.is_empty() => Some(schema),
            (text, _) => serde_json::from_str(&text).ok(),
        }
    }

    /// Calls an action whose definition is `pinned`.
    pub(super) async fn call(
        &self,
        name: &str,
        action: &str,
        pinned: &[u8],
        invocation: &Invocation<'_>,
    ) -> Result<String, ToolError> {
        let failed = |message: String| Err(ToolError::new(ToolErrorClass::Failed, message));
        let offered = self.offered.lock().get(action).cloned();
        match offered {
            None => return failed(format!("{name} is not offered by its server any more")),
            Some(digest) if digest != pinned => {
                return failed(format!(
                    "{name} was not called: its server has changed its definition, and an administrator must accept it first"
                ));
            }
            Some(_) => {}
        }
        let arguments: JsonObject = match serde_json::from_str(invocation.arguments) {
            Ok(arguments) => arguments,
            Err(err) => return failed(format!("{name} was not called: {err}")),
        };
        let params = CallToolRequestParams::new(action.to_owned()).with_arguments(arguments);
        let mut meta = JsonObject::new();
        meta.insert(KEY.into(), invocation.idempotency_key.into());
        let options = PeerRequestOptions::no_options().with_meta(RequestMetaObject::from(meta));
        let request = ClientRequest::CallToolRequest(Request::new(params));
        let sent = self.peer.send_cancellable_request(request, options).await;
        let sent = sent.map_err(|err| classify(name, &err).doubted())?;
        let id = serde_json::to_string(&sent.id).unwrap_or_default();
        let result = sent.await_response().await;
        let exact = match self.results.take(&id) {
            Some(Exact::TooLong) => return Err(too_long(name)),
            Some(Exact::Text(text)) => Some(text),
            None => None,
        };
        match result {
            Ok(result) => {
                // A document over HTTP is read by the SDK, whose own words are the nearest to the exact ones.
                let read_by_sdk = || serde_json::to_string(&result).unwrap_or_default();
                let text = exact.unwrap_or_else(read_by_sdk);
                if text.len() > LARGEST {
                    return Err(too_long(name));
                }
                read(name, text)
            }
            Err(err) => {
                let error = classify(name, &err);
                // Only a refusal says that nothing was done.
                let error = match error.class {
                    ToolErrorClass::Failed => error,
                    ToolErrorClass::Offline
                    | ToolErrorClass::TimedOut
                    | ToolErrorClass::BadResponse => error.doubted(),
                };
                Err(error.answered(exact.unwrap_or_default().into_bytes()))
            }
        }
    }
}

/// What a server's hints say of repeated calls, and whether they destroy; unknown is the worst.
fn hints(hints: Option<&ToolAnnotations>) -> (Effect, bool) {
    let hint = |read: fn(&ToolAnnotations) -> Option<bool>| hints.and_then(read);
    if hint(|hints| hints.read_only_hint) == Some(true) {
        return (Effect::Read, false);
    }
    let effect = if hint(|hints| hints.idempotent_hint) == Some(true) {
        Effect::Idempotent
    } else {
        Effect::Effect
    };
    (effect, hint(|hints| hints.destructive_hint) != Some(false))
}

fn too_long(name: &str) -> ToolError {
    let message = format!("{name} answered more than {LARGEST} bytes, which is what it may answer");
    ToolError::new(ToolErrorClass::BadResponse, message).doubted()
}

/// What a request that was sent failed with.
fn classify(name: &str, err: &ServiceError) -> ToolError {
    let (class, message) = match err {
        ServiceError::McpError(err) if err.code == ErrorCode(TOO_LONG) => return too_long(name),
        ServiceError::McpError(err) => (
            ToolErrorClass::Failed,
            format!("{name} failed: {}", err.message),
        ),
        ServiceError::UnexpectedResponse => (
            ToolErrorClass::BadResponse,
            format!("{name} answered something that is no answer to the call"),
        ),
        ServiceError::Timeout { .. } => (
            ToolErrorClass::TimedOut,
            format!("{name} did not answer in time"),
        ),
        err => (
            ToolErrorClass::Offline,
            format!("{name} could not be reached: {}", causes(err)),
        ),
    };
    ToolError::new(class, message)
}

/// An error with all that caused it.
fn causes(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut source = err.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(&format!(": {said}"));
        }
        source = cause.source();
    }
    text
}

/// How long a connection may take to be opened.
pub(super) const OPENING: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_seed_what_is_known_of_repeated_calls() {
        let of = |read, destructive, idempotent| {
            hints(Some(&ToolAnnotations::from_raw(
                None,
                read,
                destructive,
                idempotent,
                None,
            )))
        };
        assert_eq!(hints(None), (Effect::Effect, true));
        assert_eq!(of(Some(true), None, None), (Effect::Read, false));
        assert_eq!(
            of(Some(false), Some(false), Some(true)),
            (Effect::Idempotent, false)
        );
        assert_eq!(of(None, None, None), (Effect::Effect, true));
    }
}
