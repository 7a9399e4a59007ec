//! One run, from where its log stands to its end: ask [`State::next`], do it, log it.

use std::sync::Arc;
use std::time::Duration;

use entity::{FailureCode, Millis, NoteId, RunStatus, Trigger, request, run};
use sea_orm::EntityTrait;
use tokio::sync::Notify;

use super::act::{Act, EndRun, Written, idempotency_key};
use super::limits;
use super::prompt::{self, Stored, elapsed};
use super::{Shared, Toolbox};
use crate::access::{Actor, Principal, Standing};
use crate::coworker::Config;
use crate::error::{Error, Result};
use crate::model::{
    Brief, Message, ModelCall, ModelError, ModelErrorClass, ModelReply, NoteBrief, PartKind,
    Prompt, ToolCall,
};
use crate::price;
use crate::run::event::{
    AttemptStarted, Event, ModelCompleted, ModelFailed, ModelRequested, PartRef, Refusal, Takeover,
    ToolCompleted, ToolFailed, ToolOutcomeUnknown, ToolRefused, ToolRequested, TurnStarted,
};
use crate::run::log::{FENCED, Flushed, Log};
use crate::run::queue::ATTEMPTS;
use crate::run::state::{Ending, Next, State};
use crate::tool::{Builtin, FINISH, Invocation, ToolError, ToolErrorClass};

/// The most bytes that a tool may answer.
const LARGEST: usize = 1024 * 1024;
/// How long a worker that can't reach its database keeps a run.
const PATIENCE: u32 = 60;

/// A run in the hands of this worker.
pub(super) struct Driver {
    shared: Arc<Shared>,
    log: Log,
    lease_epoch: i64,
    config: Arc<Config>,
    actor: Actor,
    tools: Toolbox,
    interrupt: Arc<Notify>,
    /// What happened and must not be lost if an append does not come back.
    facts: Vec<(Millis, Event)>,
    superseded: bool,
    context: Option<Context>,
}

/// What the model reads besides the log.
struct Context {
    brief: Brief,
    request_part: Stored,
    /// Notes that arrived meanwhile: where they stand, and their part.
    notes: Vec<(usize, Vec<NoteBrief>, Stored)>,
    newest_note: Option<NoteId>,
    seen: i64,
}

/// Whether the run goes on here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
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
        let run = log.run();
        let standing = if run.trigger == Trigger::Mention {
            Standing::MentionedRun
        } else {
            Standing::AssignedRun
        };
        let principal = Principal::Coworker(run.coworker_id, run.id);
        let actor = Actor {
            workspace: run.workspace_id,
            principal,
            standing,
        };
        let tools = shared.toolbox(&config.model);
        Self {
            lease_epoch: run.lease_epoch,
            shared,
            log,
            config: Arc::new(config),
            actor,
            tools,
            interrupt,
            facts: Vec::new(),
            superseded: false,
            context: None,
        }
    }

    fn now(&self) -> Millis {
        self.shared.store.now()
    }

    fn state(&self) -> &State {
        self.log.state()
    }

    /// Begins another attempt of a run that was taken over.
    ///
    /// # Errors
    /// As [`Driver::drive`].
    pub(super) async fn take_over(&mut self, reason: Takeover) -> Result<()> {
        if self.reload().await? == Held::No {
            return Ok(());
        }
        let attempt = self.log.run().attempt;
        self.log
            .stage(self.now(), AttemptStarted { attempt, reason })?;
        if self.log.run().idle_attempts > ATTEMPTS {
            let why =
                format!("the run ended its worker {ATTEMPTS} times without getting anything done");
            return self
                .end(Ending::Failed(FailureCode::Poisoned, why))
                .await
                .map(drop);
        }
        if self.flush(false).await? == Held::Yes {
            self.drive().await
        } else {
            Ok(())
        }
    }

    /// Runs until the end, or until another worker holds the run.
    ///
    /// # Errors
    /// What the database said for longer than this worker's patience, or a fault.
    pub(super) async fn drive(&mut self) -> Result<()> {
        loop {
            let step = self.step().await;
            match step {
                Ok(Held::Yes) => {}
                Ok(Held::No) => return Ok(()),
                Err(err) => {
                    tracing::warn!(run.number = self.log.run().number, %err, "a step of a run failed; its log is read again");
                    if self.reload_patiently(err).await? == Held::No {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn step(&mut self) -> Result<Held> {
        let next = match self.state().next() {
            next @ (Next::Ended | Next::AbandonModel(_) | Next::OutcomeUnknown(_)) => next,
            _ if self.superseded => Next::End(Ending::Superseded),
            next => next,
        };
        match next {
            Next::Ended => Ok(Held::No),
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
    fn fact(&mut self, event: impl Into<Event>) -> Result<()> {
        let (now, event) = (self.now(), event.into());
        self.facts.push((now, event.clone()));
        self.log.stage(now, event)
    }

    /// Writes what is staged. If the fence does not let it through, reads the log again.
    async fn flush(&mut self, fenced: bool) -> Result<Held> {
        let fenced = fenced && !self.state().handed_off;
        match self.log.flush(&self.shared.store, fenced).await? {
            Flushed::Committed => {
                self.facts.clear();
                Ok(Held::Yes)
            }
            Flushed::Lost => self.reload().await,
        }
    }

    /// Reads the run again: who holds it, what its log says, whether it was superseded. What happened
    /// meanwhile is staged anew.
    async fn reload(&mut self) -> Result<Held> {
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
        self.log = Log::read(store.read(), row, Some(self.lease_epoch)).await?;
        self.superseded = epoch.is_some_and(|epoch| epoch != request.assignment_epoch)
            && !self.state().handed_off;
        for (at, event) in self.facts.clone() {
            self.log.stage(at, event)?;
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

    async fn request(&self) -> Result<request::Model> {
        let found = request::Entity::find_by_id(self.log.run().request_id)
            .one(self.shared.store.read())
            .await?;
        found.ok_or(Error::NotFound { what: "Request" })
    }

    // ── The model ────────────────────────────────────────────────────────────────────────────────

    async fn call_model(&mut self, attempt: i32, closing: bool) -> Result<Held> {
        let deadline = self.log.run().deadline;
        let limits = self.config.limits;
        if !closing
            && let Some(limit) = limits::before_turn(self.state(), &limits, deadline, self.now())
        {
            self.fact(limit)?;
            return Ok(Held::Yes);
        }
        if attempt > 1 && !self.back_off().await {
            return self.reload().await;
        }
        if attempt == 1 {
            let turn = self.state().turn + 1;
            self.log.stage(self.now(), TurnStarted { turn })?;
        }
        let prompt = self.prompt().await?;
        let max_output_tokens = limits::max_output(self.state(), &limits, closing);
        let tools = self.tools.specs();
        let requested = ModelRequested {
            model: self.log.run().model.clone(),
            attempt,
            prompt: self.part_refs(),
            tools: tools.iter().map(|tool| tool.name.clone()).collect(),
            max_output_tokens,
            closing,
        };
        let asked_at = self.now();
        self.log.stage(asked_at, requested)?;
        // Known to be written only after the flush, so offered until then.
        if self.flush(true).await? == Held::No {
            return Ok(Held::No);
        }
        if !matches!(self.state().next(), Next::AbandonModel(_)) {
            return Ok(Held::Yes);
        }
        self.shared
            .prefixes
            .stored(self.log.run().coworker_version_id);
        let until = if closing {
            deadline
        } else {
            limits::closing_from(&limits, deadline)
        };
        let time = Duration::from_millis(u64::try_from(until.since(asked_at)).unwrap_or(0).max(1));
        let call = ModelCall {
            config: &self.config.model,
            prompt: &prompt,
            tools: &tools,
            max_output_tokens,
            attempt,
        };
        let answer = tokio::select! {
            answer = self.shared.models.complete(call) => Some(answer),
            () = tokio::time::sleep(time) => {
                Some(Err(failure(ModelErrorClass::TimedOut, "the model did not answer within the time that the run has")))
            }
            () = self.interrupt.notified() => None,
        };
        match answer {
            Some(Ok(reply)) => self.model_completed(reply, asked_at).await?,
            Some(Err(err)) => self.model_failed(attempt, &err).await?,
            // Rung: what happened is in the log, and the open call is given up if it must be.
            None => return self.interrupted().await,
        }
        Ok(Held::Yes)
    }

    /// Someone rang while the model was thinking. If nothing changed for this run, asks again.
    async fn interrupted(&mut self) -> Result<Held> {
        self.reload().await
    }

    async fn model_completed(&mut self, reply: ModelReply, asked_at: Millis) -> Result<()> {
        let ModelReply {
            text,
            thinking,
            mut calls,
            finish,
            usage,
            first_token_ms,
        } = reply;
        let turn = self.state().turn;
        for (i, call) in calls.iter_mut().enumerate() {
            // Ids must be unique within the run; what the provider calls them stays visible in front.
            call.id = format!(
                "{}t{turn}c{}",
                if call.id.is_empty() {
                    String::new()
                } else {
                    format!("{}.", call.id)
                },
                i + 1
            );
        }
        let now = self.now();
        let price = self.price(now).await?;
        self.fact(ModelCompleted {
            model: self.log.run().model.clone(),
            text,
            thinking,
            calls,
            finish_reason: finish,
            usage,
            price: price.as_ref().map(|price| price.id),
            cost_nano: price.as_ref().map(|price| price::cost(&usage, price)),
            latency_ms: elapsed(asked_at, now),
            first_token_ms,
        })
    }

    async fn model_failed(&mut self, attempt: i32, err: &ModelError) -> Result<()> {
        let price = match err.usage {
            Some(_) => self.price(self.now()).await?,
            None => None,
        };
        self.fact(ModelFailed {
            model: self.log.run().model.clone(),
            attempt,
            class: err.class,
            message: err.message.clone(),
            retryable: err.class.retryable(),
            usage: err.usage,
            price: price.as_ref().map(|price| price.id),
            cost_nano: price
                .as_ref()
                .zip(err.usage)
                .map(|(price, usage)| price::cost(&usage, price)),
        })?;
        self.shared
            .retry_after
            .lock()
            .insert(self.log.run().id, err.retry_after.unwrap_or(Duration::ZERO));
        Ok(())
    }

    async fn price(&self, at: Millis) -> Result<Option<entity::model_price::Model>> {
        let run = self.log.run();
        self.shared
            .prices
            .at(&self.shared.store, run.workspace_id, &run.model, at)
            .await
    }

    /// Waits before a retry; false if someone rang meanwhile.
    async fn back_off(&mut self) -> bool {
        // The failure is a fact that watchers shall see while the run waits.
        if !matches!(self.flush(true).await, Ok(Held::Yes)) {
            return false;
        }
        let asked = self
            .shared
            .retry_after
            .lock()
            .remove(&self.log.run().id)
            .unwrap_or(Duration::ZERO);
        let own = Duration::from_millis(100 << self.state().model_failures.clamp(0, 6));
        let jitter = Duration::from_millis(u64::from(crate::clock::random_id().as_bytes()[0]) / 4);
        let pause = asked.max(own).min(Duration::from_secs(60)) + jitter;
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            () = self.interrupt.notified() => false,
        }
    }

    // ── The prompt ───────────────────────────────────────────────────────────────────────────────

    async fn prompt(&mut self) -> Result<Prompt> {
        if self.context.is_none() {
            self.context = Some(self.read_context().await?);
        }
        self.read_news().await?;
        let run = self.log.run().clone();
        let (prefix, stored) =
            self.shared
                .prefixes
                .get(run.coworker_version_id, &self.config, &self.tools.specs());
        let Some(context) = &self.context else {
            return Err(Error::internal("no context"));
        };
        let mut parts = vec![prefix.part.clone(), context.request_part.part.clone()];
        parts.extend(context.notes.iter().map(|(_, _, part)| part.part.clone()));
        let mut messages = Vec::with_capacity(self.state().messages.len() + context.notes.len());
        let mut notes = context.notes.iter().peekable();
        for (i, message) in self.state().messages.iter().enumerate() {
            while let Some((_, news, _)) = notes.next_if(|(at, _, _)| *at <= i) {
                messages.push(Message::Notes(news.clone()));
            }
            messages.push(message.clone());
        }
        messages.extend(notes.map(|(_, news, _)| Message::Notes(news.clone())));
        let brief = context.brief.clone();
        // What the log refers to must be stored; whatever may be stored already is stored again in vain.
        let known = self.state().parts.len();
        let fresh: Vec<_> = context
            .parts()
            .skip(known.saturating_sub(1))
            .map(|p| (p.digest.clone(), p.part.text.clone()))
            .collect();
        if !stored {
            self.log
                .stage_part(prefix.digest.clone(), &prefix.part.text);
        }
        for (digest, text) in fresh {
            self.log.stage_part(digest, &text);
        }
        Ok(Prompt {
            parts,
            brief,
            messages,
        })
    }

    fn part_refs(&self) -> Vec<PartRef> {
        let run = self.log.run();
        let (prefix, _) =
            self.shared
                .prefixes
                .get(run.coworker_version_id, &self.config, &self.tools.specs());
        let rest = self.context.iter().flat_map(Context::parts);
        std::iter::once(&*prefix)
            .chain(rest)
            .map(|p| PartRef {
                kind: p.part.kind,
                digest: p.hex(),
            })
            .collect()
    }

    /// The request as the run found it: from the log's parts if a worker before this one read it.
    async fn read_context(&self) -> Result<Context> {
        let store = &self.shared.store;
        let (run, request) = (self.log.run(), self.request().await?);
        let handle = self
            .state()
            .started
            .as_ref()
            .map(|s| s.coworker.handle.clone())
            .unwrap_or_default();
        let seen = request.last_seq;
        let earlier: Vec<_> = self
            .state()
            .parts
            .iter()
            .filter(|part| part.kind != PartKind::Prefix)
            .collect();
        if earlier.is_empty() {
            let brief = prompt::brief(store.read(), run, &request, &handle).await?;
            let newest_note = prompt::newest_note(store.read(), &brief, run).await?;
            return Ok(Context {
                request_part: prompt::brief_part(&brief)?,
                brief,
                notes: Vec::new(),
                newest_note,
                seen,
            });
        }
        let digests: Vec<Vec<u8>> = earlier
            .iter()
            .filter_map(|part| prompt::unhex(&part.digest))
            .collect();
        let texts = prompt::load_parts(store.read(), run, &digests).await?;
        let text = |hex: &str| {
            prompt::unhex(hex)
                .and_then(|digest| texts.get(&digest))
                .ok_or_else(|| Error::internal("a prompt part is gone"))
        };
        let brief: Brief =
            serde_json::from_str(text(&earlier[0].digest)?).map_err(Error::internal)?;
        let mut notes = Vec::new();
        for (at, digest) in &self.state().notes_at {
            let news: Vec<NoteBrief> =
                serde_json::from_str(text(digest)?).map_err(Error::internal)?;
            let part = prompt::notes_part(&news)?;
            notes.push((*at, news, part));
        }
        let newest_note = prompt::newest_note(store.read(), &brief, run).await?;
        Ok(Context {
            request_part: prompt::brief_part(&brief)?,
            brief,
            notes,
            newest_note,
            seen,
        })
    }

    /// Notes that arrived since the run last looked; the append's answer says whether it is worth looking.
    async fn read_news(&mut self) -> Result<()> {
        let at = self.state().messages.len();
        let (newest, run) = (self.log.request_seq(), self.log.run().clone());
        let Some(context) = &mut self.context else {
            return Ok(());
        };
        if newest <= context.seen {
            return Ok(());
        }
        let (news, newest_note) =
            prompt::notes(self.shared.store.read(), &run, context.newest_note).await?;
        context.seen = newest;
        context.newest_note = newest_note;
        if !news.is_empty() {
            let part = prompt::notes_part(&news)?;
            context.notes.push((at, news, part));
        }
        Ok(())
    }

    // ── Tools ────────────────────────────────────────────────────────────────────────────────────

    async fn dispatch(&mut self, call: ToolCall) -> Result<Held> {
        let state = self.state();
        if call.tool != FINISH {
            if state.limit.is_some() || state.handed_off {
                let why = if state.handed_off {
                    "the request is handed off"
                } else {
                    "the run is at its limit"
                };
                return self.refuse(
                    call,
                    Refusal::OnlyFinish,
                    format!("{why}: only finish may follow"),
                );
            }
            if let Some(limit) = limits::before_call(state, &self.config.limits) {
                self.fact(limit)?;
                return Ok(Held::Yes);
            }
        }
        match Builtin::parse(&call.tool, &call.arguments) {
            Some(Ok(builtin)) => self.act(call, builtin).await,
            Some(Err(message)) => self.refuse(call, Refusal::BadArguments, message),
            None => match self.tools.get(&call.tool) {
                None => {
                    let message = format!(
                        "there is no tool {}; there are: {}",
                        call.tool,
                        self.tools.names()
                    );
                    self.refuse(call, Refusal::Unknown, message)
                }
                Some(tool) => {
                    if let Err(message) = check_arguments(&call.arguments) {
                        return self.refuse(call, Refusal::BadArguments, message);
                    }
                    let requested = ToolRequested {
                        idempotency_key: idempotency_key(&self.log, &call.id),
                        effect: tool.spec().effect,
                        call_id: call.id,
                        tool: call.tool,
                        arguments: call.arguments,
                    };
                    self.log.stage(self.now(), requested.clone())?;
                    // The intent stands before anything is sent.
                    if self.flush(true).await? == Held::No {
                        return Ok(Held::No);
                    }
                    let open = matches!(&self.state().open, Some(crate::run::state::Open::Tool(open)) if *open == requested);
                    if open {
                        self.send(requested).await
                    } else {
                        Ok(Held::Yes)
                    }
                }
            },
        }
    }

    fn refuse(&mut self, call: ToolCall, reason: Refusal, message: String) -> Result<Held> {
        let ToolCall {
            id: call_id,
            tool,
            arguments,
        } = call;
        self.fact(ToolRefused {
            call_id,
            tool,
            arguments,
            reason,
            message,
        })?;
        Ok(Held::Yes)
    }

    async fn act(&mut self, call: ToolCall, builtin: Builtin) -> Result<Held> {
        let act = Act {
            log: self.log.clone(),
            actor: self.actor.clone(),
            config: self.config.clone(),
            call: call.clone(),
            builtin,
        };
        match self.shared.store.write(act).await {
            Ok(written) => self.written(written),
            Err(Error::Conflict { code: FENCED, .. }) => self.reload().await,
            Err(Error::Forbidden { message }) => self.refuse(call, Refusal::NotAssignee, message),
            Err(Error::Invalid { message, .. }) => {
                self.refuse(call, Refusal::BadArguments, message)
            }
            Err(Error::Conflict { message, .. }) => self.refuse(call, Refusal::Conflict, message),
            Err(
                err @ (Error::NotFound { .. }
                | Error::Unavailable { .. }
                | Error::CommitUnknown
                | Error::Internal { .. }),
            ) => Err(err),
        }
    }

    fn written(&mut self, (log, written): Written) -> Result<Held> {
        self.facts.clear();
        self.log = log;
        Log::publish(&self.shared.store, self.log.run().id, &written);
        Ok(Held::Yes)
    }

    /// Sends a call whose intent is written, and records what came of it.
    async fn send(&mut self, call: ToolRequested) -> Result<Held> {
        let Some(tool) = self.tools.get(&call.tool) else {
            let message = format!("the tool {} is not there any more", call.tool);
            self.fact(ToolFailed {
                call_id: call.call_id,
                class: ToolErrorClass::Offline,
                message,
                latency_ms: 0,
            })?;
            return Ok(Held::Yes);
        };
        if self.context.is_none() {
            self.context = Some(self.read_context().await?);
        }
        let Some(context) = &self.context else {
            return Err(Error::internal("no context"));
        };
        let repeats = usize::try_from(self.state().attempt - self.state().opened_in).unwrap_or(0);
        let nth = self.state().calls.get(&call.tool).copied().unwrap_or(1) + repeats;
        let invocation = Invocation {
            arguments: &call.arguments,
            idempotency_key: &call.idempotency_key,
            nth,
            brief: &context.brief,
        };
        let began = self.now();
        let time = self.shared.options.tool_timeout;
        let answer = tokio::time::timeout(time, tool.call(invocation))
            .await
            .unwrap_or_else(|_| {
                let message = format!(
                    "{} did not answer within {} s",
                    call.tool,
                    time.as_secs_f32()
                );
                Err(ToolError {
                    class: ToolErrorClass::TimedOut,
                    message,
                })
            });
        let answer = answer.and_then(|response| {
            let message = || {
                format!(
                    "{} answered {} bytes; {LARGEST} are allowed",
                    call.tool,
                    response.len()
                )
            };
            if response.len() > LARGEST {
                return Err(ToolError {
                    class: ToolErrorClass::BadResponse,
                    message: message(),
                });
            }
            Ok(response)
        });
        let (call_id, latency_ms) = (call.call_id, elapsed(began, self.now()));
        match answer {
            Ok(response) => self.fact(ToolCompleted {
                call_id,
                response,
                latency_ms,
            })?,
            Err(ToolError { class, message }) => self.fact(ToolFailed {
                call_id,
                class,
                message,
                latency_ms,
            })?,
        }
        Ok(Held::Yes)
    }

    // ── The end ──────────────────────────────────────────────────────────────────────────────────

    async fn end(&mut self, ending: Ending) -> Result<Held> {
        match self
            .shared
            .store
            .write(EndRun {
                log: self.log.clone(),
                ending,
            })
            .await
        {
            Ok(written) => self.written(written),
            Err(Error::Conflict { code: FENCED, .. }) => self.reload().await,
            Err(err) => Err(err),
        }
    }
}

impl Context {
    fn parts(&self) -> impl Iterator<Item = &Stored> {
        std::iter::once(&self.request_part).chain(self.notes.iter().map(|(_, _, part)| part))
    }
}

fn failure(class: ModelErrorClass, message: &str) -> ModelError {
    ModelError {
        class,
        message: message.into(),
        retry_after: None,
        usage: None,
    }
}

fn check_arguments(arguments: &str) -> Result<(), String> {
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(arguments) {
        Ok(_) => Ok(()),
        Err(err) => Err(format!("the arguments must be a JSON object: {err}")),
    }
}
