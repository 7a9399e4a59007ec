//! Public clients and tools against a running server: what others will use, unchanged.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;
use tests::{Coworker, TestApp, both_dbs};

const THINKS_TWICE: &str = "
turns:
  - thinking: First I look.
    calls: [{ tool: post_note, arguments: { visibility: PRIVATE, body: Looked. } }]
  - thinking: Then I end.
    calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: Looked at it., summary: I looked at it. } }]
";

/// Runs a program of `tests/clients` against the application.
async fn node(app: &TestApp, program: &str, more: &[&str]) -> Output {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    assert!(
        folder.join("node_modules").exists(),
        "run tests/run once, or npm ci in tests/clients"
    );
    let url = app.url("/graphql");
    let key = app.key().expect("a key").to_owned();
    let arguments: Vec<String> = [program, &url, &key]
        .into_iter()
        .chain(more.iter().copied())
        .map(str::to_owned)
        .collect();
    let run = move || {
        Command::new("node")
            .args(arguments)
            .current_dir(folder)
            .output()
    };
    tokio::task::spawn_blocking(run)
        .await
        .expect("not cancelled")
        .expect("node runs")
}

fn text(output: &Output) -> String {
    let all = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8(all).expect("UTF-8")
}

both_dbs! {
    async fn the_npm_client_graphql_ws_watches_a_run_step_by_step(app: TestApp) {
        Coworker::new("triage").triage().playbook(THINKS_TWICE).publish(&app).await;
        app.request("The VPN is slow").await;
        app.drain().await;
        let all = node(&app, "watch.mjs", &["1"]).await;
        assert!(all.status.success(), "{}", text(&all));
        let lines: Vec<String> = text(&all).lines().map(str::to_owned).collect();
        assert!(lines[0].ends_with("Run started by triage on REQ-1"), "{lines:?}");
        assert!(lines.iter().any(|line| line.ends_with("Thinking: First I look.")), "{lines:?}");
        assert!(lines.last().expect("a line").ends_with("Done: REPLIED"), "{lines:?}");

        // From a cursor in the middle it gets the rest, and nothing twice.
        let cursor = lines[2].split('\t').next().expect("a cursor");
        let rest = node(&app, "watch.mjs", &["1", cursor]).await;
        assert_eq!(text(&rest).lines().collect::<Vec<_>>(), lines[3..].iter().collect::<Vec<_>>());
    }
}

both_dbs! {
    async fn the_official_http_audit_and_graphql_js_find_nothing(app: TestApp) {
        let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema.graphql");
        let found = node(&app, "check.mjs", &[schema.to_str().expect("UTF-8")]).await;
        assert!(found.status.success(), "{}", text(&found));
        assert!(text(&found).contains("audit and schema: 0 failed"), "{}", text(&found));
        assert_eq!(app.gql("{ viewer { role } }", json!({})).await["viewer"]["role"], "ADMIN");
    }
}
