//! Figures while much is still to be folded: after an upgrade of a long history, or while nobody folds.

use domain::metric::rollup;
use entity::usage_ledger;
use sea_orm::{IdenStatic as _, Iterable as _};
use serde_json::{Value, json};
use tests::{Coworker, TestApp, both_dbs};

use crate::look;

/// Calls that are written besides those of a run.
const MORE: usize = 12_500;

both_dbs! {
    /// Calls that no rollup holds are counted each once, also where thousands ended in the same millisecond.
    async fn a_backlog_is_counted_call_by_call(app: TestApp) {
        let playbook = "turns:\n  - calls:\n      - tool: finish\n        arguments: { outcome: DECLINED, reason: No., summary: \"No.\" }\n    usage: { input: 7, output: 3 }\n";
        let worker = Coworker::new("worker").playbook(playbook).publish(&app).await;
        app.mutate("requestCreate", json!({ "title": "Do it", "assigneeId": worker.id }), "").await;
        app.drain().await;
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
        app.advance(std::time::Duration::from_secs(1)).await;
        let query = "{ metrics(range: { start: \"-P1D\" }) { totals { modelCalls usage { inputTokens outputTokens } } } }";
        let expected = json!({ "modelCalls": MORE + 1, "usage": { "inputTokens": 7 * (MORE + 1), "outputTokens": 3 * (MORE + 1) } });
        for state in ["before the fold", "after it"] {
            let answer: Value = app.gql(query, json!({})).await;
            assert_eq!(answer["metrics"]["totals"], expected, "{state}");
            rollup::fold_all(&app.store().await, || true).await.expect("folded");
            let left = look::number(&app, "SELECT COUNT(*) AS n FROM usage_ledger WHERE NOT rolled_up").await;
            assert_eq!(left, 0);
        }
    }
}
