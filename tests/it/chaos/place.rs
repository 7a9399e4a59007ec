//! A workspace in which things happen.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{join_all, select_all};
use serde_json::{Value, json};
use tests::{Client, Coworker, TestApp};

use super::act::Act;
use super::plan::{Plan, STAFF};
use crate::access::workspace;
use crate::approval::ask;
use crate::look;
use crate::sender::{PagerDuty, incident, note};

/// How long everything may take to end.
const END: Duration = Duration::from_secs(60);

/// A workspace in which a plan is carried out.
pub struct Place {
    /// At each node, with the same key.
    doors: Vec<Client>,
    pagerduty: PagerDuty,
    coworkers: Vec<String>,
    triage: Option<String>,
    requests: Mutex<Vec<Value>>,
    /// How often a draft was changed: no change is the same as the one before.
    changes: AtomicUsize,
}

impl Place {
    /// Makes it; `more` are the addresses of other nodes.
    pub async fn furnish(app: &TestApp, more: &[SocketAddr], name: &str, plan: &Plan) -> Self {
        let admin = workspace(app, name).await;
        let others = more.iter().map(|node| Client::new(*node, admin.key()));
        let doors = [admin.clone()].into_iter().chain(others).collect();
        let limits = json!({ "maxTurns": 6, "maxToolCalls": 12, "maxDuration": "PT5S" });
        // Who has hardly any money must have a model with a price.
        let price = json!({ "model": "scripted", "input": "1000", "output": "10" });
        admin.mutate("modelPriceSet", price, "").await;
        let hire = async |handle: &str, playbook: &str, more: Value| {
            let mut coworker = Coworker::new(handle)
                .playbook(playbook)
                .with("tools", ask("desk", "reset"))
                .limits(limits.clone());
            for (field, value) in more.as_object().into_iter().flatten() {
                coworker = coworker.with(field, value.clone());
            }
            coworker.publish(&admin).await.id
        };
        let mut coworkers = Vec::new();
        for (n, (handle, playbook)) in STAFF.iter().zip(&plan.staff).enumerate() {
            let more = match plan.poor {
                Some(poor) if poor == n => json!({ "budget": { "daily": "0.000001" } }),
                Some(_) | None => json!({}),
            };
            coworkers.push(hire(handle, playbook, more).await);
        }
        let triage = match &plan.triage {
            Some(playbook) => Some(hire("triage", playbook, json!({ "isTriage": true })).await),
            None => None,
        };
        let input = json!({ "hopBudget": plan.hops, "escalationAssigneeId": coworkers[3] });
        admin.mutate("workspaceUpdate", input, "").await;
        let place = Self {
            pagerduty: PagerDuty::new(&admin).await,
            doors,
            coworkers,
            triage,
            requests: Mutex::default(),
            changes: AtomicUsize::default(),
        };
        for (i, to) in plan.requests.iter().enumerate() {
            place.create(0, &format!("Request {i}"), Some(*to)).await;
        }
        place
    }

    /// Someone who may do anything.
    pub fn admin(&self) -> &Client {
        &self.doors[0]
    }

    /// One of the staff, or Triage.
    fn maker(&self, n: usize) -> Option<&String> {
        self.coworkers.get(n).or(self.triage.as_ref())
    }

    async fn create(&self, door: usize, title: &str, to: Option<usize>) {
        let to = to.and_then(|to| self.coworkers.get(to));
        let input = json!({ "title": title, "assigneeId": to });
        let made = self.attempt(door, "requestCreate", input, "request { id }");
        let mut made = made.await;
        let id = made["request"]["id"].take();
        if id.is_string() {
            self.requests.lock().expect("no panic").push(id);
        }
    }

    fn request(&self, n: usize) -> Value {
        let requests = self.requests.lock().expect("no panic");
        requests[n % requests.len()].clone()
    }

    /// Does what a person does at this node, and does not mind being refused.
    pub async fn perform(&self, person: usize, act: &Act) {
        let door = person % self.doors.len();
        let (mutation, input) = match act {
            Act::Assign { request, to } => {
                let to = to.map(|to| &self.coworkers[to]);
                let input = json!({ "id": self.request(*request), "assigneeId": to });
                ("requestAssign", input)
            }
            Act::Rivals { request, to } => {
                let request = self.request(*request);
                // Each at a node of its own, where there are several.
                let both = to.iter().enumerate().map(|(rival, to)| {
                    let input = json!({ "id": request, "assigneeId": self.coworkers[*to] });
                    let door = (door + rival) % self.doors.len();
                    self.attempt(door, "requestAssign", input, "")
                });
                join_all(both).await;
                return;
            }
            Act::Mention { request } => {
                let body = "@zero, @two and @three: what is it?";
                let input = json!({ "requestId": self.request(*request), "body": body });
                ("noteCreate", input)
            }
            Act::Note { request } => {
                let input = json!({ "requestId": self.request(*request), "body": "It is blue." });
                ("noteCreate", input)
            }
            Act::Status { request, status } => {
                let request = self.request(*request);
                let input = json!({ "id": request, "status": status });
                self.attempt(door, "requestUpdate", input, "").await;
                // To set the status that it has leaves no trace; a note does.
                let input =
                    json!({ "requestId": request, "body": "Seen.", "visibility": "PRIVATE" });
                ("noteCreate", input)
            }
            Act::Create { title, to } => return self.create(door, title, *to).await,
            Act::Deliver {
                incident,
                event,
                twice,
            } => {
                // The copies meet at different nodes.
                let copies = (0..=usize::from(*twice)).map(|copy| {
                    let door = (door + copy) % self.doors.len();
                    self.deliver(door, *incident, *event)
                });
                join_all(copies).await;
                return;
            }
            Act::Stop { run } => {
                let query =
                    "{ runs(first: 5, filter: { status: { eq: RUNNING } }) { nodes { id } } }";
                let mut data = self.doors[door].gql(query, json!({})).await;
                let running = look::list(data["runs"]["nodes"].take());
                if running.is_empty() {
                    return;
                }
                (
                    "runStop",
                    json!({ "id": running[run % running.len()]["id"] }),
                )
            }
            Act::Decide { approval, approve } => {
                let asked = self.asked(door).await;
                if asked.is_empty() {
                    return;
                }
                return self
                    .decide(door, &asked[approval % asked.len()], *approve)
                    .await;
            }
            Act::Unpublish { coworker } => {
                let Some(id) = self.maker(*coworker) else {
                    return;
                };
                ("coworkerUnpublish", json!({ "id": id }))
            }
            Act::Publish { coworker, changed } => {
                let Some(id) = self.maker(*coworker) else {
                    return;
                };
                if *changed {
                    self.change(door, id).await;
                }
                ("coworkerPublish", json!({ "id": id }))
            }
            Act::Rollback { coworker, version } => {
                let Some(id) = self.maker(*coworker) else {
                    return;
                };
                self.change(door, id).await;
                let input = json!({ "id": id });
                self.attempt(door, "coworkerPublish", input, "").await;
                ("coworkerRollback", json!({ "id": id, "version": version }))
            }
        };
        self.attempt(door, mutation, input, "").await;
    }

    /// Gives a coworker's draft another soul.
    async fn change(&self, door: usize, coworker: &str) {
        let nth = self.changes.fetch_add(1, Ordering::Relaxed);
        let input = json!({ "id": coworker, "soul": format!("Calm, {nth} times.") });
        self.attempt(door, "coworkerUpdate", input, "").await;
    }

    /// The calls that wait for a person.
    async fn asked(&self, door: usize) -> Vec<Value> {
        let query = "{ approvals(state: PENDING) { nodes { id request { id } } } }";
        let mut data = self.doors[door].gql(query, json!({})).await;
        look::list(data["approvals"]["nodes"].take())
    }

    async fn decide(&self, door: usize, approval: &Value, approve: bool) {
        let decision = if approve { "APPROVE" } else { "DENY" };
        let input = json!({ "approvalId": approval["id"], "decision": decision });
        self.attempt(door, "approvalDecide", input, "").await;
    }

    /// Lets everything come to its end: whatever still waits for a person is decided, one way and the other, or its request taken away,
    /// and who asked is answered once.
    pub async fn settle(&self, app: &TestApp) {
        let settled = tokio::time::timeout(END, self.decide_all(app)).await;
        if settled.is_err() {
            let query = "{ requests(first: 20) { nodes { number status waiting { trigger coworker { handle state } waitsFor { number status } } } }
                           runs(first: 20, filter: { status: { in: [RUNNING, PAUSED_FOR_APPROVAL] } }) { nodes { number status attempt turnCount toolCallCount lastSequence } }
                           approvals(state: PENDING) { nodes { id state } } }";
            let left = self.admin().gql(query, json!({})).await;
            panic!("not everything ended within {END:?}: {left:#}");
        }
    }

    async fn decide_all(&self, app: &TestApp) {
        let mut ways = (0..3).cycle();
        let mut answered = HashSet::new();
        let mut calls = Vec::new();
        for door in &self.doors {
            let query = "subscription { approvalRequested { id } }";
            calls.push(door.subscribe(query, json!({})).await);
        }
        loop {
            let asked = self.asked(0).await;
            for approval in &asked {
                match ways.next() {
                    Some(0) => {
                        let input = json!({ "id": approval["request"]["id"], "assigneeId": null });
                        self.attempt(0, "requestAssign", input, "").await;
                    }
                    way => self.decide(0, approval, way == Some(1)).await,
                }
            }
            // What asks meanwhile may keep others waiting, at whichever node.
            let asks = calls.iter_mut().map(|calls| Box::pin(calls.next()));
            tokio::select! {
                () = app.drain() => if self.asked(0).await.is_empty() && !self.answer(&mut answered).await { return },
                _ = select_all(asks) => {}
            }
        }
    }

    /// Answers what was asked on each request that has no answer yet; whether there was any.
    async fn answer(&self, answered: &mut HashSet<String>) -> bool {
        let query = "{ requests(first: 50, filter: { status: { eq: PENDING }, assigneeKind: { eq: COWORKER } }) { nodes { id } } }";
        let mut data = self.admin().gql(query, json!({})).await;
        let mut any = false;
        for request in look::list(data["requests"]["nodes"].take()) {
            let id = request["id"].as_str().expect("an id");
            if answered.insert(id.to_owned()) {
                let input = json!({ "requestId": id, "body": "It is red." });
                self.attempt(0, "noteCreate", input, "").await;
                any = true;
            }
        }
        any
    }

    async fn attempt(&self, door: usize, mutation: &str, input: Value, fields: &str) -> Value {
        let (first, rest) = mutation.split_at(1);
        let query = format!(
            "mutation ($input: {}{rest}Input!) {{ {mutation}(input: $input) {{ {fields} userErrors {{ code }} }} }}",
            first.to_uppercase()
        );
        let door = &self.doors[door];
        let mut answer = door.post(&query, json!({ "input": input })).await;
        assert!(
            answer.body["errors"].is_null(),
            "{mutation} {input}: {}",
            answer.body
        );
        answer.body["data"][mutation].take()
    }

    /// An event of one of two incidents, in any order, and again.
    async fn deliver(&self, door: usize, n: usize, event: usize) {
        let (id, about) = (format!("{n}-{}", 10 + event), format!("P{n}"));
        let payload = match event {
            0 => incident(&id, "incident.triggered", &about, "triggered"),
            1 => incident(&id, "incident.acknowledged", &about, "acknowledged"),
            2 => note(&id, &about, "It is blue."),
            3 => incident(&id, "incident.resolved", &about, "resolved"),
            _ => incident(&id, "incident.reopened", &about, "triggered"),
        };
        let pagerduty = self.pagerduty.through(&self.doors[door]);
        let answer = pagerduty.send(&payload).await;
        assert!(
            matches!(answer.status, 200 | 503),
            "{}: {}",
            answer.status,
            answer.body
        );
    }
}
