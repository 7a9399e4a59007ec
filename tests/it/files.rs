//! Coworkers as files: `stint apply` makes a workspace what YAML files say, `stint export` writes them.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::binary::{Finished, Stint, run};
use tests::{Backend, Client, TestDb, on_both, terminal};

pub const HELPDESK: &str = "\
kind: coworker
name: Helpdesk
handle: helpdesk
isTriage: true
identity:
  role: Helpdesk
  scope: Every request of the office.
goal:
  purpose: People get an answer.
  outOfScope:
    - when: A printer is broken
      routeTo: printers
  endOfRun:
    - when: Answered
      setStatus: RESOLVED
    - when: Asked
      setStatus: PENDING
    - when: Unreachable
      setStatus: IN_PROGRESS
skills: [greeting]
model:
  provider: scripted
  playbook:
    # One answer for all.
    turns:
      - thinking: |
          A question: \"why?\" — answered at once.

          # No comment, but a text.
        calls:
          - tool: finish
            arguments: { outcome: REPLIED, reason: Answered., summary: I answered. }
limits:
  maxTurns: 5
";

pub const PRINTERS: &str = "\
kind: coworker
name: Printers
handle: printers
identity:
  role: Printer technician
  scope: Toner, paper jams and drivers of printing devices.
goal:
  purpose: Printers print.
  outOfScope:
    - { when: Anything else, routeTo: helpdesk }
  endOfRun:
    - { when: It prints, setStatus: RESOLVED }
    - { when: Asked, setStatus: PENDING }
    - { when: Unreachable, setStatus: IN_PROGRESS }
tools:
  - server: stint
    actions: [{ name: set_status, enabled: false }]
model: { provider: scripted, playbook: \"turns: [{ text: Done. }]\" }
";

pub const GREETING: &str = "kind: skill\nname: Greeting\nhandle: greeting\ntext: |\n  Say hello.\n\n    Then ask what is wrong.\n";

const PRICES: &str = "\
kind: prices
prices:
  - { model: scripted, effectiveFrom: 2026-01-01T00:00:00Z, input: 3, cacheRead: 0.3, output: 15, source: a test }
  - { model: scripted, effectiveFrom: 2026-02-01T00:00:00Z, input: 0.000000001, output: '1.5' }
";

/// A folder of files.
pub fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        put(dir.path(), name, text);
    }
    dir
}

pub fn put(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn office() -> TempDir {
    folder(&[
        ("helpdesk.yaml", HELPDESK),
        ("more/printers.yml", PRINTERS),
        ("skills/greeting.yaml", GREETING),
        ("prices.yaml", PRICES),
        ("notes.txt", "Not read."),
        (".hidden.yaml", "Not read either."),
    ])
}

pub fn apply(db: &TestDb, dir: &Path, more: &[&str]) -> Finished {
    let dir = dir.display().to_string();
    let mut args = vec!["apply", "-f", &dir, "--database-url", db.url()];
    args.extend(more);
    run(&args)
}

pub fn applied(db: &TestDb, dir: &Path) -> String {
    let done = apply(db, dir, &["--yes"]);
    assert!(done.status.success(), "{}", done.stderr);
    done.stdout
}

/// What a refusal says; nothing of it is on stdout unless changes were shown before.
pub fn refused(done: &Finished) -> &str {
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    done.stderr
        .strip_prefix("error: ")
        .unwrap_or_else(|| panic!("{done:?}"))
}

/// A database with a workspace, and a server on it.
pub async fn start(backend: Backend) -> (TestDb, Stint, Client) {
    let db = TestDb::new(backend).await;
    let server = Stint::serve(db.url(), &[]);
    let client = server.client();
    (db, server, client)
}

/// All that files can say, as the API tells it.
async fn everything(client: &Client) -> Value {
    let query = "{ coworkers(first: 100) { nodes { handle name isTriage state version { number } versions { totalCount }
                     draft { soul skills goal { purpose } } tools { server actions { name enabled } } } }
                   skills(first: 100) { nodes { handle name version { number text } } }
                   modelPrices(startsWith: \"scripted\") { model effectiveFrom input cacheRead output source } }";
    client.gql(query, json!({})).await
}

async fn versions(client: &Client) -> Value {
    let query = "{ coworkers(first: 100) { nodes { handle state version { number } } } }";
    let found = client.gql(query, json!({})).await;
    let nodes = found["coworkers"]["nodes"].as_array().unwrap();
    nodes
        .iter()
        .map(|one| {
            (
                one["handle"].as_str().unwrap().to_owned(),
                one["version"]["number"].clone(),
            )
        })
        .collect()
}

on_both! {
    async fn files_make_a_workspace_and_a_second_time_there_is_nothing_to_change(backend: Backend) {
        let (db, _server, client) = start(backend).await;
        let dir = office();
        let shown = applied(&db, dir.path());
        for line in ["coworker helpdesk: create, publish", "skill greeting: create", "price scripted: set",
                     "+ handle: printers\n", "Applied: 5 to create, 0 to change, 0 as the files say.\n"] {
            assert!(shown.contains(line), "{line}: {shown}");
        }
        assert!(!shown.contains('\u{1b}'), "plain where nobody looks: {shown}");
        assert_eq!(versions(&client).await, json!({ "helpdesk": 1, "printers": 1 }));
        let before = everything(&client).await;
        assert_eq!(applied(&db, dir.path()), "Nothing to change: 5 objects as the files say.\n");
        // No terminal is needed where there is nothing to ask.
        assert!(apply(&db, dir.path(), &[]).status.success());
        assert_eq!(everything(&client).await, before);
        // The server that ran all the while works with them.
        let made = client.mutate("requestCreate", json!({ "title": "Where is my badge?" }), "request { assignee { displayName } }").await;
        assert_eq!(made["request"]["assignee"]["displayName"], "Helpdesk");
    }

    async fn what_is_exported_and_applied_changes_nothing(backend: Backend) {
        let (db, _server, client) = start(backend).await;
        applied(&db, office().path());
        // A draft that nobody published, and a coworker out of work.
        let id = |handle: &'static str| {
            let client = client.clone();
            async move {
                let found = client.gql("query ($h: String!) { coworker(handle: $h) { id } }", json!({ "h": handle })).await;
                found["coworker"]["id"].clone()
            }
        };
        client.mutate("coworkerUpdate", json!({ "id": id("helpdesk").await, "soul": "Half a sentence" }), "").await;
        client.mutate("coworkerUnpublish", json!({ "id": id("printers").await }), "").await;
        let before = everything(&client).await;

        let out = tempfile::tempdir().unwrap();
        let path = out.path().join("here").display().to_string();
        let export = |more: &[&str]| {
            let mut args = vec!["export", "-o", &path, "--database-url", db.url()];
            args.extend(more);
            run(&args)
        };
        let first = export(&[]);
        assert!(first.status.success(), "{}", first.stderr);
        assert_eq!(first.stdout, format!("{path}: 5 files, 5 of them written.\n"));
        assert!(first.stderr.contains("helpdesk has a draft that is not published"), "{}", first.stderr);
        let text = std::fs::read_to_string(out.path().join("here/coworkers/printers.yaml")).unwrap();
        assert!(text.starts_with("# yaml-language-server: $schema=../stint.schema.json\nkind: coworker\n"), "{text}");
        assert!(text.contains("\npublished: false\n"), "{text}");
        // A playbook is a mapping there, with its comments, so that editors complete it; one in a single line is a text as it was.
        assert!(text.contains("\n  playbook: \"turns: [{ text: Done. }]\"\n") || text.contains("\n  playbook: 'turns: [{ text: Done. }]'\n"), "{text}");
        let text = std::fs::read_to_string(out.path().join("here/coworkers/helpdesk.yaml")).unwrap();
        assert!(text.contains("\n  playbook:\n    # One answer for all.\n    turns:\n"), "{text}");

        let back = apply(&db, Path::new(&path), &[]);
        assert_eq!(back.stdout, "Nothing to change: 5 objects as the files say.\n", "{}", back.stderr);
        assert_eq!(everything(&client).await, before);
        assert_eq!(export(&[]).stdout, format!("{path}: 5 files, 0 of them written.\n"));

        // The same files make another workspace the same.
        let (other_db, _other_server, other) = start(backend).await;
        applied(&other_db, Path::new(&path));
        let (mut there, mut here) = (everything(&other).await, before);
        for all in [&mut here, &mut there] {
            for one in all["coworkers"]["nodes"].as_array_mut().unwrap() {
                for own in ["version", "versions", "state", "draft"] {
                    one[own].take();
                }
            }
        }
        assert_eq!(there, here);

        // What someone wrote is not overwritten by surprise.
        put(out.path(), "here/skills/greeting.yaml", "kind: skill # mine\n");
        assert!(refused(&export(&[])).contains("is there and says something else"));
        assert!(export(&["--overwrite"]).status.success());
        assert!(apply(&db, Path::new(&path), &[]).status.success());
    }

    async fn a_dry_run_and_a_refusal_change_nothing(backend: Backend) {
        let (db, _server, client) = start(backend).await;
        let dir = office();
        let empty = everything(&client).await;
        let looked = apply(&db, dir.path(), &["--dry-run"]);
        assert!(looked.status.success(), "{}", looked.stderr);
        assert!(looked.stdout.contains("+ handle: printers\n"), "{}", looked.stdout);
        assert!(looked.stdout.ends_with("5 to create, 0 to change, 0 as the files say; nothing was changed.\n"), "{}", looked.stdout);
        assert_eq!(everything(&client).await, empty);
        // Nobody can be asked.
        let unasked = apply(&db, dir.path(), &[]);
        assert_eq!(refused(&unasked), "there is no terminal to ask on, and nothing was changed: add --yes to apply it, or --dry-run to only look\n");
        assert_eq!(everything(&client).await, empty);

        applied(&db, dir.path());
        let before = everything(&client).await;
        // R65: the lint refuses one of two coworkers and a skill; nothing of the three is done.
        put(dir.path(), "skills/greeting.yaml", &GREETING.replace("hello", "good day"));
        put(dir.path(), "more/printers.yml", &PRINTERS.replace("Toner", "Ink, toner"));
        put(dir.path(), "helpdesk.yaml", &HELPDESK.replace("People get", "Ask netbox.lookup, so that people get"));
        for more in [&["--yes"][..], &["--dry-run"]] {
            let done = apply(&db, dir.path(), more);
            let file = dir.path().join("helpdesk.yaml").display().to_string();
            let told = refused(&done);
            assert!(told.starts_with(&format!("{file}:9:3: goal.purpose: ")) && told.contains("netbox.lookup"), "{told}");
            assert_eq!(everything(&client).await, before);
        }
        // By force, which is kept.
        let forced = apply(&db, dir.path(), &["--yes", "--force-reason", "netbox comes tomorrow"]);
        assert!(forced.status.success(), "{}", forced.stderr);
        assert!(forced.stderr.contains("warning: ") && forced.stderr.contains("netbox.lookup"), "{}", forced.stderr);
        let version = client.gql("{ coworker(handle: \"helpdesk\") { version { number forcedReason skills { text } } } }", json!({})).await;
        let version = &version["coworker"]["version"];
        assert_eq!((&version["number"], &version["forcedReason"]), (&json!(2), &json!("netbox comes tomorrow")));
        assert!(version["skills"][0]["text"].as_str().unwrap().starts_with("Say good day."), "{version}");
    }

    /// Asked on a terminal: only a yes changes anything.
    async fn on_a_terminal_it_asks_and_only_a_yes_applies(backend: Backend) {
        let (db, _server, client) = start(backend).await;
        let dir = office();
        let empty = everything(&client).await;
        let folder = dir.path().display().to_string();
        let args = ["apply", "-f", &folder, "--database-url", db.url()];
        for typed in ["n\n", "\n", "of course not\n", ""] {
            let done = terminal::run(&args, typed);
            assert!(done.status.success(), "{typed:?}: {done:?}");
            for part in ["Apply? [y/N]", "Nothing was changed."] {
                assert!(done.stdout.contains(part), "{typed:?}: {part}: {done:?}");
            }
            assert_eq!(everything(&client).await, empty, "{typed:?}");
        }
        let done = terminal::run(&args, "Yes\n");
        assert!(done.status.success() && done.stdout.contains("Applied:"), "{done:?}");
        assert!(done.stdout.contains('\u{1b}'), "in colour where somebody looks: {done:?}");
        assert_eq!(versions(&client).await, json!({ "helpdesk": 1, "printers": 1 }));
        // Who did it is not Stint by itself.
        let query = "{ coworker(handle: \"helpdesk\") { versions { nodes { publishedBy { id kind displayName } } } } }";
        let mut by = client.gql(query, json!({})).await["coworker"]["versions"]["nodes"][0]["publishedBy"].take();
        let found = client.gql("query ($id: ID!) { node(id: $id) { ... on System { displayName } } }", json!({ "id": by["id"].take() })).await;
        assert_eq!(found["node"]["displayName"], "stint apply");
        assert_eq!(by, json!({ "id": null, "kind": "SYSTEM", "displayName": "stint apply" }));
    }

    /// A playbook as a text, and the same lines as a mapping.
    async fn a_playbook_may_be_a_text_or_a_mapping(backend: Backend) {
        let (db, _server, client) = start(backend).await;
        let dir = office();
        applied(&db, dir.path());
        let before = everything(&client).await;
        put(dir.path(), "helpdesk.yaml", &HELPDESK.replace("playbook:\n", "playbook: |\n"));
        assert_eq!(applied(&db, dir.path()), "Nothing to change: 5 objects as the files say.\n");
        assert_eq!(everything(&client).await, before);
        // The difference is that of the lines, not of how they are held.
        put(dir.path(), "helpdesk.yaml", &HELPDESK.replace("I answered.", "I did."));
        let shown = applied(&db, dir.path());
        let lines = shown.lines().filter(|line| line.starts_with("- ") || line.starts_with("+ ")).count();
        assert_eq!(lines, 2, "{shown}");
        let found = client.gql("{ coworker(handle: \"helpdesk\") { version { config { model { playbook } } } } }", json!({})).await;
        let playbook = found["coworker"]["version"]["config"]["model"]["playbook"].as_str().unwrap();
        assert!(playbook.starts_with("# One answer for all.\nturns:\n") && playbook.contains("summary: I did."), "{playbook}");
        // What is wrong with it is told at its place in the file, and nothing is done.
        let line = |text: &str, what: &str| text.lines().position(|line| line.contains(what)).unwrap() + 1;
        for form in ["playbook:\n", "playbook: |\n"] {
            let wrong = HELPDESK.replace("playbook:\n", form).replace("        calls:", "        cals:");
            put(dir.path(), "helpdesk.yaml", &wrong);
            let told = apply(&db, dir.path(), &["--yes"]);
            let place = format!("helpdesk.yaml:{}:9: unknown key `cals`", line(&wrong, "cals:"));
            assert!(refused(&told).contains(&place), "{place}: {}", told.stderr);
        }
    }

    async fn only_what_differs_is_changed(backend: Backend) {
        let (db, _server, client) = start(backend).await;
        let dir = office();
        applied(&db, dir.path());
        // A skill of Helpdesk changes: Helpdesk is published with it, Printers is not touched.
        put(dir.path(), "skills/greeting.yaml", &GREETING.replace("hello", "good day"));
        let shown = applied(&db, dir.path());
        assert!(shown.contains("-   Say hello.\n+   Say good day.\n"), "{shown}");
        assert!(shown.contains("coworker helpdesk: publish") && !shown.contains("printers"), "{shown}");
        assert_eq!(versions(&client).await, json!({ "helpdesk": 2, "printers": 1 }));
        // Who is Triage changes hands, and who has no file stays.
        put(dir.path(), "helpdesk.yaml", &HELPDESK.replace("isTriage: true", "isTriage: false"));
        put(dir.path(), "more/printers.yml", &PRINTERS.replace("handle: printers", "handle: printers\nisTriage: true\npublished: false"));
        let shown = applied(&db, dir.path());
        assert!(shown.contains("coworker printers: change, take out of work"), "{shown}");
        std::fs::remove_file(dir.path().join("more/printers.yml")).unwrap();
        assert_eq!(applied(&db, dir.path()), "Nothing to change: 4 objects as the files say.\n");
        let found = client.gql("{ coworkers(first: 9) { nodes { handle isTriage state } } }", json!({})).await;
        assert_eq!(found["coworkers"]["nodes"], json!([
            { "handle": "helpdesk", "isTriage": false, "state": "PUBLISHED" },
            { "handle": "printers", "isTriage": true, "state": "UNPUBLISHED" },
        ]));
        // A price that was set stays as it was.
        put(dir.path(), "prices.yaml", &PRICES.replace("output: 15", "output: 16"));
        let told = apply(&db, dir.path(), &["--yes"]);
        assert!(refused(&told).contains("prices.yaml:3:") && told.stderr.contains("what was set stays"), "{}", told.stderr);
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_and_nothing_is_made() {
    let dir = office();
    let file = dir.path().join("none.db");
    let url = format!("sqlite://{}", file.display());
    let path = dir.path().display().to_string();
    let done = run(&["apply", "-f", &path, "--yes", "--database-url", &url]);
    assert!(refused(&done).contains("there is no database"), "{done:?}");
    let done = run(&["run", "export", "1", "--database-url", &url]);
    assert!(refused(&done).contains("there is no database"), "{done:?}");
    assert!(!file.exists());
    let db = TestDb::new(Backend::Sqlite).await;
    let done = apply(&db, dir.path(), &["--yes"]);
    assert!(refused(&done).contains("no workspace yet"), "{done:?}");
    let done = apply(&db, &dir.path().join("nowhere"), &["--yes"]);
    assert!(refused(&done).contains("name a folder with -f"), "{done:?}");
    let done = apply(&db, tempfile::tempdir().unwrap().path(), &["--yes"]);
    assert!(refused(&done).contains("holds no .yaml file"), "{done:?}");
}
