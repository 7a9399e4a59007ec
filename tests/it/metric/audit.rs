//! Whether rollups hold what was folded into them, and how they are made anew.

use std::time::Duration;

use domain::metric::anew::fold_until;
use domain::metric::audit::{Audit, audit, mend};
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use serde_json::json;
use tests::{Backend, TestApp, both_dbs};

use super::{DAY, coworker, fold, priced, tidy, work, workspace_of};
use crate::look;

/// Asserts that the rollups are what was folded into them, and that there are any.
pub async fn sound(app: &TestApp) {
    let (store, workspace) = (app.store().await, workspace_of(app).await);
    let found = audit(&store, workspace, 5, |_| ()).await.unwrap();
    assert!(found.rows > 0);
    assert_eq!((found.different, found.named), (0, Vec::new()));
}

both_dbs! {
    /// R54: whatever is spoilt in the rollups is found and named, and mended by making them anew.
    async fn whatever_is_spoilt_in_the_rollups_is_found(app: TestApp) {
        priced(&app).await;
        let worker = coworker(&app, "one", "{ input: 1000, output: 10 }", "{ input: 2000, output: 20 }").await;
        app.mutate("workspaceUpdate", json!({ "timeZone": "Asia/Kathmandu" }), "").await;
        work(&app, &worker).await;
        app.advance(Duration::from_secs(80 * DAY)).await;
        work(&app, &worker).await;
        fold(&app).await;
        sound(&app).await;
        // The first run's are hours then.
        app.advance(Duration::from_secs(30 * DAY)).await;
        tidy(&app).await;
        sound(&app).await;
        let workspace = workspace_of(&app).await;
        for (spoils, told) in [
            ("UPDATE usage_rollup SET tool_calls = tool_calls + 1 WHERE grain = 'DAY' AND cube = 'COWORKER'", "the day from 2026-05-19T18:15:00.000Z, scripted, of one: tool_calls is 3 instead of 2"),
            ("UPDATE usage_rollup SET cost_nano = 0 WHERE grain = 'HOUR'", "the hour from 2026-05-20T03:00:00.000Z, scripted, EMPLOYEE, ASSIGNED, DECLINED, of one: cost_nano is 0 instead of 9450000"),
            ("UPDATE usage_rollup SET durations = NULL WHERE grain = 'QUARTER'", "the quarter-hour from 2026-08-08T03:30:00.000Z, scripted, EMPLOYEE, ASSIGNED, DECLINED, of one: durations are others"),
            ("UPDATE usage_rollup SET durations = 'no sketch' WHERE grain = 'WEEK'", "of one: durations can't be read"),
            ("UPDATE usage_rollup SET generation = generation + 1 WHERE grain = 'DAY'", "rows are of days that are yet to be made"),
            ("UPDATE usage_rollup SET bucket = bucket + 900000 WHERE grain = 'QUARTER'", "DECLINED, of one: it is not there"),
            ("UPDATE usage_rollup SET bucket = bucket + 90000000000 WHERE grain = 'QUARTER'", "DECLINED, of one: nothing was folded into it"),
            ("UPDATE usage_rollup SET bucket = bucket - 604800000 WHERE grain = 'WEEK'", "the week from 2026-05-17T18:15:00.000Z, scripted, of one: it is not there"),
            ("DELETE FROM usage_rollup WHERE grain = 'DAY' AND cube = 'FULL'", "of one: it is not there"),
        ] {
            look::tamper(&app, spoils).await;
            let store = app.store().await;
            let Audit { different, named, .. } = audit(&store, workspace, 20, |_| ()).await.unwrap();
            assert!(different > 0 && named.iter().any(|line| line.contains(told)), "{spoils}: {named:#?}");
            let few = audit(&store, workspace, 1, |_| ()).await.unwrap();
            assert_eq!((few.different, few.named.len()), (different, 1));
            let mended = mend(&store, workspace, 20, |_| ()).await.unwrap();
            assert_eq!((mended.different, mended.named), (different, named), "{spoils}");
            sound(&app).await;
            fold(&app).await;
            sound(&app).await;
        }
        // The compactor finds such a run, too, and may have folded it again.
        look::tamper(&app, "UPDATE run SET rolled_up = FALSE WHERE number = 2").await;
        let store = app.store().await;
        let told = audit(&store, workspace, 20, |_| ()).await.unwrap().named.join("; ");
        assert!(told.contains("runs is 1 instead of 0") || told.contains("runs is 2 instead of 1"), "{told}");
        assert!(mend(&store, workspace, 0, |_| ()).await.unwrap().different > 0);
        fold(&app).await;
        sound(&app).await;
        // Their rows differ too, as long as nobody knows that they were folded.
        look::tamper(&app, "UPDATE usage_ledger SET rolled_up = FALSE WHERE run_id = (SELECT id FROM run WHERE number = 2)").await;
        let told = audit(&store, workspace, 20, |_| ()).await.unwrap().named;
        assert!(told.len() > 1 && told[0] == "2 model calls of runs that are folded are not", "{told:#?}");
        let Audit { different, named, .. } = mend(&store, workspace, 20, |_| ()).await.unwrap();
        assert_eq!((different, &named[..]), (2, &told[..1]));
        sound(&app).await;
    }
}

/// A rebuild waits for the runs that another process folds, and says how many the rollups hold in the end.
#[test]
fn a_rebuild_waits_for_whoever_else_folds() {
    tests::app::run(Backend::Postgres, |app| async move {
        let worker = coworker(
            &app,
            "one",
            "{ input: 10, output: 1 }",
            "{ input: 10, output: 1 }",
        )
        .await;
        work(&app, &worker).await;
        fold(&app).await;
        work(&app, &worker).await;
        let (store, workspace) = (app.store().await, workspace_of(&app).await);
        let other = tests::db::connect(app.db().url()).await.unwrap();
        let folds = other.begin().await.unwrap();
        folds
            .execute_unprepared("SELECT * FROM rollup_state FOR UPDATE")
            .await
            .unwrap();
        look::tamper(&app, "UPDATE usage_rollup SET runs = runs + 1").await;
        let mending = tokio::spawn({
            let store = store.clone();
            async move { mend(&store, workspace, 0, |_| ()).await }
        });
        let (waits, mut waiting) = tokio::sync::mpsc::unbounded_channel();
        let now = store.now();
        let folding = tokio::spawn(async move {
            fold_until(&store, workspace, now, |left| {
                waits.send(left).expect("it is heard")
            })
            .await
        });
        assert_eq!(waiting.recv().await, Some(1));
        assert!(!mending.is_finished(), "it waits for whoever folds");
        folds.commit().await.unwrap();
        other.close().await.unwrap();
        assert_eq!(folding.await.unwrap().unwrap(), 2);
        assert!(mending.await.unwrap().unwrap().different > 0);
        sound(&app).await;
    });
}
