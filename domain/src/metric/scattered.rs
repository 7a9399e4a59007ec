//! What no whole bucket holds: rows that are not folded yet, and those at the rims of spans, one by one.

use std::collections::HashMap;

use entity::{Millis, run, usage_ledger};
use futures_util::TryStreamExt as _;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait as _,
    QueryFilter,
};

use super::facts::{Ask, Gathered};
use super::fresh::{self, Called, Done, Ended};
use super::group::Group;
use super::measure::{Measure, Sums};
use super::parts::Part;
use crate::error::{Error, Result};

/// Rows that are looked at one by one, and the intervals that they count in.
pub(super) struct Scattered<'a> {
    ask: &'a Ask,
    /// What whole buckets hold: of it, the rows that are not folded.
    whole: Vec<Part>,
    /// What no bucket holds: all of it.
    rims: Vec<Part>,
}

/// Rows that one condition finds.
#[derive(Clone, Copy)]
struct Reading {
    start: Millis,
    end: Millis,
    /// Only those that are not folded.
    fresh: bool,
}

impl<'a> Scattered<'a> {
    /// Those of two lists of parts, each in the order of time.
    pub(super) fn of(ask: &'a Ask, whole: Vec<Part>, rims: Vec<Part>) -> Self {
        Self { ask, whole, rims }
    }

    /// Adds model calls.
    pub(super) async fn calls(
        &self,
        tx: &DatabaseTransaction,
        facts: &mut Gathered<'_>,
    ) -> Result<()> {
        let Ask { by, which, .. } = self.ask;
        let lines = Measure::COSTS
            .iter()
            .any(|line| self.ask.measures.contains(line));
        let alone = which.of_calls(by);
        let readings = self.readings();
        // What is not folded is read by itself: however much it is, each page follows the other in the order of its index.
        let fresh = readings.iter().take_while(|reading| reading.fresh).count();
        let (fresh, rims) = readings.split_at(fresh);
        for readings in fresh.chunks(1).chain(rims.chunks(at_once(tx))) {
            let select = match alone {
                Some(calls) => usage_ledger::Entity::find().filter(calls.clone()),
                None => fresh::called().filter(which.runs.clone()),
            };
            let select = select.filter(self.conditions(
                readings,
                usage_ledger::Column::WorkspaceId,
                usage_ledger::Column::At,
                fresh::of_ledger,
            ));
            let mut last = None;
            loop {
                let page = fresh::page(select.clone(), last);
                let calls: Vec<_> = match alone {
                    Some(_) => {
                        let calls = page.all(tx).await?.into_iter();
                        let group = |call: &usage_ledger::Model| {
                            Group::of_call(by, call.coworker_id, &call.model)
                        };
                        calls.map(|call| (group(&call), call)).collect()
                    }
                    None => {
                        let calls = page.into_model::<Called>().all(tx).await?.into_iter();
                        calls
                            .map(|called| (called.group(by), called.call))
                            .collect()
                    }
                };
                // Only what calls cost line by line needs them.
                let rates = match lines {
                    true => fresh::rates(tx, calls.iter().map(|(_, call)| call)).await?,
                    false => HashMap::new(),
                };
                let full = calls.len() == fresh::PAGE;
                last = calls
                    .last()
                    .map(|(_, call)| (call.at, call.run_id, call.seq));
                for (group, call) in calls {
                    if let Some(place) = self.place_of(readings, call.at, call.rolled_up) {
                        let rates = call.price_id.and_then(|id| rates.get(&id).copied());
                        facts.fact_of(group, place)?.sums += Sums::of_call(&call, rates);
                    }
                }
                if !full {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Adds runs that ended.
    pub(super) async fn runs(
        &self,
        tx: &DatabaseTransaction,
        facts: &mut Gathered<'_>,
    ) -> Result<()> {
        let Ask { by, which, .. } = self.ask;
        let alone = which.of_calls(by).is_some();
        for readings in self.readings().chunks(at_once(tx)) {
            let ended = self.conditions(
                readings,
                run::Column::WorkspaceId,
                run::Column::EndedAt,
                fresh::of_runs,
            );
            let runs = match alone {
                true => fresh::done(self.ask.workspace),
                false => fresh::ended(self.ask.workspace),
            };
            let runs = runs.filter(ended).filter(which.runs.clone());
            let mut add = |run: &Done, group| {
                let Some(place) = self.place_of(readings, run.ended_at, run.rolled_up) else {
                    return Ok(());
                };
                let fact = facts.fact_of(group, place)?;
                fact.sums += Sums::of_run(run);
                if self.ask.durations {
                    fact.durations.add(run.ended_at.since(run.started_at));
                }
                Ok::<_, Error>(())
            };
            if alone {
                let mut runs = runs.into_model::<Done>().stream(tx).await?;
                while let Some(run) = runs.try_next().await? {
                    add(&run, Group::of_call(by, run.coworker_id, &run.model))?;
                }
            } else {
                let mut runs = runs.into_model::<Ended>().stream(tx).await?;
                while let Some(ended) = runs.try_next().await? {
                    add(&ended.run, ended.group(by))?;
                }
            }
        }
        Ok(())
    }

    /// Rows that no rollup holds are few: all from the first bucket to the last are looked at. Those at a rim are many, so only they
    /// are.
    fn readings(&self) -> Vec<Reading> {
        let fresh = self.whole.first().zip(self.whole.last());
        let mut readings: Vec<_> = fresh
            .map(|(first, last)| Reading {
                start: first.piece.start,
                end: last.piece.end,
                fresh: true,
            })
            .into_iter()
            .collect();
        for Part { piece, .. } in &self.rims {
            match readings.last_mut() {
                Some(rim) if !rim.fresh && rim.end == piece.start => rim.end = piece.end,
                _ => readings.push(Reading {
                    start: piece.start,
                    end: piece.end,
                    fresh: false,
                }),
            }
        }
        readings
    }

    /// That a row is one of these.
    fn conditions<C: ColumnTrait>(
        &self,
        readings: &[Reading],
        workspace: C,
        at: C,
        fresh: fn() -> Condition,
    ) -> Condition {
        let each = readings.iter().map(|reading| {
            // The workspace in each of them: an index is found for each by itself.
            Condition::all()
                .add(workspace.eq(self.ask.workspace))
                .add(at.gte(reading.start))
                .add(at.lt(reading.end))
                .add_option(reading.fresh.then(fresh))
        });
        each.fold(Condition::any(), Condition::add)
    }

    /// The interval that a row counts in, if these readings are those that count it.
    fn place_of(&self, readings: &[Reading], at: Millis, rolled_up: bool) -> Option<usize> {
        let at_rim = |reading: &Reading| !reading.fresh && reading.start <= at && at < reading.end;
        if readings.iter().any(at_rim) {
            return place_of(&self.rims, at);
        }
        let fresh = !rolled_up && readings.iter().any(|reading| reading.fresh);
        fresh.then(|| place_of(&self.whole, at)).flatten()
    }
}

/// How many spans are read at once. PostgreSQL knows how many rows each has, and then finds each by an index; SQLite does not know,
/// and goes through all of the workspace for some.
fn at_once(tx: &DatabaseTransaction) -> usize {
    match ConnectionTrait::get_database_backend(tx) {
        DbBackend::Sqlite => 1,
        _ => 32,
    }
}

/// The interval of the part in which a moment lies; parts are in the order of time.
fn place_of(parts: &[Part], at: Millis) -> Option<usize> {
    let after = parts.partition_point(|part| part.piece.start <= at);
    let part = parts.get(after.checked_sub(1)?)?;
    (at < part.piece.end).then_some(part.interval)
}
