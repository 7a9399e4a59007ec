//! Runs that ended.

use std::collections::HashMap;

use entity::{Millis, RunId, coworker_version, request, run};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::pages::{Export, PAGE};
use super::table::Kind::{Int, Text, Time};
use super::table::{Cell, Column, column};
use crate::error::Result;
use crate::run::query;

pub(super) static COLUMNS: [Column; 26] = [
    column("run_id", Text, "The run's id; model calls name it."),
    column("run_number", Int, "Its number within the workspace."),
    column("request_number", Int, "The number of its request."),
    column("source", Text, "Where the request came from."),
    column("coworker", Text, "The coworker's handle."),
    column(
        "coworker_version",
        Int,
        "The number of the version that it ran with.",
    ),
    column("model", Text, "The model, provider:name."),
    column("trigger", Text, "What started it."),
    column("status", Text, "COMPLETED or FAILED."),
    column("outcome", Text, "How it ended; nothing: it failed."),
    column("failure_code", Text, "Why it failed; nothing: it did not."),
    column("started_at", Time, "When it started."),
    column("ended_at", Time, "When it ended."),
    column(
        "duration_ms",
        Int,
        "How long it took, waiting for people included, milliseconds.",
    ),
    column("attempts", Int, "How many workers had it in hand."),
    column("turns", Int, "Model turns."),
    column("tool_calls", Int, "Tool calls, refused ones included."),
    column("input_tokens", Int, "Input tokens, cached ones included."),
    column(
        "cached_tokens",
        Int,
        "Of these, those that came from a cache.",
    ),
    column(
        "cache_write_tokens",
        Int,
        "Of these, those that were written to a cache.",
    ),
    column("output_tokens", Int, "Output tokens, reasoning included."),
    column(
        "reasoning_tokens",
        Int,
        "Of these, those that were reasoning.",
    ),
    column(
        "cost_nano_usd",
        Int,
        "What its priced calls cost, in billionths of a US dollar.",
    ),
    column("unpriced_calls", Int, "Its model calls without a price."),
    column(
        "unknown_calls",
        Int,
        "Its model calls whose usage is not known.",
    ),
    column(
        "estimated_nano_usd",
        Int,
        "What the calls whose cost is not known may have cost at the most; not in the cost.",
    ),
];

/// What comes after the rows that there were.
pub(super) struct After {
    at: Millis,
    /// None before the first row.
    id: Option<RunId>,
}

impl After {
    pub(super) const fn start(at: Millis) -> Self {
        Self { at, id: None }
    }
}

impl Export {
    pub(super) async fn runs(&self, after: After) -> Result<(Vec<Vec<Cell>>, Option<After>)> {
        use run::Column as R;
        let from = match after.id {
            None => Condition::all().add(R::EndedAt.gte(after.at)),
            Some(id) => Condition::any()
                .add(R::EndedAt.gt(after.at))
                .add(R::EndedAt.eq(after.at).and(R::Id.gt(id))),
        };
        let rows = query::visible(&self.actor)
            // Also as a bound by itself: a condition with "or" alone begins nowhere.
            .filter(R::EndedAt.gte(after.at))
            .filter(R::EndedAt.lt(self.end))
            .filter(from)
            .order_by_asc(R::EndedAt)
            .order_by_asc(R::Id)
            .limit(PAGE)
            .all(self.store.read())
            .await?;
        let requests: Vec<(entity::RequestId, i64, entity::RequestSource)> =
            request::Entity::find()
                .select_only()
                .columns([
                    request::Column::Id,
                    request::Column::Number,
                    request::Column::Source,
                ])
                .filter(request::Column::Id.is_in(rows.iter().map(|row| row.request_id)))
                .into_tuple()
                .all(self.store.read())
                .await?;
        let requests: HashMap<_, _> = requests
            .into_iter()
            .map(|(id, number, source)| (id, (number, source)))
            .collect();
        let versions: Vec<(entity::CoworkerVersionId, i32)> = coworker_version::Entity::find()
            .select_only()
            .columns([
                coworker_version::Column::Id,
                coworker_version::Column::Version,
            ])
            .filter(
                coworker_version::Column::Id.is_in(rows.iter().map(|row| row.coworker_version_id)),
            )
            .into_tuple()
            .all(self.store.read())
            .await?;
        let versions: HashMap<_, _> = versions.into_iter().collect();
        let next = match rows.last() {
            Some(last) if rows.len() as u64 == PAGE => last.ended_at.map(|at| After {
                at,
                id: Some(last.id),
            }),
            Some(_) | None => None,
        };
        let cells = rows.into_iter().map(|row| {
            let request = requests.get(&row.request_id);
            vec![
                row.id.to_string().into(),
                row.number.into(),
                request.map(|(number, _)| *number).into(),
                request.map(|(_, source)| source.as_str()).into(),
                self.handle(row.coworker_id),
                versions.get(&row.coworker_version_id).copied().into(),
                row.model.into(),
                row.trigger.as_str().into(),
                row.status.as_str().into(),
                row.outcome.map(entity::Outcome::as_str).into(),
                row.failure_code.map(entity::FailureCode::as_str).into(),
                row.started_at.into(),
                row.ended_at.into(),
                row.ended_at.map(|at| at.since(row.started_at)).into(),
                row.attempt.into(),
                row.turn_count.into(),
                row.tool_call_count.into(),
                row.input_tokens.into(),
                row.cached_tokens.into(),
                row.cache_write_tokens.into(),
                row.output_tokens.into(),
                row.reasoning_tokens.into(),
                row.cost_nano.into(),
                row.unpriced_calls.into(),
                row.unknown_calls.into(),
                row.estimated_nano.into(),
            ]
        });
        Ok((cells.collect(), next))
    }
}
