//! One try: signed, through the outbound guard, bounded in time and in what is read.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use reqwest::{Response, Url};

use super::claim::Claimed;
use super::occasion::global;
use super::secret::sign;
use crate::error::Result;
use crate::model::http::retry_after;
use crate::secret::Vault;
use crate::store::Store;
use crate::text::cut_bytes;
use crate::tool::Guard;

/// The most bytes of an answer that are kept.
const KEPT: usize = 1024;
/// The longest time for which a receiver is left alone because it asks for that: a day.
const REST: Duration = Duration::from_secs(86_400);
/// Who sends.
const AGENT: &str = concat!("stint/", env!("CARGO_PKG_VERSION"));

/// What became of a try.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// The HTTP status that came back.
    pub(super) status: Option<u16>,
    /// Why it failed.
    pub(super) error: Option<String>,
    /// How the answer began.
    pub(super) response: Option<String>,
    /// For how long the receiver asks to be left alone: a 429 or a 503 with `Retry-After`; at most [`REST`].
    pub(super) rest: Option<Duration>,
}

impl Answer {
    fn failed(error: impl Into<String>) -> Self {
        Self {
            status: None,
            error: Some(cut_bytes(&error.into(), KEPT)),
            response: None,
            rest: None,
        }
    }

    /// Whether the receiver took it.
    pub(super) fn is_taken(&self) -> bool {
        self.status
            .is_some_and(|status| (200..300).contains(&status))
    }

    /// Whether there is no receiver any more.
    pub(super) fn is_gone(&self) -> bool {
        self.status == Some(410)
    }
}

/// Sends a delivery once.
pub(super) async fn post(
    store: &Store,
    vault: &Vault,
    guard: &Guard,
    claimed: &Claimed,
    timeout: Duration,
) -> Answer {
    match send(store, vault, guard, claimed, timeout).await {
        Ok(answer) => answer,
        Err(err) => {
            tracing::error!(alert.delivery = %claimed.delivery.id, %err, "an alert could not be signed");
            Answer::failed("Stint could not sign it; its operator finds the reason in the log.")
        }
    }
}

async fn send(
    store: &Store,
    vault: &Vault,
    guard: &Guard,
    claimed: &Claimed,
    timeout: Duration,
) -> Result<Answer> {
    let Claimed {
        delivery,
        endpoint,
        secrets,
    } = claimed;
    let url = match Url::parse(&endpoint.url) {
        Ok(url) => url,
        Err(err) => return Ok(Answer::failed(format!("This is no address: {err}."))),
    };
    let client = match guard.client(&url) {
        Ok(client) => client,
        Err(why) => return Ok(Answer::failed(format!("It was not sent: {why}."))),
    };
    let id = global("ald", delivery.id.0);
    let seconds = store.now().0.div_euclid(1_000);
    let signature = sign(vault, secrets, &id, seconds, &delivery.body)?;
    let request = client
        .post(url)
        .timeout(timeout)
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, AGENT)
        .header("webhook-id", id)
        .header("webhook-timestamp", seconds)
        .header("webhook-signature", signature)
        .body(delivery.body.clone());
    let response = match request.send().await {
        Ok(response) => response,
        Err(err) => return Ok(Answer::failed(unreachable(err, timeout))),
    };
    let status = response.status();
    let error = if status.is_success() {
        None
    } else if status.is_redirection() {
        Some(format!(
            "It answered {status}; redirects are not followed: give the endpoint the address that it points to."
        ))
    } else {
        Some(format!("It answered {status}."))
    };
    let rest = match status.as_u16() {
        429 | 503 => retry_after(response.headers()).map(|wait| wait.min(REST)),
        _ => None,
    };
    Ok(Answer {
        status: Some(status.as_u16()),
        error,
        rest,
        response: begin(response).await,
    })
}

/// Why nothing came. The address stays out of it: it may hold what nobody shall read.
fn unreachable(err: reqwest::Error, timeout: Duration) -> String {
    if err.is_timeout() && !err.is_connect() {
        return format!("It did not answer within {timeout:?}.");
    }
    let err = err.without_url();
    let mut message = format!("It could not be reached: {err}");
    let mut source = std::error::Error::source(&err);
    while let Some(cause) = source {
        message.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    message.push('.');
    message
}

/// How an answer begins; what does not come in time is left out.
async fn begin(mut response: Response) -> Option<String> {
    let mut bytes = Vec::new();
    while bytes.len() < KEPT
        && let Ok(Some(chunk)) = response.chunk().await
    {
        bytes.extend_from_slice(&chunk);
    }
    bytes.truncate(KEPT);
    if bytes.is_empty() {
        return None;
    }
    // A letter may be cut in the middle; no text column holds a NUL.
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(err) => {
            let whole = err.utf8_error().valid_up_to();
            if whole + 3 < err.as_bytes().len() {
                return None;
            }
            String::from_utf8_lossy(&err.as_bytes()[..whole]).into_owned()
        }
    };
    Some(text.replace('\0', ""))
}
