//! Downloads for analysts' own tools: `GET /export/{table}.{format}`, streamed page by page.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use domain::access::Actor;
use domain::error::Error;
use domain::export::{Export, SETTLED, Table};
use domain::metric::rollup::zone_of;
use domain::metric::zone::{Interval, Zone};
use domain::store::Store;
use entity::Millis;
use futures_util::{Stream, stream};

use super::format::{Format, Writer};
use crate::auth::Keys;
use crate::graphql::scalar::DateTimeOrDuration;
use crate::http::{Media, RequestId, authorization, refuse, refuse_caller};

struct Shelf {
    store: Store,
    keys: Arc<Keys>,
}

/// The paths of exports.
pub fn routes(store: Store, keys: Arc<Keys>) -> Router {
    Router::new()
        .route("/export/{file}", get(download))
        .with_state(Arc::new(Shelf { store, keys }))
}

async fn download(
    State(shelf): State<Arc<Shelf>>,
    Extension(RequestId(id)): Extension<RequestId>,
    Path(file): Path<String>,
    Query(asked): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let actor = match shelf.keys.actor(authorization(&headers)).await {
        Ok(actor) => actor,
        Err(refusal) => return refuse_caller(&refusal, Media::Json, &id),
    };
    match begin(&shelf.store, &actor, &file, asked).await {
        Ok((export, format, table)) => {
            let name = format!("attachment; filename=\"{file}\"");
            let kind = HeaderValue::from_static(format.media());
            let body = Body::from_stream(bytes(export, Writer::new(format, table)));
            let mut response = ([(header::CONTENT_TYPE, kind)], body).into_response();
            if let Ok(name) = HeaderValue::from_str(&name) {
                response
                    .headers_mut()
                    .insert(header::CONTENT_DISPOSITION, name);
            }
            response
        }
        Err(error) => {
            let status = match &error {
                Error::NotFound { .. } => {
                    let text = "There is no such export. There are metrics, runs and calls, each as .csv, .json or .parquet.";
                    return refuse(StatusCode::NOT_FOUND, Media::Json, error.code(), text, &id);
                }
                Error::Invalid { .. } => StatusCode::BAD_REQUEST,
                Error::Forbidden { .. } => StatusCode::FORBIDDEN,
                Error::Conflict { .. } => StatusCode::CONFLICT,
                Error::Unavailable { .. } | Error::CommitUnknown | Error::Internal { .. } => {
                    tracing::warn!(request.id = &*id, %error, "an export can't begin");
                    let text = "The export can't be made at the moment. Try again.";
                    let status = StatusCode::SERVICE_UNAVAILABLE;
                    return refuse(status, Media::Json, error.code(), text, &id);
                }
            };
            refuse(status, Media::Json, error.code(), &error.to_string(), &id)
        }
    }
}

async fn begin(
    store: &Store,
    actor: &Actor,
    file: &str,
    mut asked: BTreeMap<String, String>,
) -> domain::Result<(Export, Format, Table)> {
    let [start, end, interval, zone] =
        ["start", "end", "interval", "timeZone"].map(|name| asked.remove(name));
    if let Some(name) = asked.keys().next() {
        let message =
            format!("{name:?} can't be asked for; there are start, end, interval and timeZone");
        return Err(Error::invalid("query", "INVALID", message));
    }
    let unknown = || Error::NotFound { what: "Export" };
    let (table, format) = file.rsplit_once('.').ok_or_else(unknown)?;
    let format = Format::named(format).ok_or_else(unknown)?;
    let table = table_named(table, interval.as_deref().unwrap_or("day"))?.ok_or_else(unknown)?;
    let now = store.now();
    let span = span(start.as_deref(), end.as_deref(), now)?;
    let zone = match zone {
        Some(name) => Zone::parse(&name, "timeZone")?,
        None => zone_of(store.read(), actor.workspace).await?,
    };
    let export = Export::begin(store, actor, table, span, zone).await?;
    Ok((export, format, table))
}

/// The table of this name; none if there is none.
///
/// # Errors
/// [`Error::Invalid`] for an interval that is none.
pub fn table_named(name: &str, interval: &str) -> domain::Result<Option<Table>> {
    Ok(match name {
        "metrics" => Some(Table::Metrics(match interval {
            "hour" => Interval::Hour,
            "day" => Interval::Day,
            "week" => Interval::Week,
            "month" => Interval::Month,
            other => {
                let message = format!("interval is {other:?}; it can be hour, day, week or month");
                return Err(Error::invalid("interval", "INVALID", message));
            }
        })),
        "runs" => Some(Table::Runs),
        "calls" => Some(Table::Calls),
        _ => None,
    })
}

/// From one moment on, up to but without another; where they are not said, the last 30 days until all of it is there.
///
/// # Errors
/// [`Error::Invalid`] for what is neither an instant nor a duration.
pub fn span(
    start: Option<&str>,
    end: Option<&str>,
    now: Millis,
) -> domain::Result<(Millis, Millis)> {
    let moment = |field: &'static str, text: Option<&str>, usual: Millis| match text {
        None => Ok(usual),
        Some(text) => DateTimeOrDuration::read(text)
            .map(|moment| moment.resolve(now))
            .map_err(|message| Error::invalid(field, "INVALID", format!("{field}: {message}"))),
    };
    const DAY: i64 = 86_400_000;
    Ok((
        moment("start", start, now.plus(-30 * DAY))?,
        moment("end", end, now.plus(-SETTLED))?,
    ))
}

/// An export as bytes of its format, a chunk for each page. A fault on the way breaks it off, so that nobody takes it for whole.
pub fn bytes(
    export: Export,
    writer: Writer,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    stream::try_unfold(Some((export, writer)), |state| async move {
        let Some((mut export, mut writer)) = state else {
            return Ok(None);
        };
        match export.next().await {
            Ok(Some(rows)) => {
                let chunk = writer.write(&rows).inspect_err(broke_off)?;
                Ok(Some((Bytes::from(chunk), Some((export, writer)))))
            }
            Ok(None) => {
                let chunk = writer.finish().inspect_err(broke_off)?;
                Ok(Some((Bytes::from(chunk), None)))
            }
            Err(error) => Err(std::io::Error::other(error)).inspect_err(broke_off),
        }
    })
}

fn broke_off(error: &std::io::Error) {
    tracing::warn!(%error, "an export broke off");
}
