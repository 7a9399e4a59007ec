//! Quarter-hours that have grown old become hours.

use entity::{Millis, RollupGrain, WorkspaceId, rollup_state, usage_rollup};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use usage_rollup::Column as C;

use super::book::{Book, Key};
use super::{Left, QUARTERS_KEPT, fine, hold};
use crate::error::Result;
use crate::metric::cover::floor;
use crate::metric::measure::Sums;
use crate::metric::sketch::Durations;
use crate::metric::zone::HOUR;
use crate::store::{Command, Needs, Tx};

/// Hours of a step.
const HOURS: i64 = 6;

/// Makes hours of the oldest quarter-hours of a workspace, if they are old enough.
#[derive(Clone, Copy, Debug)]
pub struct MergeHours {
    /// The workspace.
    pub workspace: WorkspaceId,
}

impl Command for MergeHours {
    type Output = Left;

    async fn run(&self, tx: &Tx) -> Result<Left> {
        let until = floor(tx.now().await?.plus(-QUARTERS_KEPT), HOUR);
        let Some(state) = hold(tx, self.workspace).await? else {
            return Ok(Left::Nothing);
        };
        if state.hours_until >= until {
            return Ok(Left::Nothing);
        }
        let conn = tx.writing().await?;
        let quarters = || fine(self.workspace, RollupGrain::Quarter);
        let oldest = quarters()
            .select_only()
            .column(C::Bucket)
            .order_by_asc(C::Bucket)
            .limit(1);
        let oldest: Option<Millis> = oldest.into_tuple().one(conn).await?;
        // Where there is nothing, there is nothing to merge.
        let from = oldest
            .map_or(until, |oldest| floor(oldest, HOUR).max(state.hours_until))
            .min(until);
        let to = from.plus(HOURS * HOUR).min(until);
        let mut book = Book::default();
        for row in quarters().filter(C::Bucket.lt(to)).all(conn).await? {
            let (sums, durations) = (
                Sums::of_row(&row),
                Durations::read(row.durations.as_deref())?,
            );
            let hour = Key {
                grain: RollupGrain::Hour,
                bucket: floor(row.bucket, HOUR),
                ..Key::of(row)
            };
            book.add(hour, sums, &durations)?;
        }
        book.write(conn, self.workspace).await?;
        usage_rollup::Entity::delete_many()
            .filter(C::WorkspaceId.eq(self.workspace))
            .filter(C::Cube.eq(entity::RollupCube::Full))
            .filter(C::Grain.eq(RollupGrain::Quarter))
            .filter(C::Generation.eq(0))
            .filter(C::Bucket.lt(to))
            .exec(conn)
            .await?;
        rollup_state::Entity::update_many()
            .col_expr(rollup_state::Column::HoursUntil, Expr::val(to))
            .filter(rollup_state::Column::WorkspaceId.eq(self.workspace))
            .exec(conn)
            .await?;
        Ok(if to < until {
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
