//! The background executor: wakes, claims, executes, drains.

pub mod act;
mod brief;
mod call;
mod context;
mod driver;
pub mod end;
mod limits;
mod prompt;
mod turn;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use entity::{Millis, RunId, request};
use futures_util::FutureExt;
use parking_lot::Mutex;
use sea_orm::DbBackend;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::clock::random_id;
use crate::coworker::Config;
use crate::error::{Error, Result};
use crate::model::scripted::Scripted;
use crate::model::{Model, ModelCall, ModelConfig, ModelError, ModelErrorClass, ModelReply};
use crate::price::Prices;
use crate::run::claim::{Claim, Claimed, startable};
use crate::run::event::Takeover;
use crate::run::lease::{HandBack, Renew, TakeOver, TakenOver, VoidLeases};
use crate::run::log::Log;
use crate::store::Store;
use crate::tool::{Tool, ToolSpec, specs, triage_specs};
use driver::Driver;

/// How often the end of the last run is looked for at shutdown.
const LAST_LOOKS: Duration = Duration::from_millis(100);

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
    /// How long runs may go on at shutdown before they are handed back.
    pub grace: Duration,
    /// Whether playbooks may kill the process (`fault: abort`); for tests of crashes.
    pub aborts: bool,
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
            grace: Duration::from_secs(5),
            aborts: false,
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
    prefixes: prompt::Prefixes,
    room: Arc<Semaphore>,
    /// Runs in hand, with the token that makes their task let go.
    held: Mutex<HashMap<RunId, CancellationToken>>,
    /// Rung when a run left this worker.
    freed: Notify,
    /// Rung when a run that may have killed a worker got something done here, or left.
    cleared: Notify,
    runs: TaskTracker,
}

/// The providers of models.
struct Models {
    scripted: Scripted,
}

impl Models {
    async fn complete(&self, call: ModelCall<'_>) -> Result<ModelReply, ModelError> {
        match call.config.provider.as_str() {
            "scripted" => self.scripted.complete(call).await,
            other => Err(ModelError {
                class: ModelErrorClass::NotConfigured,
                message: format!(
                    "the model provider \"{other}\" is not configured on this installation"
                ),
                retry_after: None,
                usage: None,
            }),
        }
    }
}

/// The tools of one run: the built-in ones and those outside.
struct Toolbox {
    specs: Arc<[ToolSpec]>,
    outside: Vec<Arc<dyn Tool>>,
}

impl Toolbox {
    fn specs(&self) -> Arc<[ToolSpec]> {
        self.specs.clone()
    }

    fn get(&self, name: &str) -> Option<Arc<dyn Tool>> {
        self.outside
            .iter()
            .find(|tool| tool.spec().name == name)
            .cloned()
    }

    fn offers(&self, name: &str) -> bool {
        self.specs.iter().any(|spec| spec.name == name)
    }

    fn names(&self) -> String {
        self.specs
            .iter()
            .map(|spec| spec.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    }
}

impl Shared {
    /// The tools of a run; `triage`: it shall route a new request.
    fn toolbox(&self, model: &ModelConfig, triage: bool) -> Toolbox {
        // A playbook that can't be read was refused when the coworker was written.
        let outside = self.models.scripted.tools(model).unwrap_or_default();
        let routing = if triage { triage_specs() } else { &[] };
        let all = specs()
            .iter()
            .chain(routing)
            .chain(outside.iter().map(|tool| tool.spec()))
            .cloned();
        Toolbox {
            specs: all.collect(),
            outside,
        }
    }

    fn leave(&self, run: RunId) {
        self.store.bus().here().executed(run);
        self.held.lock().remove(&run);
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
    /// Starts executing. On an embedded database all earlier leases are void.
    ///
    /// # Errors
    /// What the database said.
    pub async fn start(store: Store, options: Options) -> Result<Self> {
        if store.backend() == DbBackend::Sqlite {
            store.write(VoidLeases).await?;
        }
        let scripted = if options.aborts {
            Scripted::with_aborts()
        } else {
            Scripted::default()
        };
        let shared = Arc::new(Shared {
            worker: random_id(),
            room: Arc::new(Semaphore::new(options.slots)),
            models: Models { scripted },
            prices: Prices::default(),
            prefixes: prompt::Prefixes::default(),
            held: Mutex::default(),
            freed: Notify::new(),
            cleared: Notify::new(),
            runs: TaskTracker::new(),
            store,
            options,
        });
        let (stop, intake, renewal) = (
            CancellationToken::new(),
            TaskTracker::new(),
            TaskTracker::new(),
        );
        intake.spawn(claiming(shared.clone(), stop.clone()));
        intake.spawn(reaping(shared.clone(), stop.clone()));
        renewal.spawn(renewing(shared.clone(), stop.clone()));
        Ok(Self {
            shared,
            stop,
            intake,
            renewal,
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
                    runs: left,
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
    }
}

/// Claims as much as there is room for; registers interest before it looks, and looks by itself too.
async fn claiming(shared: Arc<Shared>, stop: CancellationToken) {
    let mut work = shared.store.bus().here().work();
    while !stop.is_cancelled() {
        work.mark_unchanged();
        let full = match claim(&shared, &stop).await {
            Ok(full) => full,
            Err(err) => {
                tracing::warn!(%err, "work could not be claimed; trying again");
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

/// How many dispatches are tried one by one where they can't be claimed together.
const SINGLY: u64 = 200;

/// Claims one by one, so that a dispatch that can't be started keeps only itself waiting.
async fn claim_each(shared: &Shared, claim: Claim, err: &Error) -> Result<Vec<Claimed>> {
    tracing::warn!(
        ?err,
        "work could not be claimed together; it is claimed one by one"
    );
    let mut claimed = Vec::new();
    for id in startable(shared.store.read(), SINGLY).await? {
        if claimed.len() as u64 == claim.most {
            break;
        }
        let only = Claim {
            most: 1,
            only: Some(id),
            ..claim.clone()
        };
        match shared.store.write(only).await {
            Ok(one) => claimed.extend(one),
            Err(err) if err.is_fault_of_its_own() => {
                tracing::error!(dispatch.id = %id, ?err, "a dispatch can't be started; it waits");
            }
            // What was claimed is held here; what was not waits for the next round.
            Err(_) => break,
        }
    }
    Ok(claimed)
}

/// Takes over runs that nobody holds any more.
async fn reaping(shared: Arc<Shared>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(err) = reap(&shared).await {
            tracing::warn!(%err, "abandoned runs could not be looked for; trying again");
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
        return Ok(());
    };
    let holding = shared.held.lock().keys().copied().collect();
    let take = TakeOver {
        worker: shared.worker,
        holding,
        most: room.num_permits() as u64,
        lease_ms: millis(shared.options.lease),
    };
    for TakenOver {
        run,
        reason,
        config,
    } in shared.store.write(take).await?
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
    TakenOver(Takeover),
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
        let mut driver = Driver::new(shared.clone(), log, config, interrupt);
        let execute = async {
            match begin {
                Begin::Started(request) => driver.start(*request).await,
                Begin::TakenOver(reason) => driver.take_over(reason).await,
            }
        };
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

/// Renews the leases of what is in hand, and lets go of what was lost.
async fn renewing(shared: Arc<Shared>, stop: CancellationToken) {
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
            Ok((kept, now)) => {
                shared.store.clock().correct(now);
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

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Milliseconds between two moments, never negative.
fn elapsed(from: Millis, to: Millis) -> i64 {
    to.since(from).max(0)
}
