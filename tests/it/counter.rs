//! A service outside of Stint that counts its calls by their idempotency key: the oracle of what was done how often.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::outside;

/// What lets every call be answered.
pub const ALL: u64 = 100;

/// A service that listens on a port of its own as long as the test runs.
pub struct Counter {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    calls: Mutex<BTreeMap<String, Vec<String>>>,
    /// How many calls have come.
    come: watch::Sender<usize>,
    /// Of each hundred calls so many are answered; the others wait until more are.
    answered: watch::Sender<u64>,
}

impl Counter {
    /// Opens one that answers every call at once.
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            calls: Mutex::default(),
            come: watch::Sender::new(0),
            answered: watch::Sender::new(ALL),
        });
        let counting = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&counting);
                tokio::spawn(async move { shared.answer(stream).await });
            }
        });
        Self { port, shared }
    }

    /// What `--allow-private-host` must name.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What makes it a tool server: an action for each of these names, with its effect.
    pub fn server(&self, name: &str, actions: &[(&str, &str)]) -> Value {
        let tools = actions.iter().map(|(action, effect)| {
            json!({
                "name": action, "description": format!("Counts a {action}."), "method": "POST", "effect": effect,
                "url": format!("http://{}/{action}", self.host()), "parameters": { "type": "object" },
            })
        });
        json!({ "name": name, "kind": "HTTP", "tools": tools.collect::<Vec<_>>() })
    }

    /// Lets so many of each hundred calls be answered, those that wait too.
    pub fn answer(&self, share: u64) {
        self.shared.answered.send_replace(share);
    }

    /// How many calls have come.
    pub fn come(&self) -> usize {
        *self.shared.come.borrow()
    }

    /// Waits until so many calls have come in all.
    pub async fn until(&self, calls: usize) {
        let mut come = self.shared.come.subscribe();
        let enough = come.wait_for(|come| *come >= calls);
        let waited = tokio::time::timeout(tests::client::PATIENCE, enough).await;
        if waited.is_err() {
            panic!("{} of {calls} calls came", self.come());
        }
    }

    /// The paths that were called, by idempotency key, in the order of their calls.
    pub fn calls(&self) -> BTreeMap<String, Vec<String>> {
        let calls = self.shared.calls.lock();
        calls.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    async fn answer(&self, mut stream: TcpStream) -> Option<()> {
        let (head, _) = outside::request(&mut stream).await?;
        let path = head.split(' ').nth(1)?.to_owned();
        let key = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("idempotency-key")
                .then(|| value.to_owned())
        });
        let key = key.unwrap_or_else(|| "a call without a key".into());
        {
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            calls.entry(key).or_default().push(path);
        }
        let mut nth = 0;
        self.come.send_modify(|come| {
            nth = *come as u64;
            *come += 1;
        });
        // 37 and 100 have no divisor in common: any hundred calls in a row have a hundred different places.
        let place = nth * 37 % ALL;
        let mut answered = self.answered.subscribe();
        answered.wait_for(|share| place < *share).await.ok()?;
        let response = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 7\r\nconnection: close\r\n\r\ncounted";
        stream.write_all(response.as_bytes()).await.ok()?;
        stream.shutdown().await.ok()
    }
}
