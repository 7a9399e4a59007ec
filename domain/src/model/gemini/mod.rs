//! Google's Gemini: `generateContent`, streamed.

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
pub(super) struct Gemini {
    http: Http,
}

impl Gemini {
    /// The models behind this client.
    pub(super) fn new(http: Http) -> Self {
        Self { http }
    }
}

#[async_trait]
impl Model for Gemini {
    async fn complete(&self, call: ModelCall<'_>) -> Result<ModelReply, ModelError> {
        let names = Names::new(call.tools);
        let body = request::body(&call, &names)?;
        let mut answer = Answer::new(self.http.name(), &names, call.deltas);
        let path = path(call.config.model.as_deref().unwrap_or_default());
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        self.http.stream(&path, body, &mut answer).await?;
        answer.reply()
    }
}

/// Where a model is asked: `gemini-2.5-pro` is one of Google's own, a name with a `/` says itself where it belongs, as
/// `tunedModels/mine` does.
fn path(model: &str) -> Vec<String> {
    let mut path: Vec<String> = match model.contains('/') {
        true => model.split('/').map(str::to_owned).collect(),
        false => vec!["models".into(), model.into()],
    };
    if let Some(last) = path.last_mut() {
        last.push_str(":streamGenerateContent");
    }
    path
}
