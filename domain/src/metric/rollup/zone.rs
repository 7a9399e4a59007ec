//! The reporting time zone.

use entity::{RollupCube, RollupGrain, WorkspaceId, rollup_state, usage_rollup};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use usage_rollup::Column as C;

use super::{Left, hold, wait_for};
use crate::error::Result;
use crate::metric::zone::Zone;
use crate::store::{Command, Needs, Tx};

/// The zone that days of a workspace are kept in: [`Zone::UTC`] until another one is chosen.
///
/// # Errors
/// What the database said.
pub async fn zone_of<T: ConnectionTrait>(conn: &T, workspace: WorkspaceId) -> Result<Zone> {
    let state = rollup_state::Entity::find_by_id(workspace)
        .one(conn)
        .await?;
    Ok(state.map_or(Zone::UTC, |state| {
        Zone::parse(&state.zone, "timeZone").unwrap_or(Zone::UTC)
    }))
}

/// Chooses the zone that a workspace's days are kept in. They are made anew behind it; until then, figures by the day are as
/// right as ever and take longer.
///
/// # Errors
/// What the database said.
pub async fn set_zone(tx: &Tx, workspace: WorkspaceId, zone: Zone) -> Result<()> {
    let state = wait_for(tx, workspace).await?;
    if state.zone == zone.name() {
        return Ok(());
    }
    make_anew(tx, &state, zone).await
}

/// Lets days, from tomorrow on, be those of a zone as this release knows it; [`super::BuildDay`] makes those before.
pub(super) async fn make_anew(tx: &Tx, state: &rollup_state::Model, zone: Zone) -> Result<()> {
    rollup_state::Entity::update_many()
        .col_expr(rollup_state::Column::Zone, Expr::val(zone.name()))
        .col_expr(rollup_state::Column::ZoneRelease, Expr::val(Zone::RELEASE))
        .col_expr(
            rollup_state::Column::Generation,
            Expr::val(state.generation + 1),
        )
        .col_expr(
            rollup_state::Column::DaysFrom,
            Expr::val(zone.next_day(tx.now().await?)),
        )
        .filter(rollup_state::Column::WorkspaceId.eq(state.workspace_id))
        .exec(tx.writing().await?)
        .await?;
    Ok(())
}

/// Deletes days and weeks that were made before the present ones, those of one moment at a time.
#[derive(Clone, Copy, Debug)]
pub struct SweepDays {
    /// The workspace.
    pub workspace: WorkspaceId,
}

impl Command for SweepDays {
    type Output = Left;

    async fn run(&self, tx: &Tx) -> Result<Left> {
        let Some(state) = hold(tx, self.workspace).await? else {
            return Ok(Left::Nothing);
        };
        let conn = tx.writing().await?;
        for (cube, grain) in [
            (RollupCube::Coworker, RollupGrain::Day),
            (RollupCube::Full, RollupGrain::Day),
            (RollupCube::Coworker, RollupGrain::Week),
        ] {
            let waste = C::WorkspaceId
                .eq(self.workspace)
                .and(C::Cube.eq(cube))
                .and(C::Grain.eq(grain))
                .and(C::Generation.lt(state.generation));
            let first = usage_rollup::Entity::find()
                .filter(waste.clone())
                .order_by_asc(C::Generation)
                .order_by_asc(C::Bucket);
            if let Some(first) = first.limit(1).one(conn).await? {
                let waste = waste
                    .and(C::Generation.eq(first.generation))
                    .and(C::Bucket.eq(first.bucket));
                usage_rollup::Entity::delete_many()
                    .filter(waste)
                    .exec(conn)
                    .await?;
                return Ok(Left::More);
            }
        }
        Ok(Left::Nothing)
    }

    fn repeatable(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}
