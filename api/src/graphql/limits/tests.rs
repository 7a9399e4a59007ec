use std::fmt::Write as _;
use std::time::{Duration, Instant};

use async_graphql::parser::parse_query;

use super::*;

fn check(source: &str) -> Result<(), String> {
    check_source(source).map_err(|e| e.message)?;
    check_document(&parse_query(source).expect("a document")).map_err(|e| e.message)
}

fn bomb(levels: usize, spreads: usize) -> String {
    let mut text = String::from("{ ...f0 }");
    for level in 0..levels {
        let next = format!("...f{} ", level + 1).repeat(spreads);
        write!(text, " fragment f{level} on Query {{ {next} }}").expect("a string");
    }
    write!(text, " fragment f{levels} on Query {{ a }}").expect("a string");
    text
}

#[test]
fn a_fragment_bomb_is_refused_at_once() {
    for spreads in [2, 3, 10] {
        let text = bomb(30, spreads);
        let document = parse_query(&text).expect("a document");
        let once = || {
            let begun = Instant::now();
            let error = check_document(&document).expect_err("a bomb");
            (begun.elapsed(), error)
        };
        // The best of a few: the machine may be busy.
        let (took, error) = (0..5)
            .map(|_| once())
            .min_by_key(|(took, _)| *took)
            .expect("five");
        assert!(took < Duration::from_millis(1), "took {took:?}");
        assert_eq!(
            error.message,
            "The document has more than 1000000 selections; the limit is 5000."
        );
    }
    assert!(check(&bomb(3, 2)).is_ok());
}

#[test]
fn fragments_in_a_circle_are_refused() {
    let text = "{ ...a } fragment a on Query { x { ...b } } fragment b on X { y { ...a } }";
    assert_eq!(check(text).expect_err("a circle"), circle("a"));
    let unused = "{ x } fragment a on Query { x { ...a } }";
    assert_eq!(check(unused).expect_err("a circle"), circle("a"));
}

fn circle(name: &str) -> String {
    format!("The fragment `{name}` spreads itself; fragments can't go in circles.")
}

#[test]
fn the_usual_introspection_query_passes() {
    assert_eq!(check(INTROSPECTION), Ok(()));
}

#[test]
fn introspection_that_multiplies_is_refused() {
    let twice = "{ __schema { types { fields { type { fields { name } } } } } }";
    assert_eq!(check(twice), Ok(()));
    let thrice = "{ __schema { types { ...F } } } \
        fragment F on __Type { fields { type { interfaces { possibleTypes { name } } } } }";
    assert_eq!(
        check(thrice).expect_err("too deep"),
        "The document has 3 nested introspection lists; the limit is 2."
    );
}

#[test]
fn each_limit_holds_at_its_value_and_not_one_above() {
    let nested = |levels: usize| {
        format!(
            "{}a{}",
            "{ a ".repeat(levels - 1) + "{ ",
            " }".repeat(levels)
        )
    };
    let aliases = |n: usize| {
        format!(
            "{{ x {{ {} }} }}",
            (0..n).fold(String::new(), |s, i| s + &format!("a{i}: b "))
        )
    };
    let roots = |n: usize| {
        format!(
            "{{ {} }}",
            (0..n).fold(String::new(), |s, i| s + &format!("f{i} "))
        )
    };
    let directives = |n: usize| format!("{{ x {} }}", "@include(if: true) ".repeat(n));
    let selections = |n: usize| {
        // Ten spreads of a fragment of (n / 10 - 1) fields; the last takes what is missing.
        let fields = "f ".repeat(n / 10 - 1);
        format!(
            "{{ x {{ {} }} }} fragment F on X {{ {fields} }}",
            "...F ".repeat(10)
        )
    };
    let cases: [(&str, String, String); 4] = [
        ("levels", nested(12), nested(13)),
        ("aliases", aliases(15), aliases(16)),
        ("root fields", roots(10), roots(11)),
        ("directives", directives(50), directives(51)),
    ];
    for (what, fits, exceeds) in cases {
        assert_eq!(check(&fits), Ok(()), "{what}");
        let error = check(&exceeds).expect_err(what);
        assert!(
            error.contains(what) && error.contains("limit is"),
            "{error}"
        );
    }
    assert_eq!(check(&selections(4_900)), Ok(()));
    assert!(
        check(&selections(5_100))
            .expect_err("selections")
            .contains("selections; the limit is 5000.")
    );
}

#[test]
fn a_spread_counts_as_often_as_it_is_used() {
    let text = "{ a { ...F } b { ...F } } fragment F on X { a1: x a2: x a3: x a4: x a5: x a6: x a7: x a8: x }";
    assert_eq!(
        check(text).expect_err("aliases"),
        "The document has 16 aliases; the limit is 15."
    );
}

#[test]
fn a_subscription_has_one_root_field() {
    assert_eq!(check("subscription { a }"), Ok(()));
    assert_eq!(
        check("subscription { ...F } fragment F on S { a b }").expect_err("two"),
        "A subscription has 2 root fields; the limit is 1."
    );
}

#[test]
fn tokens_are_counted_before_parsing() {
    let fields = |n: usize| format!("{{ {}}}", "a ".repeat(n));
    assert!(check_source(&fields(1_998)).is_ok());
    let error = check_source(&fields(1_999)).expect_err("too long");
    assert_eq!(
        error.message,
        "The document has 2001 tokens; the limit is 2000."
    );
    let deep = format!("{{ a(x: {}{}) }}", "[".repeat(120), "]".repeat(120));
    assert!(
        check_source(&deep)
            .expect_err("too deep")
            .message
            .contains("nested brackets")
    );
}

#[test]
fn strings_comments_and_numbers_are_one_token_or_none() {
    let count = |text: &str| count_tokens(text.as_bytes()).0;
    assert_eq!(count("{ a }"), 3);
    assert_eq!(count("{ a(x: \"b } \\\" # c\") }"), 8);
    assert_eq!(count("{ a(x: \"\"\"b \\\"\"\" \" } \"\"\") }"), 8);
    assert_eq!(count("# a comment { a b c\n{ a, b }"), 4);
    assert_eq!(count("{ a(x: -1.5e10, y: $b) ...F }"), 14);
    assert_eq!(count("\"unclosed"), 1);
    assert_eq!(count("\"\\"), 1);
}

#[test]
fn what_the_nesting_limit_lets_through_does_not_overflow_the_parser() {
    let open = NESTING as usize - 2;
    for text in [
        format!("{{ a(x: {}1{}) }}", "[".repeat(open), "]".repeat(open)),
        format!("{{ a(x: {}1{}) }}", "{a:".repeat(open), "}".repeat(open)),
        format!(
            "query($a: {}Int{}) {{ a }}",
            "[".repeat(open),
            "]".repeat(open)
        ),
        format!("{}a{}", "{ a ".repeat(open), "}".repeat(open)),
    ] {
        check_source(&text).expect("short enough");
        // A thread as small as the server's.
        let parsed = std::thread::Builder::new()
            .stack_size(1 << 20)
            .spawn(move || parse_query(text).is_ok());
        parsed.expect("a thread").join().expect("no overflow");
    }
}

/// What graphql-js's `getIntrospectionQuery` asks with every option on.
const INTROSPECTION: &str = r#"
query IntrospectionQuery {
  __schema {
    description
    queryType { name kind }
    mutationType { name kind }
    subscriptionType { name kind }
    types { ...FullType }
    directives { name description isRepeatable locations args(includeDeprecated: true) { ...InputValue } }
  }
}
fragment FullType on __Type {
  kind name description specifiedByURL isOneOf
  fields(includeDeprecated: true) {
    name description args(includeDeprecated: true) { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason
  }
  inputFields(includeDeprecated: true) { ...InputValue }
  interfaces { ...TypeRef }
  enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
  possibleTypes { ...TypeRef }
}
fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue isDeprecated deprecationReason }
fragment TypeRef on __Type {
  kind name
  ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name
    ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } }
}
"#;
