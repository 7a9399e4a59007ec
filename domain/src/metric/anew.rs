//! Folding all that ended by a moment, beside whoever folds too.

use std::time::Duration;

use entity::{Millis, WorkspaceId, run};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait, PaginatorTrait as _, QueryFilter, Select};

use super::fresh;
use super::rollup::fold;
use crate::error::{Error, Result};
use crate::store::Store;

/// How long to wait before looking again what another process has folded.
const LOOK: Duration = Duration::from_millis(250);
/// So many looks in a row that find no run folded end it.
const LOOKS: usize = 120;

/// Folds all runs of a workspace that ended by a moment, and waits for those that another process folds at the same time; `waits`
/// is told how many these are. Gives how many runs the rollups hold then.
///
/// # Errors
/// As [`Store::write`]; [`Error::Unavailable`] if another process holds the rollups for half a minute without folding anything.
pub async fn fold_until(
    store: &Store,
    workspace: WorkspaceId,
    ended_by: Millis,
    waits: impl Fn(u64),
) -> Result<u64> {
    let (mut before, mut looks) = (u64::MAX, 0);
    loop {
        fold(store, workspace, || true).await?;
        let left = of(workspace)
            .filter(run::Column::EndedAt.lte(ended_by))
            .filter(fresh::of_runs())
            .count(store.read())
            .await?;
        if left == 0 {
            let folded = of(workspace).filter(Expr::cust("run.rolled_up"));
            return Ok(folded.count(store.read()).await?);
        }
        looks = if left < before { 0 } else { looks + 1 };
        before = left;
        if looks == LOOKS {
            let message = format!(
                "{left} runs are not folded yet, and another process holds the rollups; figures are right meanwhile, and it folds them sooner or later"
            );
            return Err(Error::Unavailable { message });
        }
        waits(left);
        tokio::time::sleep(LOOK).await;
    }
}

fn of(workspace: WorkspaceId) -> Select<run::Entity> {
    run::Entity::find()
        .filter(run::Column::WorkspaceId.eq(workspace))
        .filter(run::Column::EndedAt.is_not_null())
}
