//! How databases find what is asked of them: by the few rows that it is about, however long the history and large the workspace.

use domain::metric::fresh;
use domain::request::query::is_waiting;
use domain::run::query::{is_active, is_running};
use domain::store::Store;
use entity::{
    CoworkerId, Millis, RequestId, RunId, RunStatus, WorkspaceId, dispatch, request, run,
    usage_ledger, usage_rollup, workspace,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, ExprTrait as _, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Select, Statement,
};
use serde_json::json;
use tests::{Backend, Coworker, TestApp, TestDb};
use uuid::Uuid;

const WORKSPACE: WorkspaceId = WorkspaceId(Uuid::nil());

/// How rows are found, a line for each table.
async fn plan<E: EntityTrait>(store: &Store, rows: Select<E>) -> String {
    let mut statement = rows.build(store.backend());
    statement.sql = format!("EXPLAIN QUERY PLAN {}", statement.sql);
    let lines = store.read().query_all_raw(statement).await.expect("a plan");
    let lines = lines
        .iter()
        .map(|row| row.try_get::<String>("", "detail").expect("a line"));
    lines.collect::<Vec<_>>().join("\n")
}

fn ids<T>(id: fn(Uuid) -> T) -> impl Iterator<Item = T> {
    (0..30).map(move |n| id(Uuid::from_u128(n)))
}

/// What is looked for all the time is found by the indexes that hold only what is under way, and what has ended by its
/// ids or its time: nothing goes through a whole workspace.
#[tokio::test]
async fn a_few_rows_are_found_by_what_is_few() {
    let db = TestDb::new(Backend::Sqlite).await;
    let store = tests::store::open(db.url()).await;
    let runs = || run::Entity::find().filter(run::Column::WorkspaceId.eq(WORKSPACE));
    let requests = || request::Entity::find().filter(request::Column::WorkspaceId.eq(WORKSPACE));
    let calls = || fresh::called().filter(usage_ledger::Column::WorkspaceId.eq(WORKSPACE));
    let month = (Millis(1), Millis(30 * 24 * 3_600_000));
    let ended = run::Column::EndedAt;
    let of_staff =
        || fresh::ended(WORKSPACE).filter(run::Column::CoworkerId.is_in(ids(CoworkerId)));
    let done = || fresh::done(WORKSPACE).filter(run::Column::CoworkerId.is_in(ids(CoworkerId)));
    let alone = || {
        usage_ledger::Entity::find()
            .filter(usage_ledger::Column::WorkspaceId.eq(WORKSPACE))
            .filter(usage_ledger::Column::CoworkerId.is_in(ids(CoworkerId)))
    };
    let within = || ended.gte(month.0).and(ended.lt(month.1));
    let rim = || {
        let at = usage_ledger::Column::At;
        at.gte(month.0).and(at.lt(month.1))
    };
    let waiting = dispatch::Entity::find().filter(is_waiting());
    let newest = |runs: Select<run::Entity>| runs.order_by_desc(run::Column::Number).limit(30);
    let by_id = runs().filter(run::Column::Id.is_in(ids(RunId)));
    let by_request = runs().filter(run::Column::RequestId.is_in(ids(RequestId)));
    let failed = runs().filter(run::Column::Status.eq(RunStatus::Failed));
    for (rows, wanted) in [
        (plan(&store, waiting.limit(3)).await, "dispatch_waiting"),
        (
            plan(&store, run::Entity::find().filter(is_running()).limit(3)).await,
            "run_under_way",
        ),
        (
            plan(&store, run::Entity::find().filter(is_active()).limit(3)).await,
            "run_one_active",
        ),
        (plan(&store, by_id).await, "sqlite_autoindex_run_1 (id=?)"),
        (plan(&store, by_request).await, "run_request (request_id=?)"),
        (
            plan(&store, newest(runs())).await,
            "run_number (workspace_id=?)",
        ),
        (
            plan(&store, newest(failed)).await,
            "run_number (workspace_id=?)",
        ),
        (
            plan(
                &store,
                requests().filter(request::Column::Id.is_in(ids(RequestId))),
            )
            .await,
            "sqlite_autoindex_request_1 (id=?)",
        ),
        (
            plan(
                &store,
                calls().filter(usage_ledger::Column::RunId.is_in(ids(RunId))),
            )
            .await,
            "usage_ledger USING PRIMARY KEY (run_id=?)",
        ),
        (
            plan(
                &store,
                calls().filter(usage_ledger::Column::At.gte(month.0)),
            )
            .await,
            "usage_ledger_at (workspace_id=? AND at>?)",
        ),
        (
            plan(
                &store,
                calls()
                    .filter(fresh::of_ledger())
                    .filter(usage_ledger::Column::At.gte(month.0)),
            )
            .await,
            "usage_ledger_fresh (workspace_id=? AND at>?)",
        ),
        (
            plan(&store, calls().filter(rim())).await,
            "usage_ledger_at (workspace_id=? AND at>? AND at<?)",
        ),
        (
            plan(
                &store,
                fresh::oldest(DbBackend::Sqlite, WORKSPACE).limit(500),
            )
            .await,
            "run_fresh (workspace_id=? AND ended_at>?)",
        ),
        (
            plan(&store, of_staff().filter(fresh::of_runs()).filter(within())).await,
            "run_fresh (workspace_id=? AND ended_at>? AND ended_at<?)",
        ),
        (
            plan(&store, of_staff().filter(within())).await,
            "run_ended (workspace_id=? AND ended_at>? AND ended_at<?)",
        ),
        // Where calls and runs alone tell what is asked.
        (
            plan(&store, alone().filter(fresh::of_ledger()).filter(rim())).await,
            "usage_ledger_fresh (workspace_id=? AND at>? AND at<?)",
        ),
        (
            plan(&store, alone().filter(rim())).await,
            "usage_ledger_at (workspace_id=? AND at>? AND at<?)",
        ),
        (
            plan(&store, done().filter(fresh::of_runs()).filter(within())).await,
            "run_fresh (workspace_id=? AND ended_at>? AND ended_at<?)",
        ),
        (
            plan(&store, done().filter(within())).await,
            "run_ended (workspace_id=? AND ended_at>? AND ended_at<?)",
        ),
    ] {
        assert!(rows.contains(wanted), "not by {wanted}:\n{rows}");
        let mut scans = rows.lines().filter(|line| line.starts_with("SCAN"));
        assert!(scans.all(|line| line.contains(wanted)), "{rows}");
    }
    let bucket = usage_rollup::Column::Bucket;
    let rollups = usage_rollup::Entity::find().filter(bucket.eq(0));
    assert!(
        plan(&store, rollups).await.contains("SCAN"),
        "a plan that is bad is seen"
    );
}

/// SQLite is told of every index that there is; also where a database was made by an earlier release.
#[tokio::test]
async fn no_index_is_left_to_guesses() {
    let db = TestDb::new(Backend::Sqlite).await;
    let untold = "SELECT COUNT(*) AS n FROM sqlite_schema AS t, pragma_index_list(t.name) AS i \
        WHERE t.type = 'table' AND NOT EXISTS (SELECT 1 FROM sqlite_stat1 WHERE idx = i.name)";
    let count = async |store: &Store| -> i64 {
        let row = Statement::from_string(store.backend(), untold);
        let row = store.read().query_one_raw(row).await.expect("told");
        row.expect("a row").try_get("", "n").expect("a number")
    };
    let store = tests::store::open(db.url()).await;
    assert_eq!(count(&store).await, 0);
    drop(store);
    for (case, statement) in [
        ("an earlier release", "DROP TABLE sqlite_stat1"),
        (
            "a death after the schema was changed",
            "DELETE FROM sqlite_stat1 WHERE idx = 'run_ended'",
        ),
    ] {
        let earlier = tests::db::connect(db.url()).await.expect("the file");
        for statement in [statement, "PRAGMA wal_checkpoint"] {
            earlier
                .execute_unprepared(statement)
                .await
                .expect(statement);
        }
        earlier.close().await.expect("closed");
        let store = tests::store::open(db.url()).await;
        assert_eq!(count(&store).await, 0, "{case}");
        drop(store);
    }
}

/// What is to be folded is found by its own index on PostgreSQL, also while most of what ended is still to be folded: the index
/// of all ended runs would be cheaper then, and dearer with every run that is folded.
#[tokio::test]
async fn a_backlog_is_folded_by_what_is_left_of_it() {
    let app = TestApp::start(Backend::Postgres).await;
    let coworker = Coworker::new("worker").publish(&app).await.id;
    let input = json!({ "title": "Do it", "assigneeId": coworker });
    app.mutate("requestCreate", input, "request { id }").await;
    app.drain().await;
    let columns = "SELECT string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position) AS all, \
         string_agg(CASE column_name WHEN 'id' THEN 'CAST(lpad(to_hex(n), 32, ''0'') AS UUID)' WHEN 'number' THEN 'number + n' \
         WHEN 'ended_at' THEN 'ended_at + n' ELSE quote_ident(column_name) END, ', ' ORDER BY ordinal_position) AS copies \
         FROM information_schema.columns WHERE table_name = 'run' AND table_schema = current_schema()";
    let conn = tests::db::connect(app.db().url())
        .await
        .expect("the database");
    let columns = Statement::from_string(DbBackend::Postgres, columns);
    let columns = conn
        .query_one_raw(columns)
        .await
        .expect("columns")
        .expect("a row");
    let [all, copies]: [String; 2] =
        ["all", "copies"].map(|name| columns.try_get("", name).expect(name));
    let copied =
        format!("INSERT INTO run ({all}) SELECT {copies} FROM run, generate_series(1, 20000) AS n");
    for statement in [copied.as_str(), "ANALYZE"] {
        conn.execute_unprepared(statement).await.expect(statement);
    }
    let workspace = workspace::Entity::find()
        .one(&conn)
        .await
        .expect("asked")
        .expect("one")
        .id;
    let mut statement = fresh::oldest(DbBackend::Postgres, workspace)
        .limit(1_000)
        .build(DbBackend::Postgres);
    statement.sql = format!("EXPLAIN {}", statement.sql);
    let lines = conn.query_all_raw(statement).await.expect("a plan");
    let lines: Vec<String> = lines
        .iter()
        .map(|row| row.try_get("", "QUERY PLAN").expect("a line"))
        .collect();
    let plan = lines.join("\n");
    assert!(
        plan.contains("Index Scan using run_fresh") && !plan.contains("Sort"),
        "{plan}"
    );
    conn.close().await.expect("closed");
}
