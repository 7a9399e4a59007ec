//! What a step opens to, read from the log when a field asks for it.

use async_graphql::Context;
use domain::run::envelope;
use domain::run::event::Event;
use domain::run::step::{Body, CallError, belongs, body};
use domain::tool::Encoding;
use entity::run_step;
use tokio::sync::OnceCell;

use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{Error, Result};
use crate::graphql::loader::Span;

/// A step's row, and its body once somebody asked for it.
pub struct Header {
    pub(super) row: run_step::Model,
    body: OnceCell<Body>,
}

impl From<run_step::Model> for Header {
    fn from(row: run_step::Model) -> Self {
        Self {
            row,
            body: OnceCell::new(),
        }
    }
}

impl Header {
    async fn rows(&self, ctx: &Context<'_>) -> domain::Result<Vec<entity::run_event::Model>> {
        let run_step::Model {
            run_id,
            first_seq,
            last_seq,
            ..
        } = self.row;
        let rows = ctx
            .loaders()
            .row(Span {
                run: run_id,
                first: first_seq,
                last: last_seq,
            })
            .await?;
        Ok(rows.unwrap_or_default())
    }

    pub(super) async fn events(
        &self,
        ctx: &Context<'_>,
    ) -> domain::Result<Vec<(entity::run_event::Model, Event)>> {
        let mut events = Vec::new();
        for row in self.rows(ctx).await? {
            let event = envelope::event(&row).map_err(domain::Error::internal)?;
            if belongs(&self.row, &event) {
                events.push((row, event));
            }
        }
        Ok(events)
    }

    pub(super) async fn body(&self, ctx: &Context<'_>) -> Result<&Body> {
        let read = async || {
            let rows = self.rows(ctx).await?;
            body(&self.row, &rows).map_err(domain::Error::internal)
        };
        Ok(self.body.get_or_try_init(read).await?)
    }

    /// A step whose log does not hold what its kind promises.
    pub(super) fn unlike(&self) -> Error {
        let run_step::Model {
            run_id, idx, kind, ..
        } = &self.row;
        domain::Error::internal(format!(
            "step {idx} of run {run_id} has no body of the kind {}",
            kind.as_str()
        ))
        .into()
    }
}

/// What a model thought and said.
pub(super) struct Thought<'a> {
    pub(super) thinking: &'a String,
    pub(super) text: &'a String,
    pub(super) error: Option<&'a str>,
}

/// The body of a THINKING step.
pub(super) async fn thought<'a>(step: &'a Header, ctx: &Context<'_>) -> Result<Thought<'a>> {
    let Body::Thinking {
        thinking,
        text,
        error,
        model: _,
    } = step.body(ctx).await?
    else {
        return Err(step.unlike());
    };
    Ok(Thought {
        thinking,
        text,
        error: error.as_deref(),
    })
}

/// Null where nothing was said.
pub(super) fn said(text: Result<String>) -> Option<Result<String>> {
    text.map(|text| Some(text).filter(|text| !text.is_empty()))
        .transpose()
}

/// A tool call.
pub(super) struct Call<'a> {
    pub(super) tool: &'a str,
    pub(super) request: &'a str,
    pub(super) response: Option<&'a str>,
    pub(super) encoding: Option<Encoding>,
    pub(super) error: Option<&'a CallError>,
    pub(super) duration_ms: Option<i64>,
}

/// The body of a TOOL_CALL step.
pub(super) async fn called<'a>(step: &'a Header, ctx: &Context<'_>) -> Result<Call<'a>> {
    let Body::ToolCall {
        tool,
        request,
        response,
        encoding,
        error,
        duration_ms,
    } = step.body(ctx).await?
    else {
        return Err(step.unlike());
    };
    Ok(Call {
        tool,
        request,
        response: response.as_deref(),
        encoding: *encoding,
        error: error.as_ref(),
        duration_ms: *duration_ms,
    })
}

/// The event of an ATTEMPT step.
pub(super) async fn taken_over(
    step: &Header,
    ctx: &Context<'_>,
) -> Result<domain::run::event::AttemptStarted> {
    let events = step.events(ctx).await?;
    events
        .into_iter()
        .find_map(|(_, event)| {
            if let Event::AttemptStarted(attempt) = event {
                Some(attempt)
            } else {
                None
            }
        })
        .ok_or_else(|| step.unlike())
}
