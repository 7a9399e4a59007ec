//! The HTTP server: GraphQL over HTTP as its specification says, and the paths for operators.
//!
//! Everything is refused in this order, so that nothing of a caller is read before the caller is known:
//! method, credential, `Accept`, `Content-Type`, size, JSON, document. There are no batches, and nothing
//! runs over GET.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::parser::types::OperationType;
use async_graphql::{Executor, Response as GraphqlResponse};
use axum::body::Body;
use axum::extract::ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;

use crate::auth::{Keys, Refusal};
use crate::graphql::context::Session;
use crate::operation::{self, Params};
use crate::ws;

mod media;

pub use media::Media;

/// The largest body of a GraphQL request.
pub const BODY_LIMIT: usize = 256 << 10;

/// How long a client may take to send one.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the handlers share.
pub struct Gateway<E> {
    /// Runs operations: the schema.
    pub executor: E,
    /// Who may come in.
    pub keys: Arc<Keys>,
    /// Makes the id of a request, and of an operation of a socket.
    pub request_id: Box<dyn Fn() -> String + Send + Sync>,
    /// Origins, such as `https://desk.example.com`, whose pages may use the API from a browser, over
    /// HTTP and WebSocket. Pages of the server's own address always may.
    pub origins: Vec<String>,
    /// How patient sockets are.
    pub patience: ws::Patience,
    /// Sockets and mutations under way: the server waits for them before it ends.
    pub tasks: TaskTracker,
    /// Cancelled when sockets are to finish and close.
    pub closing: CancellationToken,
    /// What `/readyz` asks.
    pub ready: Readiness,
    /// What `/metrics` answers.
    pub figures: Figures,
}

/// Finds out whether the server can do its work; else one sentence that says why not.
pub type Readiness = Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// Writes the figures of the process in Prometheus' text format.
pub type Figures = Box<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>;

/// The id of a request, for logs and errors.
#[derive(Clone)]
pub(crate) struct RequestId(pub(crate) Arc<str>);

/// All paths: GraphQL's, the operators', and `more`.
pub fn router<E: Executor>(gateway: Arc<Gateway<E>>, more: Router) -> Router {
    let cors = (!gateway.origins.is_empty()).then(|| cors(&gateway.origins));
    let graphql = Router::new().route("/graphql", get(socket).post(post).fallback(only_post));
    let router = layered(graphql.with_state(gateway.clone()).merge(more), gateway);
    match cors {
        Some(cors) => router.layer(cors),
        None => router,
    }
}

/// The operators' paths alone, for a process without the API.
pub fn operator_router<E: Executor>(gateway: Arc<Gateway<E>>) -> Router {
    layered(Router::new(), gateway)
}

fn layered<E: Executor>(paths: Router, gateway: Arc<Gateway<E>>) -> Router {
    let operators = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(figures));
    paths
        .merge(operators.with_state(gateway.clone()))
        .fallback(nothing_here)
        .layer(CatchPanicLayer::custom(
            |_: Box<dyn std::any::Any + Send>| {
                let text = "Something went wrong inside Stint; the server's log has the details.";
                refuse(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    Media::Json,
                    "INTERNAL",
                    text,
                    "",
                )
            },
        ))
        .layer(middleware::from_fn_with_state(gateway, identify))
}

/// Gives each request an id of its own, and the answer the same as a header.
async fn identify<E: Executor>(
    State(gateway): State<Arc<Gateway<E>>>,
    mut request: Request,
    next: Next,
) -> Response {
    let id: Arc<str> = (gateway.request_id)().into();
    request.extensions_mut().insert(RequestId(id.clone()));
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    tracing::debug!(request.id = &*id, http.method = %method, http.path = path, http.status = response.status().as_u16());
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

fn cors(origins: &[String]) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(
            origins
                .iter()
                .filter_map(|origin| origin.parse().ok())
                .collect::<Vec<HeaderValue>>(),
        )
        .allow_methods([Method::POST, Method::GET])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::ACCEPT])
        .expose_headers([REQUEST_ID])
        .max_age(Duration::from_secs(600))
}

async fn post<E: Executor>(
    State(gateway): State<Arc<Gateway<E>>>,
    Extension(RequestId(id)): Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let media = media::negotiate(&headers);
    let say = media.unwrap_or(Media::Json);
    let actor = match gateway.keys.actor(authorization(&headers)).await {
        Ok(actor) => actor,
        Err(refusal) => return refuse_caller(&refusal, say, &id),
    };
    let Some(media) = media else {
        let text = "The API answers with application/graphql-response+json or application/json; accept one of them.";
        return refuse(StatusCode::NOT_ACCEPTABLE, say, "NOT_ACCEPTABLE", text, &id);
    };
    if !media::is_json(&headers) {
        let text = "Send the request as `Content-Type: application/json`, in UTF-8.";
        return refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            media,
            "UNSUPPORTED_MEDIA_TYPE",
            text,
            &id,
        );
    }
    let params = match read(&headers, body, BODY_LIMIT)
        .await
        .and_then(|bytes| parse(&bytes))
    {
        Ok(params) => params,
        Err((status, code, text)) => return refuse(status, media, code, &text, &id),
    };
    let session = Session::new(actor, id.to_string());
    let mut response = match operation::prepare(params, session) {
        Ok(operation) if operation.kind == OperationType::Subscription => {
            operation::error_response(operation::coded(
                "BAD_USER_INPUT",
                "Subscriptions are served over WebSocket at this address, with the sub-protocol graphql-transport-ws.",
            ))
        }
        Ok(operation) => {
            let operation = operation.in_trace(headers.get("traceparent"));
            operation::execute(&gateway.executor, &gateway.tasks, operation).await
        }
        Err(error) => operation::error_response(error),
    };
    operation::finish(&mut response, &id);
    answer(&response, media)
}

/// Why a body was not read: the status, the code and the sentence.
pub(crate) type Unreadable = (StatusCode, &'static str, String);

/// The whole body, if it is short enough and comes in time.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Bytes, Unreadable> {
    let too_large = || {
        let text = format!("The request's body is larger than {} KiB.", limit >> 10);
        (StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", text)
    };
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(too_large()),
        Err(_) => {
            let text = "The request's body did not arrive within 10 seconds.".to_owned();
            Err((StatusCode::REQUEST_TIMEOUT, "TIMEOUT", text))
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Params, Unreadable> {
    let bad = |text: String| (StatusCode::BAD_REQUEST, "BAD_USER_INPUT", text);
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(bad(
            "Batches are not supported: send one operation a request, as a JSON object.".to_owned(),
        ));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        bad(format!("The body is no GraphQL request: {error}. Send {{\"query\": \"…\", \"variables\": {{…}}}}."))
    })
}

/// GET: an upgrade goes on to the WebSocket server, anything else is refused.
async fn socket<E: Executor>(
    State(gateway): State<Arc<Gateway<E>>>,
    Extension(RequestId(id)): Extension<RequestId>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    if !headers.contains_key(header::UPGRADE) {
        return method_not_allowed(&headers, &id);
    }
    match upgrade {
        Ok(_) if !ws::origin_allowed(&headers, &gateway.origins) => {
            let text = "Pages of this origin may not use the API; the operator can allow it with --allow-origin.";
            refuse(StatusCode::FORBIDDEN, Media::Json, "FORBIDDEN", text, &id)
        }
        Ok(upgrade) => ws::accept(gateway, upgrade, authorization(&headers).map(str::to_owned)),
        Err(rejection) => rejection.into_response(),
    }
}

async fn only_post(Extension(RequestId(id)): Extension<RequestId>, headers: HeaderMap) -> Response {
    method_not_allowed(&headers, &id)
}

fn method_not_allowed(headers: &HeaderMap, id: &str) -> Response {
    let media = media::negotiate(headers).unwrap_or(Media::Json);
    let text = "Send GraphQL requests with POST; subscriptions over WebSocket at the same address.";
    let mut response = refuse(
        StatusCode::METHOD_NOT_ALLOWED,
        media,
        "METHOD_NOT_ALLOWED",
        text,
        id,
    );
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static("POST"));
    response
}

async fn nothing_here(Extension(RequestId(id)): Extension<RequestId>) -> Response {
    let text = "There is nothing at this path. The API is at /graphql.";
    refuse(StatusCode::NOT_FOUND, Media::Json, "NOT_FOUND", text, &id)
}

async fn ready<E: Executor>(State(gateway): State<Arc<Gateway<E>>>) -> Response {
    match (gateway.ready)().await {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn figures<E: Executor>(State(gateway): State<Arc<Gateway<E>>>) -> Response {
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    let text = (gateway.figures)().await;
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

pub(crate) fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()
}

pub(crate) fn refuse_caller(refusal: &Refusal, media: Media, id: &str) -> Response {
    let status = match refusal {
        Refusal::Missing | Refusal::Invalid => StatusCode::UNAUTHORIZED,
        Refusal::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = refuse(status, media, refusal.code(), &refusal.to_string(), id);
    let challenge = match refusal {
        Refusal::Missing => "Bearer realm=\"stint\"",
        Refusal::Invalid => "Bearer realm=\"stint\", error=\"invalid_token\"",
        Refusal::Unavailable => return response,
    };
    response.headers_mut().insert(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static(challenge),
    );
    response
}

/// An answer to what is no GraphQL request yet: the status says it in either media type.
pub(crate) fn refuse(
    status: StatusCode,
    media: Media,
    code: &'static str,
    text: &str,
    id: &str,
) -> Response {
    let mut response = operation::error_response(operation::coded(code, text));
    operation::finish(&mut response, id);
    encode(status, &response, media)
}

/// The answer to a well-formed request. `application/json` always says 200, because its clients can't
/// tell another server's errors from a GraphQL response.
fn answer(response: &GraphqlResponse, media: Media) -> Response {
    let status = match media {
        Media::GraphqlResponse if operation::is_request_error(response) => {
            request_error_status(response)
        }
        Media::GraphqlResponse | Media::Json => StatusCode::OK,
    };
    encode(status, response, media)
}

fn request_error_status(response: &GraphqlResponse) -> StatusCode {
    let code = |error: &async_graphql::ServerError| match error.extensions.as_ref()?.get("code")? {
        async_graphql::Value::String(code) => Some(code.clone()),
        _ => None,
    };
    match response.errors.first().and_then(code).as_deref() {
        Some("INTERNAL") => StatusCode::INTERNAL_SERVER_ERROR,
        Some("TIMEOUT") => StatusCode::GATEWAY_TIMEOUT,
        Some("UNAVAILABLE") => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    }
}

fn encode(status: StatusCode, response: &GraphqlResponse, media: Media) -> Response {
    let mut body = Vec::with_capacity(512);
    operation::write_response(response, &mut body);
    (status, [(header::CONTENT_TYPE, media.content_type())], body).into_response()
}

#[cfg(test)]
mod tests;
