//! A run's raw log as JSON lines: `GET /runs/{number}/raw` and `stint run export`.
//!
//! The log names the parts of its prompts by digest. An export carries them, as lines of their own before
//! the log, so that it can be read without the database; the HTTP path gives the log alone.

use std::pin::pin;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use domain::access::Actor;
use domain::error::Error;
use domain::run::event::Event;
use domain::run::{envelope, query};
use domain::store::Store;
use entity::{prompt_part, run};
use futures_util::TryStreamExt as _;
use futures_util::stream::{self, Stream};
use sea_orm::EntityTrait as _;
use serde::{Deserialize, Serialize};

use crate::auth::Keys;
use crate::http::{Media, RequestId, authorization, refuse, refuse_caller};

/// Events that are read, and held in memory, at once.
const PAGE: i64 = 200;

/// The log of `run` as far as the row says, in pieces of whole lines.
pub fn lines(
    store: Store,
    run: run::Model,
) -> impl Stream<Item = domain::Result<Bytes>> + Send + use<> {
    stream::try_unfold(1, move |first| {
        let (store, id, last) = (store.clone(), run.id, run.last_seq);
        async move {
            if first > last {
                return Ok(None);
            }
            let next = last.min(first + PAGE - 1);
            let events = query::events_between(store.read(), id, &[(first, next)]).await?;
            let mut text =
                String::with_capacity(events.iter().map(|event| event.body.len() + 1).sum());
            for event in events {
                text.push_str(&event.body);
                text.push('\n');
            }
            Ok(Some((Bytes::from(text), next + 1)))
        }
    })
}

/// A part of a prompt, as a line before the log that refers to it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartLine {
    /// SHA-256 of the text, hexadecimal.
    pub prompt_part: String,
    /// The text, exactly as the model read it.
    pub text: String,
}

/// The parts that the log of `run` refers to, each once, in the order of their first use, one line each.
///
/// # Errors
/// What the database answers.
pub async fn part_lines(store: &Store, run: &run::Model) -> domain::Result<String> {
    let mut digests: Vec<String> = Vec::new();
    let mut log = pin!(lines(store.clone(), run.clone()));
    while let Some(bytes) = log.try_next().await? {
        for line in String::from_utf8_lossy(&bytes).lines() {
            for digest in refers_to(line).map_err(Error::internal)? {
                if !digests.contains(&digest) {
                    digests.push(digest);
                }
            }
        }
    }
    let mut text = String::new();
    for digest in digests {
        // What are no digits is the name of nothing, and so is not found.
        let key = (
            run.workspace_id,
            envelope::unhex(&digest).unwrap_or_default(),
        );
        let Some(part) = prompt_part::Entity::find_by_id(key)
            .one(store.read())
            .await?
        else {
            return Err(Error::internal(format!(
                "the prompt part {digest} is not there"
            )));
        };
        let line = PartLine {
            prompt_part: digest,
            text: part.body,
        };
        text += &serde_json::to_string(&line).map_err(Error::internal)?;
        text.push('\n');
    }
    Ok(text)
}

/// The digests of the prompt parts that a line of a log refers to.
///
/// # Errors
/// The line is no event.
pub fn refers_to(line: &str) -> serde_json::Result<Vec<String>> {
    let (_, event) = envelope::read(line)?;
    Ok(match event {
        Event::ModelRequested(request) => {
            request.prompt.into_iter().map(|part| part.digest).collect()
        }
        _ => Vec::new(),
    })
}

struct Shelf {
    store: Store,
    keys: Arc<Keys>,
}

/// The path of raw logs.
pub fn routes(store: Store, keys: Arc<Keys>) -> Router {
    Router::new()
        .route("/runs/{number}/raw", get(raw))
        .with_state(Arc::new(Shelf { store, keys }))
}

async fn raw(
    State(shelf): State<Arc<Shelf>>,
    Extension(RequestId(id)): Extension<RequestId>,
    Path(number): Path<String>,
    headers: HeaderMap,
) -> Response {
    let actor = match shelf.keys.actor(authorization(&headers)).await {
        Ok(actor) => actor,
        Err(refusal) => return refuse_caller(&refusal, Media::Json, &id),
    };
    match find(&shelf.store, &actor, &number).await {
        Ok(run) => {
            let kind = HeaderValue::from_static("application/jsonl; charset=utf-8");
            let body = Body::from_stream(lines(shelf.store.clone(), run));
            ([(header::CONTENT_TYPE, kind)], body).into_response()
        }
        Err(error @ Error::NotFound { .. }) => {
            let text = format!("There is no run with the number {number}.");
            refuse(StatusCode::NOT_FOUND, Media::Json, error.code(), &text, &id)
        }
        Err(error) => {
            tracing::warn!(request.id = &*id, %error, "a raw log can't be read");
            let text = "The log can't be read at the moment. Try again.";
            refuse(
                StatusCode::SERVICE_UNAVAILABLE,
                Media::Json,
                error.code(),
                text,
                &id,
            )
        }
    }
}

async fn find(store: &Store, actor: &Actor, number: &str) -> domain::Result<run::Model> {
    let number = number
        .parse()
        .map_err(|_| Error::NotFound { what: "Run" })?;
    query::by_number(store.read(), actor, number).await
}
