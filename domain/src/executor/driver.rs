//! One run in the hands of a worker, from where its log stands to its end: ask [`State::next`], do it,
//! log it.

use std::sync::Arc;
use std::time::Duration;

use entity::{EventId, FailureCode, Millis, RunStatus, request, run};
use sea_orm::EntityTrait;
use tokio::sync::Notify;

use super::context::Context;
use super::end::EndRun;
use super::prompt::Prefix;
use super::turn::failure;
use super::weigh::Scales;
use super::{Shared, Toolbox};
use crate::access::Actor;
use crate::budget::Spent;
use crate::clock::fresh_id;
use crate::coworker::Config;
use crate::error::{Error, Result};
use crate::model::ModelErrorClass;
use crate::price::Cards;
use crate::request::route::routes;
use crate::run::event::{AttemptStarted, Event, Takeover, ToolOutcomeUnknown};
use crate::run::lease::ATTEMPTS;
use crate::run::log::{FENCED, Flushed, Log};
use crate::run::state::{Ending, Next, State};
use crate::tool::Given;

/// Looks, twice a second, before a worker that can't reach its database gives a run up.
const PATIENCE: u32 = 60;

/// Steps of a run that fail one after the other, with the database there, before the run is ended for it.
const FAULTS: u32 = 4;

/// A run in the hands of this worker.
pub(super) struct Driver {
    pub(super) shared: Arc<Shared>,
    pub(super) log: Log,
    lease_epoch: i64,
    pub(super) config: Arc<Config>,
    pub(super) actor: Actor,
    pub(super) tools: Toolbox,
    /// Whether the tools of servers are among them already.
    tools_read: bool,
    pub(super) interrupt: Arc<Notify>,
    /// What happened and must not be lost if an append does not come back.
    pub(super) facts: Vec<(EventId, Millis, Event)>,
    superseded: bool,
    /// Stint itself can't go on with it.
    faulty: bool,
    /// What the newest prompt began with.
    pub(super) prefix: Option<Arc<Prefix>>,
    pub(super) context: Option<Context>,
    /// What its prompts weighed so far.
    pub(super) scales: Scales,
    /// When the model was last asked.
    pub(super) asked_at: Millis,
    /// How long the provider asked to wait before the next try.
    pub(super) retry_after: Duration,
    /// What the model of the newest call costs, as it was reckoned with.
    pub(super) cards: Option<Cards>,
    /// What the model call under way has reserved of budgets.
    pub(super) spent: Option<Spent>,
    /// That, and what the call is charged at, until the log says so.
    pub(super) settling: Option<(Spent, i64)>,
}

/// Whether the run goes on here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Yes,
    /// Another worker has it, or it ended.
    No,
}

impl Driver {
    /// A run that has just started, or been taken over.
    pub(super) fn new(
        shared: Arc<Shared>,
        log: Log,
        config: Config,
        interrupt: Arc<Notify>,
    ) -> Self {
        let tools = shared.toolbox(&config, routes(&log), Given::default());
        let tools_read = config.named_servers().next().is_none();
        Self {
            asked_at: shared.store.now(),
            lease_epoch: log.run().lease_epoch,
            actor: Actor::in_run(log.run()),
            shared,
            log,
            config: Arc::new(config),
            tools,
            tools_read,
            interrupt,
            facts: Vec::new(),
            superseded: false,
            faulty: false,
            prefix: None,
            context: None,
            scales: Scales::default(),
            retry_after: Duration::ZERO,
            cards: None,
            spent: None,
            settling: None,
        }
    }

    pub(super) fn now(&self) -> Millis {
        self.shared.store.now()
    }

    pub(super) fn state(&self) -> &State {
        self.log.state()
    }

    /// Begins a run that has just started, on `request` as it was then.
    ///
    /// # Errors
    /// As [`Driver::drive`].
    pub(super) async fn start(&mut self, request: request::Model) -> Result<()> {
        let context = Context::read(self.shared.store.read(), &self.log, &request).await;
        // If it can't be read now, the first turn reads it.
        self.context = context.ok();
        self.drive().await
    }

    /// Begins another attempt of a run that was taken over; without a reason goes on with one that was paused.
    ///
    /// # Errors
    /// As [`Driver::drive`].
    pub(super) async fn take_over(&mut self, reason: Option<Takeover>) -> Result<()> {
        let held = match self.reload().await {
            Ok(held) => held,
            Err(err) => self.reload_patiently(err).await?,
        };
        if held == Held::No {
            return Ok(());
        }
        // Only now its log says how it began.
        self.tools = self
            .shared
            .toolbox(&self.config, routes(&self.log), Given::default());
        let Some(reason) = reason else {
            return self.drive().await;
        };
        let attempt = self.log.run().attempt;
        self.fact(AttemptStarted { attempt, reason })?;
        if self.log.run().idle_attempts > ATTEMPTS {
            let why =
                format!("the run ended its worker {ATTEMPTS} times without getting anything done");
            return self
                .end(Ending::Failed(FailureCode::Poisoned, why))
                .await
                .map(drop);
        }
        let held = match self.flush(false).await {
            Ok(held) => held,
            Err(err) => self.reload_patiently(err).await?,
        };
        match held {
            Held::Yes => self.drive().await,
            Held::No => Ok(()),
        }
    }

    /// Runs until the end, or until another worker holds the run.
    ///
    /// # Errors
    /// What the database said for longer than this worker's patience, or a fault.
    pub(super) async fn drive(&mut self) -> Result<()> {
        let mut faults = 0;
        loop {
            let step = self.step().await;
            match step {
                Ok(Held::Yes) => faults = 0,
                Ok(Held::No) => return Ok(()),
                Err(err) => {
                    tracing::warn!(
                        run.number = self.log.run().number,
                        ?err,
                        "a step of a run failed; its log is read again"
                    );
                    // A database that is away is no fault of the run; what fails again and again is.
                    faults += u32::from(err.is_fault_of_its_own());
                    if faults >= FAULTS {
                        if self.faulty {
                            return Err(err);
                        }
                        (self.faulty, faults) = (true, 0);
                        self.facts.clear();
                    }
                    if self.reload_patiently(err).await? == Held::No {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Reads what the coworker was given of servers: once in a worker's hands, and again when a tool that is about to be
    /// called is not any more what it was. A server that is asked for the first time may take its time.
    async fn read_tools(&mut self) -> Result<Held> {
        let (outside, config) = (&self.shared.outside, &self.config);
        let given = tokio::select! {
            given = outside.given(self.log.run().workspace_id, config) => given?,
            () = self.interrupt.notified() => return self.reload().await,
        };
        self.tools = self.shared.toolbox(&self.config, routes(&self.log), given);
        self.tools_read = true;
        Ok(Held::Yes)
    }

    /// Lets go of the tools that the run was given: the next step reads them again.
    pub(super) fn forget_tools(&mut self) {
        self.shared.outside.forget(self.log.run().workspace_id);
        self.tools_read = false;
    }

    async fn step(&mut self) -> Result<Held> {
        let next = match self.state().next() {
            next @ (Next::Ended | Next::Wait | Next::AbandonModel(_) | Next::OutcomeUnknown(_)) => {
                next
            }
            Next::Repeat(call) if self.superseded || self.faulty => Next::OutcomeUnknown(call),
            _ if self.superseded => Next::End(Ending::Superseded),
            _ if self.faulty => {
                let why = "Stint itself met a fault and could not go on; its log has the details";
                Next::End(Ending::Failed(FailureCode::Internal, why.into()))
            }
            next => next,
        };
        match next {
            Next::Repeat(_) | Next::Dispatch(_) | Next::CallModel { .. } if !self.tools_read => {
                self.read_tools().await
            }
            Next::Ended | Next::Wait => Ok(Held::No),
            Next::End(ending) => self.end(ending).await,
            Next::AbandonModel(call) => {
                let message = "the worker that asked the model was lost, or the run was stopped or superseded";
                self.model_failed(call.attempt, &failure(ModelErrorClass::Abandoned, message))
                    .await?;
                Ok(Held::Yes)
            }
            Next::OutcomeUnknown(call) => {
                let message = format!(
                    "the worker was lost while {} ran, and the call can't be repeated without risk",
                    call.tool
                );
                self.fact(ToolOutcomeUnknown {
                    call_id: call.call_id,
                    message,
                })?;
                Ok(Held::Yes)
            }
            Next::Repeat(call) => self.send(call).await,
            Next::Dispatch(call) => self.dispatch(call).await,
            Next::CallModel { attempt, closing } => self.call_model(attempt, closing).await,
        }
    }

    /// Stages what has happened, so that it survives an append that does not come back.
    pub(super) fn fact(&mut self, event: impl Into<Event>) -> Result<()> {
        let (id, now, event) = (EventId(fresh_id()), self.now(), event.into());
        self.facts.push((id, now, event.clone()));
        self.log.stage_as(id, now, event)
    }

    /// What happened stands in the log.
    pub(super) fn stands(&mut self) {
        let progress = |event: &Event| event.is_progress();
        // The next run that may have killed a worker can be tried here.
        if self.log.run().idle_attempts > 1 && self.facts.iter().any(|(.., e)| progress(e)) {
            self.shared.cleared.notify_one();
        }
        self.facts.clear();
        if let Some((spent, charged)) = self.settling.take() {
            spent.settle(charged, self.now());
        }
    }

    /// Writes what is staged. If the fence does not let it through, reads the log again.
    pub(super) async fn flush(&mut self, fenced: bool) -> Result<Held> {
        let fenced = fenced && !self.state().handed_off;
        match self.log.flush(&self.shared.store, fenced).await? {
            Flushed::Committed => {
                self.stands();
                Ok(Held::Yes)
            }
            Flushed::Lost => self.reload().await,
        }
    }

    /// Reads the run again: who holds it, what its log says, whether it was superseded. What happened
    /// meanwhile is staged anew, unless it stands already: then only the reply was lost.
    pub(super) async fn reload(&mut self) -> Result<Held> {
        let store = self.shared.store.clone();
        let row = run::Entity::find_by_id(self.log.run().id)
            .one(store.read())
            .await?;
        let row = row.ok_or(Error::NotFound { what: "Run" })?;
        if row.lease_epoch != self.lease_epoch || row.status != RunStatus::Running {
            return Ok(Held::No);
        }
        let request = self.request().await?;
        let epoch = row.assignment_epoch;
        let rows = Log::rows(store.read(), row.id).await?;
        self.facts
            .retain(|(id, ..)| !rows.iter().any(|row| row.event_id == *id));
        self.log = Log::of(row, Some(self.lease_epoch), &rows)?;
        self.scales.forget_messages();
        self.superseded = epoch.is_some_and(|epoch| epoch != request.assignment_epoch)
            && !self.state().handed_off;
        for (id, at, event) in self.facts.clone() {
            self.log.stage_as(id, at, event)?;
        }
        Ok(Held::Yes)
    }

    async fn reload_patiently(&mut self, first: Error) -> Result<Held> {
        let mut last = first;
        for _ in 0..PATIENCE {
            tokio::time::sleep(Duration::from_millis(500)).await;
            match self.reload().await {
                Ok(held) => return Ok(held),
                Err(err) => last = err,
            }
        }
        Err(last)
    }

    pub(super) async fn request(&self) -> Result<request::Model> {
        let found = request::Entity::find_by_id(self.log.run().request_id)
            .one(self.shared.store.read())
            .await?;
        found.ok_or(Error::NotFound { what: "Request" })
    }

    pub(super) async fn end(&mut self, ending: Ending) -> Result<Held> {
        let routing = match &ending {
            Ending::Failed(code, _) => self.routing(Err(*code)).await?,
            Ending::Blocked(_) | Ending::HandedOff | Ending::Superseded => None,
        };
        match self
            .shared
            .store
            .write(EndRun {
                log: self.log.clone(),
                ending,
                routing,
            })
            .await
        {
            Ok(written) => self.written(written),
            Err(Error::Conflict { code: FENCED, .. }) => self.reload().await,
            Err(err) => Err(err),
        }
    }
}
