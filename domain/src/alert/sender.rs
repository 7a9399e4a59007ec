//! Sends what is due, as long as the process runs: a few at once to each endpoint, and for each workspace no more than there
//! is room left, so that whoever is slow keeps no other waiting.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::claim::{Claim, Claimed, Due, due};
use super::post::post;
use super::settle::{Settle, pause};
use super::share::UnderWay;
use crate::clock::random_id;
use crate::error::Result;
use crate::secret::Vault;
use crate::store::Store;
use crate::tool::Guard;

/// How often what became of a try is written down in vain before it is left to the end of its claim.
const WRITES: u32 = 5;

/// How alerts are sent.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long after each failed try the next one is due; after the last of them it is given up.
    pub retries: Vec<Duration>,
    /// How long a try may take.
    pub timeout: Duration,
    /// How often is looked for what is due, and for endpoints that other nodes made.
    pub look: Duration,
    /// How often is looked for budgets that are nearly used.
    pub watch: Duration,
    /// The most tries at once; a workspace alone gets half of them.
    pub at_once: usize,
    /// The most of these to one endpoint.
    pub to_one: usize,
    /// How long tries may go on at shutdown.
    pub grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        const HOUR: u64 = 3_600;
        let retries = [5, 300, 1_800, 2 * HOUR, 5 * HOUR, 10 * HOUR];
        Self {
            retries: retries.map(Duration::from_secs).to_vec(),
            timeout: Duration::from_secs(15),
            look: Duration::from_secs(1),
            watch: Duration::from_secs(60),
            at_once: 128,
            to_one: 4,
            grace: Duration::from_secs(5),
        }
    }
}

/// What the tries of a process share.
struct Sender {
    store: Store,
    vault: Vault,
    guard: Guard,
    options: Options,
    under_way: Mutex<UnderWay>,
    /// Rung when a try has ended.
    freed: Notify,
    tries: TaskTracker,
    /// Cancelled when what is still being sent is to be let go.
    cut: CancellationToken,
}

/// Sends what is due, as long as the process runs.
pub async fn keep_sending(
    store: Store,
    vault: Vault,
    guard: Guard,
    options: Options,
    stop: CancellationToken,
) {
    let mut rung = store.bus().here().alerts();
    let under_way = UnderWay::new(options.at_once, options.to_one);
    let sender = Arc::new(Sender {
        store,
        vault,
        guard,
        options,
        under_way: Mutex::new(under_way),
        freed: Notify::new(),
        tries: TaskTracker::new(),
        cut: CancellationToken::new(),
    });
    let mut looked: Option<Instant> = None;
    while !stop.is_cancelled() {
        if looked.is_none_or(|at| at.elapsed() >= sender.options.look) {
            looked = Some(Instant::now());
            let listening = sender.store.listening();
            if let Err(err) = listening.look(sender.store.read()).await {
                tracing::warn!(%err, "who is told of what could not be looked up; trying again");
            }
        }
        match sender.turn().await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(err) => tracing::warn!(%err, "alerts could not be looked for; trying again"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            _ = rung.changed() => {}
            () = sender.freed.notified() => {}
            () = tokio::time::sleep(sender.options.look) => {}
        }
    }
    sender.tries.close();
    // What is cut off is sent again once its claim is over.
    let ended = tokio::time::timeout(sender.options.grace, sender.tries.wait());
    if ended.await.is_err() {
        tracing::info!("some alerts were still being sent; they will be sent again");
        sender.cut.cancel();
        sender.tries.wait().await;
    }
}

impl Sender {
    /// Begins as many tries as there is room for; gives whether there may be more to do at once.
    async fn turn(self: &Arc<Self>) -> Result<bool> {
        let busy = {
            let under_way = self.under_way.lock();
            if under_way.room() == 0 {
                return Ok(false);
            }
            under_way.busy()
        };
        let due = due(&self.store, &busy).await?;
        let endpoints = self.under_way.lock().share(&due);
        if endpoints.is_empty() {
            return Ok(false);
        }
        // Half as long again as a try may take, and a while to write down what became of it.
        let lease = self.options.timeout * 3 / 2 + Duration::from_secs(10);
        let lease_ms = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
        let claim = Claim {
            endpoints,
            lease_ms,
        };
        let claimed = self.store.write(claim).await?;
        // None: another node was first, or it is due only in a moment by the database's clock.
        let more = !claimed.is_empty();
        claimed.into_iter().for_each(|one| self.begin(one));
        Ok(more)
    }

    fn begin(self: &Arc<Self>, claimed: Claimed) {
        let due = Due {
            id: claimed.endpoint.id,
            workspace_id: claimed.endpoint.workspace_id,
        };
        self.under_way.lock().begin(due);
        let sender = self.clone();
        self.tries.spawn(async move {
            let leave = Leave {
                sender: &sender,
                due,
            };
            sender.cut.run_until_cancelled(sender.one(claimed)).await;
            drop(leave);
        });
    }

    /// One try, and what became of it.
    async fn one(&self, claimed: Claimed) {
        let (at, begun) = (self.store.now(), Instant::now());
        let timeout = self.options.timeout;
        let answer = post(&self.store, &self.vault, &self.guard, &claimed, timeout).await;
        let took_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        let chance = random_id().as_bytes()[0];
        let delivery = claimed.delivery;
        let settle = Settle {
            url: claimed.endpoint.url.clone(),
            at,
            took_ms,
            pause: pause(&self.options.retries, delivery.round, chance, answer.rest),
            answer,
            delivery,
        };
        for n in 1..=WRITES {
            let Err(err) = self.store.write(settle.clone()).await else {
                return;
            };
            tracing::warn!(%err, alert.delivery = %settle.delivery.id, "what became of an alert could not be written down");
            tokio::time::sleep(Duration::from_millis(100 << n)).await;
        }
    }
}

/// Makes room when a try has ended, however it did.
struct Leave<'a> {
    sender: &'a Sender,
    due: Due,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.sender.under_way.lock().end(self.due);
        self.sender.freed.notify_one();
    }
}
