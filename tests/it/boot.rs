//! The start: what is made, what is refused with one sentence, and that a refusal changes nothing.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use domain::store::{OpenOptions, Store};
use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::json;
use tests::binary::{Finished, Stint, run, run_with};
use tests::db::connect;
use tests::{Backend, Client, TestDb, on_both};

/// The sentence of a command that was refused: all that it wrote, on one line of stderr, and the exit code 1.
fn refusal(args: &[&str]) -> String {
    let Finished {
        status,
        stdout,
        stderr,
    } = run(args);
    assert_eq!(
        (status.code(), stdout.as_str()),
        (Some(1), ""),
        "{args:?}: {stderr}"
    );
    let sentence = stderr
        .strip_prefix("error: ")
        .unwrap_or_else(|| panic!("{args:?}: {stderr}"));
    assert_eq!(sentence.trim_end().lines().count(), 1, "{args:?}: {stderr}");
    sentence.trim_end().to_owned()
}

fn serve(url: &str) -> String {
    refusal(&[
        "serve",
        "--database-url",
        url,
        "--listen",
        "127.0.0.1:0",
        "--log",
        "error",
    ])
}

/// The names in a folder, in order, with the hash of each file.
fn snapshot(dir: &Path) -> Vec<(String, u64)> {
    let entries = std::fs::read_dir(dir).expect("a folder");
    let mut all: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let mut hash = DefaultHasher::new();
            std::fs::read(&path).unwrap_or_default().hash(&mut hash);
            (path.display().to_string(), hash.finish())
        })
        .collect();
    all.sort();
    all
}

async fn execute(url: &str, sql: &str) {
    let conn = connect(url).await.unwrap();
    conn.execute_unprepared(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    conn.close().await.unwrap();
}

async fn count(url: &str, table: &str) -> i64 {
    let conn = connect(url).await.unwrap();
    let sql = format!("SELECT COUNT(*) FROM {table}");
    let row = conn
        .query_one_raw(Statement::from_string(conn.get_database_backend(), sql))
        .await
        .unwrap();
    conn.close().await.unwrap();
    row.unwrap().try_get_by_index(0).unwrap()
}

on_both! {
    async fn the_first_start_makes_a_key_and_the_second_none(backend: Backend) {
        let db = TestDb::new(backend).await;
        let mut first = Stint::serve(db.url(), &[]);
        let client = first.client();
        let viewer = client.gql("{ viewer { role } }", json!({})).await;
        assert_eq!(viewer["viewer"]["role"], "ADMIN");
        first.terminate();
        assert!(first.wait().success(), "{}", first.stderr());
        // Alone on stdout, so that a script can take it from there.
        assert_eq!(first.stdout(), format!("{}\n", client.key().unwrap()));
        assert!(!first.stderr().contains(client.key().unwrap()));

        let mut second = Stint::serve(db.url(), &[]);
        let again = Client::new(second.address(), client.key());
        again.gql("{ viewer { role } }", json!({})).await;
        second.terminate();
        assert!(second.wait().success(), "{}", second.stderr());
        assert_eq!(second.stdout(), "");
        assert_eq!((count(db.url(), "workspace").await, count(db.url(), "api_key").await), (1, 1));
    }

    async fn a_key_is_made_and_printed_alone(backend: Backend) {
        let db = TestDb::new(backend).await;
        for role in ["ADMIN", "AGENT", "ANALYST", "REQUESTER"] {
            let made = run(&["key", "create", "--database-url", db.url(), "--role", role]);
            assert!(made.status.success(), "{}", made.stderr);
            let key = made.stdout.strip_suffix('\n').unwrap();
            assert!(key.starts_with("stint_") && !key.contains(char::is_whitespace), "{key:?}");
            assert_eq!(made.stderr, "");
        }
        // A running server takes a key that was made beside it.
        let server = Stint::serve(db.url(), &[]);
        let made = run(&["key", "create", "--database-url", db.url(), "--role", "agent"]);
        let client = Client::new(server.address(), Some(made.stdout.trim()));
        assert_eq!(client.gql("{ viewer { role } }", json!({})).await["viewer"]["role"], "AGENT");
        assert_eq!(server.stdout(), "", "the database had a workspace already");
    }

    async fn migrating_twice_says_so(backend: Backend) {
        let db = TestDb::new(backend).await;
        let fresh = empty(&db, backend).await;
        let (first, second) = (run(&["migrate", "--database-url", &fresh]), run(&["migrate", "--database-url", &fresh]));
        assert!(first.status.success() && second.status.success(), "{}{}", first.stderr, second.stderr);
        assert!(first.stdout.starts_with("applied m2"), "{}", first.stdout);
        assert_eq!(second.stdout, "The schema is up to date.\n");
    }

    async fn a_schema_of_a_newer_release_is_refused(backend: Backend) {
        let db = TestDb::new(backend).await;
        execute(db.url(), "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29990101_000001_future', 0)").await;
        for command in ["serve", "migrate", "key"] {
            let sentence = match command {
                "key" => refusal(&["key", "create", "--database-url", db.url()]),
                "migrate" => refusal(&["migrate", "--database-url", db.url()]),
                _ => serve(db.url()),
            };
            assert!(sentence.contains("m29990101_000001_future") && sentence.contains("newer"), "{sentence}");
        }
        assert_eq!((count(db.url(), "workspace").await, count(db.url(), "seaql_migrations").await), (0, 2));
    }

    async fn servers_that_start_at_once_on_a_new_database_agree(backend: Backend) {
        let db = TestDb::new(backend).await;
        let fresh = empty(&db, backend).await;
        let opening = (0..4).map(|_| Store::open(&fresh, OpenOptions { own: false, ..OpenOptions::default() }));
        for store in futures_util::future::join_all(opening).await {
            store.expect("it opens");
        }
        assert_eq!(count(&fresh, "seaql_migrations").await, i64::try_from(Migrator::migrations().len()).unwrap());
    }

    async fn a_server_says_that_it_is_there_and_ready(backend: Backend) {
        let db = TestDb::new(backend).await;
        let mut server = Stint::serve(db.url(), &[]);
        let client = server.client();
        for path in ["/healthz", "/readyz"] {
            let answer = reqwest::get(client.url(path)).await.unwrap();
            assert_eq!(answer.status().as_u16(), 200, "{path}");
        }
        server.interrupt();
        assert!(server.wait().success(), "{}", server.stderr());
    }

    async fn a_port_that_is_taken_is_refused_before_anything_is_done(backend: Backend) {
        let db = TestDb::new(backend).await;
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = taken.local_addr().unwrap().to_string();
        let sentence = refusal(&["serve", "--database-url", db.url(), "--listen", &listen]);
        assert!(sentence.contains(&listen), "{sentence}");
        assert_eq!(count(db.url(), "workspace").await, 0);
    }
}

/// The URL of a database without a schema.
async fn empty(db: &TestDb, backend: Backend) -> String {
    match backend {
        Backend::Sqlite => db.url().replace("stint.db", "fresh.db"),
        Backend::Postgres => {
            execute(db.url(), "DROP SCHEMA public CASCADE").await;
            execute(db.url(), "CREATE SCHEMA public").await;
            db.url().to_owned()
        }
    }
}

#[tokio::test]
async fn a_weaker_postgres_is_refused() {
    let db = TestDb::new(Backend::Postgres).await;
    let name = db.url().rsplit('/').next().unwrap().to_owned();
    for (setting, value) in [
        ("synchronous_commit", "off"),
        ("synchronous_commit", "local"),
        ("default_transaction_isolation", "'repeatable read'"),
    ] {
        execute(
            db.url(),
            &format!("ALTER DATABASE {name} SET {setting} = {value}"),
        )
        .await;
        let sentence = serve(db.url());
        assert!(
            sentence.contains(setting) && sentence.contains(value.trim_matches('\'')),
            "{sentence}"
        );
        execute(db.url(), &format!("ALTER DATABASE {name} RESET {setting}")).await;
    }
    assert_eq!(count(db.url(), "workspace").await, 0);
    let mut server = Stint::serve(db.url(), &[]);
    server.address();
    server.terminate();
    assert!(server.wait().success(), "{}", server.stderr());
}

#[tokio::test]
async fn a_postgres_that_is_not_there_is_named_without_its_password() {
    let port = tests::process::free_port();
    let nobody = serve(&format!("postgres://stint:hunter2@127.0.0.1:{port}/stint"));
    let db = TestDb::new(Backend::Postgres).await;
    let no_such = serve(
        &db.url()
            .replace("/test_", "/no_such_")
            .replace("stint@", "stint:hunter2@"),
    );
    for sentence in [&nobody, &no_such] {
        assert!(
            sentence.contains("127.0.0.1:") && !sentence.contains("hunter2"),
            "{sentence}"
        );
    }
    assert!(no_such.contains("does not exist"), "{no_such}");
    let sentence = serve("mysql://root@127.0.0.1/stint");
    assert!(
        sentence.contains("sqlite://") && sentence.contains("postgres://"),
        "{sentence}"
    );
}

#[test]
fn a_database_in_memory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let shared = format!("sqlite://{}/x.db?mode=memory", dir.path().display());
    for url in [
        "sqlite::memory:",
        "sqlite://:memory:",
        "sqlite://",
        "sqlite:",
        &shared,
    ] {
        let sentence = serve(url);
        assert!(sentence.contains("memory"), "{url}: {sentence}");
    }
    assert_eq!(snapshot(dir.path()), []);
}

#[test]
fn a_file_that_can_not_be_a_database_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(
        path("letter.txt"),
        "Dear Sir or Madam, this is no database. ".repeat(200),
    )
    .unwrap();
    std::fs::create_dir(path("folder")).unwrap();
    let before = snapshot(dir.path());
    for name in ["letter.txt", "folder", "missing/stint.db"] {
        let sentence = serve(&format!("sqlite://{}", path(name).display()));
        assert!(sentence.contains(name), "{sentence}");
        assert_eq!(snapshot(dir.path()), before, "{name}: {sentence}");
    }
    // Root may write everywhere, whatever a folder's mode says: then a file system that is read only.
    let sealed = if tests::process::is_root() {
        Path::new("/proc").to_owned()
    } else {
        path("folder")
    };
    if !tests::process::is_root() {
        std::fs::set_permissions(&sealed, std::fs::Permissions::from_mode(0o500)).unwrap();
    }
    let sentence = serve(&format!("sqlite://{}/stint.db", sealed.display()));
    assert!(sentence.contains("stint.db"), "{sentence}");
}

#[tokio::test]
async fn an_embedded_database_has_one_owner() {
    let db = TestDb::new(Backend::Sqlite).await;
    let mut first = Stint::serve(db.url(), &[]);
    let client = first.client();
    for sentence in [
        serve(db.url()),
        refusal(&["migrate", "--database-url", db.url()]),
    ] {
        assert!(
            sentence.contains("another stint process owns it"),
            "{sentence}"
        );
    }
    client.gql("{ viewer { role } }", json!({})).await;
    // A lock that outlived its owner is none.
    first.kill();
    let mut second = Stint::serve(db.url(), &[]);
    Client::new(second.address(), client.key())
        .gql("{ viewer { role } }", json!({}))
        .await;
    second.terminate();
    assert!(second.wait().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_database_is_gone_is_alive_but_not_ready() {
    let postgres = tests::postgres::Postgres::start();
    let db = TestDb::on(postgres.address()).await;
    let server = Stint::serve(db.url(), &[]);
    let client = server.client();
    let status = async |path| {
        reqwest::get(client.url(path))
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(
        (status("/healthz").await, status("/readyz").await),
        (200, 200)
    );
    postgres.stop_immediate();
    assert_eq!(
        (status("/healthz").await, status("/readyz").await),
        (200, 503)
    );
    postgres.restart();
    let ready = tests::process::wait_until(std::time::Duration::from_secs(30), || {
        let runtime = tokio::runtime::Handle::current();
        let ready = tokio::task::block_in_place(|| runtime.block_on(status("/readyz")));
        (ready == 200).then_some(())
    });
    ready.expect("ready again");
    client.gql("{ viewer { role } }", json!({})).await;
}

#[test]
fn the_schema_is_printed() {
    let Finished {
        status,
        stdout,
        stderr,
    } = run(&["schema"]);
    assert!(status.success() && stderr.is_empty(), "{stderr}");
    async_graphql_parser::parse_schema(&stdout).expect("SDL");
    assert!(stdout.contains("type Request"), "{stdout}");
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let url = "sqlite:///nowhere/stint.db";
    for (flag, value) in [
        ("--listen", "8080"),
        ("--lease", "soon"),
        ("--renew", "14s"),
        ("--slots", "0"),
        ("--log", "loud=very"),
        ("--config", "/no/such/file.toml"),
    ] {
        let sentence = refusal(&["serve", "--database-url", url, flag, value]);
        assert!(
            sentence.contains(flag.trim_start_matches("--")) || sentence.contains(value),
            "{flag}: {sentence}"
        );
    }
    let wrong = run_with(
        &["serve", "--database-url", url],
        &[("STINT_LEASE", "yesterday")],
    );
    assert_eq!(wrong.status.code(), Some(1));
    assert!(wrong.stderr.contains("STINT_LEASE"), "{}", wrong.stderr);
}
