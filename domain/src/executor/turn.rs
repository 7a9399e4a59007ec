//! A turn of the model: limits, prompt, call, and what came of it.

use std::time::Duration;

use entity::{Millis, ModelPriceId};
use tracing::Instrument as _;

use super::context::Context;
use super::driver::{Driver, Held};
use super::money::{Afford, Means};
use super::pause::pause;
use super::weigh::Weight;
use super::{elapsed, limits, prompt};
use crate::budget::Hold;
use crate::error::{Error, Result};
use crate::model::tokens::is_tokenized;
use crate::model::{
    Deltas, Model as _, ModelCall, ModelError, ModelErrorClass, ModelReply, Prompt, Usage,
};
use crate::price::{self, Rates, STANDARD};
use crate::request::route::routes;
use crate::run::event::{ModelCompleted, ModelFailed, ModelRequested, PartRef, TurnStarted};
use crate::run::state::{Next, Open, limit_ending};
use crate::telemetry::figure::ModelCalled;
use crate::telemetry::trace;

impl Driver {
    pub(super) async fn call_model(&mut self, attempt: i32, closing: bool) -> Result<Held> {
        let deadline = self.log.run().deadline;
        let limits = self.config.limits;
        if !closing
            && let Some(limit) = limits::before_turn(self.state(), &limits, deadline, self.now())
        {
            self.fact(limit)?;
            return Ok(Held::Yes);
        }
        if attempt > 1 {
            if !self.back_off().await {
                return self.reload().await;
            }
            if !closing && let Some(limit) = limits::out_of_time(&limits, deadline, self.now()) {
                self.fact(limit)?;
                return Ok(Held::Yes);
            }
        }
        let mut prompt = self.prompt().await?;
        let tools = self.tools.specs();
        let most = self.config.model.parameters.max_output_tokens;
        let max_output = limits::max_output(self.state(), &limits, most, closing);
        if attempt == 1 {
            prompt.messages.extend(self.state().closing());
        }
        let read = self.state().read;
        let weight = match &self.prefix {
            Some(prefix) => {
                let (config, scales) = (&self.config, &mut self.scales);
                let weighing = scales.weigh(config, &tools, prefix, &prompt, read.as_ref());
                weighing.await?
            }
            None => Weight::default(),
        };
        // Before the turn begins: one that can't be paid for is none.
        let measured = self
            .shared
            .gauges
            .measure(&self.log.run().model, weight.weighed);
        let estimate = measured.max(weight.known);
        let means = match self.afford(estimate, max_output, closing).await? {
            Afford::Yes(means) => means,
            Afford::No(limit) if !closing => {
                self.fact(limit)?;
                return Ok(Held::Yes);
            }
            Afford::No(limit) => {
                let reached = self.state().limit.as_ref().unwrap_or(&limit);
                return self.end(limit_ending(reached)).await;
            }
            Afford::Rung => return self.reload().await,
        };
        let Means {
            max_output: max_output_tokens,
            reservation,
            hold,
            cards,
        } = means;
        if attempt == 1 {
            let turn = self.state().turn + 1;
            self.log.stage(self.now(), TurnStarted { turn })?;
        }
        let requested = ModelRequested {
            model: self.log.run().model.clone(),
            attempt,
            estimate: weight.components,
            prompt: self.part_refs(),
            tools: tools.iter().map(|tool| tool.name.clone()).collect(),
            max_output_tokens,
            closing,
            reservation,
        };
        let asked_at = self.now();
        self.asked_at = asked_at;
        self.log.stage(asked_at, requested)?;
        if let Some(hold) = &hold {
            self.log.expires(hold.not_after());
        }
        // What it is charged is what was reckoned with, whatever a price becomes meanwhile.
        self.cards = cards;
        // Known to be written only after the flush, so offered until then.
        let held = self.flush(true).await?;
        if held == Held::No || !matches!(self.state().next(), Next::AbandonModel(_)) {
            // What was fenced off was not written, for certain.
            let stands = matches!(self.state().open, Some(Open::Model(_)));
            if let Some(hold) = hold.filter(|_| !stands) {
                hold.unused();
            }
            return Ok(held);
        }
        self.spent = hold.map(Hold::written);
        if let Some(prefix) = &self.prefix {
            prefix.stands();
        }
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
            deltas: Deltas::of(
                self.shared.store.bus().here().deltas(),
                self.log.run().id,
                self.state().turn,
                attempt,
            ),
        };
        let span = trace::chat(&self.log.run().model, max_output_tokens, attempt);
        let mut out_of_time = None;
        let answer = tokio::select! {
            answer = self.shared.models.complete(call).instrument(span.clone()) => Some(answer),
            () = tokio::time::sleep(time) => {
                // The time that was waited for is over, whatever a clock that stands still says.
                out_of_time = limits::out_of_time(&limits, deadline, self.now().max(until));
                Some(Err(failure(ModelErrorClass::TimedOut, "the model did not answer within the time that the run has")))
            }
            () = self.interrupt.notified() => None,
        };
        trace::chatted(&span, answer.as_ref());
        drop(span);
        match answer {
            Some(Ok(reply)) => self.model_completed(reply, asked_at).await?,
            Some(Err(err)) => self.model_failed(attempt, &err).await?,
            // Rung: what happened is in the log, and the open call is given up if it must be.
            None => return self.reload().await,
        }
        if let Some(limit) = out_of_time.filter(|_| !closing) {
            self.fact(limit)?;
        }
        Ok(Held::Yes)
    }

    async fn model_completed(&mut self, reply: ModelReply, asked_at: Millis) -> Result<()> {
        let ModelReply {
            text,
            thinking,
            mut calls,
            finish,
            usage,
            first_token_ms,
            service_tier,
            verbatim,
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
        if let (Some(Open::Model(asked)), Some(usage)) = (&self.state().open, &usage)
            && is_tokenized(&self.config.model.provider)
        {
            let (model, weighed) = (&self.log.run().model, asked.estimate.total());
            let gauges = &self.shared.gauges;
            gauges.note(model, weighed, usage.total_input());
        }
        let now = self.now();
        let tier = price::service_tier(service_tier.as_deref());
        let (price, cost_nano) = self.cost(tier, usage);
        let reservation = self.open_reservation().filter(|_| cost_nano.is_none());
        self.charge(cost_nano.or(reservation));
        let called = ModelCalled {
            model: &self.log.run().model,
            result: "ok",
            latency_ms: elapsed(asked_at, now),
            first_token_ms,
            usage,
            cost_nano,
        };
        called.count();
        self.fact(ModelCompleted {
            model: self.log.run().model.clone(),
            text,
            thinking,
            calls,
            finish_reason: finish,
            usage,
            price,
            cost_nano,
            reservation,
            service_tier: (tier != STANDARD).then(|| tier.to_owned()),
            latency_ms: elapsed(asked_at, now),
            first_token_ms,
            verbatim,
        })
    }

    pub(super) async fn model_failed(&mut self, attempt: i32, err: &ModelError) -> Result<()> {
        // Who is told to come back when the run has ended does not come back.
        let wait = err.retry_after.unwrap_or(Duration::ZERO);
        let too_long = wait > self.time_left();
        let message = if too_long {
            format!(
                "{}; it asks to wait {} s, longer than the run has",
                err.message,
                wait.as_secs()
            )
        } else {
            err.message.clone()
        };
        let (price, cost_nano) = self.cost(STANDARD, err.usage);
        let may_cost = err.usage.is_some() || err.may_cost;
        let reservation = self.open_reservation();
        let reservation = reservation.filter(|_| cost_nano.is_none() && may_cost);
        self.charge(cost_nano.or(reservation));
        let called = ModelCalled {
            model: &self.log.run().model,
            result: err.class.as_str(),
            latency_ms: elapsed(self.asked_at, self.now()),
            first_token_ms: None,
            usage: err.usage,
            cost_nano,
        };
        called.count();
        self.fact(ModelFailed {
            model: self.log.run().model.clone(),
            attempt,
            class: err.class,
            message,
            retryable: err.class.retryable() && !too_long,
            usage: err.usage,
            price,
            cost_nano,
            reservation,
        })?;
        self.retry_after = wait;
        Ok(())
    }

    /// How long the run may go on: a closing turn to its deadline, any other until its reserve begins.
    fn time_left(&self) -> Duration {
        let deadline = self.log.run().deadline;
        let until = if self.state().limit.is_some() {
            deadline
        } else {
            limits::closing_from(&self.config.limits, deadline)
        };
        Duration::from_millis(u64::try_from(until.since(self.now())).unwrap_or(0))
    }

    /// By which price, and at what, a call of this usage is charged; none: unpriced, or nobody knows what it used.
    fn cost(&self, tier: &str, usage: Option<Usage>) -> (Option<ModelPriceId>, Option<i64>) {
        let card = self.cards.as_ref().and_then(|cards| cards.tier(tier));
        let found = card.zip(usage).and_then(|(card, usage)| {
            let row = card.row(usage.total_input())?;
            Some((row.id, Rates::from(row).cost(&usage)))
        });
        let (price, cost) = found.unzip();
        (price, cost.flatten())
    }

    /// What the call under way has reserved.
    fn open_reservation(&self) -> Option<i64> {
        match &self.state().open {
            Some(Open::Model(call)) => call.reservation,
            Some(Open::Tool(_)) | None => None,
        }
    }

    /// What the call is charged at: the rest of its reservation is free once the log says so.
    fn charge(&mut self, nano: Option<i64>) {
        self.settling = self.spent.take().map(|spent| (spent, nano.unwrap_or(0)));
    }

    /// Waits before a retry; false if someone rang meanwhile.
    async fn back_off(&mut self) -> bool {
        // The failure is a fact that watchers shall see while the run waits.
        if !matches!(self.flush(true).await, Ok(Held::Yes)) {
            return false;
        }
        let asked = std::mem::take(&mut self.retry_after);
        let chance = crate::clock::random_id().as_bytes()[0];
        let pause = pause(self.state().model_failures, asked, chance).min(self.time_left());
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            () = self.interrupt.notified() => false,
        }
    }

    async fn prompt(&mut self) -> Result<Prompt> {
        let (run, request_seq) = (self.log.run().clone(), self.log.request_seq());
        self.read_context().await?;
        let at = self.state().messages.len();
        if let Some(context) = &mut self.context {
            context
                .read_news(self.shared.store.read(), &run, request_seq, at)
                .await?;
        }
        let Some(context) = &self.context else {
            return Err(Error::internal("the context was not read"));
        };
        let key = prompt::key(&run, routes(&self.log), self.tools.mark());
        let tools = self.tools.specs();
        let conn = self.shared.store.read();
        let prefixes = &self.shared.prefixes;
        let prefix = prefixes.get(conn, key, &self.config, &tools).await?;
        let prompt = context.prompt(&prefix, &self.log.state().messages);
        // Parts that an earlier prompt of this run named are stored already.
        let known = self.log.state().parts.len();
        let stable = prefix.parts.iter().filter(|_| !prefix.is_stored());
        let changing = context
            .parts()
            .skip(known.saturating_sub(prefix.parts.len()));
        for part in stable.chain(changing) {
            self.log.stage_part(part.digest.clone(), &part.part.text);
        }
        self.prefix = Some(prefix);
        Ok(prompt)
    }

    /// Reads what the model reads besides the log, once in a worker's hands.
    pub(super) async fn read_context(&mut self) -> Result<()> {
        if self.context.is_none() {
            let request = self.request().await?;
            let context = Context::read(self.shared.store.read(), &self.log, &request).await?;
            self.context = Some(context);
        }
        Ok(())
    }

    fn part_refs(&self) -> Vec<PartRef> {
        let stable = self.prefix.iter().flat_map(|prefix| &prefix.parts);
        let changing = self.context.iter().flat_map(Context::parts);
        let parts = stable.chain(changing);
        parts
            .map(|p| PartRef {
                kind: p.part.kind,
                digest: p.hex(),
            })
            .collect()
    }
}

/// A failure that Stint itself found.
pub(super) fn failure(class: ModelErrorClass, message: &str) -> ModelError {
    ModelError::new(class, message)
}
