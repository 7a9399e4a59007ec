//! Folding runs that ended.

use entity::{Millis, RollupGrain, WorkspaceId, rollup_state, run, usage_ledger};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, DbBackend, EntityTrait, QueryFilter, QuerySelect};

use super::book::{Book, Key};
use super::{Left, hold};
use crate::error::Result;
use crate::metric::cover::{Reach, floor};
use crate::metric::fresh::{self, CallRates, Called, Ended};
use crate::metric::measure::Sums;
use crate::metric::sketch::Durations;
use crate::metric::zone::HOUR;
use crate::store::{Command, Needs, Tx};

/// Runs of a step: the more, the fewer rows of rollups are written twice. On SQLite, nobody else writes meanwhile.
const fn runs_of_a_step(backend: DbBackend) -> u64 {
    match backend {
        DbBackend::Sqlite => 500,
        _ => 1_000,
    }
}

/// Folds runs of a workspace that ended, the oldest first, and their model calls.
#[derive(Clone, Copy, Debug)]
pub struct Fold {
    /// The workspace.
    pub workspace: WorkspaceId,
}

/// What a step folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folded {
    /// How many runs.
    pub runs: u64,
    /// Whether there are more.
    pub left: Left,
}

impl Command for Fold {
    type Output = Folded;

    async fn run(&self, tx: &Tx) -> Result<Folded> {
        let nothing = Folded {
            runs: 0,
            left: Left::Nothing,
        };
        let Some(state) = hold(tx, self.workspace).await? else {
            return Ok(nothing);
        };
        let conn = tx.writing().await?;
        let most = runs_of_a_step(tx.backend());
        let runs = fresh::oldest(tx.backend(), self.workspace)
            .limit(most)
            .into_model::<Ended>()
            .all(conn)
            .await?;
        let ids: Vec<_> = runs.iter().map(|ended| ended.run.id).collect();
        let Some(count) = u64::try_from(ids.len()).ok().filter(|count| *count > 0) else {
            return Ok(nothing);
        };
        // By their runs, not by the index of all that no rollup holds, which may be much more: hence a value that is bound.
        let is_fresh = usage_ledger::Column::RolledUp.eq(false);
        let calls = fresh::called()
            .filter(usage_ledger::Column::RunId.is_in(ids.clone()))
            .filter(is_fresh.clone())
            .into_model::<Called>()
            .all(conn)
            .await?;
        let rates = CallRates::of_calls(conn, calls.iter().map(|called| &called.call)).await?;
        let mut folding = Folding {
            reach: Reach::of(&state),
            state,
            book: Book::default(),
        };
        for called in &calls {
            let sums = Sums::of_call(&called.call, rates.rates(&called.call));
            folding.add(
                called.call.at,
                Key::of_call(called),
                sums,
                &Durations::default(),
            )?;
        }
        for ended in &runs {
            let run = &ended.run;
            let mut durations = Durations::default();
            durations.add(run.ended_at.since(run.started_at));
            folding.add(
                run.ended_at,
                Key::of_run(ended),
                Sums::of_run(run),
                &durations,
            )?;
        }
        folding.book.write(conn, self.workspace).await?;
        usage_ledger::Entity::update_many()
            .col_expr(usage_ledger::Column::RolledUp, Expr::val(true))
            .filter(usage_ledger::Column::RunId.is_in(ids.clone()))
            .filter(is_fresh)
            .exec(conn)
            .await?;
        run::Entity::update_many()
            .col_expr(run::Column::RolledUp, Expr::val(true))
            .filter(run::Column::Id.is_in(ids))
            .exec(conn)
            .await?;
        let left = if count == most {
            Left::More
        } else {
            Left::Nothing
        };
        Ok(Folded { runs: count, left })
    }

    fn repeatable(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}

struct Folding {
    state: rollup_state::Model,
    reach: Reach,
    book: Book,
}

impl Folding {
    /// Adds to the buckets of a moment; `key` is that of its quarter-hour.
    fn add(&mut self, at: Millis, key: Key, sums: Sums, durations: &Durations) -> Result<()> {
        keys_of(&self.state, &self.reach, at, key)
            .into_iter()
            .try_for_each(|key| self.book.add(key, sums, durations))
    }
}

/// The keys of the rows that hold what happened at a moment; `key` is that of its quarter-hour.
pub(in crate::metric) fn keys_of(
    state: &rollup_state::Model,
    reach: &Reach,
    at: Millis,
    key: Key,
) -> Vec<Key> {
    let day = reach.zone.day(at);
    let mut keys = match day >= reach.days_from {
        true => key.of_day(reach.zone, state.generation, day).to_vec(),
        false => Vec::new(),
    };
    keys.push(match at < reach.hours_until {
        true => Key {
            grain: RollupGrain::Hour,
            bucket: floor(at, HOUR),
            ..key
        },
        false => key,
    });
    keys
}
