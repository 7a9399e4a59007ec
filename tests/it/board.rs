//! What operators and analysts see in a terminal: `stint top`, `stint costs`, `stint metrics export`.

use domain::clock::Clock;
use serde_json::{Value, json};
use tests::binary::{self, Finished};
use tests::terminal::{self, Screen};
use tests::{Coworker, TestApp, both_dbs};

use crate::look;

const PLAYBOOK: &str = "turns:\n  - calls: [{ tool: finish, arguments: { outcome: DECLINED, reason: No., summary: No. } }]\n    usage: { input: 1000, output: 100 }\n";

fn stint(app: &TestApp, args: &[&str]) -> Finished {
    let mut all = args.to_vec();
    all.extend(["--database-url", app.db().url()]);
    binary::run(&all)
}

fn said(finished: &Finished) -> &str {
    assert!(finished.status.success(), "{}", finished.stderr);
    &finished.stdout
}

both_dbs! {
    /// Runs under way and ended, the queue, and the cost of this hour; what each coworker cost by week; figures as a file.
    async fn terminals_show_what_runs_do_and_cost(app: TestApp) {
        // The commands go by the machine's own clock.
        let app = look::with_settings(&app, |settings| settings.clock = Clock::system()).await;
        let price = json!({ "model": "scripted", "input": "3", "cacheRead": "0.3", "output": "15" });
        app.mutate("modelPriceSet", price, "modelPrice { id }").await;
        assert_eq!(said(&stint(&app, &["costs"])), "No model was called in the last 12 weeks.\n");
        let aws = Coworker::new("aws").playbook(PLAYBOOK).publish(&app).await;
        let asks = Coworker::new("careful").playbook("turns:\n  - calls: [{ tool: post_note, arguments: { visibility: PRIVATE, body: May I? } }]\n")
            .with("tools", json!([{ "server": "stint", "actions": [{ "name": "post_note", "approval": "ALWAYS" }] }]))
            .publish(&app).await;
        for coworker in [&aws, &asks] {
            app.mutate("requestCreate", json!({ "title": "A slow network", "assigneeId": coworker.id }), "request { id }").await;
        }
        app.drain().await;

        let board = stint(&app, &["top"]);
        let board = said(&board);
        for seen in ["0 running", "1 waiting for a person", "0 waiting", "this hour $0.0", "Run-1", "@aws", "A slow network", "Declined", "Waits for a person"] {
            assert!(board.contains(seen.trim_start_matches('@')), "{seen} in\n{board}");
        }
        assert!(!board.contains('\u{1b}'), "no styles where there is no terminal");

        let costs = stint(&app, &["costs"]);
        let costs = said(&costs);
        // 1000 × 3 + 100 × 15 USD per million tokens.
        assert!(costs.contains("aws") && costs.contains("$0.0045") && costs.contains('█'), "{costs}");
        let list = stint(&app, &["costs", "--format", "json", "--weeks", "2"]);
        let list: Value = serde_json::from_str(said(&list)).unwrap();
        let aws = list.as_array().unwrap().iter().find(|line| line["coworker"] == "aws").unwrap();
        assert_eq!(aws["weeklyCost"].as_array().unwrap().len(), 2);
        assert_eq!(aws["weeklyCost"][1], "0.0045");
        let refused = stint(&app, &["costs", "--weeks", "1"]);
        assert!(!refused.status.success() && refused.stderr.contains("it must be from 2 to 104"), "{}", refused.stderr);

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("runs.parquet");
        let out = file.to_str().unwrap();
        let exported = stint(&app, &["metrics", "export", "--of", "runs", "--format", "parquet", "--end", "PT1M", "--out", out]);
        assert!(exported.status.success() && exported.stderr.contains("runs.parquet"), "{}", exported.stderr);
        assert_eq!(&std::fs::read(&file).unwrap()[..4], b"PAR1");
        let csv = stint(&app, &["metrics", "export", "--interval", "week", "--start", "-P14D", "--end", "PT1M"]);
        let csv = said(&csv);
        assert!(csv.starts_with("start,end,coworker,model,") && csv.contains(",aws,scripted,"), "{csv}");
        for (wrong, says) in [
            (["metrics", "export", "--start", "soon"], "neither a moment nor a duration"),
            (["metrics", "export", "--time-zone", "Mars"], "no time zone"),
            (["metrics", "export", "--out", "/nowhere/x.csv"], "/nowhere/x.csv can't be written"),
        ] {
            let refused = stint(&app, &wrong);
            assert!(!refused.status.success() && refused.stderr.contains(says), "{wrong:?}: {}", refused.stderr);
        }
        app.stop().await;
    }

    /// On a terminal the board is drawn again and again until someone says q, and leaves the terminal as it was.
    async fn a_board_on_a_terminal_lives_until_it_is_left(app: TestApp) {
        let app = look::with_settings(&app, |settings| settings.clock = Clock::system()).await;
        let left = terminal::run(&["top", "--database-url", app.db().url()], "xq");
        assert!(left.status.success(), "{left:?}");
        let (enters, leaves) = ("\u{1b}[?1049h", "\u{1b}[?1049l");
        assert!(left.stdout.contains(enters), "{left:?}");
        assert!(left.stdout.rfind(leaves) > left.stdout.rfind(enters), "the terminal is given back: {left:?}");
        app.stop().await;
    }

    /// The board looks again every second: what a run cost that has ended meanwhile is there without a key pressed.
    async fn a_board_on_a_terminal_shows_what_is_new(app: TestApp) {
        let app = look::with_settings(&app, |settings| settings.clock = Clock::system()).await;
        let price = json!({ "model": "scripted", "input": "3", "cacheRead": "0.3", "output": "15" });
        app.mutate("modelPriceSet", price, "modelPrice { id }").await;
        let aws = Coworker::new("aws").playbook(PLAYBOOK).publish(&app).await;
        let board = tokio::task::block_in_place(|| {
            let board = Screen::start(&["top", "--database-url", app.db().url()]);
            board.until("q leaves");
            board
        });
        assert!(!board.shown().contains("$0.0045") && !board.shown().contains("Run-1"), "{}", board.shown());
        app.mutate("requestCreate", json!({ "title": "A slow network", "assigneeId": aws.id }), "request { id }").await;
        app.drain().await;
        tokio::task::block_in_place(|| {
            board.until("Run-1");
            board.until("$0.0045");
            assert!(board.leave("q"));
        });
        app.stop().await;
    }

    /// Decision 6: what has no price, or broke off before its usage was known, is never shown as free: not in the table, not in JSON, not on
    /// the board.
    async fn what_nobody_knows_the_cost_of_is_marked(app: TestApp) {
        let app = look::with_settings(&app, |settings| settings.clock = Clock::system()).await;
        let breaks_off = "turns:\n  - { fault: timed_out }\n";
        let both = "tools: [{ name: desk.look, description: Looks., effect: READ, answers: [{ response: there }] }]\nturns:\n  - calls: [{ tool: desk.look }]\n    usage: { input: 1000, output: 100 }\n  - { fault: timed_out }\n";
        // Nobody knows a price yet.
        let unpriced = Coworker::new("unpriced").playbook(PLAYBOOK).publish(&app).await;
        let unknown = Coworker::new("unknown").playbook(breaks_off).publish(&app).await;
        let some = Coworker::new("some").playbook(both).publish(&app).await;
        let ask = async |id: &str| {
            app.mutate("requestCreate", json!({ "title": "A slow network", "assigneeId": id }), "").await;
            app.drain().await;
        };
        ask(&unpriced.id).await;
        let price = json!({ "model": "scripted", "input": "3", "cacheRead": "0.3", "output": "15" });
        app.mutate("modelPriceSet", price, "modelPrice { id }").await;
        ask(&unknown.id).await;
        ask(&some.id).await;

        let costs = stint(&app, &["costs"]);
        let costs = said(&costs);
        let row = |handle: &str| -> Vec<String> {
            let line = costs.lines().find(|line| line.trim_start().starts_with(handle)).unwrap_or_else(|| panic!("no {handle} in\n{costs}"));
            line.split("  ").map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty()).collect()
        };
        for handle in ["unpriced", "unknown"] {
            let row = row(handle);
            // The line of blocks, the total, by run and this week.
            assert_eq!(row.iter().filter(|cell| *cell == "?").count(), 4, "{row:?}");
        }
        assert!(row("some").iter().filter(|cell| *cell == "$0.0045 +?").count() == 3, "{:?}", row("some"));
        assert!(costs.contains("?: 1 model calls have no price; see modelPriceSet.") && costs.contains("model calls broke off before their usage was known."), "{costs}");

        let list = stint(&app, &["costs", "--format", "json", "--weeks", "2"]);
        let list: Value = serde_json::from_str(said(&list)).unwrap();
        let of = |handle: &str| list.as_array().unwrap().iter().find(|line| line["coworker"] == handle).unwrap().clone();
        assert_eq!((&of("unpriced")["weeklyCost"], &of("unpriced")["unpricedCalls"], &of("unpriced")["unknownCalls"]), (&json!(["0", null]), &json!(1), &json!(0)));
        assert_eq!((&of("unknown")["weeklyCost"], &of("unknown")["unpricedCalls"]), (&json!(["0", null]), &json!(0)));
        assert!(of("unknown")["unknownCalls"].as_i64() >= Some(1), "{list:#}");
        assert_eq!(of("some")["weeklyCost"], json!(["0", "0.0045"]));
        assert!(of("some")["unknownCalls"].as_i64() >= Some(1), "{list:#}");

        let board = stint(&app, &["top"]);
        let board = said(&board);
        assert!(board.contains("this hour $0.0045 +? · 24 hours $0.0045 +?"), "{board}");
        let cost = |run: &str| board.lines().find(|line| line.contains(run)).unwrap().trim_end_matches(['│', ' ']).rsplit("  ").next().unwrap().trim().to_owned();
        assert_eq!([cost("Run-1"), cost("Run-2"), cost("Run-3")], ["?", "?", "$0.0045 +?"], "{board}");
        app.stop().await;
    }
}
