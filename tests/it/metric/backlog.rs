//! Figures while much is still to be folded: after an upgrade of a long history, or while nobody folds.

use domain::metric::anew::fold_until;
use entity::usage_ledger;
use sea_orm::{IdenStatic as _, Iterable as _};
use serde_json::json;
use tests::{Coworker, TestApp, both_dbs};

use super::{nano, priced, to_noon, work, workspace_of};
use crate::look;

/// Calls that are written besides those of a run.
const MORE: usize = 12_500;

both_dbs! {
    /// Calls that no rollup holds are counted each once, whatever is asked of them, also where thousands ended in the same
    /// millisecond.
    async fn a_backlog_is_counted_call_by_call(app: TestApp) {
        priced(&app).await;
        to_noon(&app).await;
        let playbook = "turns:\n  - calls:\n      - tool: finish\n        arguments: { outcome: DECLINED, reason: No., summary: \"No.\" }\n    usage: { input: 7, output: 3 }\n";
        let worker = Coworker::new("worker").playbook(playbook).publish(&app).await;
        work(&app, &json!(worker.id)).await;
        let [names, copies] = [false, true].map(|copied| {
            let names = usage_ledger::Column::iter().map(|column| match column.as_str() {
                "seq" if copied => "seq + n".to_owned(),
                "at" if copied => "at + n / 5000".to_owned(),
                name => name.to_owned(),
            });
            names.collect::<Vec<_>>().join(", ")
        });
        let copy = format!(
            "WITH RECURSIVE more (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more WHERE n < {MORE}) \
             INSERT INTO usage_ledger ({names}) SELECT {copies} FROM usage_ledger, more"
        );
        look::tamper(&app, &copy).await;
        let day = 24 * 60 * 60;
        app.advance(std::time::Duration::from_secs(day)).await;
        let figures = "modelCalls usage { inputTokens outputTokens } cost { amount }";
        let query = format!(
            "{{ metrics(range: {{ start: \"-P3D\" }}) {{ totals {{ {figures} }} byTrigger: series(interval: DAY, by: [TRIGGER]) {{ points {{ totals {{ {figures} }} }} }} \
             trend(interval: DAY, by: []) {{ changes {{ cost {{ now absolute }} causes {{ amount }} }} }} \
             ofTriggers: trend(interval: DAY, by: [TRIGGER]) {{ changes {{ cost {{ now absolute }} causes {{ amount }} }} }} }} }}"
        );
        // 7 × 3 + 3 × 15 USD per million for each.
        let nano_usd = 66_000 * i64::try_from(MORE + 1).unwrap();
        let amount = "0.825066";
        let expected = json!({ "modelCalls": MORE + 1, "usage": { "inputTokens": 7 * (MORE + 1), "outputTokens": 3 * (MORE + 1) }, "cost": { "amount": amount } });
        for state in ["before the fold", "after it"] {
            let metrics = app.gql(&query, json!({})).await["metrics"].take();
            assert_eq!(metrics["totals"], expected, "{state}");
            let points = look::list(metrics["byTrigger"][0]["points"].clone());
            let used: Vec<_> = points.into_iter().filter(|point| point["totals"]["modelCalls"] != 0).collect();
            assert_eq!(used, [json!({ "totals": expected })], "{state}");
            for trend in ["trend", "ofTriggers"] {
                let changes = look::list(metrics[trend][0]["changes"].clone());
                let change = changes.iter().find(|change| change["cost"]["now"] == amount);
                let change = change.unwrap_or_else(|| panic!("{state}, {trend}: {changes:#?}"));
                assert_eq!(nano(&change["cost"]["absolute"]), nano_usd, "{state}, {trend}");
                let causes = look::list(change["causes"].clone());
                assert_eq!(causes.iter().map(|cause| nano(&cause["amount"])).sum::<i64>(), nano_usd, "{state}, {trend}");
            }
            let store = app.store().await;
            fold_until(&store, workspace_of(&app).await, store.now(), |_| ()).await.expect("folded");
            let left = look::number(&app, "SELECT COUNT(*) AS n FROM usage_ledger WHERE NOT rolled_up").await;
            assert_eq!(left, 0);
        }
    }
}
