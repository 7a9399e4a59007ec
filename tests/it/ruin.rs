//! What tests of crashes share: a real server that is killed and started again, and an audit of what it left behind.

use std::time::Duration;

use domain::run::rebuild;
use domain::store::{OpenOptions, Store};
use entity::{RunId, run, run_event};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, Statement};
use serde_json::json;
use tests::binary::Stint;
use tests::{Client, Coworker, TestDb, process};

use crate::look::answer;

/// Where many runs are held at once on a slow machine, nothing but a death must look like one.
pub const STEADY: [&str; 6] = ["--lease", "2s", "--renew", "600ms", "--reap", "200ms"];

/// Settings of a server whose death is noticed soon.
pub const HASTY: [&str; 6] = ["--lease", "600ms", "--renew", "150ms", "--reap", "100ms"];

/// An address that a server finds free again after its death: nobody's outgoing connection takes its port meanwhile.
pub fn free_address() -> String {
    format!("127.0.0.1:{}", process::free_port())
}

/// A database, a server on it, and a client with the server's first key.
pub struct Site {
    pub db: TestDb,
    pub server: Stint,
    pub client: Client,
    more: Vec<&'static str>,
}

impl Site {
    /// Starts a server that is hasty.
    pub fn start(db: TestDb) -> Self {
        Self::start_with(db, &[])
    }

    /// With more arguments.
    pub fn start_with(db: TestDb, more: &[&'static str]) -> Self {
        Self::start_at(db, &HASTY, more)
    }

    /// With another haste.
    pub fn start_at(db: TestDb, haste: &[&'static str], more: &[&'static str]) -> Self {
        let more = [haste, more].concat();
        let listen = ["--listen", &free_address()];
        let server = Stint::serve(db.url(), &[&more[..], &listen].concat());
        let client = server.client();
        Self {
            db,
            server,
            client,
            more,
        }
    }

    /// Starts it again where it was.
    pub fn restart(&mut self) {
        self.restart_unready();
        self.server.address();
    }

    /// Starts it again, and does not wait: it may die before it is ready.
    pub fn restart_unready(&mut self) {
        self.server = self.another(&["--listen", &self.client.address().to_string()]);
    }

    /// Starts one more on the same database.
    pub fn another(&self, more: &[&str]) -> Stint {
        let more: Vec<&str> = self.more.iter().chain(more).copied().collect();
        Stint::serve(self.db.url(), &more)
    }

    /// Kills it, and starts it again.
    pub fn crash(&mut self) {
        self.server.kill();
        self.restart();
    }

    /// Makes a coworker that gets every request.
    pub async fn triage(&self, playbook: &str) {
        Coworker::new("triage")
            .triage()
            .playbook(playbook)
            .publish(&self.client)
            .await;
    }

    /// Waits until this run (by its number) has an event of this type.
    pub async fn until(&self, number: i64, kind: &str) {
        let sql = format!(
            "SELECT COUNT(*) FROM run_event e JOIN run r ON r.id = e.run_id WHERE r.number = {number} AND e.kind = '{kind}'"
        );
        self.until_number(&sql, 1).await;
    }

    /// Waits until so many runs have ended.
    pub async fn until_ended(&self, runs: i64) {
        self.until_number(
            "SELECT COUNT(*) FROM run WHERE status IN ('COMPLETED', 'FAILED')",
            runs,
        )
        .await;
    }

    /// Waits until a query gives so much at least. The server that would tell is to be killed just then, so the
    /// database is asked, every 10 ms.
    pub async fn until_number(&self, sql: &str, least: i64) {
        let conn = tests::db::connect(self.db.url()).await.unwrap();
        let looking = async {
            while answer(&conn, sql).await < least {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(120), looking)
            .await
            .is_err()
        {
            panic!(
                "{sql}: {} instead of {least}; stderr: {}",
                answer(&conn, sql).await,
                self.server.stderr()
            );
        }
        conn.close().await.unwrap();
    }

    /// What a query gives now.
    pub async fn number(&self, sql: &str) -> i64 {
        let conn = tests::db::connect(self.db.url()).await.unwrap();
        let found = answer(&conn, sql).await;
        conn.close().await.unwrap();
        found
    }

    /// The numbers that a query gives, a row each.
    pub async fn numbers(&self, sql: &str) -> Vec<i64> {
        let conn = tests::db::connect(self.db.url()).await.unwrap();
        let statement = Statement::from_string(conn.get_database_backend(), sql);
        let rows = conn.query_all_raw(statement).await.unwrap();
        let numbers = rows.iter().map(|row| row.try_get_by_index(0).unwrap());
        let numbers = numbers.collect();
        conn.close().await.unwrap();
        numbers
    }

    /// Asserts what must hold whatever was killed: every run ended once, its log has no hole and belongs to what is
    /// stored beside it, numbers have no gap and follow the time. Gives the runs by number.
    pub async fn audit(&self) -> Vec<Found> {
        let options = OpenOptions {
            own: false,
            migrate: false,
            ..OpenOptions::default()
        };
        let store = Store::open(self.db.url(), options)
            .await
            .expect("the database opens");
        let runs = run::Entity::find()
            .order_by_asc(run::Column::Number)
            .all(store.read())
            .await
            .unwrap();
        let mut found = Vec::new();
        let mut last = None;
        for (row, number) in runs.into_iter().zip(1..) {
            assert_eq!(row.number, number, "the numbers have a gap");
            assert!(
                last <= Some(row.started_at),
                "Run-{number} started before the run before it"
            );
            last = Some(row.started_at);
            let differences = rebuild::differences(store.read(), row.id)
                .await
                .expect("a log that can be read");
            assert_eq!(differences, Vec::<String>::new(), "Run-{number}");
            let events = events(&store, row.id).await;
            let ends = events
                .iter()
                .filter(|event| matches!(event.kind.as_str(), "run.completed" | "run.failed"));
            assert_eq!(ends.count(), 1, "Run-{number} has not ended once");
            assert!(
                row.ended_at.is_some() && row.lease_owner.is_none(),
                "{row:#?}"
            );
            for (event, seq) in events.iter().zip(1..) {
                assert_eq!(event.seq, seq, "Run-{number} has a hole");
            }
            assert!(
                events.windows(2).all(|pair| pair[0].at <= pair[1].at),
                "Run-{number}: time went back"
            );
            found.push(Found { run: row, events });
        }
        let waiting = "SELECT COUNT(*) FROM dispatch WHERE state = 'WAITING'";
        assert_eq!(
            answer(store.read(), waiting).await,
            0,
            "something waits for ever"
        );
        found
    }
}

/// A run as it was left.
pub struct Found {
    pub run: run::Model,
    pub events: Vec<run_event::Model>,
}

impl Found {
    /// The types of its events.
    pub fn kinds(&self) -> Vec<&str> {
        self.events
            .iter()
            .map(|event| event.kind.as_str())
            .collect()
    }

    /// How many events of this type it has.
    pub fn count(&self, kind: &str) -> usize {
        self.kinds().into_iter().filter(|k| *k == kind).count()
    }

    /// The data of its events of this type.
    pub fn data(&self, kind: &str) -> Vec<serde_json::Value> {
        let fit = self.events.iter().filter(|event| event.kind == kind);
        fit.map(|event| {
            let mut line: serde_json::Value = serde_json::from_str(&event.body).expect("JSON");
            line["data"].take()
        })
        .collect()
    }
}

async fn events(store: &Store, run: RunId) -> Vec<run_event::Model> {
    let all = run_event::Entity::find()
        .filter(run_event::Column::RunId.eq(run))
        .order_by_asc(run_event::Column::Seq);
    all.all(store.read()).await.expect("events")
}

/// Makes a request and returns nothing: whoever is killed has acknowledged it.
pub async fn request(client: &Client, key: &str) {
    client
        .mutate(
            "requestCreate",
            json!({ "title": "The VPN is slow", "idempotencyKey": key }),
            "",
        )
        .await;
}
