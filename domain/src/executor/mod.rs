//! The background executor: wakes, claims, executes, drains.

pub mod act;
mod approve;
mod brief;
mod call;
mod compact;
mod context;
mod driver;
pub mod end;
mod gauge;
mod intake;
mod limits;
mod money;
mod pause;
mod prompt;
pub mod ranked;
mod renewal;
mod settle;
mod sweep;
mod toolbox;
mod turn;
mod weigh;

pub(crate) use limits::working_money;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use entity::{Millis, RunId};
use parking_lot::Mutex;
use sea_orm::DbBackend;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::budget::Purse;
use crate::bus::Signal;
use crate::clock::random_id;
use crate::coworker::Config;
use crate::error::{Error, Result};
use crate::model::scripted::Scripted;
use crate::model::{Models, Provider};
use crate::price::Prices;
use crate::run::lease::{HandBack, VoidLeases};
use crate::store::Store;
use crate::tool::{Given, Outside};
use toolbox::Toolbox;

/// How an executor works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Runs at once.
    pub slots: usize,
    /// How long a run is held without renewal.
    pub lease: Duration,
    /// How often leases are renewed.
    pub renew: Duration,
    /// How often abandoned runs are looked for.
    pub reap: Duration,
    /// How often work is looked for without having been rung.
    pub poll: Duration,
    /// How long one call of a tool may take.
    pub tool_timeout: Duration,
    /// For how long a person may approve a call.
    pub approval_ttl: Duration,
    /// How long runs may go on at shutdown before they are handed back.
    pub grace: Duration,
    /// For how long deliveries of webhooks are kept; what makes an event count once is kept for ever.
    pub keep_deliveries: Duration,
    /// How often it is looked for what need not be kept any more.
    pub sweep: Duration,
    /// Whether playbooks may kill the process (`fault: abort`); for tests of crashes.
    pub aborts: bool,
    /// The providers of models that runs can use here, besides the scripted one.
    pub providers: Vec<Provider>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            slots: 64,
            lease: Duration::from_secs(15),
            renew: Duration::from_secs(5),
            reap: Duration::from_secs(5),
            poll: Duration::from_secs(1),
            tool_timeout: Duration::from_secs(60),
            approval_ttl: Duration::from_secs(24 * 3_600),
            grace: Duration::from_secs(5),
            keep_deliveries: Duration::from_secs(30 * 86_400),
            sweep: Duration::from_secs(600),
            aborts: false,
            providers: Vec::new(),
        }
    }
}

/// A running executor.
pub struct Executor {
    shared: Arc<Shared>,
    stop: CancellationToken,
    /// Brings runs in: claims, takes over.
    intake: TaskTracker,
    renewal: TaskTracker,
}

/// What the runs of one worker share.
struct Shared {
    worker: Uuid,
    store: Store,
    options: Options,
    models: Models,
    prices: Prices,
    purse: Arc<Purse>,
    prefixes: prompt::Prefixes,
    gauges: gauge::Gauges,
    outside: Arc<Outside>,
    room: Arc<Semaphore>,
    /// Held while runs come in, from the write to [`Shared::held`]: what is owned and not held then was lost on
    /// its way.
    arrivals: tokio::sync::Mutex<()>,
    /// The reply to a claim or a takeover was lost: runs may be owned here that are not in hand.
    unsure: AtomicBool,
    /// The last look for free runs found no room for all of them: they come before new work.
    crowded: AtomicBool,
    /// Runs in hand, with the token that makes their task let go.
    held: Mutex<HashMap<RunId, CancellationToken>>,
    /// Rung when a run left this worker.
    freed: Notify,
    /// Rung when a run that may have killed a worker got something done here, or left.
    cleared: Notify,
    runs: TaskTracker,
}

impl Shared {
    /// The tools of a run, with what its coworker was given of servers; `routes`: it decides to whom
    /// its request goes.
    fn toolbox(&self, config: &Config, routes: bool, given: Given) -> Toolbox {
        // A playbook that can't be read was refused when the coworker was written.
        let played = self.models.scripted().tools(&config.model);
        Toolbox::new(config, routes, played.unwrap_or_default(), given)
    }

    /// The reply to a claim or a takeover was lost: what it brought is looked for.
    fn lost_reply(&self, err: &Error) {
        if matches!(err, Error::CommitUnknown) {
            self.unsure.store(true, Ordering::Relaxed);
            self.cleared.notify_one();
        }
    }

    fn leave(&self, run: RunId) {
        let here = self.store.bus().here();
        let rung = here.executed(run);
        self.held.lock().remove(&run);
        if rung {
            // It was let go of, and may be free to go on already.
            here.deliver(Signal::Interrupt(run));
            here.deliver(Signal::Work);
        }
    }

    /// Room for as many runs as there is, up to `most`; taken before they are looked for, so that there
    /// are never more at once than slots.
    fn take_room(&self, most: usize) -> Option<OwnedSemaphorePermit> {
        let n = self.room.available_permits().min(most);
        let n = u32::try_from(n).ok().filter(|n| *n > 0)?;
        self.room.clone().try_acquire_many_owned(n).ok()
    }
}

impl Executor {
    /// Starts executing; `outside` is the way to the tools of servers. On an embedded database all earlier leases
    /// are void.
    ///
    /// # Errors
    /// Settings of a provider that can't work, else what the database said.
    pub async fn start(store: Store, options: Options, outside: Arc<Outside>) -> Result<Self> {
        if store.backend() == DbBackend::Sqlite {
            store.write(VoidLeases).await?;
        }
        let scripted = if options.aborts {
            Scripted::with_aborts()
        } else {
            Scripted::default()
        };
        let worker = random_id();
        let shared = Arc::new(Shared {
            worker,
            room: Arc::new(Semaphore::new(options.slots)),
            models: Models::new(scripted, options.providers.clone())?,
            prices: Prices::default(),
            purse: Arc::new(Purse::new(worker, options.lease)),
            prefixes: prompt::Prefixes::default(),
            gauges: gauge::Gauges::default(),
            outside,
            arrivals: tokio::sync::Mutex::default(),
            unsure: AtomicBool::new(false),
            crowded: AtomicBool::new(false),
            held: Mutex::default(),
            freed: Notify::new(),
            cleared: Notify::new(),
            runs: TaskTracker::new(),
            store,
            options,
        });
        let (stop, bringing, keeping) = (
            CancellationToken::new(),
            TaskTracker::new(),
            TaskTracker::new(),
        );
        bringing.spawn(intake::claiming(shared.clone(), stop.clone()));
        bringing.spawn(intake::reaping(shared.clone(), stop.clone()));
        keeping.spawn(renewal::renewing(shared.clone(), stop.clone()));
        keeping.spawn(sweep::sweeping(shared.clone(), stop.clone()));
        keeping.spawn(compact::compacting(shared.clone(), stop.clone()));
        Ok(Self {
            shared,
            stop,
            intake: bringing,
            renewal: keeping,
        })
    }

    /// How many runs are in hand.
    pub fn active(&self) -> usize {
        self.shared.held.lock().len()
    }

    /// Claims no more, lets runs end within the grace period, and hands the others back.
    pub async fn drain(&self) {
        self.stop.cancel();
        // What is being claimed at this moment comes in before it can be handed back.
        self.intake.close();
        self.intake.wait().await;
        let shared = &self.shared;
        shared.runs.close();
        if tokio::time::timeout(shared.options.grace, shared.runs.wait())
            .await
            .is_err()
        {
            let left: Vec<RunId> = shared
                .held
                .lock()
                .iter()
                .map(|(run, token)| {
                    token.cancel();
                    *run
                })
                .collect();
            shared.runs.wait().await;
            let runs = left.len();
            match shared
                .store
                .write(HandBack {
                    worker: shared.worker,
                })
                .await
            {
                Ok(()) => tracing::info!(runs, "runs were handed back"),
                Err(err) => {
                    tracing::warn!(runs, %err, "runs could not be handed back; their leases will run out")
                }
            }
        }
        self.renewal.close();
        self.renewal.wait().await;
        if let Err(err) = shared.purse.give_back(&shared.store).await {
            tracing::warn!(%err, "slices of budgets could not be given back; their time will run out");
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Milliseconds between two moments, never negative.
fn elapsed(from: Millis, to: Millis) -> i64 {
    to.since(from).max(0)
}
