//! The compactor: it folds the ledger and the runs that ended into rollups, in steps of a bounded size.
//!
//! Whatever it has not got to yet is read from the rows themselves ([`super::facts`]), so nobody waits for it. Each step
//! holds the workspace's row of `rollup_state`, so that of several nodes one folds at a time; nobody else takes it.

mod book;
mod days;
mod folding;
mod hours;
mod zone;

pub(super) use book::{Key, Sheet, replace};
pub use days::BuildDay;
pub use folding::Fold;
pub(super) use folding::keys_of;
pub use hours::MergeHours;
pub use zone::{SweepDays, set_zone, zone_of};

use entity::{Millis, RollupCube, RollupGrain, WorkspaceId, rollup_state, run, usage_rollup};
use sea_orm::sea_query::{Expr, IntoCondition as _, LockBehavior, LockType};
use sea_orm::{
    ColumnTrait as _, DbBackend, EntityTrait, IntoActiveModel as _, QueryFilter, QuerySelect,
    Select,
};

use super::cover::floor;
use super::zone::{HOUR, Zone};
use crate::error::{Error, Result};
use crate::store::{Store, Tx};

/// How long quarter-hours are kept before they become hours.
const QUARTERS_KEPT: i64 = 90 * 24 * HOUR;

/// What a step left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing.
    Nothing,
    /// There may be more.
    More,
}

/// The workspaces that have runs which no rollup holds, of any number of them.
///
/// # Errors
/// What the database said.
pub async fn waiting(store: &Store) -> Result<Vec<WorkspaceId>> {
    let fresh = Expr::cust("ended_at IS NOT NULL AND NOT rolled_up").into_condition();
    let found = run::Entity::find()
        .select_only()
        .column(run::Column::WorkspaceId)
        .distinct()
        .filter(fresh);
    Ok(found.into_tuple().all(store.read()).await?)
}

/// Folds all that there is to fold, as long as it may go on. Gives the number of runs.
///
/// # Errors
/// As [`Store::write`].
pub async fn fold_all(store: &Store, go_on: impl Fn() -> bool) -> Result<u64> {
    let mut runs = 0;
    for workspace in waiting(store).await? {
        runs += fold(store, workspace, &go_on).await?;
    }
    Ok(runs)
}

/// Folds all that there is to fold of one workspace, as long as it may go on. Gives the number of runs.
///
/// # Errors
/// As [`Store::write`].
pub async fn fold(store: &Store, workspace: WorkspaceId, go_on: impl Fn() -> bool) -> Result<u64> {
    let mut runs = 0;
    while go_on() {
        let folded = store.write(Fold { workspace }).await?;
        runs += folded.runs;
        if folded.left == Left::Nothing {
            break;
        }
    }
    Ok(runs)
}

/// What is due now and then: quarter-hours that have grown old, days of a zone that was chosen, days of the one before.
///
/// # Errors
/// As [`Store::write`].
pub async fn tidy(store: &Store, go_on: impl Fn() -> bool) -> Result<()> {
    let workspaces: Vec<WorkspaceId> = rollup_state::Entity::find()
        .select_only()
        .column(rollup_state::Column::WorkspaceId)
        .into_tuple()
        .all(store.read())
        .await?;
    for workspace in workspaces {
        while go_on() && store.write(MergeHours { workspace }).await? == Left::More {}
        while go_on() && store.write(BuildDay { workspace }).await? == Left::More {}
        while go_on() && store.write(SweepDays { workspace }).await? == Left::More {}
    }
    Ok(())
}

/// The hours or quarter-hours of a workspace, found by their time.
fn fine(workspace: WorkspaceId, grain: RollupGrain) -> Select<usage_rollup::Entity> {
    use usage_rollup::Column as C;
    // All that comes before the bucket in the key: else all of the grain would be gone through.
    usage_rollup::Entity::find()
        .filter(C::WorkspaceId.eq(workspace))
        .filter(C::Cube.eq(RollupCube::Full))
        .filter(C::Grain.eq(grain))
        .filter(C::Generation.eq(0))
}

/// The workspace's state, held until the end of the transaction. None: somebody else folds at this moment.
async fn hold(tx: &Tx, workspace: WorkspaceId) -> Result<Option<rollup_state::Model>> {
    let find = rollup_state::Entity::find_by_id(workspace);
    let free = match tx.backend() {
        DbBackend::Sqlite => find,
        _ => find.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked),
    };
    made(tx, workspace).await?;
    Ok(free.one(tx.conn()).await?)
}

/// As [`hold`], but waits for whoever folds.
pub(super) async fn wait_for(tx: &Tx, workspace: WorkspaceId) -> Result<rollup_state::Model> {
    made(tx, workspace).await?;
    let state = rollup_state::Entity::find_by_id(workspace)
        .lock_exclusive()
        .one(tx.conn())
        .await?;
    state.ok_or_else(|| Error::internal("the state of the rollups is not there"))
}

/// Makes the workspace's state if it is not there.
async fn made(tx: &Tx, workspace: WorkspaceId) -> Result<()> {
    let state = rollup_state::Model {
        workspace_id: workspace,
        zone: Zone::UTC.name().into(),
        zone_release: Zone::RELEASE.into(),
        generation: 0,
        days_from: Millis(i64::MIN),
        hours_until: floor(tx.now().await?.plus(-QUARTERS_KEPT), HOUR),
    };
    rollup_state::Entity::insert(state.into_active_model())
        .on_conflict_do_nothing_on([rollup_state::Column::WorkspaceId])
        .exec_without_returning(tx.writing().await?)
        .await?;
    Ok(())
}
