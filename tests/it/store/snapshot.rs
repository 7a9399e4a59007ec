//! Several reads of one moment.

use std::sync::Arc;

use domain::error::Result;
use domain::store::Snapshot;
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, Statement};
use serde_json::json;
use tests::{TestApp, both_dbs};
use tokio::sync::Barrier;

use crate::look;

const REQUESTS: &str = "SELECT COUNT(*) AS n FROM request";

/// Counts requests twice, and then tries to delete them.
struct Twice {
    /// Passed between the counts: once before something is written, and once after.
    between: Arc<Barrier>,
}

impl Snapshot for Twice {
    type Output = ([i64; 2], bool);

    async fn read(&self, tx: &DatabaseTransaction) -> Result<Self::Output> {
        let count = async || -> Result<i64> {
            let asked = Statement::from_string(tx.get_database_backend(), REQUESTS);
            let row = tx.query_one_raw(asked).await?.expect("a row");
            Ok(row.try_get("", "n")?)
        };
        let before = count().await?;
        self.between.wait().await;
        self.between.wait().await;
        let counts = [before, count().await?];
        let written = tx.execute_unprepared("DELETE FROM request").await;
        Ok((counts, written.is_ok()))
    }
}

both_dbs! {
    /// What a snapshot reads is of one moment, whatever is committed between its reads; and it writes nothing.
    async fn a_snapshot_sees_one_state_and_writes_nothing(app: TestApp) {
        app.mutate("requestCreate", json!({ "title": "The first" }), "request { id }").await;
        let between = Arc::new(Barrier::new(2));
        let store = app.store().await;
        let reading = tokio::spawn({
            let twice = Twice { between: between.clone() };
            async move { store.snapshot(twice).await }
        });
        between.wait().await;
        app.mutate("requestCreate", json!({ "title": "The second" }), "request { id }").await;
        assert_eq!(look::number(&app, REQUESTS).await, 2);
        between.wait().await;
        let read = reading.await.expect("it ended").expect("it was read");
        assert_eq!(read, ([1, 1], false));
        assert_eq!(look::number(&app, REQUESTS).await, 2);
    }
}
