//! How runs come to a worker: claimed when they start, taken over when nobody holds them any more.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use entity::{DispatchId, coworker, dispatch, request, run};
use futures_util::FutureExt;
use sea_orm::EntityTrait;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use super::driver::Driver;
use super::{Shared, millis};
use crate::coworker::Config;
use crate::error::{Error, Result};
use crate::run::claim::{Claim, Claimed, startable};
use crate::run::event::Takeover;
use crate::run::lease::{TakeOver, TakenOver};
use crate::run::log::Log;
use crate::telemetry::{figure, trace};

/// Claims as much as there is room for; registers interest before it looks, and looks by itself too.
pub(super) async fn claiming(shared: Arc<Shared>, stop: CancellationToken) {
    let mut work = shared.store.bus().here().work();
    while !stop.is_cancelled() {
        work.mark_unchanged();
        let full = match claim(&shared, &stop).await {
            Ok(full) => full,
            Err(err) => {
                tracing::warn!(%err, "work could not be claimed; trying again");
                shared.lost_reply(&err);
                false
            }
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = shared.freed.notified(), if full => {}
            changed = work.changed(), if !full => if changed.is_err() { break },
            () = tokio::time::sleep(shared.options.poll) => {}
        }
    }
}

/// Claims once; true if there was no room for all that may wait.
async fn claim(shared: &Arc<Shared>, stop: &CancellationToken) -> Result<bool> {
    while !stop.is_cancelled() {
        // What goes on after a decision comes before what is new.
        let unheld = shared.store.bus().here().take_unheld();
        if unheld | shared.crowded.load(Ordering::Relaxed) {
            reap(shared).await?;
        }
        let Some(mut room) = shared.take_room(32) else {
            return Ok(true);
        };
        let most = room.num_permits();
        let claim = Claim {
            worker: shared.worker,
            most: most as u64,
            lease_ms: millis(shared.options.lease),
            only: None,
        };
        let _arrival = shared.arrivals.lock().await;
        let claimed = match shared.store.write(claim.clone()).await {
            Err(err) if err.is_fault_of_its_own() => claim_each(shared, claim, &err).await?,
            claimed => claimed?,
        };
        let n = claimed.len();
        for Claimed {
            log,
            config,
            request,
        } in claimed
        {
            spawn(
                shared,
                room.split(1),
                log,
                config,
                Begin::Started(Box::new(request)),
            );
        }
        if n < most {
            return Ok(false);
        }
    }
    Ok(false)
}

/// How many dispatches are looked up at once where they can't be claimed together.
const SINGLY: u64 = 200;

/// Claims one by one, so that a dispatch that can't be started keeps only itself waiting, however many there are of
/// them.
async fn claim_each(shared: &Shared, claim: Claim, err: &Error) -> Result<Vec<Claimed>> {
    tracing::warn!(
        ?err,
        "work could not be claimed together; it is claimed one by one"
    );
    let mut claimed = Vec::new();
    let mut after = DispatchId(Uuid::nil());
    loop {
        let ids = startable(shared.store.read(), after, SINGLY).await?;
        for id in &ids {
            if claimed.len() as u64 == claim.most {
                return Ok(claimed);
            }
            let only = Claim {
                most: 1,
                only: Some(*id),
                ..claim.clone()
            };
            match shared.store.write(only).await {
                Ok(one) => claimed.extend(one),
                Err(err) if err.is_fault_of_its_own() => {
                    tracing::error!(dispatch.id = %id, ?err, "a dispatch can't be started; it waits");
                }
                // What was claimed is held here; what was not waits for the next round.
                Err(err) => {
                    shared.lost_reply(&err);
                    return Ok(claimed);
                }
            }
        }
        match ids.last() {
            Some(last) if ids.len() as u64 == SINGLY => after = *last,
            Some(_) | None => return Ok(claimed),
        }
    }
}

/// Takes over runs that nobody holds any more.
pub(super) async fn reaping(shared: Arc<Shared>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(err) = reap(&shared).await {
            tracing::warn!(%err, "abandoned runs could not be looked for; trying again");
            shared.lost_reply(&err);
        }
        // The room that was taken to look is free again.
        shared.freed.notify_one();
        tokio::select! {
            () = stop.cancelled() => break,
            () = shared.cleared.notified() => {}
            () = tokio::time::sleep(shared.options.reap) => {}
        }
    }
}

async fn reap(shared: &Arc<Shared>) -> Result<()> {
    let Some(mut room) = shared.take_room(32) else {
        shared.crowded.store(true, Ordering::Relaxed);
        return Ok(());
    };
    let most = room.num_permits();
    let _arrival = shared.arrivals.lock().await;
    let holding = shared.held.lock().keys().copied().collect();
    let unsure = shared.unsure.swap(false, Ordering::Relaxed);
    let take = TakeOver {
        worker: shared.worker,
        holding,
        own: unsure,
        most: most as u64,
        lease_ms: millis(shared.options.lease),
    };
    let taken = shared.store.write(take).await.inspect_err(|_| {
        shared.unsure.fetch_or(unsure, Ordering::Relaxed);
    })?;
    shared.crowded.store(taken.len() == most, Ordering::Relaxed);
    if unsure && taken.len() == most {
        // There was no room for more of them.
        shared.unsure.store(true, Ordering::Relaxed);
    }
    figure::taken_over(taken.len());
    for TakenOver {
        run,
        reason,
        config,
    } in taken
    {
        tracing::info!(run.number, run.attempt, ?reason, "took a run over");
        let lease = run.lease_epoch;
        let log = Log::empty(run, Some(lease));
        spawn(shared, room.split(1), log, config, Begin::TakenOver(reason));
    }
    Ok(())
}

/// How a run came to this worker.
enum Begin {
    /// It has just started, on the request as it was then.
    Started(Box<request::Model>),
    TakenOver(Option<Takeover>),
}

/// The span of an attempt at a run, under the one that made its work.
async fn attempt(shared: &Shared, run: &run::Model) -> Span {
    if !trace::is_on() {
        return Span::none();
    }
    let conn = shared.store.read();
    let work = dispatch::Entity::find_by_id(run.dispatch_id)
        .one(conn)
        .await;
    let coworker = coworker::Entity::find_by_id(run.coworker_id)
        .one(conn)
        .await;
    // A span that lacks something is worth more than none.
    let handle = coworker.ok().flatten().map(|row| row.handle);
    let work = work.ok().flatten();
    trace::invoke_agent(run, handle.as_deref().unwrap_or_default(), work.as_ref())
}

/// Executes a run in a task of its own until it ends or leaves this worker.
fn spawn(
    shared: &Arc<Shared>,
    place: Option<OwnedSemaphorePermit>,
    log: Log,
    config: Config,
    begin: Begin,
) {
    let run = log.run().id;
    let suspect = log.run().idle_attempts > 1;
    let token = CancellationToken::new();
    shared.held.lock().insert(run, token.clone());
    let shared = shared.clone();
    shared.runs.clone().spawn(async move {
        let interrupt = shared.store.bus().here().executing(run);
        let span = attempt(&shared, log.run()).await;
        let mut driver = Driver::new(shared.clone(), log, config, interrupt);
        let execute = async {
            let done = match begin {
                Begin::Started(request) => driver.start(*request).await,
                Begin::TakenOver(reason) => driver.take_over(reason).await,
            };
            trace::invoked(&Span::current(), driver.state());
            done
        };
        let execute = execute.instrument(span);
        let executed = token
            .run_until_cancelled(AssertUnwindSafe(execute).catch_unwind())
            .await;
        match executed {
            None | Some(Ok(Ok(()))) => {}
            // The lease runs out, and another attempt is made: nothing else is safe to assume.
            Some(Ok(Err(err))) => {
                tracing::error!(run.id = %run, %err, "a run was given up by this worker")
            }
            Some(Err(_)) => tracing::error!(run.id = %run, "a run panicked its task"),
        }
        shared.leave(run);
        drop(place);
        shared.freed.notify_one();
        if suspect {
            shared.cleared.notify_one();
        }
    });
}
