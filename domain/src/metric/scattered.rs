//! What no whole bucket holds: rows that are not folded yet, and those at the rims of spans, one by one.

use entity::{Millis, run, usage_ledger};
use futures_util::TryStreamExt as _;
use sea_orm::sea_query::{ExprTrait as _, IntoCondition as _};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait as _,
    QueryFilter,
};

use super::facts::{Ask, Gathered};
use super::fresh::{self, CallRates, Called, Done, Ended};
use super::group::Group;
use super::measure::{Measure, Sums};
use super::parts::Part;
use crate::error::{Error, Result};
use crate::store::join_by_keys;

/// Rows that are looked at one by one, and the intervals that they count in.
pub(super) struct Scattered<'a> {
    ask: &'a Ask,
    /// What whole buckets hold: of it, the rows that are not folded.
    whole: &'a [Part],
    /// What no bucket holds: all of it.
    rims: &'a [Part],
    /// When the first of the rows happened that are not folded; none: there is none.
    oldest: Option<Millis>,
}

/// Rows that one condition finds.
#[derive(Clone, Copy)]
struct Reading {
    start: Millis,
    end: Millis,
    /// Only those that are not folded.
    fresh: bool,
}

impl Reading {
    /// That a row's time is within it.
    fn holds(&self, backend: DbBackend, at: impl ColumnTrait) -> Condition {
        let at = match self.fresh {
            true => fresh::fresh_at(backend, at),
            false => at.into_expr(),
        };
        let within = at.clone().gte(self.start).and(at.lt(self.end));
        within.into_condition()
    }
}

/// That a row is one of these.
fn any_of(readings: &[Reading], is_one: impl Fn(&Reading) -> Condition) -> Condition {
    readings
        .iter()
        .map(is_one)
        .fold(Condition::any(), Condition::add)
}

impl<'a> Scattered<'a> {
    /// Those of two lists of parts, each in the order of time.
    pub(super) fn of(
        ask: &'a Ask,
        whole: &'a [Part],
        rims: &'a [Part],
        oldest: Option<Millis>,
    ) -> Self {
        Self {
            ask,
            whole,
            rims,
            oldest,
        }
    }

    /// Adds model calls.
    pub(super) async fn calls(
        &self,
        tx: &DatabaseTransaction,
        facts: &mut Gathered<'_>,
    ) -> Result<()> {
        let Ask {
            by,
            which,
            workspace,
            ..
        } = self.ask;
        // Only what calls cost line by line needs them.
        let priced = Measure::COSTS
            .iter()
            .any(|line| self.ask.measures.contains(line));
        let alone = which.of_calls(by);
        if alone.is_none() {
            join_by_keys(tx).await?;
        }
        let backend = ConnectionTrait::get_database_backend(tx);
        for readings in self.readings(backend) {
            let used = any_of(&readings, |reading| {
                // The workspace in each of them: an index is found for each by itself.
                let mine = reading
                    .holds(backend, usage_ledger::Column::At)
                    .add(usage_ledger::Column::WorkspaceId.eq(*workspace));
                mine.add_option(reading.fresh.then(fresh::of_ledger))
            });
            let calls = match alone {
                Some(calls) => usage_ledger::Entity::find().filter(calls.clone()),
                None => fresh::called().filter(which.runs.clone()),
            };
            let calls = calls.filter(used);
            let prices = match priced {
                // First of all: while calls come, nothing else can be read.
                true => CallRates::of_selected(tx, &calls).await?,
                false => CallRates::default(),
            };
            let mut add = |call: &usage_ledger::Model, group| {
                let Some(place) = self.place_of(&readings, call.at) else {
                    return Ok(());
                };
                facts.fact_of(group, place)?.sums += Sums::of_call(call, prices.rates(call));
                Ok::<_, Error>(())
            };
            if alone.is_some() {
                let mut calls = calls.stream(tx).await?;
                while let Some(call) = calls.try_next().await? {
                    add(&call, Group::of_call(by, call.coworker_id, &call.model))?;
                }
            } else {
                let mut calls = calls.into_model::<Called>().stream(tx).await?;
                while let Some(called) = calls.try_next().await? {
                    add(&called.call, called.group(by))?;
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
        let Ask {
            by,
            which,
            workspace,
            ..
        } = self.ask;
        let alone = which.of_calls(by).is_some();
        let backend = ConnectionTrait::get_database_backend(tx);
        for readings in self.readings(backend) {
            let ended = any_of(&readings, |reading| {
                let mine = reading
                    .holds(backend, run::Column::EndedAt)
                    .add(run::Column::WorkspaceId.eq(*workspace));
                mine.add_option(reading.fresh.then(fresh::of_runs))
            });
            let runs = match alone {
                true => fresh::done(*workspace),
                false => fresh::ended(*workspace),
            };
            let runs = runs.filter(ended).filter(which.runs.clone());
            let mut add = |run: &Done, group| {
                let Some(place) = self.place_of(&readings, run.ended_at) else {
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

    /// What is read at once. Rows that no rollup holds are few: all from the first bucket to the last are looked at, by a statement
    /// of their own, for which there are indexes of such rows alone. Where there are none since `oldest`, nothing is asked. Those at a
    /// rim are many, so only they are looked at.
    fn readings(&self, backend: DbBackend) -> impl Iterator<Item = Vec<Reading>> {
        let fresh = self.whole.first().zip(self.whole.last());
        let fresh = fresh.filter(|(_, last)| self.oldest.is_some_and(|at| at < last.piece.end));
        let fresh = fresh.map(|(first, last)| {
            vec![Reading {
                start: first.piece.start,
                end: last.piece.end,
                fresh: true,
            }]
        });
        let mut rims: Vec<Reading> = Vec::new();
        for Part { piece, .. } in self.rims {
            match rims.last_mut() {
                Some(rim) if rim.end == piece.start => rim.end = piece.end,
                _ => rims.push(Reading {
                    start: piece.start,
                    end: piece.end,
                    fresh: false,
                }),
            }
        }
        let rims: Vec<_> = rims.chunks(at_once(backend)).map(<[_]>::to_vec).collect();
        fresh.into_iter().chain(rims)
    }

    /// The interval that a row of these readings counts in; none: it lies in a rim, and what is read is what is not folded.
    fn place_of(&self, readings: &[Reading], at: Millis) -> Option<usize> {
        let fresh = readings.iter().any(|reading| reading.fresh);
        place_of(if fresh { self.whole } else { self.rims }, at)
    }
}

/// How many spans are read at once. PostgreSQL knows how many rows each has, and then finds each by an index; SQLite does not know,
/// and goes through all of the workspace for some.
fn at_once(backend: DbBackend) -> usize {
    match backend {
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
