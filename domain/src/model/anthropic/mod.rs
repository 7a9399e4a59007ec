//! Anthropic's messages.

mod event;
mod request;
mod stream;
#[cfg(test)]
mod tests;

use async_trait::async_trait;

use super::http::Http;
use super::wire::Names;
use super::{Model, ModelCall, ModelError, ModelReply};
use stream::Answer;

/// The models of one provider of this kind.
#[derive(Debug)]
pub(super) struct Anthropic {
    http: Http,
}

impl Anthropic {
    /// The models behind this client.
    pub(super) fn new(http: Http) -> Self {
        Self { http }
    }
}

#[async_trait]
impl Model for Anthropic {
    async fn complete(&self, call: ModelCall<'_>) -> Result<ModelReply, ModelError> {
        let names = Names::new(call.tools);
        let body = request::body(&call, &names)?;
        let mut answer = Answer::new(self.http.name(), &names, call.deltas);
        self.http
            .stream(&["v1", "messages"], body, &mut answer)
            .await?;
        answer.reply()
    }
}
