//! Chat completions: OpenAI's own servers, and all that speak like them (vLLM, Ollama, llama.cpp, LiteLLM, Azure).

mod request;
mod stream;
#[cfg(test)]
mod tests;

use async_trait::async_trait;

use super::http::Http;
use super::provider::{OutputLimit, Provider};
use super::wire::Names;
use super::{Model, ModelCall, ModelError, ModelReply};
use stream::Answer;

/// The models of one provider of this kind.
#[derive(Debug)]
pub(super) struct OpenAi {
    http: Http,
    output_limit: OutputLimit,
}

impl OpenAi {
    /// The models behind this client.
    pub(super) fn new(http: Http, provider: &Provider) -> Self {
        let host = http.host();
        let official = host == "api.openai.com" || host.ends_with(".azure.com");
        let usual = if official {
            OutputLimit::MaxCompletionTokens
        } else {
            OutputLimit::MaxTokens
        };
        Self {
            output_limit: provider.output_limit.unwrap_or(usual),
            http,
        }
    }
}

#[async_trait]
impl Model for OpenAi {
    async fn complete(&self, call: ModelCall<'_>) -> Result<ModelReply, ModelError> {
        let names = Names::new(call.tools);
        let body = request::body(&call, &names, self.output_limit)?;
        let mut answer = Answer::new(self.http.name(), &names, call.deltas);
        self.http
            .stream(&["chat", "completions"], body, &mut answer)
            .await?;
        answer.reply()
    }
}
