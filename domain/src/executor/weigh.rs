//! How many tokens each part of a prompt has. What was weighed once in a worker's hands is not weighed again.

use crate::coworker::Config;
use crate::coworker::config::{Goal, Identity};
use crate::error::{Error, Result};
use crate::model::tokens::{ComponentKind, Components, count, is_tokenized};
use crate::model::{Brief, Message, Prompt};
use crate::tool::ToolSpec;

use super::prompt::Prefix;

/// What was weighed of a run's prompts so far.
#[derive(Debug, Default)]
pub(super) struct Scales {
    /// What all prompts begin with, and the request.
    steady: Option<Components>,
    /// The messages, by their places.
    messages: Components,
    weighed: usize,
}

impl Scales {
    /// The tokens of a prompt, by component.
    ///
    /// # Errors
    /// [`Error::Internal`] if the counting panicked.
    pub(super) async fn weigh(
        &mut self,
        config: &Config,
        tools: &[ToolSpec],
        prefix: &Prefix,
        prompt: &Prompt,
    ) -> Result<Components> {
        let tokenized = is_tokenized(&config.model.provider);
        let mut texts = Vec::new();
        if self.steady.is_none() {
            texts.extend(steady(config, tools, prefix, &prompt.brief));
        }
        let first = texts.len();
        let new = prompt.messages.iter().skip(self.weighed);
        texts.extend(new.map(|message| {
            let (kind, text) = said(message);
            (kind, None, text)
        }));
        let counted = counted(texts, tokenized).await?;
        let mut fresh = Components::default();
        for (place, (kind, name, tokens)) in counted.iter().enumerate() {
            let to = if place < first {
                &mut fresh
            } else {
                &mut self.messages
            };
            to.add(*kind, name.as_deref(), *tokens);
        }
        self.weighed = prompt.messages.len();
        let mut all = self.steady.get_or_insert(fresh).clone();
        all.merge(&self.messages);
        Ok(all)
    }

    /// The log was read again: its messages may stand at other places.
    pub(super) fn forget_messages(&mut self) {
        (self.messages, self.weighed) = (Components::default(), 0);
    }
}

/// A text of a prompt: what part of it, and its name.
type Piece = (ComponentKind, Option<String>, String);

fn steady(config: &Config, tools: &[ToolSpec], prefix: &Prefix, brief: &Brief) -> Vec<Piece> {
    let Config {
        identity,
        soul,
        goal,
        ..
    } = config;
    let Identity {
        role,
        scope,
        out_of_scope,
    } = identity;
    let Goal {
        purpose,
        flow,
        non_goals,
        out_of_scope: routes,
        end_of_run,
    } = goal;
    let routes = routes
        .iter()
        .map(|rule| format!("{} {}", rule.when, rule.route_to));
    let ends = end_of_run.iter().map(|rule| rule.when.clone());
    let goal = [purpose.clone(), flow.join("\n"), non_goals.join("\n")];
    let goal: Vec<String> = goal.into_iter().chain(routes).chain(ends).collect();
    let mut pieces = vec![
        (
            ComponentKind::Identity,
            None,
            [role.as_str(), scope, out_of_scope].join("\n"),
        ),
        (ComponentKind::Soul, None, soul.clone()),
        (ComponentKind::Goal, None, goal.join("\n")),
        (
            ComponentKind::Instructions,
            None,
            super::prompt::RULES.to_owned(),
        ),
    ];
    pieces.extend(
        prefix
            .skills()
            .map(|(name, text)| (ComponentKind::Skill, Some(name.to_owned()), text.to_owned())),
    );
    pieces.extend(tools.iter().map(|tool| {
        let text = format!("{} {} {}", tool.name, tool.description, tool.parameters);
        (ComponentKind::ToolDefinition, Some(tool.name.clone()), text)
    }));
    let notes = as_json(&brief.notes);
    let request = Brief {
        notes: Vec::new(),
        ..brief.clone()
    };
    pieces.push((ComponentKind::Request, None, as_json(&request)));
    if !brief.notes.is_empty() {
        pieces.push((ComponentKind::Notes, None, notes));
    }
    pieces
}

fn as_json(value: &impl serde::Serialize) -> String {
    // Types of the prompt always have a JSON form; a weight is no reason to stop a run.
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn said(message: &Message) -> (ComponentKind, String) {
    match message {
        Message::Assistant {
            text,
            thinking,
            calls,
            ..
        } => {
            let calls = calls
                .iter()
                .map(|call| format!("{} {}", call.tool, call.arguments));
            let all: Vec<String> = [text.clone(), thinking.clone()]
                .into_iter()
                .chain(calls)
                .collect();
            (ComponentKind::History, all.join("\n"))
        }
        Message::Tool { content, .. } => (ComponentKind::ToolResults, content.clone()),
        Message::Notes(notes) => (ComponentKind::Notes, as_json(notes)),
        Message::Closing(text) => (ComponentKind::Instructions, text.clone()),
    }
}

async fn counted(
    pieces: Vec<Piece>,
    tokenized: bool,
) -> Result<Vec<(ComponentKind, Option<String>, i64)>> {
    let all = move || {
        let counted = pieces.into_iter().map(|(kind, name, text)| {
            let tokens = count(&text, tokenized);
            (kind, name, tokens)
        });
        counted.collect()
    };
    if !tokenized {
        return Ok(all());
    }
    // A tokenizer works for milliseconds, and reads its tables the first time: not on a thread that others need.
    tokio::task::spawn_blocking(all)
        .await
        .map_err(Error::internal)
}
