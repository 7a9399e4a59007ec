//! What a model call writes: its own run, and nothing that others write, too.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::json;
use tests::{Backend, Coworker, TestApp, both_dbs};

use crate::look;

/// Counts each row that is updated, by its table.
async fn count_updates(app: &TestApp) {
    let conn = tests::db::connect(app.db().url()).await.unwrap();
    let tables = match app.db().backend() {
        Backend::Sqlite => {
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        }
        // Those that are parts of others are counted with these.
        Backend::Postgres => {
            "SELECT CAST(relname AS TEXT) AS name FROM pg_class WHERE relnamespace = CAST(current_schema() AS regnamespace) \
             AND relkind IN ('r', 'p') AND NOT relispartition"
        }
    };
    let statement = Statement::from_string(conn.get_database_backend(), tables);
    let rows = conn.query_all_raw(statement).await.unwrap();
    let mut sql = String::from("CREATE TABLE updated (name TEXT NOT NULL);");
    if app.db().backend() == Backend::Postgres {
        sql += "CREATE FUNCTION count_update() RETURNS trigger LANGUAGE plpgsql AS \
                $$ BEGIN INSERT INTO updated VALUES (TG_ARGV[0]); RETURN NULL; END $$;";
    }
    for row in rows {
        let name: String = row.try_get("", "name").unwrap();
        sql += &match app.db().backend() {
            Backend::Sqlite => format!(
                "CREATE TRIGGER count_{name} AFTER UPDATE ON \"{name}\" BEGIN INSERT INTO updated VALUES ('{name}'); END;"
            ),
            Backend::Postgres => format!(
                "CREATE TRIGGER count_{name} AFTER UPDATE ON \"{name}\" FOR EACH ROW EXECUTE FUNCTION count_update('{name}');"
            ),
        };
    }
    conn.execute_unprepared(&sql).await.unwrap();
    conn.close().await.unwrap();
}

/// The rows that were updated since the last look, by table.
async fn updates(app: &TestApp) -> BTreeMap<String, i64> {
    let conn = tests::db::connect(app.db().url()).await.unwrap();
    let sql = "SELECT name, COUNT(*) AS n FROM updated GROUP BY name";
    let statement = Statement::from_string(conn.get_database_backend(), sql);
    let rows = conn.query_all_raw(statement).await.unwrap();
    conn.execute_unprepared("DELETE FROM updated")
        .await
        .unwrap();
    conn.close().await.unwrap();
    let count = |row: &sea_orm::QueryResult| {
        let name = row.try_get("", "name").unwrap();
        (name, row.try_get("", "n").unwrap())
    };
    rows.iter().map(count).collect()
}

/// Looks so many times, a model call each, and asks a person then: the run goes on, and nothing of it is folded yet.
fn playbook(looks: usize) -> String {
    let look = "  - calls: [{ tool: desk.look }]\n    usage: { input: 500, cache_read: 100, output: 10 }\n";
    format!(
        "tools:\n  - {{ name: desk.look, description: Looks., effect: READ, answers: [{{ response: there }}] }}\nturns:\n{}  \
         - calls: [{{ tool: post_note, arguments: {{ visibility: PRIVATE, body: May I? }} }}]\n",
        look.repeat(looks)
    )
}

both_dbs! {
    /// R56: the ledger and the rollups have no row that model calls contend for. Ten calls more in a run update that run and its
    /// steps, and no row of any other table.
    async fn a_model_call_updates_no_row_but_those_of_its_run(app: TestApp) {
        app.mutate("modelPriceSet", json!({ "model": "scripted", "input": "3", "cacheRead": "0.3", "output": "15" }), "").await;
        let asks = json!([{ "server": "stint", "actions": [{ "name": "post_note", "approval": "ALWAYS" }] }]);
        let mut coworkers = Vec::new();
        for looks in [2, 12] {
            let made = Coworker::new(&format!("looks-{looks}")).playbook(&playbook(looks)).with("tools", asks.clone()).publish(&app).await;
            coworkers.push(made.id);
        }
        count_updates(&app).await;
        let mut seen = Vec::new();
        for coworker in coworkers {
            updates(&app).await;
            app.mutate("requestCreate", json!({ "title": "Look", "assigneeId": coworker }), "").await;
            app.drain().await;
            seen.push(updates(&app).await);
        }
        let calls = "SELECT COUNT(*) AS n FROM usage_ledger";
        assert_eq!(look::number(&app, calls).await, 3 + 13);
        assert!(seen[0]["run"] > 0 && seen[1]["run"] > seen[0]["run"], "what is updated is counted: {seen:?}");
        let of = |run: usize, table: &str| seen[run].get(table).copied().unwrap_or(0);
        let tables = seen[0].keys().chain(seen[1].keys());
        for table in tables.filter(|table| !["run", "run_step"].contains(&table.as_str())) {
            assert_eq!(of(0, table), of(1, table), "ten calls more update {table}: {seen:?}");
        }
        look::sound(&app).await;
        app.stop().await;
    }
}
