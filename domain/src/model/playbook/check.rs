//! What serde can't check of a playbook.

use std::sync::Arc;

use serde_saphyr::Location;

use super::condition::Place;
use super::fault::Fault;
use super::form::{Answer, Form, ScriptedTool, ToolForm, Turn};
use super::{
    MAX_ANSWERS, MAX_CALLS, MAX_EXPANDED, MAX_TOKENS, MAX_TOOLS, MAX_TURNS, Playbook, PlaybookError,
};
use crate::model::Usage;
use crate::tool::schema::check_schema;
use crate::tool::{BUILT_IN, Effect, ToolSpec};

impl Form {
    /// Checks everything, in the order of the text.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place in the text from which the form was read.
    pub fn check(self) -> Result<Playbook, PlaybookError> {
        let Self { tools, turns } = self;
        if turns.value.is_empty() {
            return Err(at(
                turns.referenced,
                "there is no turn; add one, such as `- text: Hello`",
            ));
        }
        if turns.value.len() > MAX_TURNS {
            return Err(at(
                turns.value[MAX_TURNS].referenced,
                format!(
                    "this is turn {}, and at most {MAX_TURNS} are allowed; `repeat: true` plays one again",
                    MAX_TURNS + 1
                ),
            ));
        }
        if tools.len() > MAX_TOOLS {
            return Err(at(
                tools[MAX_TOOLS].referenced,
                format!(
                    "this is tool {}, and at most {MAX_TOOLS} are allowed",
                    MAX_TOOLS + 1
                ),
            ));
        }
        let mut checked: Vec<Arc<ScriptedTool>> = Vec::with_capacity(tools.len());
        for tool in tools {
            let name = tool.value.name.clone();
            if checked.iter().any(|other| other.spec.name == name.value) {
                return Err(at(
                    name.referenced,
                    format!(
                        "a second tool has the name {:?}; give it another",
                        name.value
                    ),
                ));
            }
            checked.push(Arc::new(tool.value.check()?));
        }
        for turn in &turns.value {
            turn.value.check(turn.referenced)?;
        }
        // Anchors within anchors make much of little text; what is kept in memory is bounded too.
        let bytes = turns
            .value
            .iter()
            .map(|turn| turn.value.len())
            .sum::<usize>()
            + checked.iter().map(|tool| tool.len()).sum::<usize>();
        if bytes > MAX_EXPANDED {
            return Err(at(
                turns.referenced,
                format!(
                    "its anchors expand it to {bytes} bytes, and at most {MAX_EXPANDED} are allowed; write out less"
                ),
            ));
        }
        Ok(Playbook {
            tools: checked,
            turns: turns.value.into_iter().map(|turn| turn.value).collect(),
        })
    }
}

impl ToolForm {
    fn check(self) -> Result<ScriptedTool, PlaybookError> {
        let Self {
            name,
            description,
            effect,
            destructive,
            parameters,
            answers,
        } = self;
        let part = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
        };
        // The dot keeps it apart from the built-in tools, which have none.
        if name.value.len() > 64
            || !name
                .value
                .split_once('.')
                .is_some_and(|(server, action)| part(server) && part(action))
        {
            return Err(at(
                name.referenced,
                format!(
                    "{:?} is no name for a tool; write server.action in lower case, such as device.telemetry",
                    name.value
                ),
            ));
        }
        if name
            .value
            .split_once('.')
            .is_some_and(|(server, _)| server == BUILT_IN)
        {
            return Err(at(
                name.referenced,
                "the server stint is that of the built-in tools; give this tool another one",
            ));
        }
        let parameters = match parameters {
            None => serde_json::json!({ "type": "object" }),
            Some(spanned) if spanned.value.is_object() => {
                check_schema(&spanned.value).map_err(|why| {
                    at(
                        spanned.referenced,
                        format!("`parameters` is no JSON Schema of an object: {why}"),
                    )
                })?;
                spanned.value
            }
            Some(other) => {
                return Err(at(
                    other.referenced,
                    "`parameters` is a JSON Schema; write a mapping such as { type: object }",
                ));
            }
        };
        if answers.value.is_empty() || answers.value.len() > MAX_ANSWERS {
            return Err(at(
                answers.referenced,
                format!(
                    "a tool has 1 to {MAX_ANSWERS} answers; add one, such as `- response: {{ ok: true }}`"
                ),
            ));
        }
        for answer in &answers.value {
            answer.value.check(answer.referenced)?;
        }
        Ok(ScriptedTool {
            spec: ToolSpec {
                name: name.value,
                description,
                parameters,
                effect: effect.unwrap_or(Effect::Effect),
                destructive,
            },
            answers: answers
                .value
                .into_iter()
                .map(|answer| answer.value)
                .collect(),
        })
    }
}

impl Turn {
    fn check(&self, location: Location) -> Result<(), PlaybookError> {
        if let Some(when) = &self.when {
            when.value
                .check(Place::Turn)
                .map_err(|message| at(when.referenced, message))?;
        }
        if self.text.is_empty()
            && self.thinking.is_empty()
            && self.calls.is_empty()
            && self.fault.is_none()
        {
            return Err(at(
                location,
                "this turn does nothing; give it `text`, `thinking`, `calls` or a `fault`",
            ));
        }
        if self.calls.len() > MAX_CALLS {
            return Err(at(
                location,
                format!(
                    "this turn has {} calls, and at most {MAX_CALLS} are allowed; split it",
                    self.calls.len()
                ),
            ));
        }
        let Some(usage) = &self.usage else {
            return Ok(());
        };
        let Usage {
            input,
            cache_read,
            cache_write_short,
            cache_write_long,
            output,
            reasoning,
        } = usage.value;
        if [
            input,
            cache_read,
            cache_write_short,
            cache_write_long,
            output,
            reasoning,
        ]
        .iter()
        .any(|tokens| !(0..=MAX_TOKENS).contains(tokens))
        {
            return Err(at(
                usage.referenced,
                format!("tokens are counted from 0 to {MAX_TOKENS}"),
            ));
        }
        if reasoning > output {
            return Err(at(
                usage.referenced,
                format!(
                    "`reasoning` ({reasoning}) is a part of `output` ({output}) and can't be more"
                ),
            ));
        }
        Ok(())
    }
}

impl Answer {
    fn check(&self, location: Location) -> Result<(), PlaybookError> {
        if let Some(when) = &self.when {
            when.value
                .check(Place::Answer)
                .map_err(|message| at(when.referenced, message))?;
        }
        match (&self.response, &self.fault) {
            (None, None) => Err(at(
                location,
                "this answer says nothing; give it a `response` or a `fault`",
            )),
            (
                _,
                Some(Fault {
                    retry_after: Some(_),
                    ..
                }),
            ) => Err(at(
                location,
                "`retry_after` is only for a fault of the model; remove it",
            )),
            (None, Some(Fault { times: Some(_), .. })) => Err(at(
                location,
                "a fault with `times` needs a `response` for the calls after it",
            )),
            (Some(_), Some(Fault { times: None, .. })) => Err(at(
                location,
                "this fault happens on every call, so the `response` is never given; add `times` to the fault, or remove one of the two",
            )),
            (Some(_), None) | (None, Some(_)) | (Some(_), Some(_)) => Ok(()),
        }
    }
}

fn at(location: Location, message: impl Into<String>) -> PlaybookError {
    PlaybookError {
        message: message.into(),
        line: Some(location.line()),
        column: Some(location.column()),
    }
}
