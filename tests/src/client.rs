//! A client of the API, as a stranger would write one: GraphQL over HTTP, and `graphql-transport-ws` for live items.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// How long a test waits for one answer or one live item before it fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A client that holds one key.
#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
    key: Option<String>,
    http: reqwest::Client,
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: reqwest::header::HeaderMap,
    /// Its body; null when it is not JSON.
    pub body: Value,
}

impl Client {
    /// A client of the server at this address, with a key or without.
    pub fn new(address: SocketAddr, key: Option<&str>) -> Self {
        // No connection is kept: one that a killed server left behind would fail the next request.
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build();
        Self {
            address,
            key: key.map(str::to_owned),
            http: http.expect("an HTTP client"),
        }
    }

    /// The same server, with another key or none.
    pub fn with_key(&self, key: Option<&str>) -> Self {
        Self {
            key: key.map(str::to_owned),
            ..self.clone()
        }
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The key that it sends.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Sends one operation and returns the whole answer.
    pub async fn post(&self, query: &str, variables: Value) -> Answer {
        let body = json!({ "query": query, "variables": variables });
        self.send(
            self.request("/graphql")
                .header("accept", "application/graphql-response+json")
                .json(&body),
        )
        .await
    }

    /// A POST with the client's key, to be filled and given to [`Client::send`].
    pub fn request(&self, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.post(self.url(path));
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// Sends a request.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let answer = request.send().await.expect("the server answers");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let bytes = answer.bytes().await.expect("a whole body");
        Answer {
            status,
            headers,
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
        }
    }

    /// The data of an operation that must succeed: any error fails the test with its text.
    pub async fn gql(&self, query: &str, variables: Value) -> Value {
        let mut answer = self.post(query, variables).await;
        assert!(
            answer.body.get("errors").is_none(),
            "{query}\n{:#}",
            answer.body["errors"]
        );
        assert!(
            !answer.body["data"].is_null(),
            "{query}\nHTTP {}: {}",
            answer.status,
            answer.body
        );
        answer.body["data"].take()
    }

    /// The errors of an operation that must be refused: a success fails the test.
    pub async fn gql_errors(&self, query: &str, variables: Value) -> Vec<Value> {
        let answer = self.post(query, variables).await;
        match &answer.body["errors"] {
            Value::Array(errors) if !errors.is_empty() => errors.clone(),
            _ => panic!("no errors from {query}\n{}", answer.body),
        }
    }

    /// The `extensions.code` of the first error of an operation that must be refused.
    pub async fn gql_code(&self, query: &str, variables: Value) -> String {
        let errors = self.gql_errors(query, variables).await;
        errors[0]["extensions"]["code"]
            .as_str()
            .unwrap_or_else(|| panic!("no code: {errors:?}"))
            .to_owned()
    }

    /// Performs a mutation, such as `requestCreate`, that must succeed, and returns what was asked of its payload.
    ///
    /// `selection` is what to ask of the payload, beside `userErrors`: `request { id number }`.
    pub async fn mutate(&self, mutation: &str, input: Value, selection: &str) -> Value {
        let payload = self.payload(mutation, input, selection).await;
        let refused = payload["userErrors"]
            .as_array()
            .expect("every payload has userErrors");
        assert!(refused.is_empty(), "{mutation} was refused: {refused:?}");
        payload
    }

    /// Performs a mutation that must be refused, and returns its `userErrors`.
    pub async fn refused(&self, mutation: &str, input: Value) -> Vec<Value> {
        let payload = self.payload(mutation, input, "").await;
        let refused = payload["userErrors"]
            .as_array()
            .expect("every payload has userErrors");
        assert!(!refused.is_empty(), "{mutation} was not refused");
        refused.clone()
    }

    async fn payload(&self, mutation: &str, input: Value, selection: &str) -> Value {
        // As the contract has it: `requestCreate(input: RequestCreateInput!)`.
        let (first, rest) = mutation.split_at(1);
        let input_type = format!("{}{rest}Input", first.to_uppercase());
        let query = format!(
            "mutation ($input: {input_type}!) {{ \
               {mutation}(input: $input) {{ {selection} userErrors {{ field message code }} }} }}"
        );
        self.gql(&query, json!({ "input": input })).await[mutation].take()
    }

    /// Starts a subscription, on a socket of its own.
    pub async fn subscribe(&self, query: &str, variables: Value) -> Subscription {
        let mut socket = self.socket().await;
        socket.init(self.key()).await;
        socket.send(json!({ "id": "1", "type": "subscribe", "payload": { "query": query, "variables": variables } })).await;
        Subscription { socket }
    }

    /// Opens a socket and says nothing yet.
    pub async fn socket(&self) -> Socket {
        let mut request = format!("ws://{}/graphql", self.address)
            .into_client_request()
            .expect("a URL");
        request.headers_mut().insert(
            "sec-websocket-protocol",
            "graphql-transport-ws".parse().expect("a header"),
        );
        let (stream, _) = tokio_tungstenite::connect_async(request)
            .await
            .expect("the server takes sockets");
        Socket { stream }
    }
}

/// An open WebSocket.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// What comes out of a socket.
#[derive(Clone, Debug, PartialEq)]
pub enum Received {
    /// A message of the protocol.
    Message(Value),
    /// The server closed the socket, with this code and reason; 1006: without a word.
    Closed(u16, String),
}

impl Socket {
    /// Introduces itself and waits until the server has agreed.
    pub async fn init(&mut self, key: Option<&str>) {
        let payload = key.map_or(
            json!({}),
            |key| json!({ "authorization": format!("Bearer {key}") }),
        );
        self.send(json!({ "type": "connection_init", "payload": payload }))
            .await;
        let ack = self.receive().await;
        assert!(
            matches!(&ack, Received::Message(message) if message["type"] == "connection_ack"),
            "{ack:?}"
        );
    }

    /// Sends a message of the protocol.
    pub async fn send(&mut self, message: Value) {
        self.stream
            .send(Message::text(message.to_string()))
            .await
            .expect("the socket is open");
    }

    /// The next message, or the end. Fails the test when neither comes.
    pub async fn receive(&mut self) -> Received {
        tokio::time::timeout(PATIENCE, self.read())
            .await
            .expect("something comes over the socket")
    }

    /// Whether nothing comes within this time.
    pub async fn is_silent(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.read()).await.is_err()
    }

    async fn read(&mut self) -> Received {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => {
                    return Received::Message(
                        serde_json::from_str(&text).expect("messages are JSON"),
                    );
                }
                Some(Ok(Message::Close(frame))) => {
                    return frame.map_or(Received::Closed(1005, String::new()), |frame| {
                        Received::Closed(frame.code.into(), frame.reason.to_string())
                    });
                }
                Some(Ok(
                    Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_),
                )) => {}
                Some(Err(_)) | None => return Received::Closed(1006, String::new()),
            }
        }
    }
}

/// A running subscription. Ends with this value.
pub struct Subscription {
    socket: Socket,
}

/// What a subscription brings.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// The data of one item.
    Next(Value),
    /// It was refused, or ended, with these errors.
    Error(Vec<Value>),
    /// It has come to its end.
    Complete,
    /// The socket was closed, with this code and reason.
    Closed(u16, String),
}

impl Subscription {
    /// The next of whatever comes. Fails the test when nothing does.
    pub async fn item(&mut self) -> Item {
        loop {
            let mut message = match self.socket.receive().await {
                Received::Message(message) => message,
                Received::Closed(code, reason) => return Item::Closed(code, reason),
            };
            let payload = message["payload"].take();
            match message["type"].as_str() {
                Some("next") => match payload.get("errors").and_then(Value::as_array) {
                    Some(errors) if !errors.is_empty() => return Item::Error(errors.clone()),
                    Some(_) | None => return Item::Next(payload["data"].clone()),
                },
                Some("error") => {
                    return Item::Error(payload.as_array().cloned().unwrap_or_default());
                }
                Some("complete") => return Item::Complete,
                Some("ping") => self.socket.send(json!({ "type": "pong" })).await,
                _ => panic!("a server does not send {message}"),
            }
        }
    }

    /// The data of the next item. Fails the test when something else comes, or nothing.
    pub async fn next(&mut self) -> Value {
        match self.item().await {
            Item::Next(data) => data,
            other => panic!("instead of an item came {other:?}"),
        }
    }

    /// The items up to the one that fits, with it. Fails the test when it does not come.
    pub async fn until(&mut self, mut fits: impl FnMut(&Value) -> bool) -> Vec<Value> {
        let mut items = Vec::new();
        loop {
            let item = self.next().await;
            let found = fits(&item);
            items.push(item);
            if found {
                return items;
            }
        }
    }

    /// All items up to the subscription's own end.
    pub async fn all(&mut self) -> Vec<Value> {
        let mut items = Vec::new();
        loop {
            match self.item().await {
                Item::Next(data) => items.push(data),
                Item::Complete => return items,
                other => panic!("instead of an item came {other:?}, after {items:?}"),
            }
        }
    }

    /// Whether nothing comes within this time.
    pub async fn is_silent(&mut self, time: Duration) -> bool {
        self.socket.is_silent(time).await
    }
}
