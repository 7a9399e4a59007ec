//! Figures by interval, coworker, model, source, trigger and outcome.

use std::sync::Arc;

use entity::Millis;

use super::pages::Export;
use super::table::Kind::{Int, Text, Time};
use super::table::{Cell, Column, column};
use crate::error::Result;
use crate::metric::facts::Ask;
use crate::metric::group::{Dimension, Which};
use crate::metric::measure::Measure;
use crate::metric::zone::{Interval, Zone};

/// Intervals that are read at once.
const SLICE: usize = 31;

pub(super) static COLUMNS: [Column; 28] = [
    column("start", Time, "The first moment of the interval."),
    column("end", Time, "The moment after its last."),
    column("coworker", Text, "The coworker's handle."),
    column("model", Text, "The model, provider:name."),
    column("source", Text, "Where the requests came from."),
    column("trigger", Text, "What started the runs."),
    column(
        "outcome",
        Text,
        "How the runs ended; nothing: they failed, or go on.",
    ),
    column("runs", Int, "Runs that ended."),
    column("completed", Int, "Of these, those that completed."),
    column("failed", Int, "Of these, those that failed."),
    column("turns", Int, "Their model turns."),
    column(
        "tool_calls",
        Int,
        "Their tool calls, refused ones included.",
    ),
    column("model_calls", Int, "Model calls that ended."),
    column("unpriced_calls", Int, "Of these, those without a price."),
    column(
        "unknown_calls",
        Int,
        "Of these, those whose usage is not known.",
    ),
    column(
        "input_tokens",
        Int,
        "Input tokens that no cache had part in.",
    ),
    column("cache_read_tokens", Int, "Input tokens read from a cache."),
    column(
        "cache_write_tokens",
        Int,
        "Input tokens written to a cache.",
    ),
    column("output_tokens", Int, "Output tokens, reasoning included."),
    column(
        "reasoning_tokens",
        Int,
        "Output tokens that were reasoning.",
    ),
    column(
        "cost_nano_usd",
        Int,
        "What the priced calls cost, in billionths of a US dollar.",
    ),
    column(
        "estimated_nano_usd",
        Int,
        "What the calls whose cost is not known may have cost at the most; not in the cost.",
    ),
    column("goal_tokens", Int, "Input tokens of goals."),
    column("skill_tokens", Int, "Input tokens of skills."),
    column(
        "tool_definition_tokens",
        Int,
        "Input tokens of the definitions of tools.",
    ),
    column(
        "history_tokens",
        Int,
        "Input tokens of what models said earlier in the runs.",
    ),
    column(
        "tool_result_tokens",
        Int,
        "Input tokens of what tools answered earlier in the runs.",
    ),
    column("notes_tokens", Int, "Input tokens of notes."),
];

/// The measures of the columns after the outcome, in their order.
fn measures() -> [Measure; 21] {
    use crate::model::tokens::ComponentKind as C;
    [
        Measure::Runs,
        Measure::Completed,
        Measure::Failed,
        Measure::Turns,
        Measure::ToolCalls,
        Measure::Calls,
        Measure::UnpricedCalls,
        Measure::UnknownCalls,
        Measure::Input,
        Measure::CacheRead,
        Measure::CacheWrite,
        Measure::Output,
        Measure::Reasoning,
        Measure::Cost,
        Measure::Estimated,
        Measure::Part(C::Goal),
        Measure::Part(C::Skill),
        Measure::Part(C::ToolDefinition),
        Measure::Part(C::History),
        Measure::Part(C::ToolResults),
        Measure::Part(C::Notes),
    ]
}

impl Export {
    /// The rows of some intervals from a moment on, and where to go on.
    pub(super) async fn figures(
        &self,
        interval: Interval,
        zone: Zone,
        from: Millis,
    ) -> Result<(Vec<Vec<Cell>>, Option<Millis>)> {
        let mut intervals = Vec::with_capacity(SLICE);
        let mut start = from;
        while start < self.end && intervals.len() < SLICE {
            let end = interval.next(zone, start).min(self.end);
            intervals.push((start, end));
            start = end;
        }
        let facts = self
            .store
            .snapshot(Ask {
                workspace: self.actor.workspace,
                intervals: intervals.clone(),
                which: Arc::new(Which::default()),
                by: vec![
                    Dimension::Coworker,
                    Dimension::Model,
                    Dimension::Source,
                    Dimension::Trigger,
                    Dimension::Outcome,
                ],
                measures: measures().to_vec(),
                durations: false,
                most: usize::MAX,
                points: usize::MAX,
            })
            .await?;
        let mut rows = Vec::new();
        for (group, facts) in facts {
            for (place, fact) in facts {
                let (start, end) = intervals[place];
                let coworker = group.coworker.map_or(Cell::Nothing, |id| self.handle(id));
                let mut row = vec![
                    start.into(),
                    end.into(),
                    coworker,
                    group.model.clone().into(),
                    group.source.map(entity::RequestSource::as_str).into(),
                    group.trigger.map(entity::Trigger::as_str).into(),
                    group.outcome.map(entity::Outcome::as_str).into(),
                ];
                row.extend(measures().map(|measure| Cell::Int(fact.sums[measure])));
                rows.push((place, row));
            }
        }
        rows.sort_by_key(|(place, _)| *place);
        let rows = rows.into_iter().map(|(_, row)| row).collect();
        Ok((rows, (start < self.end).then_some(start)))
    }
}
