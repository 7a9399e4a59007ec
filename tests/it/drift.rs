//! The migrations are the truth; every entity says the same, on both databases and both ways.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::ColumnType;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbBackend, EntityName, EntityTrait,
    IdenStatic, Iterable, PrimaryKeyToColumn, Statement,
};
use serde_json::json;
use tests::db::connect;
use tests::{Coworker, TestApp, TestDb, both_dbs, on_both};

/// Does something with every entity; gives the tables' names.
macro_rules! every_entity {
    ($check:ident ($($argument:expr),*)) => {{
        let mut tables = BTreeSet::new();
        every_entity!(@each tables $check ($($argument),*)
            alert_attempt alert_delivery alert_endpoint alert_secret api_key approval assignment budget_account budget_slice coworker coworker_version coworker_version_skill dispatch idempotency_key
            model_price note person prompt_part request request_event rollup_state run run_event run_step secret skill skill_version tool_action
            tool_server usage_ledger usage_rollup
            webhook_delivery webhook_endpoint webhook_secret webhook_subject workspace);
        tables
    }};
    (@each $tables:ident $check:ident $arguments:tt $($entity:ident)+) => {$(
        every_entity!(@one $check $arguments $entity);
        $tables.insert(entity::$entity::Entity.table_name().to_owned());
    )+};
    (@one $check:ident ($($argument:expr),*) $entity:ident) => {
        $check::<entity::$entity::Entity>($($argument),*).await
    };
}

/// What a column is, in words that both sides share.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Column {
    kind: &'static str,
    nullable: bool,
    /// Its place in the primary key, from 1; 0 if it is none of it.
    key: usize,
}

on_both! {
    async fn every_entity_has_the_columns_of_its_table(backend: Backend) {
        let db = TestDb::new(backend).await;
        let conn = connect(db.url()).await.unwrap();
        let mut differences = Vec::new();
        let known = every_entity!(compare(&conn, &mut differences));
        assert!(differences.is_empty(), "{}", differences.join("\n"));
        let there = tables(&conn).await;
        assert_eq!(there, known, "tables without an entity, or entities without a table");
    }
}

both_dbs! {
    async fn every_row_that_a_run_leaves_can_be_read(app: TestApp) {
        let price = json!({ "model": "scripted", "input": "1.5", "output": "7.5", "source": "a test" });
        app.mutate("modelPriceSet", price, "").await;
        app.mutate("skillCreate", json!({ "handle": "vpn", "name": "VPN", "text": "Turn it off and on." }), "").await;
        let told = json!({ "name": "Desk", "url": "http://127.0.0.1:1/", "kinds": ["RUN_ENDED"] });
        let told = app.mutate("alertEndpointCreate", told, "alertEndpoint { id }").await["alertEndpoint"]["id"].take();
        Coworker::new("triage").triage().with("skills", json!(["vpn"])).with("budget", json!({ "daily": "1000" })).playbook(
            "turns:\n  - calls:\n      - { tool: post_note, arguments: { visibility: PUBLIC, body: Done. } }\n      \
             - { tool: set_status, arguments: { status: RESOLVED } }\n",
        ).with("tools", json!([{ "server": "stint", "actions": [{ "name": "set_status", "approval": "ALWAYS" }] }])).publish(&app).await;
        app.mutate("requestCreate", json!({ "title": "The VPN is slow", "idempotencyKey": "k" }), "").await;
        crate::sender::PagerDuty::new(&app).await.send(&crate::sender::incident("01", "incident.triggered", "P1", "triggered")).await;
        app.drain().await;
        app.mutate("secretSet", json!({ "name": "DESK", "value": "a value to be sealed" }), "").await;
        let tools = json!([crate::outside::tool("find", "https://desk.example.com/")]);
        app.mutate("toolServerCreate", json!({ "name": "desk", "kind": "HTTP", "tools": tools }), "").await;
        // What a run used is rolled up once it has ended.
        let run = crate::look::runs(&app).await[0]["id"].clone();
        app.mutate("runStop", json!({ "id": run, "reason": "Enough." }), "").await;
        app.drain().await;
        domain::metric::rollup::fold_all(&app.store().await, || true).await.unwrap();

        // It can't be reached; that is tried, and written down.
        let told = crate::receiver::Endpoint { id: told, secret: String::new() };
        crate::receiver::until_delivery(&app, &told, |one| one["attemptCount"] == 1).await;
        let conn = connect(app.db().url()).await.unwrap();
        let mut empty = Vec::new();
        every_entity!(select(&conn, &mut empty));
        assert!(empty.is_empty(), "this test should leave rows in {empty:?}");
    }
}

async fn select<E: EntityTrait>(conn: &DatabaseConnection, empty: &mut Vec<String>) {
    let name = E::default().table_name().to_owned();
    let rows = E::find().all(conn).await;
    let rows = rows.unwrap_or_else(|error| panic!("{name}: {error}"));
    if rows.is_empty() {
        empty.push(name);
    }
}

async fn compare<E: EntityTrait>(conn: &DatabaseConnection, differences: &mut Vec<String>) {
    let name = E::default().table_name().to_owned();
    if let Err(error) = E::find().all(conn).await {
        differences.push(format!("{name} can't be selected: {error}"));
    }
    let keys: Vec<String> = E::PrimaryKey::iter()
        .map(|key| key.into_column().as_str().to_owned())
        .collect();
    let wanted: BTreeMap<String, Column> = E::Column::iter()
        .map(|column| {
            let name = column.as_str().to_owned();
            let key = keys
                .iter()
                .position(|key| *key == name)
                .map_or(0, |i| i + 1);
            let def = column.def();
            let kind = match kind(def.get_column_type()) {
                // SQLite keeps ids as bytes.
                "uuid" if conn.get_database_backend() == DbBackend::Sqlite => "bytes",
                kind => kind,
            };
            (
                name,
                Column {
                    kind,
                    nullable: def.is_null(),
                    key,
                },
            )
        })
        .collect();
    let found = columns(conn, &name).await;
    for column in wanted.keys().chain(found.keys()).collect::<BTreeSet<_>>() {
        match (wanted.get(column), found.get(column)) {
            (Some(wanted), Some(found)) if wanted == found => {}
            (entity, table) => differences.push(format!(
                "{name}.{column}: the entity says {entity:?}, the table {table:?}"
            )),
        }
    }
}

fn kind(ty: &ColumnType) -> &'static str {
    match ty {
        ColumnType::Uuid => "uuid",
        ColumnType::BigInteger => "bigint",
        ColumnType::Integer => "integer",
        ColumnType::Boolean => "boolean",
        ColumnType::Text | ColumnType::String(_) => "text",
        ColumnType::Blob | ColumnType::Binary(_) | ColumnType::VarBinary(_) => "bytes",
        other => panic!("a column of type {other:?}: teach this test"),
    }
}

async fn rows(conn: &DatabaseConnection, sql: String) -> Vec<sea_orm::QueryResult> {
    let statement = Statement::from_string(conn.get_database_backend(), sql);
    conn.query_all_raw(statement)
        .await
        .expect("the catalogue answers")
}

async fn columns(conn: &DatabaseConnection, table: &str) -> BTreeMap<String, Column> {
    if conn.get_database_backend() == DbBackend::Sqlite {
        let found = rows(
            conn,
            format!("SELECT name, type, \"notnull\", pk FROM pragma_table_info('{table}')"),
        )
        .await;
        return found
            .iter()
            .map(|row| {
                let ty: String = row.try_get("", "type").unwrap();
                let name: String = row.try_get("", "name").unwrap();
                let kind = match ty.as_str() {
                    "BLOB" => "bytes",
                    "BIGINT" => "bigint",
                    "INTEGER" => "integer",
                    "BOOLEAN" => "boolean",
                    "TEXT" => "text",
                    other => panic!("{table}.{name} is {other}"),
                };
                let nullable = row.try_get::<i64>("", "notnull").unwrap() == 0;
                let key = usize::try_from(row.try_get::<i64>("", "pk").unwrap()).unwrap();
                (
                    name,
                    Column {
                        kind,
                        nullable,
                        key,
                    },
                )
            })
            .collect();
    }
    let found = rows(conn, format!(
        "SELECT column_name::text AS name, data_type::text AS type, is_nullable::text AS nullable, COALESCE(( \
           SELECT array_position(i.indkey::int2[], a.attnum) + 1 FROM pg_index i \
           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = c.column_name \
           WHERE i.indisprimary AND i.indrelid = '{table}'::regclass), 0)::bigint AS pk \
         FROM information_schema.columns c WHERE table_schema = current_schema() AND table_name = '{table}'"
    )).await;
    found
        .iter()
        .map(|row| {
            let name: String = row.try_get("", "name").unwrap();
            let ty: String = row.try_get("", "type").unwrap();
            let kind = match ty.as_str() {
                "uuid" => "uuid",
                "bytea" => "bytes",
                "bigint" => "bigint",
                "integer" => "integer",
                "boolean" => "boolean",
                "text" => "text",
                other => panic!("{table}.{name} is {other}"),
            };
            let nullable = row.try_get::<String>("", "nullable").unwrap() == "YES";
            let key = usize::try_from(row.try_get::<i64>("", "pk").unwrap()).unwrap();
            (
                name,
                Column {
                    kind,
                    nullable,
                    key,
                },
            )
        })
        .collect()
}

/// The product's tables: without those of the migrations, of SQLite itself, and partitions.
async fn tables(conn: &DatabaseConnection) -> BTreeSet<String> {
    let sql = if conn.get_database_backend() == DbBackend::Sqlite {
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    } else {
        "SELECT relname::text AS name FROM pg_class WHERE relnamespace = current_schema()::regnamespace \
         AND relkind IN ('r', 'p') AND NOT relispartition"
    };
    let all = rows(conn, sql.to_owned()).await;
    let names = all
        .iter()
        .map(|row| row.try_get::<String>("", "name").unwrap());
    names.filter(|name| name != "seaql_migrations").collect()
}
