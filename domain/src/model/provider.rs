//! The providers of models that an installation has, by name; and the port over all of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::anthropic::Anthropic;
use super::gemini::Gemini;
use super::http::Http;
use super::openai::OpenAi;
use super::scripted::{self, Scripted};
use super::scrub::Held;
use super::{Model, ModelCall, ModelError, ModelErrorClass, ModelReply, Usage};
use crate::error::{Error, Result};
use crate::secret::Secret;

/// The protocols that providers speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Chat completions, as OpenAI, vLLM, Ollama, llama.cpp, LiteLLM and others have them.
    OpenAi,
    /// Anthropic's messages.
    Anthropic,
    /// Google's Gemini: `generateContent`.
    Gemini,
}

impl Kind {
    /// The word for it in settings and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }

    /// The name of its own provider, by which prices know it too.
    pub const fn usual_name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "google",
        }
    }

    /// Where its own provider is.
    pub const fn base_url(self) -> &'static str {
        match self {
            Self::OpenAi => "https://api.openai.com/v1",
            Self::Anthropic => "https://api.anthropic.com",
            Self::Gemini => "https://generativelanguage.googleapis.com/v1beta",
        }
    }
}

/// The field by which a chat-completions server is told how much the model may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputLimit {
    /// `max_tokens`, which nearly all servers know.
    MaxTokens,
    /// `max_completion_tokens`, which OpenAI's reasoning models ask for.
    MaxCompletionTokens,
}

/// How long a provider is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// From the request to the first byte of the answer.
    pub first_byte: Duration,
    /// From one piece of the answer to the next.
    pub idle: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(120),
            idle: Duration::from_secs(60),
        }
    }
}

/// A provider, as the operator configured it.
#[derive(Clone, Debug)]
pub struct Provider {
    /// The name by which coworkers name it.
    pub name: String,
    /// What it speaks.
    pub kind: Kind,
    /// Where it is.
    pub base_url: String,
    /// Its key; a server of one's own may need none.
    pub key: Option<Secret>,
    /// The header that carries the key as it is; none: the one that its kind has.
    pub key_header: Option<String>,
    /// Headers that each request carries besides.
    pub headers: Vec<(String, Secret)>,
    /// Query parameters that each request carries, such as the `api-version` of Azure.
    pub query: Vec<(String, String)>,
    /// How a chat-completions server is told how much may be written; none: as its address suggests.
    pub output_limit: Option<OutputLimit>,
    /// How long it is waited for.
    pub patience: Patience,
}

impl Provider {
    /// A provider at the usual address of its kind, without a key.
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self {
            name: name.into(),
            kind,
            base_url: kind.base_url().to_owned(),
            key: None,
            key_header: None,
            headers: Vec::new(),
            query: Vec::new(),
            output_limit: None,
            patience: Patience::default(),
        }
    }
}

/// The providers that a process has, and what they speak; none: it executes no runs, and can't tell what those have that do.
pub type KnownProviders = Option<Arc<BTreeMap<String, Kind>>>;

/// The models of an installation: the scripted one, and those of the providers that this process can reach.
#[derive(Debug, Default)]
pub struct Models {
    scripted: Scripted,
    providers: BTreeMap<String, Served>,
}

/// A provider with its client.
pub(super) struct Served {
    pub(super) provider: Provider,
    pub(super) http: Http,
    model: Box<dyn Model>,
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.provider.fmt(f)
    }
}

impl Models {
    /// The scripted model and these providers.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the provider and what is wrong with its settings.
    pub fn new(scripted: Scripted, providers: Vec<Provider>) -> Result<Self> {
        let mut served = BTreeMap::new();
        for provider in providers {
            let name = provider.name.clone();
            if !super::config::is_provider(&name) || name == scripted::PROVIDER {
                let message = format!("{name:?} can't be a provider's name");
                return Err(Error::invalid("models", "INVALID", message));
            }
            let http = Http::new(&provider)?;
            let model: Box<dyn Model> = match provider.kind {
                Kind::OpenAi => Box::new(OpenAi::new(http.clone(), &provider)),
                Kind::Anthropic => Box::new(Anthropic::new(http.clone())),
                Kind::Gemini => Box::new(Gemini::new(http.clone())),
            };
            let one = Served {
                provider,
                http,
                model,
            };
            if served.insert(name.clone(), one).is_some() {
                let message = format!("the provider {name} is configured twice");
                return Err(Error::invalid("models", "INVALID", message));
            }
        }
        Ok(Self {
            scripted,
            providers: served,
        })
    }

    /// The scripted model.
    pub fn scripted(&self) -> &Scripted {
        &self.scripted
    }

    /// The providers that are configured here, in alphabetical order.
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        self.providers.values().map(|served| &served.provider)
    }

    pub(super) fn served(&self, name: &str) -> std::result::Result<&Served, ModelError> {
        self.providers.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.providers.keys().map(String::as_str).collect();
            let known = if known.is_empty() {
                "none is".to_owned()
            } else {
                format!("configured are: {}", known.join(", "))
            };
            let message = format!(
                "the model provider {name} is not configured where the run was executed ({known}); the operator \
                 gives the worker its key or address"
            );
            ModelError::new(ModelErrorClass::NotConfigured, message)
        })
    }
}

#[async_trait]
impl Model for Models {
    async fn complete(&self, call: ModelCall<'_>) -> std::result::Result<ModelReply, ModelError> {
        if call.config.is_scripted() {
            return self.scripted.complete(call).await;
        }
        let served = self.served(&call.config.provider)?;
        let held = served.http.scrubber().map(Held::new);
        let deltas = match &held {
            Some(held) => call.deltas.without(held),
            None => call.deltas,
        };
        let answer = served.model.complete(ModelCall { deltas, ..call }).await;
        // What was held back of an answer that broke off may be a part of a secret.
        if answer.is_ok() {
            deltas.rest();
        }
        answer
            .map(|mut reply| {
                reply.usage = reply.usage.map(Usage::bounded);
                served.http.scrubbed(reply)
            })
            .map_err(|mut error| {
                error.usage = error.usage.map(Usage::bounded);
                served.http.told(error)
            })
    }
}
