//! Approvals, live.

use std::collections::HashSet;
use std::time::Duration;

use async_graphql::{Context, Subscription};
use domain::access::{Action, Actor};
use domain::run::approval::query as approvals;
use domain::store::Store;
use entity::{ApprovalId, RunId};
use futures_util::stream::{self, Stream, StreamExt as _};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::{Approval, ApprovalFilter};
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{Error, Result};
use crate::graphql::filter::condition;

/// However many runs change, a watcher looks no more often than this.
const PACE: Duration = Duration::from_millis(250);
/// The most approvals that wait and are looked at: the newest.
const MOST: u64 = 1_000;

/// Approvals, live.
#[derive(Default)]
pub struct ApprovalSubscription;

#[Subscription]
impl ApprovalSubscription {
    /// Calls that a person must approve: at the start every one that waits and matches (the newest 1,000), then each as soon as it is asked
    /// for. There is no cursor: after a reconnect those that still wait come again.
    async fn approval_requested(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which approvals; all without it.")] filter: Option<ApprovalFilter>,
    ) -> Result<impl Stream<Item = Result<Approval>> + use<>> {
        ctx.actor().authorize(Action::RunRead)?;
        let mut inbox = Inbox {
            // Registered before the first look: what is asked for from here on is heard.
            heard: ctx.store().bus().here().board(),
            store: ctx.store().clone(),
            actor: ctx.actor().clone(),
            filter,
            waiting: HashSet::new(),
        };
        // Read once before the stream stands, so that a wrong filter is refused at once.
        let first = inbox.look().await?;
        let later = stream::unfold(Some(inbox), async |inbox| {
            let mut inbox = inbox?;
            match inbox.next().await {
                Ok(Some(asked)) => Some((Ok(asked), Some(inbox))),
                Ok(None) => None,
                Err(error) => Some((Err(Error::from(error)), None)),
            }
        });
        let all = stream::once(async { Ok(first) }).chain(later);
        Ok(all.flat_map(|batch| match batch {
            Ok(asked) => stream::iter(asked.into_iter().map(Ok).collect::<Vec<_>>()),
            Err(error) => stream::iter(vec![Err(error)]),
        }))
    }
}

/// What one watcher has seen.
struct Inbox {
    store: Store,
    actor: Actor,
    filter: Option<ApprovalFilter>,
    heard: Receiver<RunId>,
    /// What was shown and still waited at the last look.
    waiting: HashSet<ApprovalId>,
}

impl Inbox {
    /// What is new among those that wait.
    async fn look(&mut self) -> domain::Result<Vec<Approval>> {
        let filter = condition(self.filter.as_ref(), self.store.now())?;
        let rows = approvals::pending(self.store.read(), &self.actor, filter, MOST).await?;
        let before = std::mem::take(&mut self.waiting);
        self.waiting = rows.iter().map(|row| row.id).collect();
        let new = rows.into_iter().filter(|row| !before.contains(&row.id));
        Ok(new.map(Approval).collect())
    }

    /// What is asked for next; none once the bus is gone.
    async fn next(&mut self) -> domain::Result<Option<Vec<Approval>>> {
        loop {
            match self.heard.recv().await {
                // One who fell behind looks at all that waits, as everyone does.
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Ok(None),
            }
            // What is heard meanwhile is seen by the same look.
            while matches!(self.heard.try_recv(), Ok(_) | Err(TryRecvError::Lagged(_))) {}
            let asked = self.look().await?;
            if !asked.is_empty() {
                return Ok(Some(asked));
            }
            tokio::time::sleep(PACE).await;
        }
    }
}
