//! An outside system that is told of what happens: a server of HTTP that answers as the test says, and remembers what it heard.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::config::Settings;
use domain::tool::Exception;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tests::Client;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::{look, outside};

/// How long anything that is awaited may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Everything that can be told.
pub const ALL: [&str; 7] = [
    "RUN_ENDED",
    "RUN_FAILED",
    "APPROVAL_REQUESTED",
    "REQUEST_RESOLVED",
    "BUDGET_NEARING",
    "BUDGET_EXHAUSTED",
    "COST_CLIMBING",
];

/// A message that came.
#[derive(Clone, Debug)]
pub struct Heard {
    pub path: String,
    pub id: String,
    pub seconds: i64,
    pub signatures: Vec<String>,
    pub text: String,
    pub body: Value,
}

impl Heard {
    /// Whether this secret makes one of its signatures, by another implementation's word.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let oracle = Webhook::new(secret).expect("a secret");
        let expected = oracle.sign(&self.id, self.seconds, self.text.as_bytes());
        self.signatures.contains(&expected.expect("a signature"))
    }

    /// What it tells of.
    pub fn kind(&self) -> &str {
        self.body["type"].as_str().expect("a type")
    }
}

/// What the receiver says to a message. It says 200 to those that nothing was said about.
#[derive(Clone, Copy, Debug)]
pub enum Reply {
    Status(u16),
    /// This status, and after how many seconds to come back.
    Later(u16, u32),
    /// Nothing, and the connection stays open.
    Silence,
    /// Nothing, and the connection ends.
    Cut,
}

/// The next replies at a path, the last one first, and what is said after them.
type Replies = (Vec<Reply>, Option<Reply>);

#[derive(Default)]
struct Shared {
    heard: Mutex<Vec<Heard>>,
    replies: Mutex<HashMap<String, Replies>>,
    came: Notify,
}

/// A receiver that listens on a port of its own as long as the test runs.
pub struct Receiver {
    port: u16,
    shared: Arc<Shared>,
}

impl Receiver {
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::<Shared>::default();
        let answering = shared.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = answering.clone();
                tokio::spawn(async move { answer(stream, &shared).await });
            }
        });
        Self { port, shared }
    }

    /// Its host and port.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// An address of it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host())
    }

    /// Excepts it from the outbound guard, and makes whoever sends look often.
    pub fn allow(&self, settings: &mut Settings) {
        let exception = Exception::parse(&self.host()).expect("an exception");
        settings.tools.exceptions.push(exception);
        settings.alerts.look = Duration::from_millis(20);
        settings.alerts.watch = Duration::from_millis(50);
        settings.alerts.grace = Duration::from_millis(50);
    }

    /// What it says to the next messages at a path.
    pub fn say(&self, path: &str, replies: &[Reply]) {
        let replies = replies.iter().rev().copied().collect();
        let mut all = self.shared.replies.lock().unwrap();
        all.insert(path.to_owned(), (replies, None));
    }

    /// What it says to all messages at a path.
    pub fn always(&self, path: &str, reply: Reply) {
        let mut all = self.shared.replies.lock().unwrap();
        all.insert(path.to_owned(), (Vec::new(), Some(reply)));
    }

    /// What came at a path, in this order.
    pub fn heard(&self, path: &str) -> Vec<Heard> {
        let heard = self.shared.heard.lock().unwrap();
        let at = heard.iter().filter(|heard| heard.path == path);
        at.cloned().collect()
    }

    /// Waits until so many messages came at a path; gives all that came there.
    pub async fn until(&self, path: &str, most: usize) -> Vec<Heard> {
        self.until_heard(path, |heard| heard.len() >= most).await
    }

    /// Waits until what came at a path is like this.
    pub async fn until_heard(&self, path: &str, fits: impl Fn(&[Heard]) -> bool) -> Vec<Heard> {
        let waiting = async {
            loop {
                let came = self.shared.came.notified();
                let heard = self.heard(path);
                if fits(&heard) {
                    return heard;
                }
                came.await;
            }
        };
        let heard = tokio::time::timeout(LIMIT, waiting).await;
        heard.unwrap_or_else(|_| panic!("only this came at {path}: {:#?}", self.heard(path)))
    }
}

async fn answer(mut stream: TcpStream, shared: &Shared) -> Option<()> {
    let (head, text) = outside::request(&mut stream).await?;
    let path = head.lines().next()?.split(' ').nth(1)?.to_owned();
    let header = |wanted: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map_or(String::new(), |(_, value)| value.to_owned())
    };
    let heard = Heard {
        id: header("webhook-id"),
        seconds: header("webhook-timestamp").parse().expect("seconds"),
        signatures: header("webhook-signature")
            .split(' ')
            .map(ToOwned::to_owned)
            .collect(),
        body: serde_json::from_str(&text).expect("JSON"),
        text,
        path: path.clone(),
    };
    assert_eq!(header("content-type"), "application/json");
    shared.heard.lock().unwrap().push(heard);
    shared.came.notify_waiters();
    let reply = {
        let mut replies = shared.replies.lock().unwrap();
        let own = replies.get_mut(&path);
        own.and_then(|(next, always)| next.pop().or(*always))
    };
    let (status, more) = match reply.unwrap_or(Reply::Status(200)) {
        Reply::Status(status) => (status, String::new()),
        Reply::Later(status, seconds) => (status, format!("retry-after: {seconds}\r\n")),
        Reply::Silence => std::future::pending().await,
        Reply::Cut => return None,
    };
    let body = format!("said {status}");
    let text = format!(
        "HTTP/1.1 {status} Said\r\nlocation: http://169.254.169.254/\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}

/// An endpoint of the test's workspace, and the secret that it was shown.
pub struct Endpoint {
    pub id: Value,
    pub secret: String,
}

/// Makes an endpoint that is told of these kinds at this address; `more` is the rest of its input.
pub async fn endpoint(client: &Client, url: &str, kinds: &[&str], more: Value) -> Endpoint {
    let mut input = json!({ "name": "Desk", "url": url, "kinds": kinds });
    for (field, value) in more.as_object().expect("fields") {
        input[field] = value.clone();
    }
    let made = client
        .mutate("alertEndpointCreate", input, "alertEndpoint { id } secret")
        .await;
    Endpoint {
        id: made["alertEndpoint"]["id"].clone(),
        secret: made["secret"].as_str().unwrap_or_default().to_owned(),
    }
}

const DELIVERY: &str = "id kind state raw payload attemptCount nextAttemptAt createdAt settledAt run { id } request { id } \
                        coworker { id } endpoint { id } attempts { number at status error response duration }";

/// What an endpoint was told of, newest first.
pub async fn deliveries(client: &Client, endpoint: &Endpoint) -> Vec<Value> {
    let query = format!(
        "query ($id: ID!, $after: String) {{ node(id: $id) {{ ... on AlertEndpoint {{ deliveries(first: 20, after: $after) {{ \
           nodes {{ {DELIVERY} }} pageInfo {{ hasNextPage endCursor }} }} }} }} }}"
    );
    look::pages(
        client,
        &query,
        json!({ "id": endpoint.id }),
        "/node/deliveries",
    )
    .await
}

/// Waits until the only delivery to an endpoint is like this.
pub async fn until_delivery(
    client: &Client,
    endpoint: &Endpoint,
    fits: impl Fn(&Value) -> bool,
) -> Value {
    let looking = async {
        loop {
            let mut all = deliveries(client, endpoint).await;
            assert!(all.len() <= 1, "{all:#?}");
            if let Some(one) = all.pop().filter(|one| fits(one)) {
                return one;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let found = tokio::time::timeout(LIMIT, looking).await;
    match found {
        Ok(found) => found,
        Err(_) => panic!(
            "it stays like this: {:#?}",
            deliveries(client, endpoint).await
        ),
    }
}

/// Waits until the receiver has taken so many deliveries.
pub async fn until_taken(client: &Client, endpoint: &Endpoint, times: usize) {
    let looking = async {
        loop {
            let all = deliveries(client, endpoint).await;
            if all.iter().filter(|one| one["state"] == "DELIVERED").count() >= times {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let done = tokio::time::timeout(LIMIT, looking).await;
    if done.is_err() {
        panic!("not taken: {:#?}", deliveries(client, endpoint).await);
    }
}

/// An endpoint as its page shows it.
pub async fn state(client: &Client, endpoint: &Endpoint) -> Value {
    let query = "query ($id: ID!) { node(id: $id) { ... on AlertEndpoint { enabled disabledReason disabledAt failingSince restsUntil url kinds labels \
                 coworkers { id } budgetPercent climbPercent secrets { createdAt endsAt } } } }";
    client.gql(query, json!({ "id": endpoint.id })).await["node"].take()
}
