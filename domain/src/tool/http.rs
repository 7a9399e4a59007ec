//! Tools that are calls over HTTP, as an administrator declared them.

use std::collections::BTreeMap;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response, Url};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::server::{Header, HttpMethod, HttpTool, Reference, Template, plain};
use super::{Guard, Invocation, LARGEST, ToolError, ToolErrorClass};
use crate::secret::{Secret, Veil};

/// The most bytes of an answer that is a failure, as the model is told of it.
const TOLD: usize = 4 * 1024;

/// A declared call, ready to be sent.
pub(super) struct Http<'a> {
    /// The whole name of the tool.
    pub(super) name: &'a str,
    /// The way out.
    pub(super) guard: &'a Guard,
    /// The server's headers.
    pub(super) headers: &'a [Header],
    /// The call.
    pub(super) tool: &'a HttpTool,
    /// The secrets that its headers refer to.
    pub(super) secrets: &'a BTreeMap<String, Secret>,
    /// Takes them out of what is cut.
    pub(super) veil: &'a Veil,
}

impl Http<'_> {
    /// Sends it once.
    ///
    /// # Errors
    /// What came instead of a useful answer; it may hold secrets still.
    pub(super) async fn send(&self, invocation: &Invocation<'_>) -> Result<String, ToolError> {
        let Self {
            name,
            guard,
            headers: common,
            tool,
            secrets,
            veil,
        } = self;
        let unsent = |message: String| {
            ToolError::new(
                ToolErrorClass::Failed,
                format!("{name} was not called: {message}"),
            )
        };
        let arguments: Map<String, Value> =
            serde_json::from_str(invocation.arguments).map_err(|err| unsent(err.to_string()))?;
        let template = Template::parse(&tool.url).map_err(unsent)?;
        let url = template.fill(&arguments).map_err(unsent)?;
        let mut url = Url::parse(&url).map_err(|err| unsent(err.to_string()))?;
        let placed: Vec<&str> = template.arguments().collect();
        let body = self
            .place(&mut url, invocation.arguments, &arguments, &placed)
            .map_err(|err| unsent(err.to_string()))?;
        let client = guard.client(&url).map_err(unsent)?;
        let method = match tool.method {
            HttpMethod::Get => Method::GET,
            HttpMethod::Post => Method::POST,
            HttpMethod::Put => Method::PUT,
            HttpMethod::Patch => Method::PATCH,
            HttpMethod::Delete => Method::DELETE,
        };
        let mut headers = headers(common.iter().chain(&tool.headers), secrets).map_err(unsent)?;
        let key = HeaderValue::from_str(invocation.idempotency_key);
        headers.insert(
            "idempotency-key",
            key.map_err(|err| unsent(err.to_string()))?,
        );
        let mut request = client.request(method, url).headers(headers);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let response = request.send().await.map_err(|err| unreachable(name, err))?;
        let status = response.status();
        let is_json = response.headers().get(CONTENT_TYPE).is_some_and(|kind| {
            kind.as_bytes()
                .to_ascii_lowercase()
                .starts_with(b"application/json")
        });
        let most = tool.max_response_bytes.unwrap_or(LARGEST);
        let body = read(name, response, most).await?;
        if !status.is_success() {
            // What a cut halves can't be found any more.
            let (told, redacted) = veil.over(String::from_utf8_lossy(&body).into_owned());
            // What passes by itself is not what the model did wrong.
            let class = if status.is_server_error() || status.as_u16() == 429 {
                ToolErrorClass::Offline
            } else if status.is_client_error() {
                ToolErrorClass::Failed
            } else {
                ToolErrorClass::BadResponse
            };
            let error = ToolError {
                redacted,
                // Behind a gateway the call may have been done.
                in_doubt: status.is_server_error(),
                ..ToolError::new(class, format!("{name} answered {status}: {}", cut(&told)))
            };
            return Err(error.answered(body));
        }
        let bad = |message: String| ToolError::new(ToolErrorClass::BadResponse, message).doubted();
        let text = String::from_utf8(body).map_err(|err| {
            let n = err.as_bytes().len();
            bad(format!(
                "{name} answered {n} bytes that are no text (UTF-8); they are kept in the log, and can't be shown to you"
            ))
            .answered(err.into_bytes())
        })?;
        if is_json && let Err(err) = serde_json::from_str::<serde::de::IgnoredAny>(&text) {
            let message = format!("{name} answered what it calls JSON and is none: {err}");
            return Err(bad(message).answered(text.into_bytes()));
        }
        Ok(text)
    }

    /// Puts the arguments that stand in no place into the query or the body: there each is as it is written, and the whole
    /// text if all of them are in it.
    fn place(
        &self,
        url: &mut Url,
        written: &str,
        arguments: &Map<String, Value>,
        placed: &[&str],
    ) -> serde_json::Result<Option<String>> {
        let has_body = self.tool.method.has_body();
        let mut body: BTreeMap<String, &RawValue> = serde_json::from_str(written)?;
        let mut query = Vec::new();
        for (name, value) in arguments {
            if has_body && !placed.contains(&name.as_str()) && !self.tool.query.contains(name) {
                continue;
            }
            body.remove(name.as_str());
            if placed.contains(&name.as_str()) {
                continue;
            }
            match value {
                Value::Null => {}
                Value::Array(items) => query.extend(items.iter().map(|item| (name, plain(item)))),
                Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                    query.push((name, plain(value)));
                }
            }
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        if !has_body {
            return Ok(None);
        }
        let all = body.len() == arguments.len();
        let body = if all {
            written.to_owned()
        } else {
            serde_json::to_string(&body)?
        };
        Ok(Some(body))
    }
}

/// Headers with the secrets in their places; none of them shows itself in a log.
pub(super) fn headers<'a>(
    headers: impl IntoIterator<Item = &'a Header>,
    secrets: &BTreeMap<String, Secret>,
) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    for Header { name, value } in headers {
        let reference = Reference::parse(value)?;
        let resolved = reference
            .resolve(|name| secrets.get(name))
            .map_err(|secret| {
                format!("the secret {secret} is not set; an administrator sets it with secretSet")
            })?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|err| err.to_string())?;
        let mut value = HeaderValue::from_bytes(&resolved)
            .map_err(|_| format!("the value of the header {name} can't be sent"))?;
        value.set_sensitive(true);
        map.insert(name, value);
    }
    Ok(map)
}

/// A failed answer as the model is told of it.
fn cut(text: &str) -> String {
    if text.len() <= TOLD {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(TOLD);
    format!(
        "{}\n… cut: {end} of {} bytes shown",
        &text[..end],
        text.len()
    )
}

/// Why nothing came. The address stays out of it: it may hold what nobody shall read.
pub(super) fn unreachable(name: &str, err: reqwest::Error) -> ToolError {
    let err = err.without_url();
    let class = if err.is_timeout() {
        ToolErrorClass::TimedOut
    } else {
        ToolErrorClass::Offline
    };
    let mut message = format!("{name} could not be reached: {err}");
    let mut source = std::error::Error::source(&err);
    while let Some(cause) = source {
        message.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    ToolError {
        // Without a connection nothing was sent.
        in_doubt: !err.is_connect(),
        ..ToolError::new(class, message)
    }
}

/// The whole body, as long as it is not longer than `most` bytes.
async fn read(name: &str, mut response: Response, most: usize) -> Result<Vec<u8>, ToolError> {
    let too_large = || {
        ToolError::new(
            ToolErrorClass::BadResponse,
            format!("{name} answered more than {most} bytes, which is what it may answer"),
        )
        .doubted()
    };
    if response
        .content_length()
        .is_some_and(|length| length > most as u64)
    {
        return Err(too_large());
    }
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => break,
            Ok(Some(chunk)) if body.len() + chunk.len() > most => return Err(too_large()),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Err(err) => return Err(unreachable(name, err)),
        }
    }
    Ok(body)
}
