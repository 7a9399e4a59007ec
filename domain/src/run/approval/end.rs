//! Paused runs that end: nobody holds them, so whoever ends them does it in their own transaction.

use entity::{FailureCode, RequestStatus, run};
use futures_util::future::BoxFuture;
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder};

use crate::bus::Signal;
use crate::error::Result;
use crate::executor::end::end;
use crate::request::desk::Desk;
use crate::run::event::ApprovalVoided;
use crate::run::log::Log;
use crate::run::query::is_paused;
use crate::run::state::Ending;
use crate::store::Tx;

/// Ends a paused run, whose row is locked; its approval becomes void. Gives the log as it is then.
///
/// # Errors
/// What the database said.
// Boxed, because an end may assign the request anew, and that ends paused runs.
pub(crate) fn end_paused<'a>(
    tx: &'a Tx,
    desk: &'a mut Desk,
    mut log: Log,
    ending: &'a Ending,
) -> BoxFuture<'a, Result<Log>> {
    Box::pin(async move {
        if let Some(asked) = log.state().undecided() {
            let (approval, call_id) = (asked.approval, asked.call_id.clone());
            log.stage(tx.at(), ApprovalVoided { approval, call_id })?;
        }
        end(tx, &mut log, desk, ending, None).await?;
        log.flush_in(tx, false);
        tx.signal(Signal::Run {
            run: log.run().id,
            seq: log.last_seq(),
        });
        Ok(log)
    })
}

/// Ends the paused runs on the request on the desk that are like this.
///
/// # Errors
/// What the database said.
pub(crate) async fn end_paused_on(
    tx: &Tx,
    desk: &mut Desk,
    which: Condition,
    ending: &Ending,
) -> Result<()> {
    let paused = run::Entity::find()
        .filter(run::Column::RequestId.eq(desk.request.id))
        .filter(is_paused())
        .filter(which)
        .order_by_asc(run::Column::Id);
    for run in tx.lock_all(paused, LockType::NoKeyUpdate).await? {
        let log = Log::read(tx.conn(), run, None).await?;
        end_paused(tx, desk, log, ending).await?;
    }
    Ok(())
}

/// Ends the paused runs on the request on the desk if it is closed: nobody shall approve a call for it any more.
///
/// # Errors
/// As [`end_paused_on`].
pub(crate) async fn end_paused_if_closed(tx: &Tx, desk: &mut Desk) -> Result<()> {
    if desk.request.status != RequestStatus::Closed {
        return Ok(());
    }
    let why = "the request was closed while the run waited for an approval";
    let ending = Ending::Failed(FailureCode::Stopped, why.into());
    end_paused_on(tx, desk, Condition::all(), &ending).await
}
