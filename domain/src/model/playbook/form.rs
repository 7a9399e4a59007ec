//! The playbook as it is written.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::condition::{Condition, Moment};
use super::fault::Fault;
use super::schema;
use super::text::{Payload, Speech};
use super::value::Delay;
use crate::model::{FinishReason, ModelErrorClass, Usage};
use crate::tool::{Effect, ToolErrorClass, ToolSpec};

/// One answer of the model: played once in a run, when its condition holds and no turn before it fits.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PlaybookTurn")]
pub struct Turn {
    /// When it is played; without a condition, as soon as it is its turn.
    #[schemars(with = "Option<Condition>")]
    pub(super) when: Option<Spanned<Condition>>,
    /// What the model thinks, as the run's steps show it.
    #[serde(default)]
    pub thinking: Speech,
    /// What it says.
    #[serde(default)]
    pub text: Speech,
    /// The tools that it calls, up to 20.
    #[serde(default)]
    #[schemars(length(max = 20))]
    pub calls: Vec<Call>,
    /// The tokens that it claims; estimated if it is not given.
    #[schemars(with = "Option<Usage>")]
    pub(super) usage: Option<Spanned<Usage>>,
    /// Why it stops writing; known from the rest if it is not given.
    pub finish_reason: Option<FinishReason>,
    /// How long it takes.
    pub(super) delay: Option<Delay>,
    /// A failure on purpose.
    pub fault: Option<Fault<ModelErrorClass>>,
    /// Whether it may be played again and again: a model that never stops.
    #[serde(default)]
    pub repeat: bool,
}

/// A call that a turn asks for; the tool need not exist.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PlaybookCall")]
pub struct Call {
    /// Its name: a built-in tool such as post_note or finish, or server.action.
    pub tool: String,
    /// What is sent: a value becomes JSON, a text is sent as it is; an empty object if it is not given.
    #[serde(default = "Payload::empty")]
    pub arguments: Payload,
}

/// A tool that answers from the playbook.
#[derive(Debug)]
pub struct ScriptedTool {
    pub spec: ToolSpec,
    pub(super) answers: Vec<Answer>,
}

/// One answer of a tool: given when its condition holds and no answer before it fits.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PlaybookAnswer")]
pub struct Answer {
    /// When it is given; always without a condition.
    #[schemars(with = "Option<Condition>")]
    pub(super) when: Option<Spanned<Condition>>,
    /// How long it takes.
    pub(super) delay: Option<Delay>,
    /// What is answered: a value becomes JSON, a text stays as it is.
    pub response: Option<Payload>,
    /// A failure on purpose.
    pub fault: Option<Fault<ToolErrorClass>>,
}

impl Turn {
    pub fn when(&self) -> Option<&Condition> {
        self.when.as_ref().map(|when| &when.value)
    }

    pub fn usage(&self) -> Option<Usage> {
        self.usage.as_ref().map(|usage| usage.value)
    }

    pub fn delay(&self) -> Option<Duration> {
        self.delay.map(|delay| delay.0)
    }

    /// The bytes of its texts.
    pub(super) fn len(&self) -> usize {
        let calls = self.calls.iter().map(|call| call.arguments.len());
        self.thinking.len() + self.text.len() + calls.sum::<usize>()
    }
}

impl ScriptedTool {
    /// The bytes of its responses.
    pub(super) fn len(&self) -> usize {
        let responses = self
            .answers
            .iter()
            .filter_map(|answer| answer.response.as_ref());
        responses.map(Payload::len).sum()
    }

    /// The answer to one call.
    pub fn answer(&self, moment: Moment<'_>) -> Option<&Answer> {
        self.answers.iter().find(|answer| {
            answer
                .when
                .as_ref()
                .is_none_or(|when| when.value.holds(moment))
        })
    }
}

impl Answer {
    pub fn delay(&self) -> Option<Duration> {
        self.delay.map(|delay| delay.0)
    }
}

/// What the scripted model says, and the tools that it brings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Playbook")]
pub struct Form {
    /// Scripted tools, besides the built-in ones; up to 50.
    #[serde(default)]
    #[schemars(with = "Vec<ToolForm>", length(max = 50))]
    pub(super) tools: Vec<Spanned<ToolForm>>,
    /// The answers of the model, 1 to 200: the first that fits and was not yet played in the run is played.
    #[schemars(with = "Vec<Turn>", length(min = 1, max = 200))]
    pub(super) turns: Spanned<Vec<Spanned<Turn>>>,
}

/// A tool that answers from the playbook.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PlaybookTool")]
pub(super) struct ToolForm {
    /// Its name: server.action in lower case.
    #[schemars(with = "String")]
    pub(super) name: Spanned<String>,
    /// What models are told that it does.
    pub(super) description: String,
    /// What happens when a call is repeated; EFFECT if it is not given.
    #[schemars(schema_with = "schema::effect")]
    pub(super) effect: Option<Effect>,
    /// Whether a call may destroy something.
    #[serde(default)]
    pub(super) destructive: bool,
    /// JSON Schema of the arguments, an object; any object if it is not given.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub(super) parameters: Option<Spanned<serde_json::Value>>,
    /// What it answers, 1 to 50: the first whose condition holds.
    #[schemars(with = "Vec<Answer>", length(min = 1, max = 50))]
    pub(super) answers: Spanned<Vec<Spanned<Answer>>>,
}
