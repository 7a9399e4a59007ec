//! How many tokens each part of a prompt has, and how many the provider may count in all. What was weighed once in a
//! worker's hands is not weighed again.

use crate::coworker::Config;
use crate::coworker::config::{Goal, Identity};
use crate::error::{Error, Result};
use crate::model::tokens::{ComponentKind, Components, count, is_tokenized};
use crate::model::{Brief, Message, Prompt};
use crate::run::state::Reading;
use crate::tool::ToolSpec;

use super::prompt::Prefix;

/// What was weighed of a run's prompts so far.
#[derive(Debug, Default)]
pub(super) struct Scales {
    /// What all prompts begin with, and the request.
    steady: Option<Components>,
    /// The messages, by their parts.
    messages: Components,
    /// What each of them may weigh for the provider: what goes back as it came weighs what stands in it, which may be
    /// more than what was said.
    each: Vec<i64>,
}

/// What a prompt weighs.
#[derive(Debug, Default)]
pub(super) struct Weight {
    /// By component: the shares of what the provider will report.
    pub(super) components: Components,
    /// All that was weighed, with what goes back as it came.
    pub(super) weighed: i64,
    /// What the provider will count at the least, by its last figures of the run; 0: it gave none.
    pub(super) known: i64,
}

impl Scales {
    /// The tokens of a prompt. A provider's last figures of the run tell more than a tokenizer that is not its own: it
    /// reads all that it read then, what it wrote, and what is new since.
    ///
    /// # Errors
    /// [`Error::Internal`] if the counting panicked.
    pub(super) async fn weigh(
        &mut self,
        config: &Config,
        tools: &[ToolSpec],
        prefix: &Prefix,
        prompt: &Prompt,
        read: Option<&Reading>,
    ) -> Result<Weight> {
        let tokenized = is_tokenized(&config.model.provider);
        let mut texts = Vec::new();
        if self.steady.is_none() {
            texts.extend(steady(config, tools, prefix, &prompt.brief));
        }
        let first = texts.len();
        let new = &prompt.messages[self.each.len().min(prompt.messages.len())..];
        texts.extend(new.iter().map(|message| {
            let (kind, text) = said(message);
            (kind, None, text)
        }));
        // After what counts for the shares: what goes back as it came.
        let last = texts.len();
        let whole = |message: &Message| match message {
            Message::Assistant { verbatim, .. } => verbatim.as_ref().map(|own| own.blocks.clone()),
            Message::Tool { .. } | Message::Notes(_) | Message::Closing(_) => None,
        };
        let verbatim: Vec<Option<String>> = new.iter().map(whole).collect();
        let texts = texts.into_iter().chain(verbatim.iter().map(|text| {
            (
                ComponentKind::History,
                None,
                text.clone().unwrap_or_default(),
            )
        }));
        let counted = counted(texts.collect(), tokenized).await?;
        let (counted, whole) = counted.split_at(last);
        let mut fresh = Components::default();
        for (place, (kind, name, tokens)) in counted.iter().enumerate() {
            let to = if place < first {
                &mut fresh
            } else {
                &mut self.messages
            };
            to.add(*kind, name.as_deref(), *tokens);
        }
        let said = counted[first..].iter().zip(whole);
        self.each
            .extend(said.map(|((_, _, said), (_, _, whole))| *said.max(whole)));
        let steady = self.steady.get_or_insert(fresh);
        let weighed = steady.total() + self.each.iter().sum::<i64>();
        let mut components = steady.clone();
        components.merge(&self.messages);
        let known = read.map_or(0, |read| read.grown_by(self.since(prompt, read.answers)));
        Ok(Weight {
            components,
            weighed,
            known,
        })
    }

    /// What the messages weigh that came after the first `answers` answers of the model.
    fn since(&self, prompt: &Prompt, answers: usize) -> i64 {
        let mut answered = 0;
        let messages = prompt.messages.iter().zip(&self.each);
        let new = messages.filter(|(message, _)| {
            let after = answered >= answers;
            answered += usize::from(matches!(message, Message::Assistant { .. }));
            after
        });
        new.map(|(_, tokens)| tokens).sum()
    }

    /// The log was read again: its messages may stand at other places.
    pub(super) fn forget_messages(&mut self) {
        (self.messages, self.each) = (Components::default(), Vec::new());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, ToolCall, Verbatim};

    fn config() -> Config {
        let config = serde_json::json!({ "identity": { "role": "Looks" }, "goal": { "purpose": "It is found." }, "model": { "provider": "local:m" } });
        serde_json::from_value(config).expect("a configuration")
    }

    fn answered(text: &str, blocks: Option<&str>) -> Message {
        Message::Assistant {
            text: text.into(),
            thinking: String::new(),
            calls: vec![ToolCall {
                id: "t1c1".into(),
                tool: "desk.look".into(),
                arguments: "{}".into(),
            }],
            verbatim: blocks.map(|blocks| Verbatim {
                kind: Kind::Anthropic,
                blocks: blocks.into(),
            }),
        }
    }

    fn result(content: &str) -> Message {
        Message::Tool {
            call_id: "t1c1".into(),
            tool: "desk.look".into(),
            content: content.into(),
            failed: false,
        }
    }

    async fn weight(messages: Vec<Message>, read: Option<Reading>) -> Weight {
        let config = config();
        let prefix = Prefix::new(&config, &[], &[]);
        let prompt = Prompt {
            messages,
            ..Prompt::default()
        };
        let mut scales = Scales::default();
        // Weighed in two steps as in one.
        let first = Prompt {
            messages: prompt.messages[..1].to_vec(),
            ..prompt.clone()
        };
        let weighing = scales.weigh(&config, &[], &prefix, &first, None);
        weighing.await.expect("weighed");
        let weighing = scales.weigh(&config, &[], &prefix, &prompt, read.as_ref());
        weighing.await.expect("weighed")
    }

    #[tokio::test]
    async fn what_goes_back_as_it_came_weighs_what_stands_in_it() {
        let plain = weight(vec![answered("Hm.", None), result("fine")], None).await;
        assert_eq!(plain.weighed, plain.components.total());
        // Reasoning that only the provider can read.
        let blocks = format!(
            r#"[{{"type":"redacted_thinking","data":"{}"}}]"#,
            "Eq4 ".repeat(2_000)
        );
        let signed = weight(vec![answered("Hm.", Some(&blocks)), result("fine")], None).await;
        assert_eq!(
            signed.components, plain.components,
            "the shares are those of what can be read"
        );
        assert!(
            signed.weighed > plain.weighed + 2_000,
            "{} {}",
            signed.weighed,
            plain.weighed
        );
        // What is written down shorter than it was said weighs what was said.
        let short = weight(
            vec![answered(&"word ".repeat(500), Some("[]")), result("fine")],
            None,
        )
        .await;
        assert_eq!(short.weighed, short.components.total());
    }

    #[tokio::test]
    async fn the_providers_last_figures_tell_more_than_a_tokenizer() {
        let messages = vec![
            answered("Hm.", None),
            result(&"word ".repeat(100)),
            Message::Closing("Now.".into()),
        ];
        let alone = weight(messages.clone(), None).await;
        let new = count(&"word ".repeat(100), true) + count("Now.", true);
        let reading = |answers, input, output| Reading {
            answers,
            estimated: 1_000,
            input,
            output,
        };
        let known = weight(messages.clone(), Some(reading(1, 3_000, 200))).await;
        assert_eq!(known.known, 3_000 + 200 + 3 * new);
        assert_eq!(known.components, alone.components);
        assert_eq!((alone.known, known.weighed), (0, alone.weighed));
        // It counted fewer: what is new is weighed as it is.
        let fewer = weight(messages.clone(), Some(reading(1, 1, 0))).await;
        assert_eq!(fewer.known, 1 + new);
        // Figures of an answer that is not there: there is nothing new.
        let other = weight(messages, Some(reading(2, 3_000, 200))).await;
        assert_eq!(other.known, 3_200);
    }
}
