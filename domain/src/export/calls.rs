//! Model calls that ended.

use std::collections::HashMap;

use entity::{Millis, RunId, run, usage_ledger};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::pages::{Export, PAGE};
use super::table::Kind::{Bool, Int, Text, Time};
use super::table::{Cell, Column, column};
use crate::error::Result;

pub(super) static COLUMNS: [Column; 17] = [
    column("run_id", Text, "The run's id."),
    column("run_number", Int, "Its number within the workspace."),
    column(
        "sequence",
        Int,
        "The event of its log that recorded the call.",
    ),
    column("at", Time, "When the call ended."),
    column("coworker", Text, "The coworker's handle."),
    column("model", Text, "The model, provider:name."),
    column(
        "service_tier",
        Text,
        "The provider's service tier, as prices name it.",
    ),
    column(
        "known",
        Bool,
        "Whether the provider reported the usage; if not, the tokens are unknown.",
    ),
    column(
        "input_tokens",
        Int,
        "Input tokens that no cache had part in.",
    ),
    column("cache_read_tokens", Int, "Input tokens read from a cache."),
    column(
        "cache_write_short_tokens",
        Int,
        "Input tokens written to a short-lived cache.",
    ),
    column(
        "cache_write_long_tokens",
        Int,
        "Input tokens written to a long-lived cache.",
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
        "What it cost, in billionths of a US dollar; nothing: unpriced, or unknown.",
    ),
    column(
        "estimated_nano_usd",
        Int,
        "What it may have cost at the most, where its cost is not known.",
    ),
    column(
        "input_by_component",
        Text,
        "Input tokens by part of the prompt, a JSON object that adds up to all of them; empty: unknown.",
    ),
];

/// What comes after the rows that there were.
pub(super) struct After {
    at: Millis,
    /// None before the first row.
    key: Option<(RunId, i64)>,
}

impl After {
    pub(super) const fn start(at: Millis) -> Self {
        Self { at, key: None }
    }
}

impl Export {
    pub(super) async fn calls(&self, after: After) -> Result<(Vec<Vec<Cell>>, Option<After>)> {
        use usage_ledger::Column as L;
        let from = match after.key {
            None => Condition::all().add(L::At.gte(after.at)),
            Some((run, seq)) => Condition::any().add(L::At.gt(after.at)).add(
                L::At
                    .eq(after.at)
                    .and(L::RunId.gt(run).or(L::RunId.eq(run).and(L::Seq.gt(seq)))),
            ),
        };
        let rows = usage_ledger::Entity::find()
            .filter(L::WorkspaceId.eq(self.actor.workspace))
            // Also as a bound by itself: a condition with "or" alone begins nowhere.
            .filter(L::At.gte(after.at))
            .filter(L::At.lt(self.end))
            .filter(from)
            .order_by_asc(L::At)
            .order_by_asc(L::RunId)
            .order_by_asc(L::Seq)
            .limit(PAGE)
            .all(self.store.read())
            .await?;
        let numbers: Vec<(RunId, i64)> = run::Entity::find()
            .select_only()
            .columns([run::Column::Id, run::Column::Number])
            .filter(run::Column::Id.is_in(rows.iter().map(|row| row.run_id)))
            .into_tuple()
            .all(self.store.read())
            .await?;
        let numbers: HashMap<_, _> = numbers.into_iter().collect();
        let next = match rows.last() {
            Some(last) if rows.len() as u64 == PAGE => Some(After {
                at: last.at,
                key: Some((last.run_id, last.seq)),
            }),
            Some(_) | None => None,
        };
        let cells = rows.into_iter().map(|row| {
            vec![
                row.run_id.to_string().into(),
                numbers.get(&row.run_id).copied().into(),
                row.seq.into(),
                row.at.into(),
                self.handle(row.coworker_id),
                row.model.into(),
                row.service_tier.into(),
                row.known.into(),
                row.input_tokens.into(),
                row.cache_read_tokens.into(),
                row.cache_write_short_tokens.into(),
                row.cache_write_long_tokens.into(),
                row.output_tokens.into(),
                row.reasoning_tokens.into(),
                row.cost_nano.into(),
                row.reserved_nano.into(),
                row.components.into(),
            ]
        });
        Ok((cells.collect(), next))
    }
}
