//! `POST /hooks/{address}`: where outside systems deliver their events.
//!
//! No key is asked for: the signature over the bytes as they came is the credential. A 2xx means committed; what a sender may
//! send again is answered with 429 or 5xx, everything else with another 4xx.

mod lookup;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use domain::error::Error;
use domain::hook::receive::{self, BODY, Delivery, Received};
use domain::hook::{Headers, Refused};
use domain::secret::Vault;
use domain::store::Store;
use domain::telemetry::trace;
use entity::{WebhookEndpointId, WebhookOutcome, WebhookRefusal, webhook_endpoint};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::graphql::node;
use crate::http::{Media, RequestId, Unreadable, read, refuse};
use lookup::{Found, Lookup};

/// How long a delivery may take: PagerDuty waits for 5 seconds.
const PATIENCE: Duration = Duration::from_millis(4_500);
/// The most refusals of an endpoint that are logged in a minute: whoever knows the address can make them.
const LOGGED: u32 = 60;

/// The most deliveries that an endpoint takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In a second, in the long run.
    pub per_second: u32,
    /// At once.
    pub burst: u32,
}

impl Default for Rate {
    fn default() -> Self {
        Self {
            per_second: 500,
            burst: 5_000,
        }
    }
}

type Limiter = DefaultKeyedRateLimiter<WebhookEndpointId>;

/// What deliveries need.
struct Door {
    store: Store,
    vault: Vault,
    lookup: Lookup,
    rate: Rate,
    tasks: TaskTracker,
    /// By endpoint: there are no more keys than endpoints.
    taken: Limiter,
    logged: Limiter,
}

/// The path of webhooks. Deliveries under way are among `tasks`, which the server waits for before it ends; from `closing` on
/// no endpoint is found that was not met before.
pub fn routes(
    store: Store,
    vault: Vault,
    rate: Rate,
    tasks: TaskTracker,
    closing: CancellationToken,
) -> Router {
    let per = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
    let door = Door {
        lookup: Lookup::start(store.clone(), &tasks, closing),
        store,
        vault,
        rate,
        tasks,
        taken: RateLimiter::keyed(
            Quota::per_second(per(rate.per_second)).allow_burst(per(rate.burst)),
        ),
        logged: RateLimiter::keyed(Quota::per_minute(per(LOGGED))),
    };
    Router::new()
        .route("/hooks/{address}", post(deliver).fallback(only_post))
        .with_state(Arc::new(door))
}

/// What a sender is told of a delivery that was taken.
#[derive(Serialize)]
struct Taken {
    message: String,
    outcome: &'static str,
    delivery: String,
    request: Option<String>,
}

async fn deliver(
    State(door): State<Arc<Door>>,
    Extension(RequestId(id)): Extension<RequestId>,
    Path(address): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let deadline = Instant::now() + PATIENCE;
    let endpoint = match tokio::time::timeout_at(deadline, door.lookup.find(&address)).await {
        Ok(Ok(Found::Endpoint(endpoint))) => *endpoint,
        Ok(Ok(Found::Nobody)) => {
            let text = "There is no webhook endpoint at this address.";
            return refuse(StatusCode::NOT_FOUND, Media::Json, "NOT_FOUND", text, &id);
        }
        Ok(Ok(Found::Busy)) => {
            let text = "Too many deliveries to addresses that nobody knows came to this server. Send this one again later.";
            return refused(&Refused::new(WebhookRefusal::TooMany, text), &id);
        }
        Ok(Err(fault)) => return failed(&fault, &id),
        Err(_) => return late(&id),
    };
    if door.taken.check_key(&endpoint.id).is_err() {
        let text = format!(
            "More than {} deliveries a second came to this endpoint. Send this one again later.",
            door.rate.per_second
        );
        return refused(&Refused::new(WebhookRefusal::TooMany, text), &id);
    }
    let traceparent = headers
        .get("traceparent")
        .and_then(|value| value.to_str().ok());
    let span = trace::delivery(traceparent);
    let body = read(&headers, body, BODY).await;
    // In a task of its own: a sender that goes away does not break off what was begun.
    let task = door
        .tasks
        .spawn(handle(door.clone(), endpoint, headers, body).instrument(span));
    match tokio::time::timeout_at(deadline, task).await {
        Ok(Ok(Answer::Taken(received))) => taken(&received),
        Ok(Ok(Answer::Refused(why))) => refused(&why, &id),
        Ok(Ok(Answer::Unreadable((status, code, text)))) => {
            refuse(status, Media::Json, code, &text, &id)
        }
        Ok(Ok(Answer::Failed(fault))) => failed(&fault, &id),
        Ok(Err(failure)) => failed(&Error::internal(failure), &id),
        Err(_) => late(&id),
    }
}

fn late(id: &str) -> Response {
    let text = "It took longer than 4.5 seconds. Send it again: it counts once.";
    let status = StatusCode::SERVICE_UNAVAILABLE;
    refuse(status, Media::Json, "TIMEOUT", text, id)
}

enum Answer {
    Taken(Box<Received>),
    Refused(Refused),
    Unreadable(Unreadable),
    Failed(Error),
}

async fn handle(
    door: Arc<Door>,
    endpoint: webhook_endpoint::Model,
    headers: HeaderMap,
    body: Result<bytes::Bytes, Unreadable>,
) -> Answer {
    let (body, unread) = match body {
        Ok(body) => (body, None),
        Err(unread) if unread.0 == StatusCode::PAYLOAD_TOO_LARGE => {
            let refused = Refused::new(WebhookRefusal::TooLarge, unread.2);
            (bytes::Bytes::new(), Some(refused))
        }
        Err(unread) => return Answer::Unreadable(unread),
    };
    let texts = headers.iter().filter_map(|(name, value)| {
        let text = value.to_str().ok()?;
        Some((name.as_str().to_owned(), text.to_owned()))
    });
    let delivery = Delivery {
        endpoint: &endpoint,
        headers: Headers::new(texts),
        body: &body,
    };
    let received = match unread {
        Some(refused) => Ok(Err(refused)),
        None => receive::receive(&door.store, &door.vault, &delivery).await,
    };
    match received {
        Ok(Ok(received)) => Answer::Taken(Box::new(received)),
        Ok(Err(why)) => {
            // What the sender vouches for is always logged, whatever strangers send.
            if (why.is_verified() || door.logged.check_key(&endpoint.id).is_ok())
                && let Err(error) = receive::refuse(&door.store, &delivery, &why).await
            {
                tracing::warn!(%error, "a refused webhook could not be logged");
            }
            Answer::Refused(why)
        }
        Err(fault) => Answer::Failed(fault),
    }
}

fn taken(received: &Received) -> Response {
    let Received { delivery, request } = received;
    let request = request
        .as_ref()
        .map(|request| format!("REQ-{}", request.number));
    let named = request.as_deref().unwrap_or("its request");
    let message = match delivery.outcome {
        WebhookOutcome::RequestMade => format!("It made {named}."),
        WebhookOutcome::RequestUpdated => format!("It changed {named}."),
        WebhookOutcome::Recorded => format!("It was recorded on {named}."),
        WebhookOutcome::Ignored | WebhookOutcome::Refused => "It made no request.".to_owned(),
        WebhookOutcome::Duplicate => "Its event was delivered before.".to_owned(),
    };
    let message = match &delivery.reason {
        Some(reason) => format!("{message} {reason}"),
        None => message,
    };
    Json(Taken {
        message,
        outcome: delivery.outcome.as_str(),
        delivery: node::global(delivery.id).0,
        request,
    })
    .into_response()
}

fn refused(why: &Refused, id: &str) -> Response {
    let status = match why.code {
        WebhookRefusal::Disabled => StatusCode::GONE,
        WebhookRefusal::NoSecret
        | WebhookRefusal::SignatureMissing
        | WebhookRefusal::SignatureInvalid
        | WebhookRefusal::TimestampOutOfRange => StatusCode::UNAUTHORIZED,
        WebhookRefusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        WebhookRefusal::NotJson => StatusCode::BAD_REQUEST,
        WebhookRefusal::NotUnderstood => StatusCode::UNPROCESSABLE_ENTITY,
        WebhookRefusal::TooMany => StatusCode::TOO_MANY_REQUESTS,
    };
    let mut response = refuse(status, Media::Json, why.code.as_str(), &why.message, id);
    if status == StatusCode::TOO_MANY_REQUESTS {
        let wait = HeaderValue::from_static("1");
        response.headers_mut().insert(header::RETRY_AFTER, wait);
    }
    response
}

/// A fault: whether anything stands is not known, and it may be sent again either way.
fn failed(fault: &Error, id: &str) -> Response {
    let status = match fault {
        Error::Unavailable { .. } | Error::CommitUnknown => {
            tracing::warn!(request.id = id, error = %fault, "a webhook could not be taken");
            StatusCode::SERVICE_UNAVAILABLE
        }
        Error::Invalid { .. }
        | Error::NotFound { .. }
        | Error::Forbidden { .. }
        | Error::Conflict { .. }
        | Error::Internal { .. } => {
            tracing::error!(request.id = id, error = ?fault, "a webhook could not be taken");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    let text = "It could not be taken at the moment. Send it again: it counts once.";
    refuse(status, Media::Json, fault.code(), text, id)
}

async fn only_post(Extension(RequestId(id)): Extension<RequestId>) -> Response {
    let text = "Deliver webhooks with POST.";
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let mut response = refuse(status, Media::Json, "METHOD_NOT_ALLOWED", text, &id);
    let allow = HeaderValue::from_static("POST");
    response.headers_mut().insert(header::ALLOW, allow);
    response
}
