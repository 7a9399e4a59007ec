//! A sign that figures have changed.

use std::time::Duration;

use async_graphql::{Context, SimpleObject, Subscription};
use domain::access::Action;
use domain::store::Store;
use futures_util::stream::{self, Stream};

use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{Error, Result};
use crate::graphql::run::Board;
use crate::graphql::scalar::DateTime;

/// The time between two signs, at least.
const PACE: Duration = Duration::from_secs(1);

/// Figures have changed.
#[derive(SimpleObject)]
pub struct MetricsChanged {
    /// When it was seen.
    pub at: DateTime,
}

/// Subscriptions about metrics.
#[derive(Default)]
pub struct MetricSubscription;

#[Subscription]
impl MetricSubscription {
    /// Tells a dashboard to look at its figures again: once at the start, and then after runs have changed, at most once a second.
    async fn metrics_changed(
        &self,
        ctx: &Context<'_>,
    ) -> Result<impl Stream<Item = Result<MetricsChanged>> + use<>> {
        ctx.actor().authorize(Action::MetricsRead)?;
        let store = ctx.store().clone();
        // Registered before the first sign: what changes after it is heard.
        let board = Board::new(store.clone(), ctx.actor().clone(), None);
        let watch = Watch {
            store,
            board,
            first: true,
        };
        Ok(stream::unfold(Some(watch), async |watch| {
            let mut watch = watch?;
            match watch.next().await {
                Ok(Some(changed)) => Some((Ok(changed), Some(watch))),
                Ok(None) => None,
                Err(error) => Some((Err(Error::from(error)), None)),
            }
        }))
    }
}

struct Watch {
    store: Store,
    board: Board,
    first: bool,
}

impl Watch {
    /// The next sign; none once the bus is gone.
    async fn next(&mut self) -> domain::Result<Option<MetricsChanged>> {
        if !std::mem::take(&mut self.first) {
            tokio::time::sleep(PACE).await;
            if self.board.changes().await?.is_none() {
                return Ok(None);
            }
        }
        let at = DateTime(self.store.now());
        Ok(Some(MetricsChanged { at }))
    }
}
