//! How a worker keeps the logs of deliveries, in and out, and the keys of calls from growing for ever.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Shared, millis};
use crate::alert::retain;
use crate::error::Result;
use crate::hook::retain::{Sweep, Swept};
use crate::idempotency;

/// Sweeps what is older than what is kept, batch by batch, now and then.
pub(super) async fn sweeping(shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        // Not at once: whoever starts has better things to do.
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(shared.options.sweep) => {}
        }
        match sweep(&shared, &stop).await {
            Ok(Swept {
                lines: 0,
                payloads: 0,
            }) => {}
            Ok(Swept { lines, payloads }) => {
                tracing::info!(lines, payloads, "old webhook deliveries were swept");
            }
            Err(err) => {
                tracing::warn!(%err, "old webhook deliveries could not be swept; trying again later")
            }
        }
        match alerts(&shared, &stop).await {
            Ok(0) => {}
            Ok(lines) => tracing::info!(lines, "old alerts were swept"),
            Err(err) => {
                tracing::warn!(%err, "old alerts could not be swept; trying again later")
            }
        }
        match keys(&shared, &stop).await {
            Ok(0) => {}
            Ok(keys) => tracing::info!(keys, "idempotency keys past their time were swept"),
            Err(err) => {
                tracing::warn!(%err, "old idempotency keys could not be swept; trying again later")
            }
        }
    }
}

async fn sweep(shared: &Shared, stop: &CancellationToken) -> Result<Swept> {
    let keep = millis(shared.options.keep_deliveries);
    let before = shared.store.now().plus(-keep);
    let mut all = Swept {
        lines: 0,
        payloads: 0,
    };
    while !stop.is_cancelled() {
        let swept = shared.store.write(Sweep { before }).await?;
        all.lines += swept.lines;
        all.payloads += swept.payloads;
        if !swept.more() {
            break;
        }
    }
    Ok(all)
}

async fn alerts(shared: &Shared, stop: &CancellationToken) -> Result<u64> {
    let keep = millis(shared.options.keep_deliveries);
    let before = shared.store.now().plus(-keep);
    let mut lines = 0;
    while !stop.is_cancelled() {
        let swept = shared.store.write(retain::Sweep { before }).await?;
        lines += swept;
        if swept < retain::BATCH {
            break;
        }
    }
    Ok(lines)
}

async fn keys(shared: &Shared, stop: &CancellationToken) -> Result<u64> {
    let mut keys = 0;
    while !stop.is_cancelled() {
        let swept = shared.store.write(idempotency::Sweep).await?;
        keys += swept;
        if swept < idempotency::BATCH {
            break;
        }
    }
    Ok(keys)
}
