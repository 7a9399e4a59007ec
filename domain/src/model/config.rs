//! The model of a coworker, as its configuration names it.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::playbook::{Playbook, Written};
use super::scripted;
use crate::error::{Error, Result};

/// The longest name of a model at its provider, bytes.
const LONGEST_MODEL: usize = 150;
/// The longest name of a provider, bytes.
const LONGEST_PROVIDER: usize = 40;

/// The model of a coworker. Files also take the short form `provider:model`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelConfig {
    /// Who serves the model: `scripted`, or a provider of the installation.
    pub provider: String,
    /// The model's name at its provider; the scripted model has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How it shall write.
    #[serde(skip_serializing_if = "Parameters::is_default")]
    pub parameters: Parameters,
    /// The scripted model's playbook, YAML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub playbook: Option<String>,
}

impl ModelConfig {
    /// The model of this provider. A provider in the short form `provider:model` names both.
    pub fn new(provider: String, model: Option<String>) -> Self {
        let parted = provider.split_once(':').filter(|_| model.is_none());
        let (provider, model) = match parted {
            Some((provider, model)) => (provider.to_owned(), Some(model.to_owned())),
            None => (provider, model),
        };
        Self {
            provider,
            model,
            parameters: Parameters::default(),
            playbook: None,
        }
    }

    /// The name under which runs, prices and metrics know the model: `provider:model`, or `scripted`.
    pub fn name(&self) -> String {
        match &self.model {
            Some(model) => format!("{}:{model}", self.provider),
            None => self.provider.clone(),
        }
    }

    /// Whether it is the scripted model.
    pub fn is_scripted(&self) -> bool {
        self.provider == scripted::PROVIDER
    }

    /// Refuses what can't work whatever the installation offers. Whether it has the provider is known where the
    /// runs are: another worker may have the key.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the field and the remedy.
    pub fn check(&self) -> Result<()> {
        let Self {
            provider,
            model,
            parameters,
            playbook,
        } = self;
        if !is_provider(provider) {
            let message = format!(
                "{provider:?} can't be a provider's name: it is 1 to {LONGEST_PROVIDER} of a-z, 0-9, - and _, such as openai or anthropic"
            );
            return Err(Error::invalid("model.provider", "INVALID", message));
        }
        parameters.check()?;
        if self.is_scripted() {
            let refused = if model.is_some() {
                Some(("model.model", "the scripted model has no name of its own"))
            } else if *parameters != Parameters::default() {
                Some(("model.parameters", "the scripted model has no parameters"))
            } else {
                None
            };
            if let Some((field, message)) = refused {
                return Err(Error::invalid(
                    field,
                    "INVALID",
                    format!("{message}; leave it out"),
                ));
            }
        } else {
            check_model(provider, model.as_deref().unwrap_or_default())?;
            if playbook.is_some() {
                let message = "only the scripted model plays a playbook; leave it out";
                return Err(Error::invalid("model.playbook", "INVALID", message));
            }
        }
        if let Some(playbook) = playbook {
            Playbook::parse(playbook).map_err(|err| {
                Error::invalid("model.playbook", "INVALID_PLAYBOOK", err.to_string())
            })?;
        }
        Ok(())
    }
}

/// Whether a provider can have this name.
pub fn is_provider(name: &str) -> bool {
    let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'_');
    (1..=LONGEST_PROVIDER).contains(&name.len()) && name.bytes().all(fits)
}

fn check_model(provider: &str, model: &str) -> Result<()> {
    if model.trim().is_empty() {
        let message = format!(
            "the provider {provider} needs the name of its model, such as openai:gpt-5-mini"
        );
        return Err(Error::invalid("model.model", "REQUIRED", message));
    }
    if model.len() > LONGEST_MODEL || model.chars().any(|c| c.is_whitespace() || c.is_control()) {
        let message = format!("a model's name has up to {LONGEST_MODEL} bytes and no blanks in it");
        return Err(Error::invalid("model.model", "INVALID", message));
    }
    Ok(())
}

/// How a model shall write. What is left out is as the provider has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Parameters {
    /// How freely it chooses its words, 0 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<Thousandths>,
    /// The share of likely words that it chooses from, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<Thousandths>,
    /// The most tokens that it may write in one turn, reasoning included; 8192 if it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<i64>,
    /// How much it shall reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<Effort>,
    /// The most tokens that it may reason, at least 1024; 0: not at all. Only for providers of the kinds anthropic
    /// and gemini.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_budget_tokens: Option<i64>,
    /// Keeps the stable part of the prompt in the provider's cache for an hour instead of minutes; only for
    /// providers of the kind anthropic.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub long_cache: bool,
}

/// How much a model shall reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Effort {
    /// Not at all.
    None,
    /// As little as it can.
    Minimal,
    /// Little.
    Low,
    /// As it mostly does.
    Medium,
    /// Much.
    High,
    /// As much as it can.
    Max,
}

impl Parameters {
    /// Whether all is as the provider has it.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    fn check(&self) -> Result<()> {
        let Self {
            temperature,
            top_p,
            max_output_tokens,
            reasoning_effort,
            thinking_budget_tokens,
            long_cache: _,
        } = self;
        let share = |field, value: &Option<Thousandths>, most: i32| match value {
            Some(Thousandths(value)) => {
                within(field, (*value).into(), 0, i64::from(most) * 1_000, 1_000)
            }
            None => Ok(()),
        };
        share("model.parameters.temperature", temperature, 2)?;
        share("model.parameters.topP", top_p, 1)?;
        if let Some(most) = max_output_tokens {
            within("model.parameters.maxOutputTokens", *most, 1, 1_000_000, 1)?;
        }
        if let Some(budget) = thinking_budget_tokens {
            if !matches!(budget, 0 | 1_024..=1_000_000) {
                let field = "model.parameters.thinkingBudgetTokens";
                let message =
                    format!("{field} is {budget}; it must be from 1024 to 1000000, or 0 for none");
                return Err(Error::invalid(field, "INVALID", message));
            }
            if reasoning_effort.is_some() {
                let message = "say how much it shall reason by reasoningEffort or by thinkingBudgetTokens, not by both";
                return Err(Error::invalid(
                    "model.parameters.thinkingBudgetTokens",
                    "INVALID",
                    message,
                ));
            }
        }
        Ok(())
    }
}

/// Refuses what is out of range; bounds are shown divided by `unit`.
fn within(field: &'static str, value: i64, least: i64, most: i64, unit: i64) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let message = format!("{field} must be from {} to {}", least / unit, most / unit);
    Err(Error::invalid(field, "INVALID", message))
}

/// A number with three decimals, so that two configurations can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thousandths(pub i32);

impl Thousandths {
    /// The number.
    pub fn value(self) -> f64 {
        f64::from(self.0) / 1_000.0
    }
}

impl From<f64> for Thousandths {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast of floats saturates, and what is out of range is refused"
    )]
    fn from(value: f64) -> Self {
        Self((value * 1_000.0).round() as i32)
    }
}

impl Serialize for Thousandths {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.value())
    }
}

impl<'de> Deserialize<'de> for Thousandths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer).map(Self::from)
    }
}

impl JsonSchema for Thousandths {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Thousandths".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number" })
    }
}

/// The model of a coworker, in the long form.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Model")]
struct Long {
    /// Who serves the model: `scripted`, which needs no key, or a provider of the installation such as `openai`
    /// or `anthropic`; also `provider:model`.
    provider: String,
    /// The model's name at its provider; the scripted model has none.
    model: Option<String>,
    /// How it shall write. What is left out is as the provider has it.
    #[serde(default)]
    parameters: Parameters,
    /// What the scripted model says: a mapping, or a text that holds one; only for `scripted`.
    playbook: Option<Written>,
}

impl JsonSchema for ModelConfig {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ModelConfig".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let long = generator.subschema_for::<Long>();
        json_schema!({
            "description": "The model of a coworker: the short form `provider:model`, or what it is made of.",
            "anyOf": [{ "type": "string" }, long],
        })
    }
}

impl<'de> Deserialize<'de> for ModelConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ShortOrLong;

        impl<'de> Visitor<'de> for ShortOrLong {
            type Value = ModelConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`provider:model`, or a mapping with `provider`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ModelConfig, E> {
                Ok(ModelConfig::new(text.to_owned(), None))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ModelConfig, A::Error> {
                let Long {
                    provider,
                    model,
                    parameters,
                    playbook,
                } = Long::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(ModelConfig {
                    parameters,
                    playbook: playbook.map(|Written(text)| text),
                    ..ModelConfig::new(provider, model)
                })
            }
        }

        deserializer.deserialize_any(ShortOrLong)
    }
}

#[cfg(test)]
mod tests;
