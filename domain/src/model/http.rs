//! What the providers of models have in common: one HTTP client each, patience, bounds, and what a refusal means.
//! Nothing is tried again here: retries belong to the run.

mod refusal;
mod stream;
#[cfg(test)]
mod tests;

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, Url};
use tokio::time::{Instant, timeout};

use super::scrub::Scrub;
use super::{Kind, ModelError, ModelErrorClass, ModelReply, Patience, Provider};
use crate::error::{Error, Result};
use crate::text::cut_bytes;
use refusal::refusal;
pub(crate) use refusal::retry_after;
pub(super) use refusal::{before_it_began, failed_within, malformed};
pub(super) use stream::{Assemble, Stream, broke_off};
use stream::{LARGEST, too_large};

/// The most bytes that are read of a refusal.
const REFUSAL: usize = 64 * 1024;
/// The most bytes that are shown of a failure.
const SHOWN: usize = 600;
/// The most bytes of a provider's word for a service tier.
const SERVICE_TIER: usize = 64;
/// The most bytes of the id of a call; gateways hide whole signatures in them.
const CALL_ID: usize = 8 * 1024;
/// How long an answer that is whole may take to end its connection, so that the next call can use it.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long more may come behind what makes an answer whole.
const LAST: Duration = Duration::from_secs(5);

/// The client of one provider; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Http {
    name: String,
    kind: Kind,
    base: Url,
    client: Client,
    patience: Patience,
    /// What must not be shown.
    scrub: Scrub,
}

impl Http {
    /// A client for this provider.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the provider and what is wrong with its settings; never their values.
    pub(super) fn new(provider: &Provider) -> Result<Self> {
        let Provider {
            name,
            kind,
            base_url,
            key,
            key_header,
            headers,
            query,
            output_limit: _,
            patience,
        } = provider;
        let wrong = |what: &str| {
            Error::invalid(
                "models",
                "INVALID",
                format!("the model provider {name}: {what}"),
            )
        };
        let base = base(*kind, base_url, query).map_err(|what| wrong(&what))?;
        let mut map = HeaderMap::new();
        let mut carry = |header: &str, value: &[u8]| -> Result<()> {
            let header = HeaderName::from_bytes(header.as_bytes())
                .map_err(|_| wrong(&format!("{header:?} can't be a header's name")))?;
            let mut value = HeaderValue::from_bytes(value)
                .map_err(|_| wrong(&format!("the value of the header {header} can't be sent")))?;
            value.set_sensitive(true);
            map.insert(header, value);
            Ok(())
        };
        if let Some(key) = key {
            match (key_header, kind) {
                (Some(header), _) => carry(header, key.reveal())?,
                (None, Kind::OpenAi) => {
                    carry("authorization", &[b"Bearer ", key.reveal()].concat())?;
                }
                (None, Kind::Anthropic) => carry("x-api-key", key.reveal())?,
                (None, Kind::Gemini) => carry("x-goog-api-key", key.reveal())?,
            }
        }
        if *kind == Kind::Anthropic {
            carry("anthropic-version", b"2023-06-01")?;
        }
        for (header, value) in headers {
            carry(header, value.reveal())?;
        }
        let client = Client::builder()
            .user_agent(concat!("stint/", env!("CARGO_PKG_VERSION")))
            .default_headers(map)
            .connect_timeout(patience.connect)
            // A redirect would carry the prompt, and perhaps the key, to where the operator did not send it.
            .redirect(Policy::none())
            .tcp_nodelay(true);
        // A server on the same machine is never behind the machine's proxy.
        let client = if is_here(&base) {
            client.no_proxy()
        } else {
            client
        };
        let secrets = key.iter().chain(headers.iter().map(|(_, value)| value));
        Ok(Self {
            name: name.clone(),
            kind: *kind,
            base,
            client: client
                .build()
                .map_err(|err| wrong(&format!("no client can be made: {err}")))?,
            patience: *patience,
            scrub: Scrub::new(name, secrets),
        })
    }

    /// The provider's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where it is, for people.
    pub(super) fn address(&self) -> &str {
        self.base.as_str()
    }

    /// The host, by which official servers are known.
    pub(super) fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        // A base that can't have a path was refused.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// Sends a prompt and puts the streamed answer together, until its end marker.
    ///
    /// # Errors
    /// What the provider says, or that it could not be reached, stalled, broke off or said something unreadable.
    pub(super) async fn stream(
        &self,
        path: &[&str],
        body: String,
        assemble: &mut (impl Assemble + Send),
    ) -> std::result::Result<(), ModelError> {
        let mut url = self.url(path);
        if self.kind == Kind::Gemini {
            url.query_pairs_mut().append_pair("alt", "sse");
        }
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json");
        let began = Instant::now();
        let mut response = self.send(request.body(body)).await?;
        let kind = content_type(&response);
        if kind == "application/json" {
            let body = self.body(response, LARGEST, began).await?;
            return assemble.whole(&body);
        }
        if kind == "text/html" {
            let name = &self.name;
            let message = format!("{name} answered with a web page; is its address right?");
            // No model writes one: it is the page of whoever lives at a wrong address, or stands in front of the right one
            // and let nothing through. A gateway that lost an answer says so with its status.
            return Err(ModelError::new(ModelErrorClass::Malformed, message).unread());
        }
        let mut stream = Stream::new(&self.name, assemble);
        loop {
            let so_far = (stream.size, stream.is_whole());
            let Some(piece) = self.piece(&mut response, began, so_far).await? else {
                return stream.end();
            };
            if stream.take(&piece)? {
                tokio::spawn(timeout(FAREWELL, farewell(response)));
                return Ok(());
            }
        }
    }

    /// Gets a small document.
    ///
    /// # Errors
    /// As [`Http::stream`].
    pub(super) async fn get(&self, path: &[&str]) -> std::result::Result<String, ModelError> {
        let began = Instant::now();
        let response = self.send(self.client.get(self.url(path))).await?;
        self.body(response, LARGEST, began).await
    }

    async fn send(&self, request: RequestBuilder) -> std::result::Result<Response, ModelError> {
        let began = Instant::now();
        let response = timeout(self.patience.first_byte, request.send()).await;
        let response = response.map_err(|_| self.slow())?.map_err(|err| {
            let what = if err.is_connect() {
                "can't be reached"
            } else {
                "broke off before it answered"
            };
            // No name, no connection, no handshake: nothing was sent.
            let unsent = err.is_connect();
            let message = format!("{} {what}: {}", self.name, root(err.without_url()));
            let error = ModelError::new(ModelErrorClass::Unreachable, message);
            if unsent { error.unread() } else { error }
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let retry_after = retry_after(response.headers());
        // What it says is shown; that it can't be read makes it no other refusal.
        let body = self
            .body(response, REFUSAL, began)
            .await
            .unwrap_or_default();
        Err(ModelError {
            retry_after,
            ..refusal(&self.name, status, &self.scrub(body))
        })
    }

    /// The next piece of an answer of which `size` bytes came; none at its end. Nothing may be missing of it already: then
    /// it has ended, too, when a server leaves the connection open.
    async fn piece(
        &self,
        response: &mut Response,
        began: Instant,
        (size, whole): (usize, bool),
    ) -> std::result::Result<Option<impl std::ops::Deref<Target = [u8]> + use<>>, ModelError> {
        let first = size == 0;
        let time = if first {
            self.patience.first_byte.saturating_sub(began.elapsed())
        } else if whole {
            self.patience.idle.min(LAST)
        } else {
            self.patience.idle
        };
        match timeout(time, response.chunk()).await {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(_)) => Err(broke_off(&self.name)),
            Err(_) if first => Err(self.slow()),
            Err(_) if whole => Ok(None),
            Err(_) => {
                let message = format!(
                    "{} stopped in the middle of its answer for {:?}",
                    self.name, self.patience.idle
                );
                Err(ModelError::new(ModelErrorClass::Truncated, message))
            }
        }
    }

    async fn body(
        &self,
        mut response: Response,
        most: usize,
        began: Instant,
    ) -> std::result::Result<String, ModelError> {
        let mut body = Vec::new();
        while let Some(piece) = self
            .piece(&mut response, began, (body.len(), false))
            .await?
        {
            body.extend_from_slice(&piece);
            if body.len() > most {
                return Err(too_large(&self.name));
            }
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    fn slow(&self) -> ModelError {
        let message = format!(
            "{} did not begin to answer within {:?}",
            self.name, self.patience.first_byte
        );
        ModelError::new(ModelErrorClass::Unreachable, message)
    }

    /// A text without the provider's secrets.
    pub(super) fn scrub(&self, text: String) -> String {
        self.scrub.over(text)
    }

    /// What failed, without the provider's secrets, and only then cut to what is shown of it.
    pub(super) fn told(&self, mut error: ModelError) -> ModelError {
        error.message = cut_bytes(&self.scrub(error.message), SHOWN);
        error
    }

    /// What takes the provider's secrets out of an answer while it comes; none if it has no secrets.
    pub(super) fn scrubber(&self) -> Option<&Scrub> {
        Some(&self.scrub).filter(|scrub| !scrub.is_empty())
    }

    /// An answer without the provider's secrets.
    pub(super) fn scrubbed(&self, reply: ModelReply) -> ModelReply {
        let mut reply = reply;
        reply.service_tier = reply
            .service_tier
            .map(|tier| cut_bytes(&self.scrub(tier), SERVICE_TIER));
        reply.text = self.scrub(reply.text);
        reply.thinking = self.scrub(reply.thinking);
        for call in &mut reply.calls {
            if call.id.len() > CALL_ID {
                call.id.clear();
            }
            for text in [&mut call.id, &mut call.tool, &mut call.arguments] {
                *text = self.scrub(std::mem::take(text));
            }
        }
        if let Some(verbatim) = &mut reply.verbatim {
            verbatim.blocks = self.scrub(std::mem::take(&mut verbatim.blocks));
        }
        reply
    }
}

/// Reads a connection to its end: then it can carry the next call.
async fn farewell(mut response: Response) {
    while let Ok(Some(_)) = response.chunk().await {}
}

fn base(
    kind: Kind,
    base_url: &str,
    query: &[(String, String)],
) -> std::result::Result<Url, String> {
    let mut url = Url::parse(base_url).map_err(|err| {
        format!(
            "its base URL can't be read ({err}); it is an address such as {}",
            kind.base_url()
        )
    })?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(format!(
            "its base URL is an address such as {}",
            kind.base_url()
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "its base URL holds a name or a password; give them as its key or as a header".into(),
        );
    }
    if kind == Kind::Anthropic
        && let Some(path) = url.path().trim_end_matches('/').strip_suffix("/v1")
    {
        let path = path.to_owned();
        url.set_path(&path);
    }
    if kind == Kind::Gemini && url.path() == "/" {
        url.set_path("/v1beta");
    }
    url.set_fragment(None);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Ok(url)
}

fn is_here(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let ip = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<std::net::IpAddr>();
        host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
    })
}

fn content_type(response: &Response) -> String {
    let value = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let kind = value
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}

/// The innermost cause: the outer ones say only that there was one.
fn root(err: reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = &err;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
