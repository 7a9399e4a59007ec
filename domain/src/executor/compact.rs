//! How a worker folds what was used into rollups.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::error::Result;
use crate::metric::rollup;

/// How long after a fold the next one begins. Nobody waits for it: what is not folded yet is counted all the same.
const PAUSE: Duration = Duration::from_secs(1);
/// So many folds after it was, first at the start, what is old is tidied up.
const TIDY: u32 = 60;

/// Folds what there is to fold, again and again, and now and then tidies up.
pub(super) async fn compacting(shared: Arc<Shared>, stop: CancellationToken) {
    for round in 1_u32.. {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
        if let Err(err) = compact(&shared, &stop, round % TIDY == 1).await {
            tracing::warn!(%err, "what was used could not be rolled up; trying again later");
        }
    }
}

async fn compact(shared: &Shared, stop: &CancellationToken, tidy: bool) -> Result<()> {
    let go_on = || !stop.is_cancelled();
    rollup::fold_all(&shared.store, go_on).await?;
    if tidy {
        rollup::tidy(&shared.store, go_on).await?;
    }
    Ok(())
}
