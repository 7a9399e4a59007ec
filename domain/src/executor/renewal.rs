//! How a worker keeps what it holds.

use std::sync::Arc;
use std::time::Duration;

use entity::RunId;
use tokio_util::sync::CancellationToken;

use super::{Shared, millis};
use crate::bus::Signal;
use crate::run::lease::{Renew, Renewed};

/// How often the end of the last run is looked for at shutdown.
const LAST_LOOKS: Duration = Duration::from_millis(100);

/// Renews the leases of what is in hand, and lets go of what was lost.
pub(super) async fn renewing(shared: Arc<Shared>, stop: CancellationToken) {
    // Renewal outlives the stop: runs in their grace period keep their leases.
    loop {
        let done = stop.is_cancelled() && shared.held.lock().is_empty();
        if done {
            return;
        }
        // At shutdown it looks often, so that it is no longer in the way than the runs are.
        let pause = if stop.is_cancelled() {
            shared.options.renew.min(LAST_LOOKS)
        } else {
            shared.options.renew
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled(), if !stop.is_cancelled() => {}
        }
        let runs: Vec<RunId> = shared.held.lock().keys().copied().collect();
        if runs.is_empty() {
            continue;
        }
        let renew = Renew {
            worker: shared.worker,
            runs: runs.clone(),
            lease_ms: millis(shared.options.lease),
        };
        match shared.store.write(renew).await {
            Ok(Renewed { kept, called, now }) => {
                shared.store.clock().correct(now);
                let here = shared.store.bus().here();
                called
                    .into_iter()
                    .for_each(|run| here.deliver(Signal::Interrupt(run)));
                let held = shared.held.lock();
                for run in runs.iter().filter(|run| !kept.contains(run)) {
                    // It ended a moment ago, or another worker has it: appends are fenced either way.
                    if let Some(token) = held.get(run) {
                        token.cancel();
                    }
                }
            }
            Err(err) => tracing::warn!(%err, "leases could not be renewed; trying again"),
        }
    }
}
