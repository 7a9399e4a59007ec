//! Whether a provider works: it is called once, and what it says is told.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::{
    Deltas, Kind, Model as _, ModelCall, ModelConfig, ModelError, ModelErrorClass, Models, Part,
    PartKind, Prompt,
};

/// How long a check may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most that the model may write.
const OUTPUT: i64 = 16;

/// What came of a check.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The provider.
    pub provider: String,
    /// What it speaks.
    pub kind: Kind,
    /// Where it is.
    pub address: String,
    /// The model that was asked; none: the provider was asked for its models.
    pub model: Option<String>,
    /// How long it took.
    pub took: Duration,
    /// What works, in a few words, or why not.
    pub result: Result<String, ModelError>,
}

impl Models {
    /// Calls a provider once: with a tiny prompt for this model, or for the list of its models.
    ///
    /// # Errors
    /// No provider of this name is configured; what the provider answers is in [`Checked::result`].
    pub async fn check(&self, name: &str, model: Option<&str>) -> Result<Checked, ModelError> {
        let served = self.served(name)?;
        let began = Instant::now();
        let called = async {
            match model {
                Some(model) => self.ask(name, model).await,
                None => self.list(name).await,
            }
        };
        let result = timeout(PATIENCE, called).await.unwrap_or_else(|_| {
            let message = format!("{name} did not answer within {} s", PATIENCE.as_secs());
            Err(ModelError::new(ModelErrorClass::TimedOut, message))
        });
        Ok(Checked {
            provider: name.to_owned(),
            kind: served.provider.kind,
            address: served.http.address().to_owned(),
            model: model.map(str::to_owned),
            took: began.elapsed(),
            result: result.map_err(|error| served.http.told(error)),
        })
    }

    async fn ask(&self, provider: &str, model: &str) -> Result<String, ModelError> {
        let config = ModelConfig::new(provider.to_owned(), Some(model.to_owned()));
        let part = |kind, text: &str| Part {
            kind,
            text: text.into(),
        };
        let prompt = Prompt {
            parts: vec![
                part(PartKind::Prefix, "Answer with one word."),
                part(
                    PartKind::Request,
                    &json!({ "title": "Are you there?" }).to_string(),
                ),
            ],
            ..Prompt::default()
        };
        let call = ModelCall {
            config: &config,
            prompt: &prompt,
            tools: &[],
            max_output_tokens: OUTPUT,
            attempt: 1,
            deltas: Deltas::nobody(),
        };
        let reply = self.complete(call).await?;
        Ok(match reply.usage {
            Some(usage) => format!(
                "answers ({} tokens in, {} out)",
                usage.total_input(),
                usage.output
            ),
            None => "answers, without saying how many tokens it used".into(),
        })
    }

    async fn list(&self, provider: &str) -> Result<String, ModelError> {
        #[derive(Deserialize)]
        struct List {
            #[serde(alias = "models")]
            data: Vec<One>,
        }
        #[derive(Deserialize)]
        struct One {
            #[serde(alias = "name")]
            id: String,
        }
        let served = self.served(provider)?;
        let path: &[&str] = match served.provider.kind {
            Kind::OpenAi | Kind::Gemini => &["models"],
            Kind::Anthropic => &["v1", "models"],
        };
        let body = served.http.get(path).await?;
        let List { data } = serde_json::from_str(&body).map_err(|err| {
            let message = format!("{provider} answered what is no list of models: {err}");
            ModelError::new(ModelErrorClass::Malformed, message)
        })?;
        let names: Vec<&str> = data
            .iter()
            .take(5)
            // Gemini's carry the collection before their name.
            .map(|model| model.id.strip_prefix("models/").unwrap_or(&model.id))
            .collect();
        let more = if data.len() > names.len() {
            ", …"
        } else {
            ""
        };
        let named = format!("lists {} models: {}{more}", data.len(), names.join(", "));
        Ok(served.http.scrub(named))
    }
}
