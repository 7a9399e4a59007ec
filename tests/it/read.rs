//! Reading lists: pages, cursors, filters, order.

use std::time::Duration;

use async_graphql_parser::parse_schema;
use async_graphql_parser::types::{ServiceDocument, TypeKind, TypeSystemDefinition};
use serde_json::{Value, json};
use tests::{Coworker, TestApp, both_dbs};

use crate::see::RUNBOOK;

const REQUESTS: &str = "query ($first: Int, $after: String, $last: Int, $before: String, \
                               $filter: RequestFilter, $order: [RequestOrder!]) { \
    requests(first: $first, after: $after, last: $last, before: $before, filter: $filter, order: $order) { \
        edges { cursor node { number } } nodes { title } totalCount \
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }";

async fn requests(app: &TestApp, variables: Value) -> Value {
    app.gql(REQUESTS, variables).await["requests"].take()
}

fn numbers(page: &Value) -> Vec<i64> {
    let edges = page["edges"].as_array().expect("edges");
    edges
        .iter()
        .map(|edge| edge["node"]["number"].as_i64().expect("a number"))
        .collect()
}

async fn seven(app: &TestApp) {
    for (title, priority) in [
        ("delta", "LOW"),
        ("alpha", "URGENT"),
        ("Charlie", "NORMAL"),
        ("bravo", "HIGH"),
        ("alpha", "NORMAL"),
        ("100% _sure_", "LOW"),
        ("alpha", "URGENT"),
    ] {
        let input = json!({ "title": title, "priority": priority, "labels": [title, "all"] });
        app.mutate("requestCreate", input, "request { id }").await;
        app.advance(Duration::from_secs(1)).await;
    }
}

both_dbs! {
    async fn pages_in_every_order_have_each_item_once(app: TestApp) {
        seven(&app).await;
        let orders = [
            json!(null),
            json!([{ "number": "ASC" }]),
            json!([{ "title": "ASC" }]),
            json!([{ "title": "DESC" }, { "priority": "ASC" }]),
            json!([{ "priority": "DESC" }, { "createdAt": "ASC" }]),
            json!([{ "updatedAt": "DESC" }, { "updatedAt": "ASC" }]),
        ];
        for order in orders {
            let all = requests(&app, json!({ "order": order })).await;
            assert_eq!(all["totalCount"], 7);
            assert_eq!(all["pageInfo"]["hasNextPage"], false);
            let expected = numbers(&all);
            assert_eq!(expected.len(), 7, "{order}");
            for size in [1, 2, 3, 7] {
                let (mut seen, mut after) = (Vec::new(), Value::Null);
                loop {
                    let page = requests(&app, json!({ "order": order, "first": size, "after": after })).await;
                    assert_eq!(page["pageInfo"]["hasPreviousPage"], !after.is_null());
                    seen.extend(numbers(&page));
                    after = page["pageInfo"]["endCursor"].clone();
                    if page["pageInfo"]["hasNextPage"] == false {
                        break;
                    }
                }
                assert_eq!(seen, expected, "forward by {size} in the order {order}");
                let (mut seen, mut before) = (Vec::new(), Value::Null);
                loop {
                    let page = requests(&app, json!({ "order": order, "last": size, "before": before })).await;
                    seen.splice(0..0, numbers(&page));
                    before = page["pageInfo"]["startCursor"].clone();
                    if page["pageInfo"]["hasPreviousPage"] == false {
                        break;
                    }
                }
                assert_eq!(seen, expected, "backward by {size} in the order {order}");
            }
        }
        let urgent = requests(&app, json!({ "order": [{ "priority": "DESC" }, { "number": "ASC" }] })).await;
        assert_eq!(numbers(&urgent), [2, 7, 4, 3, 5, 1, 6]);
    }

    async fn a_cursor_from_elsewhere_is_refused(app: TestApp) {
        seven(&app).await;
        let page = requests(&app, json!({ "first": 2 })).await;
        let cursor = page["pageInfo"]["endCursor"].clone();
        let other_order = json!({ "after": cursor, "order": [{ "number": "ASC" }] });
        assert_eq!(app.gql_code(REQUESTS, other_order).await, "INVALID_CURSOR");
        assert_eq!(app.gql_code(REQUESTS, json!({ "after": "nonsense" })).await, "INVALID_CURSOR");
        assert_eq!(app.gql_code(REQUESTS, json!({ "before": "" })).await, "INVALID_CURSOR");
        let elsewhere = "query ($after: String) { runs(after: $after) { nodes { id } } }";
        assert_eq!(app.gql_code(elsewhere, json!({ "after": cursor })).await, "INVALID_CURSOR");
        assert_eq!(app.gql_code(REQUESTS, json!({ "first": 101 })).await, "PAGE_TOO_LARGE");
        assert_eq!(app.gql_code(REQUESTS, json!({ "first": -1 })).await, "BAD_USER_INPUT");
        assert_eq!(app.gql_code(REQUESTS, json!({ "first": 1, "last": 1 })).await, "BAD_USER_INPUT");
        assert_eq!(requests(&app, json!({ "first": 0 })).await["totalCount"], 7);
    }

    async fn filters_say_what_they_mean(app: TestApp) {
        seven(&app).await;
        let viewer = app.gql("{ viewer { actor { id } } }", json!({})).await["viewer"]["actor"]["id"].clone();
        let assign = json!({ "id": app.gql("{ request(number: 4) { id } }", json!({})).await["request"]["id"], "assigneeId": viewer });
        app.mutate("requestAssign", assign, "request { assignee { id } }").await;
        let cases = [
            (json!({ "title": { "eq": "alpha" } }), vec![7, 5, 2]),
            (json!({ "title": { "neq": "alpha" } }), vec![6, 4, 3, 1]),
            (json!({ "title": { "contains": "HA" } }), vec![7, 5, 3, 2]),
            (json!({ "title": { "startsWith": "cha" } }), vec![3]),
            (json!({ "title": { "contains": "%" } }), vec![6]),
            (json!({ "title": { "contains": "_s" } }), vec![6]),
            (json!({ "title": { "startsWith": "1__%" } }), vec![]),
            (json!({ "number": { "gt": 2, "lte": 4 } }), vec![4, 3]),
            (json!({ "number": { "in": [1, 99] } }), vec![1]),
            (json!({ "number": { "in": [] } }), vec![]),
            (json!({ "number": { "nin": [] } }), vec![7, 6, 5, 4, 3, 2, 1]),
            (json!({ "priority": { "in": ["LOW", "HIGH"] } }), vec![6, 4, 1]),
            (json!({ "assignee": { "eq": viewer } }), vec![4]),
            (json!({ "assignee": { "neq": viewer } }), vec![7, 6, 5, 3, 2, 1]),
            (json!({ "not": { "assignee": { "eq": viewer } } }), vec![7, 6, 5, 3, 2, 1]),
            (json!({ "assignee": { "null": true } }), vec![7, 6, 5, 3, 2, 1]),
            (json!({ "assigneeKind": { "eq": "PERSON" } }), vec![4]),
            (json!({ "not": { "assigneeKind": { "in": ["COWORKER"] } } }), vec![7, 6, 5, 4, 3, 2, 1]),
            (json!({ "requester": { "eq": viewer } }), vec![7, 6, 5, 4, 3, 2, 1]),
            (json!({ "resolvedAt": { "lt": "PT1H" } }), vec![]),
            (json!({ "not": { "resolvedAt": { "lt": "PT1H" } } }), vec![7, 6, 5, 4, 3, 2, 1]),
            (json!({ "createdAt": { "gte": "-PT3S" } }), vec![7, 6, 5]),
            (json!({ "createdAt": { "lt": "2026-05-20T05:30:02.000+02:00" } }), vec![2, 1]),
            (json!({ "labels": { "has": "alpha" } }), vec![7, 5, 2]),
            (json!({ "labels": { "has": "alph" } }), vec![]),
            (json!({ "labels": { "hasSome": ["delta", "bravo"], "hasEvery": ["all"] } }), vec![4, 1]),
            (json!({ "labels": { "hasSome": [] } }), vec![]),
            (json!({ "labels": { "isEmpty": true } }), vec![]),
            (json!({ "or": [{ "number": { "eq": 1 } }, { "title": { "eq": "bravo" } }] }), vec![4, 1]),
            (json!({ "or": [] }), vec![]),
            (json!({ "or": [{}] }), vec![7, 6, 5, 4, 3, 2, 1]),
            (json!({ "and": [{ "number": { "gt": 3 } }, { "not": { "title": { "eq": "alpha" } } }] }), vec![6, 4]),
            (json!({ "not": {} }), vec![]),
        ];
        for (filter, expected) in cases {
            let page = requests(&app, json!({ "filter": filter })).await;
            assert_eq!(numbers(&page), expected, "{filter}");
            assert_eq!(page["totalCount"], expected.len(), "{filter}");
        }
        let long: Vec<_> = (0..101).collect();
        for wrong in [
            json!({ "number": { "in": long } }),
            json!({ "id": { "eq": viewer } }),
            json!({ "or": vec![json!({ "number": { "eq": 1 } }); 101] }),
        ] {
            assert_eq!(app.gql_code(REQUESTS, json!({ "filter": wrong })).await, "BAD_USER_INPUT", "{wrong}");
        }
        assert_eq!(app.gql_code(REQUESTS, json!({ "filter": { "createdAt": { "lt": "yesterday" } } })).await, "BAD_USER_INPUT");
    }
}

/// The fields of an input type of the contract, with their types.
fn input_fields(contract: &ServiceDocument, name: &str) -> Vec<(String, String)> {
    let found = contract
        .definitions
        .iter()
        .find_map(|definition| match definition {
            TypeSystemDefinition::Type(definition) if definition.node.name.node == name => {
                match &definition.node.kind {
                    TypeKind::InputObject(input) => Some(&input.fields),
                    _ => None,
                }
            }
            _ => None,
        });
    let fields = found.unwrap_or_else(|| panic!("no input type {name}"));
    fields
        .iter()
        .map(|field| {
            (
                field.node.name.node.to_string(),
                field.node.ty.node.to_string(),
            )
        })
        .collect()
}

/// A value that fits a type of the contract.
fn sample(contract: &ServiceDocument, field: &str, of: &str) -> Value {
    let bare = of.trim_matches(['[', ']', '!']);
    let one = match bare {
        "ID" => json!(match field {
            "coworker" => "cow_00000000000000000000000000000001",
            "request" => "req_00000000000000000000000000000001",
            "author" | "requester" | "assignee" => "per_00000000000000000000000000000001",
            own => format!("{own}_00000000000000000000000000000001").leak(),
        }),
        "String" => json!("te%xt"),
        "Int" | "Int64" => json!(3),
        "Decimal" => json!("0.5"),
        "Boolean" => json!(true),
        "DateTimeOrDuration" => json!("-P1D"),
        closed => {
            let first = contract
                .definitions
                .iter()
                .find_map(|definition| match definition {
                    TypeSystemDefinition::Type(definition)
                        if definition.node.name.node == closed =>
                    {
                        match &definition.node.kind {
                            TypeKind::Enum(values) => {
                                Some(values.values[0].node.value.node.to_string())
                            }
                            _ => None,
                        }
                    }
                    _ => None,
                });
            json!(first.unwrap_or_else(|| panic!("no sample of {closed}")))
        }
    };
    if of.starts_with('[') {
        json!([one, one])
    } else {
        one
    }
}

both_dbs! {
    async fn every_filter_and_every_order_of_the_contract_can_be_used(app: TestApp) {
        let contract = parse_schema(include_str!("../../schema.graphql")).expect("the contract can be parsed");
        let made = Coworker::new("hardware").playbook(RUNBOOK).publish(&app).await;
        for title in ["One", "Two"] {
            let input = json!({ "title": title, "assigneeId": made.id });
            app.mutate("requestCreate", input, "request { id }").await;
        }
        app.drain().await;
        let lists = [
            ("Request", "req", "requests", "", ""),
            ("Coworker", "cow", "coworkers", "", ""),
            ("Run", "run", "runs", "", ""),
            ("Note", "note", "notes", "request(number: 1) {", "}"),
            ("Step", "stp", "steps", "run(number: 1) {", "}"),
            ("RunEvent", "evt", "events", "run(number: 1) {", "}"),
        ];
        for (noun, prefix, list, before, after) in lists {
            let query = format!(
                "query ($filter: {noun}Filter, $order: [{noun}Order!], $after: String) {{ {before} \
                   {list}(filter: $filter, order: $order, first: 1, after: $after) \
                   {{ totalCount nodes {{ id }} pageInfo {{ hasNextPage endCursor }} }} {after} }}"
            );
            let ask = async |variables: Value| {
                let mut data = app.gql(&query, variables).await;
                let mut data = if before.is_empty() { data } else { data[&before[..before.find('(').expect("an argument")]].take() };
                data[list].take()
            };
            for (field, comparator) in input_fields(&contract, &format!("{noun}Filter")) {
                if ["and", "or", "not"].contains(&field.as_str()) {
                    continue;
                }
                for (op, of) in input_fields(&contract, &comparator) {
                    let value = sample(&contract, if field == "id" { prefix } else { &field }, &of);
                    let filter = json!({ &field: { &op: value } });
                    let met = ask(json!({ "filter": filter })).await["totalCount"].as_i64().expect("a count");
                    let unmet = ask(json!({ "filter": { "not": filter } })).await["totalCount"].as_i64().expect("a count");
                    let all = ask(json!({})).await["totalCount"].as_i64().expect("a count");
                    assert_eq!(met + unmet, all, "{noun}: each row meets {filter} or does not");
                }
            }
            let all = ask(json!({})).await["totalCount"].as_i64().expect("a count");
            for (field, _) in input_fields(&contract, &format!("{noun}Order")) {
                for direction in ["ASC", "DESC"] {
                    let (mut seen, mut after) = (Vec::new(), Value::Null);
                    loop {
                        let page = ask(json!({ "order": [{ &field: direction }], "after": after })).await;
                        seen.push(page["nodes"][0]["id"].to_string());
                        after = page["pageInfo"]["endCursor"].clone();
                        if page["pageInfo"]["hasNextPage"] == false {
                            break;
                        }
                    }
                    seen.sort();
                    seen.dedup();
                    assert_eq!(seen.len() as i64, all, "{noun} by {field} {direction}");
                }
            }
        }
    }
}
