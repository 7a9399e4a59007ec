//! The scripted model: a [`Model`] that answers from a playbook and needs no key.
//!
//! It keeps no state of a run. Which turns were played follows from the prompt: the k-th answer in it
//! was chosen with the messages before it, so choosing again gives the same turns, on any node and
//! after any restart.

mod reply;
mod shelf;
#[cfg(test)]
mod story;
#[cfg(test)]
mod tests;
mod tool;

use std::sync::Arc;

use async_trait::async_trait;

use self::shelf::Shelf;
use super::playbook::{Condition, FaultKind, Moment, Playbook, PlaybookError, Turn};
use super::{
    Message, Model, ModelCall, ModelConfig, ModelError, ModelErrorClass, ModelReply, Prompt,
};
use crate::tool::Tool;

/// The provider that a coworker's model configuration names.
pub const PROVIDER: &str = "scripted";

/// The scripted model and its tools. Holds only playbooks that it has read already.
#[derive(Debug, Default)]
pub struct Scripted {
    shelf: Shelf,
    aborts: bool,
}

impl Scripted {
    /// A scripted model whose playbooks may kill the process (`fault: abort`), for tests of crashes.
    /// Otherwise that fault is an ordinary failure: who may write a coworker must not thereby stop a server.
    pub fn with_aborts() -> Self {
        Self {
            shelf: Shelf::default(),
            aborts: true,
        }
    }

    /// The tools that a coworker's playbook brings; none without one.
    ///
    /// # Errors
    /// What is wrong with the playbook.
    pub fn tools(&self, config: &ModelConfig) -> Result<Vec<Arc<dyn Tool>>, PlaybookError> {
        let Some(text) = &config.playbook else {
            return Ok(Vec::new());
        };
        let book = self.shelf.get(text)?;
        Ok(book
            .tools
            .iter()
            .map(|tool| tool::playing(Arc::clone(tool), self.aborts))
            .collect())
    }
}

#[async_trait]
impl Model for Scripted {
    async fn complete(&self, call: ModelCall<'_>) -> Result<ModelReply, ModelError> {
        let book =
            match &call.config.playbook {
                None => None,
                Some(text) => Some(self.shelf.get(text).map_err(|error| {
                    ModelError::new(ModelErrorClass::Rejected, error.to_string())
                })?),
            };
        let choice = book
            .as_deref()
            .map_or(Choice::default(), |book| Choice::of(book, call.prompt));
        let Some(turn) = choice.turn else {
            let reply = reply::without_turn(&call, choice.played);
            reply::show(&reply, call.deltas);
            return Ok(reply);
        };
        if let Some(delay) = turn.delay() {
            tokio::time::sleep(delay).await;
        }
        let nth = usize::try_from(call.attempt).unwrap_or(1);
        if let Some(fault) = turn.fault.as_ref().filter(|fault| fault.strikes(nth)) {
            let class = befall(fault.kind, self.aborts)
                .await
                .unwrap_or(ModelErrorClass::Rejected);
            let message = fault
                .message
                .clone()
                .unwrap_or_else(|| format!("The playbook lets this call fail: {}.", fault.word));
            return Err(ModelError {
                retry_after: fault.retry_after,
                ..ModelError::new(class, message)
            });
        }
        let reply = reply::of_turn(turn, &call);
        reply::show(&reply, call.deltas);
        Ok(reply)
    }
}

/// The turn to play.
#[derive(Default)]
struct Choice<'p> {
    turn: Option<&'p Turn>,
    /// How many turns of the run came from the playbook before.
    played: usize,
}

impl<'p> Choice<'p> {
    fn of(book: &'p Playbook, prompt: &Prompt) -> Self {
        let mut script = Script {
            turns: &book.turns,
            prompt,
            spent: vec![false; book.turns.len()],
            fixed: vec![None; book.turns.len()],
        };
        let mut played = 0;
        for (index, message) in prompt.messages.iter().enumerate() {
            match message {
                Message::Assistant { .. } => {
                    if let Some(turn) = script.pick(&prompt.messages[..index]) {
                        script.spent[turn] = true;
                        played += 1;
                    }
                }
                Message::Tool { .. } | Message::Notes(_) | Message::Closing(_) => {}
            }
        }
        let turn = script.pick(&prompt.messages).map(|turn| &book.turns[turn]);
        Self { turn, played }
    }
}

/// Chooses turn by turn.
struct Script<'p> {
    turns: &'p [Turn],
    prompt: &'p Prompt,
    spent: Vec<bool>,
    /// What is known of the conditions that stay the same during a run: they may search long texts.
    fixed: Vec<Option<bool>>,
}

impl Script<'_> {
    /// The first turn that may be played after these messages. A closing turn is one that is made for it,
    /// or else one that repeats whatever happens.
    fn pick(&mut self, messages: &[Message]) -> Option<usize> {
        let made_for_closing = |turn: &Turn| turn.when().and_then(Condition::closing) == Some(true);
        if !is_closing(messages) {
            return self.first(messages, |turn| !made_for_closing(turn));
        }
        self.first(messages, made_for_closing).or_else(|| {
            self.first(messages, |turn| {
                turn.repeat && turn.when().and_then(Condition::closing).is_none()
            })
        })
    }

    fn first(&mut self, messages: &[Message], fits: impl Fn(&Turn) -> bool) -> Option<usize> {
        (0..self.turns.len()).find(|&index| {
            let turn = &self.turns[index];
            (turn.repeat || !self.spent[index]) && fits(turn) && self.holds(index, messages)
        })
    }

    fn holds(&mut self, index: usize, messages: &[Message]) -> bool {
        let Some(when) = self.turns[index].when() else {
            return true;
        };
        let moment = Moment {
            brief: &self.prompt.brief,
            messages,
            call: None,
        };
        if when.is_fixed() {
            *self.fixed[index].get_or_insert_with(|| when.holds(moment))
        } else {
            when.holds(moment)
        }
    }
}

/// Whether the model was told since its last answer that only one more follows. Notes and results may
/// have come after that.
fn is_closing(messages: &[Message]) -> bool {
    let news = messages.iter().rev();
    news.take_while(|message| !matches!(message, Message::Assistant { .. }))
        .any(|message| matches!(message, Message::Closing(_)))
}

/// What a fault does before it fails, and the class with which it fails; none if it was to kill the
/// process and may not.
async fn befall<C>(kind: FaultKind<C>, aborts: bool) -> Option<C> {
    match kind {
        FaultKind::Fails(class) => Some(class),
        FaultKind::Hangs => std::future::pending().await,
        FaultKind::Aborts if aborts => {
            tracing::error!("a playbook aborts this process, as it was allowed to");
            std::process::abort();
        }
        FaultKind::Aborts => None,
    }
}
