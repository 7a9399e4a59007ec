//! What a claim locks, coworkers before requests, and reads with them.

use std::collections::HashSet;

use entity::{
    CoworkerId, CoworkerVersionId, DispatchId, RequestId, coworker, coworker_version, dispatch,
    request,
};
use sea_orm::sea_query::{LockBehavior, LockType};
use sea_orm::{ColumnTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::error::Result;
use crate::request::desk::Desk;
use crate::request::query::is_waiting;
use crate::store::Tx;

/// The coworkers of these dispatches, as far as nobody holds them for a change.
pub(super) async fn lock_coworkers(
    tx: &Tx,
    waiting: &[dispatch::Model],
) -> Result<Vec<coworker::Model>> {
    let ids: HashSet<CoworkerId> = waiting.iter().map(|d| d.coworker_id).collect();
    // Shared: being unpublished waits until the runs that start here have started.
    let locked = coworker::Entity::find()
        .filter(coworker::Column::Id.is_in(ids))
        .order_by_asc(coworker::Column::Id)
        .lock_with_behavior(LockType::Share, LockBehavior::SkipLocked);
    Ok(locked.all(tx.conn()).await?)
}

/// The requests of these dispatches, as far as nobody holds them.
pub(super) async fn lock_requests(tx: &Tx, waiting: &[dispatch::Model]) -> Result<Vec<Desk>> {
    let ids: HashSet<RequestId> = waiting.iter().map(|d| d.request_id).collect();
    tx.settle(ids.iter().copied()).await?;
    let rows = request::Entity::find()
        .filter(request::Column::Id.is_in(ids))
        .order_by_asc(request::Column::Id)
        .lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked)
        .all(tx.conn())
        .await?;
    let stale = claimed_meanwhile(tx, waiting).await?;
    Ok(rows
        .into_iter()
        .filter(|row| !stale.contains(&row.id))
        .map(Desk::of)
        .collect())
}

/// The requests of which another worker claimed a dispatch before their locks were had.
async fn claimed_meanwhile(tx: &Tx, waiting: &[dispatch::Model]) -> Result<HashSet<RequestId>> {
    if tx.backend() == DbBackend::Sqlite {
        // One writer: nothing has changed since the transaction began.
        return Ok(HashSet::new());
    }
    let open: HashSet<DispatchId> = dispatch::Entity::find()
        .select_only()
        .column(dispatch::Column::Id)
        .filter(dispatch::Column::Id.is_in(waiting.iter().map(|d| d.id)))
        .filter(is_waiting())
        .into_tuple()
        .all(tx.conn())
        .await?
        .into_iter()
        .collect();
    let stale = waiting.iter().filter(|d| !open.contains(&d.id));
    Ok(stale.map(|d| d.request_id).collect())
}

/// The versions that these coworkers work with.
pub(super) async fn load_versions(
    tx: &Tx,
    coworkers: &[coworker::Model],
) -> Result<Vec<coworker_version::Model>> {
    let ids: HashSet<CoworkerVersionId> = coworkers.iter().filter_map(|c| c.version_id).collect();
    let versions = coworker_version::Entity::find().filter(coworker_version::Column::Id.is_in(ids));
    Ok(versions.all(tx.conn()).await?)
}
