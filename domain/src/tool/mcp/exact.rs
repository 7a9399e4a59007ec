//! The exact texts of results: the SDK gives what it read of them, so they are kept as they pass, each for the call that
//! waits for it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use http::{HeaderName, HeaderValue};
use parking_lot::Mutex;
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, JsonRpcMessage};
use rmcp::service::{RoleClient, RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
    StreamableHttpResponseLimits,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use sse_stream::Sse;

use crate::tool::LARGEST;

/// The results of the calls that are under way, by their ids: as many as there may be of those, and none of them longer
/// than an answer may be.
#[derive(Clone, Default)]
pub(super) struct Results {
    awaited: Arc<Mutex<HashMap<String, Option<Exact>>>>,
}

/// A result as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Exact {
    /// Its text.
    Text(String),
    /// It had more bytes than are kept.
    TooLong,
}

impl Results {
    /// A message is about to be sent: if it is a call, its result will be waited for.
    fn expect(&self, message: &ClientJsonRpcMessage) {
        if let JsonRpcMessage::Request(request) = message
            && matches!(request.request, ClientRequest::CallToolRequest(_))
            && let Ok(id) = serde_json::to_string(&request.id)
        {
            self.awaited.lock().insert(id, None);
        }
    }

    /// Keeps the result in a message, or the error in its place, if somebody waits for it.
    pub(super) fn keep(&self, message: &[u8]) {
        #[derive(Deserialize)]
        struct Response<'a> {
            #[serde(borrow)]
            id: &'a RawValue,
            #[serde(borrow, alias = "error")]
            result: &'a RawValue,
        }
        let Ok(Response { id, result }) = serde_json::from_slice(message) else {
            return;
        };
        if let Some(kept) = self.awaited.lock().get_mut(id.get()) {
            let text = Some(result.get()).filter(|text| text.len() <= LARGEST);
            *kept = Some(text.map_or(Exact::TooLong, |text| Exact::Text(text.to_owned())));
        }
    }

    /// The result of a call, which is not waited for any longer; none: it passed in a form that is not looked into.
    pub(super) fn take(&self, id: &str) -> Option<Exact> {
        self.awaited.lock().remove(id).flatten()
    }

    /// A call whose result will be waited for.
    #[cfg(test)]
    pub(super) fn awaiting(self, id: &str) -> Self {
        self.awaited.lock().insert(id.to_owned(), None);
        self
    }
}

/// A transport that says of each call that its result will be waited for, before it sends it.
pub(super) struct Announced<T> {
    pub(super) transport: T,
    pub(super) results: Results,
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for Announced<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        self.results.expect(&message);
        self.transport.send(message)
    }

    fn receive(&mut self) -> impl Future<Output = Option<RxJsonRpcMessage<RoleClient>>> + Send {
        self.transport.receive()
    }

    fn close(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send {
        self.transport.close()
    }
}

/// A client of streamable HTTP that keeps the results in the events that it is sent. An answer that is one JSON document
/// is read within the SDK, and does not pass here.
#[derive(Clone)]
pub(super) struct Listening {
    pub(super) client: reqwest::Client,
    pub(super) results: Results,
}

type Events = BoxStream<'static, Result<Sse, SseError>>;
type Headers = HashMap<HeaderName, HeaderValue>;
type Failed = StreamableHttpError<reqwest::Error>;

impl Listening {
    fn events(&self, events: Events) -> Events {
        let results = self.results.clone();
        let heard = events.inspect(move |event| {
            if let Ok(Sse {
                data: Some(data), ..
            }) = event
            {
                results.keep(data.as_bytes());
            }
        });
        heard.boxed()
    }
}

impl StreamableHttpClient for Listening {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        auth: Option<String>,
        headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Failed> {
        let limits = StreamableHttpResponseLimits::default();
        self.post_message_with_response_limits(uri, message, session, auth, headers, limits)
            .await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        auth: Option<String>,
        headers: Headers,
        limits: StreamableHttpResponseLimits,
    ) -> Result<StreamableHttpPostResponse, Failed> {
        let client = &self.client;
        let answer = client
            .post_message_with_response_limits(uri, message, session, auth, headers, limits)
            .await?;
        Ok(match answer {
            StreamableHttpPostResponse::Sse(events, session) => {
                StreamableHttpPostResponse::Sse(self.events(events), session)
            }
            other => other,
        })
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        auth: Option<String>,
        headers: Headers,
    ) -> Result<(), Failed> {
        let client = &self.client;
        client.delete_session(uri, session, auth, headers).await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        auth: Option<String>,
        headers: Headers,
    ) -> Result<Events, Failed> {
        let most = StreamableHttpResponseLimits::default().max_sse_event_size;
        self.get_stream_with_max_sse_event_size(uri, session, last_event, auth, headers, most)
            .await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        auth: Option<String>,
        headers: Headers,
        most: usize,
    ) -> Result<Events, Failed> {
        let client = &self.client;
        let events = client
            .get_stream_with_max_sse_event_size(uri, session, last_event, auth, headers, most)
            .await?;
        Ok(self.events(events))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_results_loses_none_that_is_waited_for() {
        let results = Results::default();
        let ids: Vec<String> = (0..64).map(|id| id.to_string()).collect();
        let results = ids.iter().fold(results, |results, id| results.awaiting(id));
        let say = |id: &str| format!("{{\"id\":{id},\"result\":{{ \"n\" : {id}.50 }}}}");
        for id in (0..200).map(|id| id.to_string()) {
            results.keep(say(&id).as_bytes());
        }
        for id in &ids {
            let exact = format!("{{ \"n\" : {id}.50 }}");
            assert_eq!(results.take(id), Some(Exact::Text(exact)));
            assert_eq!(results.take(id), None);
        }
        // Nobody waits for the others.
        assert_eq!(
            (results.take("100"), results.awaited.lock().len()),
            (None, 0)
        );
    }
}
