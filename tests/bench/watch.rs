//! How long an event takes to those who watch its run: from its timestamp (taken before it is written) to the
//! receipt of its message. Timestamps are cut to the millisecond, which adds half of one on average.
//!
//! One run plays turn after turn, each of five events. Every watcher has a WebSocket of its own and subscribes
//! to `runEvents` before the first turn. At the end each must have seen every event once, in order.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::json;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{sleep, timeout};

use crate::database::{Database, Kind};
use crate::http::Http;
use crate::server::Server;
use crate::stats::{Samples, digits};
use crate::table::Table;
use crate::ws::Socket;
use crate::{Options, api, machine};

/// What a watcher asks of each event.
const QUERY: &str =
    "subscription ($id: ID!) { runEvents(runId: $id) { sequence type at payload } }";
/// Until the first turn: in this time the watchers come.
const GATE: Duration = Duration::from_secs(8);
/// How long it may take until every watcher has seen the end.
const LIMIT: Duration = Duration::from_secs(60);
/// How many watchers come at once.
const TOGETHER: usize = 50;

pub(crate) async fn measure(options: &Options, kind: Kind, table: &mut Table) -> Result<()> {
    let database = Database::new(kind)?;
    let first = Server::start(options, &database)?;
    let key = first.first_key()?;
    first.stop()?;
    for (watchers, pause) in [(1, 50), (1000, 250), (1000, 50)] {
        // A server of its own for each, because none gives all memory back.
        let server = Server::start(options, &database)?;
        let mut seen = follow(options, &server, &key, watchers, pause).await?;
        server.stop()?;
        let deliveries = seen.latency.len() as f64;
        let per_second = digits(deliveries / seen.time.as_secs_f64());
        let who = match watchers {
            1 => "1 watcher".to_owned(),
            many => format!("{} watchers", digits(many as f64)),
        };
        let watched = format!("{who}, a turn every {pause} ms");
        let latency = format!("{} at {per_second} deliveries/s", seen.latency.p50_p99());
        table.put(
            &format!("event to receipt, {watched}, p50 / p99"),
            kind,
            latency,
        );
        if watchers > 1 {
            let per_delivery =
                |time: Duration| format!("{} µs", digits(time.as_secs_f64() * 1e6 / deliveries));
            let costs = format!(
                "Stint {}, load {}; {} KB a watcher",
                per_delivery(seen.server),
                per_delivery(seen.load),
                digits(seen.grown * 1000.0 / watchers as f64)
            );
            table.put(
                &format!("— {watched}: time on the cores per delivery, memory"),
                kind,
                costs,
            );
        }
    }
    Ok(())
}

/// What the watchers of one run saw.
struct Seen {
    latency: Samples,
    time: Duration,
    /// Time on the cores.
    server: Duration,
    load: Duration,
    /// Resident memory that the watchers took, MB.
    grown: f64,
}

/// What the watchers share.
#[derive(Default)]
struct Shared {
    latency: RefCell<Samples>,
    /// How many see the run.
    ready: Cell<usize>,
    /// Only events from this moment on count; none yet.
    from: Cell<Option<Duration>>,
    /// The last timestamp that was read, for those who get the same.
    at: RefCell<(String, Duration)>,
}

async fn follow(
    options: &Options,
    server: &Server,
    key: &str,
    watchers: usize,
    pause: u32,
) -> Result<Seen> {
    let mut http = Http::connect(server.address(), key).await?;
    let run = begin(&mut http, watchers, pause).await?;
    let begun = Instant::now();
    let shared = Rc::new(Shared::default());
    let empty = server.resident()?;
    let mut tasks: Vec<JoinHandle<Result<i64>>> = Vec::new();
    while tasks.len() < watchers {
        for _ in tasks.len()..watchers.min(tasks.len() + TOGETHER) {
            let (shared, address, key, run) = (
                shared.clone(),
                server.address(),
                key.to_owned(),
                run.clone(),
            );
            tasks.push(spawn_local(async move {
                watch(&shared, Socket::open(address, &key).await?, &run).await
            }));
        }
        while shared.ready.get() < tasks.len() {
            sleep(Duration::from_millis(1)).await;
            if begun.elapsed() > GATE || tasks.iter().any(JoinHandle::is_finished) {
                bail!(
                    "only {} of {watchers} watchers came within {GATE:?}",
                    shared.ready.get()
                );
            }
        }
    }
    let grown = server.resident()? - empty;

    // The first turns warm up.
    sleep(GATE.saturating_sub(begun.elapsed()) + options.time(2, 1)).await;
    let before = (server.cpu()?, machine::cpu(std::process::id())?);
    let from = Instant::now();
    shared.from.set(Some(machine::now()));
    sleep(options.time(20, 4)).await;
    let latency = shared.latency.take();
    let (time, after) = (
        from.elapsed(),
        (server.cpu()?, machine::cpu(std::process::id())?),
    );

    stop(&mut http, &run).await?;
    let last = timeout(LIMIT, async {
        let mut last = Vec::with_capacity(watchers);
        for task in tasks {
            last.push(task.await??);
        }
        anyhow::Ok(last)
    });
    let last = last.await.context("not all watchers saw the end")??;
    let query = "query ($id: ID!) { run(id: $id) { lastSequence } }";
    let known =
        api::ask(&mut http, query, json!({ "id": run })).await?["run"]["lastSequence"].as_i64();
    if last.iter().any(|last| Some(*last) != known) {
        bail!("the run has {known:?} events, and some watcher saw fewer");
    }
    Ok(Seen {
        latency,
        time,
        server: after.0 - before.0,
        load: after.1 - before.1,
        grown,
    })
}

/// Starts a run that plays until it is stopped; returns its id.
async fn begin(http: &mut Http, watchers: usize, pause: u32) -> Result<String> {
    let gate = GATE.as_secs();
    let playbook = format!(
        "
tools:
  - name: desk.look
    description: Looks at a device.
    effect: READ
    answers: [{{ response: {{ latency_ms: 9, loss: 0 }} }}]
turns:
  - text: I wait for everybody.
    calls: [{{ tool: desk.look, arguments: {{ device: LT-2231 }} }}]
    usage: {{ input: 1, output: 1 }}
    delay: {gate}s
  - text: I look at the device once more.
    calls: [{{ tool: desk.look, arguments: {{ device: LT-2231 }} }}]
    usage: {{ input: 1, output: 1 }}
    delay: {pause}ms
    repeat: true
"
    );
    let limits = json!({ "maxTurns": 1000, "maxToolCalls": 10000 });
    let coworker = api::coworker(
        http,
        &format!("watched-{watchers}-{pause}"),
        &playbook,
        limits,
    )
    .await?;
    let made = http
        .post(&api::request("A run to be watched", &coworker))
        .await?;
    let made: serde_json::Value = serde_json::from_slice(made)?;
    let request = made
        .pointer("/data/requestCreate/request/id")
        .context("a request")?
        .clone();
    let query = "query ($id: ID!) { request(id: $id) { runs(first: 1) { nodes { id } } } }";
    loop {
        let found = api::ask(http, query, json!({ "id": request })).await?;
        if let Some(id) = found["request"]["runs"]["nodes"][0]["id"].as_str() {
            return Ok(id.to_owned());
        }
        sleep(Duration::from_millis(5)).await;
    }
}

async fn stop(http: &mut Http, run: &str) -> Result<()> {
    let query =
        "mutation ($input: RunStopInput!) { runStop(input: $input) { userErrors { message } } }";
    let done = api::ask(http, query, json!({ "input": { "id": run } })).await?;
    match done["runStop"]["userErrors"].as_array() {
        Some(errors) if errors.is_empty() => Ok(()),
        _ => bail!("not stopped: {done}"),
    }
}

/// Watches a run to its end; returns the last sequence. Fails at a hole or a repeated event.
async fn watch(shared: &Shared, mut socket: Socket, run: &str) -> Result<i64> {
    let params = json!({ "query": QUERY, "variables": { "id": run } });
    socket
        .send(&format!(
            r#"{{"id":"1","type":"subscribe","payload":{params}}}"#
        ))
        .await?;
    let mut last = 0;
    loop {
        let text = socket.next().await?;
        let received = machine::now();
        let message: Message<'_> = serde_json::from_str(text)?;
        let event = match (message.kind, message.payload) {
            ("next", Some(Payload { data: Some(data) })) => data.run_events,
            ("complete", None) => return Ok(last),
            _ => bail!("instead of an event came {text}"),
        };
        if event.sequence != last + 1 {
            bail!("after event {last} came {}", event.sequence);
        }
        last = event.sequence;
        if last == 1 {
            shared.ready.set(shared.ready.get() + 1);
        }
        let at = shared.time(event.at)?;
        if shared.from.get().is_some_and(|from| at >= from) {
            shared
                .latency
                .borrow_mut()
                .push(received.saturating_sub(at));
        }
    }
}

impl Shared {
    fn time(&self, text: &str) -> Result<Duration> {
        let mut known = self.at.borrow_mut();
        if known.0 != text {
            *known = (
                text.to_owned(),
                instant(text).with_context(|| format!("{text} is no timestamp"))?,
            );
        }
        Ok(known.1)
    }
}

/// Reads `2026-05-20T03:30:55.078Z`.
fn instant(text: &str) -> Option<Duration> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    // Years that begin in March, so that the day that comes and goes is the last one.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap = year / 4 - year / 100 + year / 400;
    let days = year * 365 + leap + (month * 153 + 2) / 5 + day - 1;
    // From 0000-03-01 to 1970-01-01.
    let days = days - 719_468;
    let seconds = ((days * 24 + number(11, 13)?) * 60 + number(14, 16)?) * 60 + number(17, 19)?;
    Some(Duration::from_secs(seconds) + Duration::from_millis(number(20, 23)?))
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    payload: Option<Payload<'a>>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    data: Option<Data<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    #[serde(borrow)]
    run_events: Event<'a>,
}

#[derive(Deserialize)]
struct Event<'a> {
    sequence: i64,
    at: &'a str,
}
