//! Exports that lose their database on the way: nobody takes what has come for all of it.

use std::io::{BufReader, Read as _};
use std::process::{Command, Stdio};

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tests::{TestApp, binary, both_dbs};

use crate::export::many_calls;
use crate::look::tamper;

/// What analysts download, more than lies in the buffers between server and client.
const ROWS: usize = 40_000;

/// Takes the table of model calls away, as a database that is gone is.
async fn take_away(app: &TestApp) {
    tamper(app, "ALTER TABLE usage_ledger RENAME TO usage_ledger_gone").await;
}

both_dbs! {
    /// The connection ends before the end of the answer is sent: every client of HTTP says so.
    async fn a_download_that_loses_its_database_ends_with_an_error(app: TestApp) {
        many_calls(&app, ROWS).await;
        for format in ["csv", "json", "parquet"] {
            let request = reqwest::Client::new().get(app.url(&format!("/export/calls.{format}?start=-P7D")));
            let answer = request.bearer_auth(app.key().unwrap()).send().await.unwrap();
            assert_eq!(answer.status(), 200);
            assert!(answer.content_length().is_none(), "its length is not known before its end");
            let mut pieces = answer.bytes_stream();
            let mut size = pieces.next().await.expect("a beginning").expect("a piece").len();
            take_away(&app).await;
            let mut end = Ok(());
            while let Some(piece) = pieces.next().await {
                match piece {
                    Ok(piece) => size += piece.len(),
                    Err(error) => end = Err(error),
                }
            }
            tamper(&app, "ALTER TABLE usage_ledger_gone RENAME TO usage_ledger").await;
            assert!(end.is_err(), "{size} bytes of {format} look whole");
        }
    }

    /// On standard output by its exit status and a word; of a file nothing is left.
    async fn a_command_that_loses_its_database_says_so(app: TestApp) {
        many_calls(&app, ROWS).await;
        let (url, path) = (app.db().url().to_owned(), binary::path());
        let args = ["metrics", "export", "--of", "calls", "--start", "2026-05-01T00:00:00Z", "--end", "2027-01-01T00:00:00Z", "--database-url", &url];
        let mut export = Command::new(path).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(export.stdout.take().unwrap());
        let mut some = [0; 10];
        out.read_exact(&mut some).unwrap();
        // It can't write on before it is read: a pipe holds less than a page.
        take_away(&app).await;
        let mut rest = Vec::new();
        out.read_to_end(&mut rest).unwrap();
        let ended = export.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success() && said.contains("the export broke off: what was written is not whole"), "{said}");
        assert!(rest.len() < ROWS * 100, "it is far from whole");

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("calls.csv");
        let refused = binary::run(&[&args[..], &["--out", file.to_str().unwrap()]].concat());
        assert!(!refused.status.success() && refused.stderr.contains("broke off"), "{}", refused.stderr);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "something is left of it");
    }

    /// R60: what is written late belongs to the span that its moment lies in; without an end an export stops a minute ago,
    /// where nothing more can come.
    async fn an_export_without_an_end_stops_where_nothing_more_can_come(app: TestApp) {
        many_calls(&app, 10).await;
        let rows = async |query: &str| {
            let request = reqwest::Client::new().get(app.url(&format!("/export/calls.json{query}")));
            let text = request.bearer_auth(app.key().unwrap()).send().await.unwrap().text().await.unwrap();
            text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["at"].clone()).collect::<Vec<_>>()
        };
        let all = rows("?end=PT1S").await;
        assert!(all.len() >= 10);
        let last = all.iter().filter_map(Value::as_str).max().unwrap();
        let last = chrono::DateTime::parse_from_rfc3339(last).unwrap().timestamp_millis();
        let wait = |ms: i64| std::time::Duration::from_millis(u64::try_from(last + ms - app.clock().now().0).unwrap());
        app.advance(wait(domain::export::SETTLED)).await;
        assert!(rows("").await.len() < all.len(), "the newest are not a minute old yet");
        app.advance(wait(domain::export::SETTLED + 1)).await;
        assert_eq!(rows("").await.len(), all.len());
        assert_eq!(rows("?start=2026-05-01T00:00:00Z").await.len(), all.len());
        assert_eq!(json!(rows("?end=-P7D").await), json!([]));
    }
}
