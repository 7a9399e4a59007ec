//! Days of a zone that was chosen, made of what there is, the newest first.

use entity::{Millis, RollupGrain, WorkspaceId, rollup_state, run, usage_ledger, usage_rollup};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use usage_rollup::Column as C;

use super::book::{Book, Key};
use super::zone::make_anew;
use super::{Left, fine, hold};
use crate::error::Result;
use crate::metric::cover::{Piece, Reach};
use crate::metric::fresh::{self, CallRates, Called, Ended};
use crate::metric::measure::Sums;
use crate::metric::sketch::Durations;
use crate::metric::zone::{HOUR, Zone};
use crate::store::{Command, Needs, Tx};

/// Makes the day before those that are complete.
#[derive(Clone, Copy, Debug)]
pub struct BuildDay {
    /// The workspace.
    pub workspace: WorkspaceId,
}

impl Command for BuildDay {
    type Output = Left;

    async fn run(&self, tx: &Tx) -> Result<Left> {
        let Some(state) = hold(tx, self.workspace).await? else {
            return Ok(Left::Nothing);
        };
        if state.zone_release != Zone::RELEASE {
            let zone = Zone::parse(&state.zone, "zone").unwrap_or(Zone::UTC);
            make_anew(tx, &state, zone).await?;
            return Ok(Left::More);
        }
        if state.days_from == Millis(i64::MIN) {
            return Ok(Left::Nothing);
        }
        let conn = tx.writing().await?;
        // The newest bucket that begins before: days in which nothing was used are passed over.
        let mut newest: Option<Millis> = None;
        for grain in [RollupGrain::Hour, RollupGrain::Quarter] {
            let of_grain = fine(self.workspace, grain)
                .filter(C::Bucket.lt(state.days_from))
                .select_only()
                .column(C::Bucket)
                .order_by_desc(C::Bucket)
                .limit(1);
            newest = Ord::max(newest, of_grain.into_tuple().one(conn).await?);
        }
        let reach = Reach::of(&state);
        let from = match newest {
            // An hour may begin before a day does and hold some of it: so the day of its last moment.
            Some(bucket) => reach
                .zone
                .day(Ord::min(bucket.plus(HOUR - 1), state.days_from.plus(-1))),
            None => Millis(i64::MIN),
        };
        if newest.is_some() {
            self.build(conn, &state, &reach, from).await?;
        }
        rollup_state::Entity::update_many()
            .col_expr(rollup_state::Column::DaysFrom, Expr::val(from))
            .filter(rollup_state::Column::WorkspaceId.eq(self.workspace))
            .exec(conn)
            .await?;
        Ok(if newest.is_some() {
            Left::More
        } else {
            Left::Nothing
        })
    }

    fn repeatable(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}

impl BuildDay {
    async fn build<T: ConnectionTrait>(
        &self,
        conn: &T,
        state: &rollup_state::Model,
        reach: &Reach,
        day: Millis,
    ) -> Result<()> {
        let mut book = Book::default();
        let mut add = |key: Key, sums: Sums, durations: &Durations| {
            key.of_day(reach.zone, state.generation, day)
                .into_iter()
                .try_for_each(|key| book.add(key, sums, durations))
        };
        for Piece { grain, start, end } in reach.without_days(day, reach.zone.next_day(day)) {
            if let Some(grain) = grain {
                let rows =
                    fine(self.workspace, grain).filter(C::Bucket.gte(start).and(C::Bucket.lt(end)));
                for row in rows.all(conn).await? {
                    let (sums, durations) = (
                        Sums::of_row(&row),
                        Durations::read(row.durations.as_deref())?,
                    );
                    add(Key::of(row), sums, &durations)?;
                }
                continue;
            }
            // Only what is folded: the rest comes when it is.
            let at = usage_ledger::Column::At;
            let calls = fresh::called()
                .filter(usage_ledger::Column::WorkspaceId.eq(self.workspace))
                .filter(Expr::cust("usage_ledger.rolled_up"))
                .filter(at.gte(start).and(at.lt(end)));
            let calls = calls.into_model::<Called>().all(conn).await?;
            let rates = CallRates::of_calls(conn, calls.iter().map(|called| &called.call)).await?;
            for called in &calls {
                add(
                    Key::of_call(called),
                    Sums::of_call(&called.call, rates.rates(&called.call)),
                    &Durations::default(),
                )?;
            }
            let at = run::Column::EndedAt;
            let runs = fresh::ended(self.workspace)
                .filter(Expr::cust("run.rolled_up"))
                .filter(at.gte(start).and(at.lt(end)));
            for ended in runs.into_model::<Ended>().all(conn).await? {
                let run = &ended.run;
                let mut durations = Durations::default();
                durations.add(run.ended_at.since(run.started_at));
                add(Key::of_run(&ended), Sums::of_run(run), &durations)?;
            }
        }
        book.write(conn, self.workspace).await
    }
}
