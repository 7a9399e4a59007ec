//! G16: an outside system's events come in five copies to two nodes that are killed again and again, among deliveries that are
//! not the system's, while its secret is replaced.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tests::binary::Stint;
use tests::{Backend, TestDb, on_both};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::ruin::{self, Site};
use crate::sender::{PagerDuty, SECRET, hex, incident, tag};

/// How many events there are, how many copies of each, and how many deliveries that nobody should take.
const EVENTS: usize = 1_000;
const COPIES: usize = 5;
const BAD: usize = 300;
/// How many of the incidents are acknowledged, and then resolved.
const UPDATED: usize = 150;
/// How often a server is killed in each of the stages: three of new incidents, and two of what becomes of them.
const KILLS: usize = 4;
const STAGES: usize = 5;
/// How many deliveries are under way at once.
const AT_ONCE: usize = 16;
/// How long anything that is waited for may take.
const LIMIT: Duration = Duration::from_secs(60);
/// The secret that takes the place of [`SECRET`].
const NEXT: &str = "0123456789abcdefghij";

/// One delivery.
struct Delivery {
    /// The place of the node that it goes to.
    node: usize,
    event: String,
    body: String,
    /// The signature's header, if there is one.
    signature: Option<String>,
    good: bool,
}

/// What a sender was told in the end.
struct Told {
    event: String,
    good: bool,
    status: u16,
    outcome: String,
}

fn sign(secret: &str, body: &str) -> String {
    format!("v1={}", hex(&tag(secret.as_bytes(), &[body.as_bytes()])))
}

fn triggered(event: &str) -> String {
    incident(
        event,
        "incident.triggered",
        &format!("P{event}"),
        "triggered",
    )
    .to_string()
}

/// What becomes of an incident: it is acknowledged, then resolved. The event's name begins with `a` or `r`.
fn becomes(event: &str) -> String {
    let n = &event[1..];
    let (kind, status) = match event.as_bytes()[0] {
        b'a' => ("incident.acknowledged", "acknowledged"),
        _ => ("incident.resolved", "resolved"),
    };
    incident(event, kind, &format!("Pe{n}"), status).to_string()
}

/// The stage in which an event happens.
const fn happens(event: usize) -> usize {
    event * 3 / EVENTS
}

/// The node that a copy of an event goes to. Most events come to all nodes at once. Two of five come to one node alone as long as
/// they are new: where the nodes race for every event, one that lags behind the other never makes anything that it could be killed
/// over.
const fn node_of(event: usize, copy: usize, stage: usize) -> usize {
    match event % 5 {
        alone @ (0 | 1) => alone + stage - happens(event),
        _ => event + copy,
    }
}

/// A copy of an event, signed with what is in force: the old secret, then both, then the new one.
fn copy(event: usize, copy: usize, stage: usize) -> Delivery {
    let node = node_of(event, copy, stage);
    let event = format!("e{event}");
    let body = triggered(&event);
    let signature = match (stage, copy % 3) {
        (0, _) | (1, 0) => sign(SECRET, &body),
        (1, 1) | (2, _) => sign(NEXT, &body),
        _ => format!("{},{}", sign(NEXT, &body), sign(SECRET, &body)),
    };
    Delivery {
        node,
        event,
        body,
        signature: Some(signature),
        good: true,
    }
}

/// A delivery of somebody else's, or with a secret that is not in force: whoever takes it has one request too many.
fn bad(n: usize, stage: usize) -> Delivery {
    let event = format!("bad{n}");
    let body = triggered(&event);
    let signature = match n % 6 {
        0 => None,
        1 => Some(String::new()),
        2 => Some(sign("a stranger's own", &body)),
        3 => Some(sign([SECRET, SECRET, NEXT][stage], &triggered("e0"))),
        4 => Some(sign([SECRET, SECRET, NEXT][stage], &body).replace("v1=", "v0=")),
        _ => Some(sign([NEXT, "a stranger's own", SECRET][stage], &body)),
    };
    Delivery {
        node: n,
        event,
        body,
        signature,
        good: false,
    }
}

/// What is sent before the secret is replaced, while both are in force, and after. The copies of an event follow one another, some
/// of them after the next change.
fn stages() -> [Vec<Delivery>; STAGES] {
    let mut stages = [const { Vec::new() }; STAGES];
    for event in 0..EVENTS {
        for n in 0..COPIES {
            let stage = (happens(event) + n / 4).min(2);
            stages[stage].push(copy(event, n, stage));
        }
    }
    for (stage, list) in stages.iter_mut().take(3).enumerate() {
        for n in (stage..BAD).step_by(3) {
            let at = n * list.len() / BAD;
            list.insert(at, bad(n, stage));
        }
    }
    // Once there are requests of all of them. As before, two of five come to one node alone while they are new.
    for (list, first) in stages[3..].iter_mut().zip(["a", "r"]) {
        for (n, copy) in (0..UPDATED).flat_map(|n| (0..COPIES).map(move |copy| (n, copy))) {
            let event = format!("{first}{n}");
            let body = becomes(&event);
            let signature = Some(sign(NEXT, &body));
            let node = if n % 5 < 2 { n % 5 } else { n + copy };
            list.push(Delivery {
                node,
                event,
                body,
                signature,
                good: true,
            });
        }
    }
    stages
}

/// The next death: of which node, once it has committed something new.
#[derive(Default)]
struct Death {
    /// The node's place and one more; 0 while none is to die.
    due: AtomicUsize,
    struck: Notify,
}

impl Death {
    /// Waits until this node has committed an event for the first time; that answer is lost with it.
    async fn strike(&self, node: usize) {
        self.due.store(node + 1, Ordering::Relaxed);
        self.struck.notified().await;
    }

    /// Whether the answer that this node gave is lost.
    fn takes(&self, node: usize, outcome: &str) -> bool {
        let relaxed = Ordering::Relaxed;
        let takes = matches!(outcome, "REQUEST_MADE" | "REQUEST_UPDATED")
            && self
                .due
                .compare_exchange(node + 1, 0, relaxed, relaxed)
                .is_ok();
        if takes {
            self.struck.notify_one();
        }
        takes
    }
}

/// Delivers as a sender does who gives up on nothing but a refusal.
async fn until_answered(
    http: &reqwest::Client,
    (node, url): (usize, &str),
    delivery: Delivery,
    death: &Death,
) -> Told {
    let Delivery {
        node: _,
        event,
        body,
        signature,
        good,
    } = delivery;
    let begun = Instant::now();
    let mut last = "nothing".to_owned();
    while begun.elapsed() < LIMIT {
        let request = http.post(url).body(body.clone());
        let request = match &signature {
            Some(signature) => request.header("X-PagerDuty-Signature", signature),
            None => request,
        };
        match answer(request).await {
            Ok((status, told)) if status < 500 && status != 429 => {
                let outcome = told["outcome"].as_str().unwrap_or_default().to_owned();
                if !death.takes(node, &outcome) {
                    return Told {
                        event,
                        good,
                        status,
                        outcome,
                    };
                }
                last = "an answer that was lost with its node".to_owned();
            }
            Ok((status, told)) => last = format!("{status} {told}"),
            Err(error) => last = format!("{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("node {node} did not answer {event} within {LIMIT:?}; the last try got {last}");
}

async fn answer(request: reqwest::RequestBuilder) -> reqwest::Result<(u16, Value)> {
    let answer = request.send().await?;
    Ok((answer.status().as_u16(), answer.json().await?))
}

/// The nodes: one on an embedded database, two on PostgreSQL.
struct Nodes {
    site: Site,
    other: Option<Stint>,
}

impl Nodes {
    /// Kills one of them and starts it again where it was.
    fn crash(&mut self, node: usize) {
        match &mut self.other {
            Some(other) if node == 1 => {
                let address = other.address().to_string();
                other.kill();
                *other = self.site.another(&["--listen", &address]);
                other.address();
            }
            Some(_) | None => self.site.crash(),
        }
    }

    fn urls(&self, path: &str) -> Vec<String> {
        let mut urls = vec![self.site.client.url(path)];
        let other = self.other.as_ref().map(Stint::address);
        urls.extend(other.map(|address| format!("http://{address}{path}")));
        urls
    }

    /// Waits for something that must come while deliveries are under way, and says what did not come.
    async fn meanwhile<T>(
        &self,
        sending: &mut JoinHandle<Vec<Told>>,
        what: &str,
        wait: impl Future<Output = T>,
    ) -> T {
        let missing = tokio::select! {
            biased;
            come = wait => return come,
            ended = sending => match ended {
                Ok(all) => format!("all {} deliveries were answered", all.len()),
                Err(error) => error.to_string(),
            },
            () = tokio::time::sleep(LIMIT) => format!("{LIMIT:?} went by"),
        };
        panic!(
            "{missing}, and still waiting for {what}; the nodes say: {}{}",
            self.site.server.stderr(),
            self.other.as_ref().map(Stint::stderr).unwrap_or_default()
        );
    }
}

on_both! {
    /// G16: 1,000 events, 5 copies of each, 300 deliveries that are not the sender's, 12 kills: exactly 1,000 requests. Then 300 events of
    /// what becomes of 150 of them, 5 copies of each, 8 kills: exactly one change of status by each.
    async fn an_event_counts_once_whatever_is_killed(backend: Backend) {
        let site = Site::start_with(TestDb::new(backend).await, &["--secret-key", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="]);
        let pagerduty = PagerDuty::new(&site.client).await;
        let other = (backend == Backend::Postgres).then(|| site.another(&["--listen", &ruin::free_address()]));
        let mut nodes = Nodes { site, other };
        let urls = nodes.urls(&pagerduty.path);
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
        let (count, mut answered) = watch::channel(0);
        let death = Arc::new(Death::default());
        let (mut all, mut kills) = (Vec::new(), 0);
        for (stage, deliveries) in stages().into_iter().enumerate() {
            if (1..3).contains(&stage) {
                // The new secret beside the old one, then without it.
                let overlap = ["", "P1D", "PT0S"][stage];
                let input = json!({ "id": pagerduty.id, "secret": NEXT, "overlap": overlap });
                nodes.site.client.mutate("webhookEndpointSecretRotate", input, "").await;
            }
            let (http, to, count, death_of) = (http.clone(), urls.clone(), count.clone(), death.clone());
            let total = deliveries.len();
            let mut sending = tokio::spawn(async move {
                let each = deliveries.into_iter().map(|delivery| {
                    let node = delivery.node % to.len();
                    let (http, url, count, death) = (&http, &*to[node], &count, &*death_of);
                    async move {
                        let told = until_answered(http, (node, url), delivery, death).await;
                        count.send_modify(|n| *n += 1);
                        told
                    }
                });
                stream::iter(each).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await
            });
            // The last one while some are still to come: what matters is what happens after it too.
            for part in 1..=KILLS {
                let then = all.len() + total * part / (KILLS + 1);
                let what = format!("{then} answers before death {kills}");
                nodes.meanwhile(&mut sending, &what, answered.wait_for(|n| *n >= then)).await.unwrap();
                let node = kills % urls.len();
                let what = format!("node {node} to do what a new event says");
                nodes.meanwhile(&mut sending, &what, death.strike(node)).await;
                nodes.crash(node);
                kills += 1;
            }
            let rest = timeout(LIMIT, sending).await;
            all.extend(rest.expect("the rest of a stage is answered in time").unwrap());
        }
        assert_eq!((kills, all.len()), (KILLS * STAGES, (EVENTS + 2 * UPDATED) * COPIES + BAD));
        let (mut made, mut updated): (HashMap<&str, usize>, HashMap<&str, usize>) = Default::default();
        for told in &all {
            match (told.good, told.status, told.outcome.as_str()) {
                (true, 200, "REQUEST_MADE") => *made.entry(&told.event).or_default() += 1,
                (true, 200, "REQUEST_UPDATED") => *updated.entry(&told.event).or_default() += 1,
                (true, 200, "DUPLICATE") | (false, 401, _) => {}
                (good, status, outcome) => panic!("{}: good {good}, {status} {outcome}", told.event),
            }
        }
        assert!(made.values().chain(updated.values()).all(|times| *times == 1), "an answer may be lost, and is never given twice");
        let lost = (EVENTS - made.len(), 2 * UPDATED - updated.len());
        assert!(lost.0 >= 3 * KILLS && lost.1 >= 2 * KILLS, "each death came between a commit and its answer: {lost:?}");

        let site = &nodes.site;
        assert_eq!(site.number("SELECT COUNT(*) FROM request").await, EVENTS as i64);
        let events = "SELECT COUNT(DISTINCT event_id) FROM webhook_delivery WHERE outcome = 'REQUEST_MADE' AND request_id IN (SELECT id FROM request)";
        assert_eq!(site.number(events).await, EVENTS as i64);
        let accepted = "SELECT COUNT(*) FROM webhook_delivery WHERE event_id LIKE 'bad%' OR (outcome = 'REFUSED') = verified";
        assert_eq!(site.number(accepted).await, 0);
        // Each update has one entry on the timeline, and no other has one.
        let changes = "SELECT COUNT(*) FROM request_event WHERE kind = 'STATUS_CHANGED'";
        assert_eq!(site.number(changes).await, 2 * UPDATED as i64);
        let settled = "SELECT COUNT(*) FROM request r WHERE status = 'RESOLVED' AND 2 = (SELECT COUNT(*) FROM request_event e WHERE e.request_id = r.id AND e.kind = 'STATUS_CHANGED')";
        assert_eq!(site.number(settled).await, UPDATED as i64);
        // Also after the last death, on each node.
        for (n, url) in urls.iter().enumerate() {
            let outcome = async |event: &str| {
                let body = triggered(event);
                let signature = Some(sign(NEXT, &body));
                let delivery = Delivery { node: n, event: event.to_owned(), body, signature, good: true };
                until_answered(&http, (n, url), delivery, &death).await.outcome
            };
            assert_eq!(outcome("e0").await, "DUPLICATE");
            assert_eq!(outcome(&format!("new{n}")).await, "REQUEST_MADE");
        }
    }
}
