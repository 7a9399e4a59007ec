//! Runs per second of a five-step run: three model turns, two tool calls, none of them with a delay of its
//! own, so that what is measured is Stint.
//!
//! Fifty clients each make a request for a coworker (`requestCreate` over a kept HTTP connection), wait until
//! the request's run has ended, and make the next. Each learns of the end from `requestTimeline`, on a
//! WebSocket that it renews when it has sent as many messages as one may: the mutation names no run yet, so
//! that `runEvents` can't be asked for it, and `runChanged` tells of ends only every 250 ms.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::json;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use crate::database::{Database, Kind};
use crate::http::Http;
use crate::server::Server;
use crate::stats::{Samples, digits, middle};
use crate::table::Table;
use crate::ws::Socket;
use crate::{Options, api, machine};

const IN_FLIGHT: usize = 50;
const ROUNDS: usize = 3;
/// How long one run may take before the measurement is given up.
const LIMIT: Duration = Duration::from_secs(30);
/// Messages that a client may send over one socket in a minute.
const MESSAGES: u32 = 100;

const PLAYBOOK: &str = "
tools:
  - name: desk.look
    description: Looks at a device.
    effect: READ
    answers: [{ response: { latency_ms: 9, loss: 0 } }]
  - name: desk.check
    description: Checks a subnet.
    effect: READ
    answers: [{ response: { healthy: true } }]
turns:
  - text: I look at the device.
    calls: [{ tool: desk.look, arguments: { device: LT-2231 } }]
  - text: The device is fine. I check its subnet.
    calls: [{ tool: desk.check, arguments: { subnet: 10.2.0.0/16 } }]
  - text: Both are fine.
    calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: Nothing is wrong., summary: I looked at the device and its subnet and found nothing. } }]
";

/// What the clients share with the one who measures.
#[derive(Default)]
struct Load {
    ended: RefCell<Samples>,
    total: Cell<u64>,
    stopping: Cell<bool>,
}

pub(crate) async fn measure(options: &Options, kind: Kind, table: &mut Table) -> Result<()> {
    let database = Database::new(kind)?;
    let server = Server::start(options, &database)?;
    let (address, key) = (server.address(), server.first_key()?);
    let mut http = Http::connect(address, &key).await?;
    let coworker = api::coworker(&mut http, "bench", PLAYBOOK, json!({})).await?;

    let load = Rc::new(Load::default());
    let clients: Vec<_> = (0..IN_FLIGHT)
        .map(|_| spawn_local(client(load.clone(), address, key.clone(), coworker.clone())))
        .collect();
    sleep(options.time(10, 3)).await;
    load.ended.take();

    let (mut rates, mut all) = (Vec::new(), Samples::default());
    let (mut ours, mut databases, mut clients_own) = (Duration::ZERO, None, Duration::ZERO);
    for _ in 0..ROUNDS {
        let before = (
            server.cpu()?,
            database.cpu()?,
            machine::cpu(std::process::id())?,
        );
        let begun = Instant::now();
        sleep(options.time(20, 3)).await;
        let samples = load.ended.take();
        rates.push(samples.len() as f64 / begun.elapsed().as_secs_f64());
        all.extend(&samples);
        ours += server.cpu()? - before.0;
        if let (Some(after), Some(before)) = (database.cpu()?, before.1) {
            databases = Some(databases.unwrap_or(Duration::ZERO) + (after - before));
        }
        clients_own += machine::cpu(std::process::id())? - before.2;
        if clients.iter().any(|client| client.is_finished()) {
            break;
        }
    }
    load.stopping.set(true);
    for client in clients {
        client.await??;
    }
    check(&mut http, load.total.get()).await?;

    let per_run = |time: Duration| {
        format!(
            "{} ms",
            digits(time.as_secs_f64() * 1000.0 / all.len() as f64)
        )
    };
    let cores = [
        format!("Stint {}", per_run(ours)),
        databases.map_or(String::new(), |time| {
            format!(", database {}", per_run(time))
        }),
        format!(", load {}", per_run(clients_own)),
    ];
    table.put(
        "five-step runs per second, 50 in flight",
        kind,
        middle(rates),
    );
    table.put(
        "— from `requestCreate` to the known end, p50 / p99",
        kind,
        all.p50_p99(),
    );
    table.put("— time on the cores per run", kind, cores.concat());
    table.put(
        "— resident memory under this load",
        kind,
        format!("{} MB", digits(server.resident()?)),
    );
    server.stop()
}

/// One client: a request, its run, the next request.
async fn client(load: Rc<Load>, address: SocketAddr, key: String, coworker: String) -> Result<()> {
    let mut http = Http::connect(address, &key).await?;
    let mut watcher = Watcher::new(address, key);
    let request = api::request("My laptop is slow on the office network", &coworker);
    while !load.stopping.get() {
        let begun = Instant::now();
        let id = created(http.post(&request).await?)?;
        timeout(LIMIT, watcher.ended(&id))
            .await
            .context("a run does not end")??;
        load.ended.borrow_mut().push(begun.elapsed());
        load.total.set(load.total.get() + 1);
    }
    Ok(())
}

fn created(answer: &[u8]) -> Result<String> {
    #[derive(Deserialize)]
    struct Answer {
        data: Option<Data>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Data {
        request_create: Payload,
    }
    #[derive(Deserialize)]
    struct Payload {
        request: Option<Request>,
    }
    #[derive(Deserialize)]
    struct Request {
        id: String,
    }
    let parsed: Answer = serde_json::from_slice(answer)?;
    let request = parsed.data.and_then(|data| data.request_create.request);
    request
        .map(|request| request.id)
        .with_context(|| format!("not made: {}", String::from_utf8_lossy(answer)))
}

/// Waits for the end of one request's run after the other, on a socket that it renews.
struct Watcher {
    address: SocketAddr,
    key: String,
    socket: Option<Socket>,
    sent: u32,
}

impl Watcher {
    fn new(address: SocketAddr, key: String) -> Self {
        Self {
            address,
            key,
            socket: None,
            sent: 0,
        }
    }

    async fn ended(&mut self, request: &str) -> Result<()> {
        if self.sent + 2 > MESSAGES {
            self.socket = None;
        }
        if self.socket.is_none() {
            self.socket = Some(Socket::open(self.address, &self.key).await?);
            self.sent = 1;
        }
        let socket = self.socket.as_mut().context("a socket")?;
        let id = self.sent;
        self.sent += 2;
        let query = "subscription ($id: ID!) { requestTimeline(requestId: $id) { __typename } }";
        let params = json!({ "query": query, "variables": { "id": request } });
        socket
            .send(&format!(
                r#"{{"id":"{id}","type":"subscribe","payload":{params}}}"#
            ))
            .await?;
        let own = format!(r#"{{"id":"{id}","#);
        loop {
            let message = socket.next().await?;
            if message.contains(r#""type":"error""#) || message.contains(r#""errors""#) {
                bail!("{message}");
            }
            if message.starts_with(&own) && message.contains("RunEnded") {
                break;
            }
        }
        socket
            .send(&format!(r#"{{"id":"{id}","type":"complete"}}"#))
            .await
    }
}

/// Every request had one run, and each did what the playbook says.
async fn check(http: &mut Http, total: u64) -> Result<()> {
    let query = "{ all: runs { totalCount } \
        right: runs(filter: { outcome: { eq: REPLIED }, turnCount: { eq: 3 } }, first: 1) { totalCount nodes { toolCallCount } } }";
    let found = api::ask(http, query, json!({})).await?;
    let (all, right) = (&found["all"]["totalCount"], &found["right"]["totalCount"]);
    if *all != total || *right != total || total == 0 {
        bail!("of {total} requests came {all} runs, and {right} of them went as they should");
    }
    // The two calls, and the one that finishes.
    match found["right"]["nodes"][0]["toolCallCount"].as_u64() {
        Some(2 | 3) => Ok(()),
        other => bail!("runs have {other:?} tool calls"),
    }
}
