//! Whoever tampers with an exported log is found.

use domain::run::rebuild::verify;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tests::{Backend, TestApp};

use super::log_of_a_run;

#[tokio::test]
async fn a_log_that_was_tampered_with_is_found() {
    let app = TestApp::start(Backend::Sqlite).await;
    let lines = log_of_a_run(&app).await;
    let whole = verify(lines.iter().map(String::as_str), false).expect("it is sound");
    assert_eq!(whole.events, lines.len() as i64);
    let check = |lines: &[String], partial| verify(lines.iter().map(String::as_str), partial);
    let found = |lines: &[String]| {
        check(lines, true).map_or(true, |found| found.head_hash != whole.head_hash)
    };

    for i in 0..lines.len() {
        let mut missing = lines.clone();
        missing.remove(i);
        assert!(
            check(&missing, false).is_err(),
            "event {} is missing",
            i + 1
        );
        let mut twice = lines.clone();
        twice.insert(i, lines[i].clone());
        assert!(check(&twice, true).is_err(), "event {} stands twice", i + 1);
        for j in i + 1..lines.len() {
            let mut swapped = lines.clone();
            swapped.swap(i, j);
            assert!(
                check(&swapped, true).is_err(),
                "events {} and {} are swapped",
                i + 1,
                j + 1
            );
        }
        if i > 0 {
            assert!(check(&lines[..i], false).is_err(), "cut after event {i}");
            assert!(
                check(&lines[..i], true).is_ok_and(|found| found.state.end.is_none()),
                "a part, cut after event {i}"
            );
        }
    }
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        cases: 300,
        ..Config::default()
    });
    let anywhere = (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        any::<char>(),
    );
    let all = runner.run(&anywhere, |(line, place, other)| {
        let mut changed = lines.clone();
        let line = line.index(lines.len());
        let mut characters: Vec<char> = lines[line].chars().collect();
        let place = place.index(characters.len());
        prop_assume!(characters[place] != other);
        characters[place] = other;
        changed[line] = characters.into_iter().collect();
        prop_assert!(found(&changed), "{}", changed[line]);
        Ok(())
    });
    all.unwrap();
    app.stop().await;
}

#[tokio::test]
async fn an_exported_log_is_checked_on_the_command_line() {
    let app = TestApp::start(Backend::Sqlite).await;
    log_of_a_run(&app).await;
    let exported = tests::binary::run(&["run", "export", "1", "--database-url", app.db().url()]);
    assert!(exported.status.success(), "{}", exported.stderr);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.jsonl");
    let check = |text: &str, more: &[&str]| {
        std::fs::write(&path, text).unwrap();
        tests::binary::run(&[&["run", "verify", path.to_str().unwrap()], more].concat())
    };
    let sound = check(&exported.stdout, &[]);
    assert!(
        sound.status.success() && sound.stdout.starts_with("Run-1 is sound: "),
        "{}{}",
        sound.stdout,
        sound.stderr
    );

    let cut = exported.stdout.trim_end().rsplit_once('\n').unwrap().0;
    for (text, why) in [
        (
            exported
                .stdout
                .replacen("The VPN is slow", "The VPN is fast", 1),
            "was changed",
        ),
        (
            exported.stdout.replacen("I look.", "I nap.", 1),
            "changed or swapped",
        ),
        (cut.to_owned(), "no end"),
        (String::new(), "empty"),
        ("not json\n".to_owned(), "event 1"),
    ] {
        let refused = check(&text, &[]);
        assert_eq!(refused.status.code(), Some(1), "{why}");
        assert!(
            refused.stderr.starts_with("error: ") && refused.stderr.contains(why),
            "{}",
            refused.stderr
        );
        assert_eq!(
            refused.stderr.trim_end().lines().count(),
            1,
            "{}",
            refused.stderr
        );
    }
    assert!(check(cut, &["--partial"]).status.success());
    let absent = tests::binary::run(&["run", "export", "9", "--database-url", app.db().url()]);
    assert_eq!(
        (absent.status.code(), absent.stderr.contains('9')),
        (Some(1), true),
        "{}",
        absent.stderr
    );
    app.stop().await;
}
