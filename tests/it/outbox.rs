//! Nothing that is to be told is lost, whoever dies, and of several nodes one sends it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use tests::{Backend, Coworker, TestApp, TestDb, on_both};

use crate::alert::DONE;
use crate::receiver::{Receiver, Reply, deliveries, endpoint, until_taken};
use crate::ruin::{Site, request};

/// Says after a while that it is done: there is time to die before.
const SLOW: &str = "turns:\n  - delay: 1s\n    calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: The user knows., summary: I told the user. } }]\n";

/// A server that may reach the receiver; Stint's own key, because a database server has no file beside it.
fn site(db: TestDb, receiver: &Receiver) -> Site {
    let host: &'static str = receiver.host().leak();
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let more = [
        "--allow-private-host",
        host,
        "--alert-retries",
        "1s,1s,1s,1s",
        "--secret-key",
        key,
    ];
    Site::start_with(db, more.to_vec().leak())
}

on_both! {
    /// Killed before the commit of what is to be told, behind it, in the middle of the sending and after it: every end of a run
    /// is told, under one id each.
    async fn whatever_the_moment_of_its_death_every_end_of_a_run_is_told(backend: Backend) {
        let receiver = Receiver::open().await;
        let mut site = site(TestDb::new(backend).await, &receiver);
        site.triage(SLOW).await;
        let to = endpoint(&site.client, &receiver.url("/a"), &["RUN_ENDED"], json!({})).await;
        // Before: a run is under way, and there is nothing to tell yet.
        request(&site.client, "k0").await;
        site.until(1, "model.requested").await;
        site.server.kill();
        assert_eq!(site.number("SELECT COUNT(*) FROM alert_delivery").await, 0);
        // Behind: four are being sent, no more are at once, and two wait.
        receiver.always("/a", Reply::Silence);
        site.restart();
        for n in 1..6 {
            request(&site.client, &format!("k{n}")).await;
        }
        site.until_number("SELECT COUNT(*) FROM alert_delivery", 6).await;
        let first = receiver.until("/a", 4).await;
        site.server.kill();
        assert_eq!(site.number("SELECT COUNT(*) FROM alert_delivery WHERE state = 'WAITING' AND claims = 0").await, 2);
        assert_eq!(site.number("SELECT COUNT(*) FROM alert_delivery WHERE state = 'WAITING' AND claims > 0").await, 4);
        // After: all are taken, and nobody tells of them again.
        receiver.always("/a", Reply::Status(200));
        site.restart();
        site.until_number("SELECT COUNT(*) FROM alert_delivery WHERE state = 'DELIVERED'", 6).await;
        site.crash();
        request(&site.client, "last").await;
        site.until_number("SELECT COUNT(*) FROM alert_delivery WHERE state = 'DELIVERED'", 7).await;

        let mut told: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        for one in receiver.heard("/a") {
            assert!(one.is_signed_with(&to.secret));
            let run = one.body["data"]["run"]["number"].as_i64().unwrap();
            told.entry(run).or_default().push(one.id);
        }
        let again: BTreeSet<_> = first.iter().map(|one| &one.id).collect();
        assert_eq!((told.len(), again.len()), (7, 4), "{told:#?}");
        for ids in told.values() {
            assert!(ids.iter().all(|id| *id == ids[0]), "a run was told under two ids: {told:#?}");
            assert_eq!(ids.len(), if again.contains(&ids[0]) { 2 } else { 1 }, "{told:#?}");
        }
        assert_eq!(site.number("SELECT COUNT(*) FROM alert_delivery").await, 7);
    }

    async fn what_was_being_sent_when_its_sender_died_is_sent_again_under_its_id(backend: Backend) {
        let receiver = Receiver::open().await;
        let mut site = site(TestDb::new(backend).await, &receiver);
        site.triage(DONE).await;
        let to = endpoint(&site.client, &receiver.url("/a"), &["RUN_ENDED"], json!({})).await;
        receiver.say("/a", &[Reply::Silence]);
        request(&site.client, "k").await;
        receiver.until("/a", 1).await;
        site.crash();
        let heard = receiver.until("/a", 2).await;
        assert_eq!(heard[0].id, heard[1].id);
        site.until_number("SELECT COUNT(*) FROM alert_delivery WHERE state = 'DELIVERED'", 1).await;
        let log = deliveries(&site.client, &to).await;
        assert_eq!((log.len(), &log[0]["attemptCount"]), (1, &json!(1)), "of the first try nobody lived to tell");
    }
}

/// Two nodes that both live send each alert once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_send_each_alert_once() {
    let receiver = Receiver::open().await;
    let db = TestDb::new(Backend::Postgres).await;
    let app = TestApp::start_on(db, |settings| receiver.allow(settings)).await;
    let mut other = api::config::Settings {
        database_url: app.db().url().to_owned(),
        listen: "127.0.0.1:0".to_owned(),
        clock: app.clock().clone(),
        vault: Some(domain::secret::Vault::new(&[[7; 32]]).unwrap()),
        ..Default::default()
    };
    receiver.allow(&mut other);
    let other = api::App::start(other).await.unwrap();
    let done = Coworker::new("done").playbook(DONE).publish(&app).await;
    let to = endpoint(&app, &receiver.url("/a"), &["RUN_ENDED"], json!({})).await;
    // The other node hears of the endpoint within a look.
    tokio::time::timeout(Duration::from_secs(10), async {
        let mut told = 0;
        while told < 1 {
            let input = json!({ "title": "Where is it?", "assigneeId": done.id });
            app.mutate("requestCreate", input, "").await;
            app.drain().await;
            told = receiver.heard("/a").len();
        }
    })
    .await
    .expect("it is told");
    let before = deliveries(&app, &to).await.len();
    let clients = [
        (*app).clone(),
        tests::Client::new(other.address(), app.key()),
    ];
    for n in 0..60 {
        let input = json!({ "title": "Where is it?", "assigneeId": done.id });
        clients[n % 2].mutate("requestCreate", input, "").await;
    }
    app.drain().await;
    let heard = receiver.until("/a", before + 60).await;
    let ids: BTreeSet<_> = heard.iter().map(|one| one.id.clone()).collect();
    let logged = deliveries(&app, &to).await;
    assert_eq!(
        (heard.len(), ids.len(), logged.len()),
        (before + 60, before + 60, before + 60)
    );
    // Until all is written down, one might still be sent twice.
    until_taken(&app, &to, before + 60).await;
    let log = deliveries(&app, &to).await;
    assert!(log.iter().all(|one| one["attemptCount"] == 1), "{log:#?}");
    assert_eq!(receiver.heard("/a").len(), before + 60);
    other.stop().await;
    app.stop().await;
}
