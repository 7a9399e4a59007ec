//! Queries to try on what the demo made, ready to paste into a shell.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A query: what it shows, and the command.
pub struct Query {
    /// What one sees.
    pub about: &'static str,
    /// The command, on one line.
    pub command: String,
}

/// The runs with what they cost, the steps of the run that found the fault, and the request's timeline.
/// `key` opens the workspace that holds request `request` and run `run`.
pub fn all(address: SocketAddr, key: &str, request: i64, run: i64) -> [Query; 3] {
    let runs = format!(
        "{{ request(number: {request}) {{ status runs(order: [{{ number: ASC }}]) {{ nodes {{ \
         identifier coworker {{ name }} outcome duration usage {{ inputTokens outputTokens cachedTokens }} cost {{ amount currency }} }} }} }} }}"
    );
    let steps = format!(
        "{{ run(number: {run}) {{ identifier coworker {{ name }} summary steps {{ nodes {{ \
         index title ... on ThinkingStep {{ thinking }} ... on ToolCallStep {{ request response }} }} }} }} }}"
    );
    let timeline = format!(
        "{{ request(number: {request}) {{ title timeline {{ nodes {{ \
         __typename ... on TimelineEntry {{ at actor {{ displayName }} run {{ identifier }} }} ... on NotePosted {{ note {{ visibility body }} }} }} }} }} }}"
    );
    [
        ("The four runs, and what each cost", runs),
        ("What the engineer thought and did, step by step", steps),
        ("The request's whole timeline", timeline),
    ]
    .map(|(about, query)| Query {
        about,
        command: curl(address, key, &query),
    })
}

fn curl(address: SocketAddr, key: &str, query: &str) -> String {
    // What listens everywhere is asked here.
    let host = if address.ip().is_unspecified() {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    } else {
        address.ip()
    };
    let address = SocketAddr::new(host, address.port());
    let body = serde_json::json!({ "query": query });
    format!(
        "curl -sS http://{address}/graphql -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{body}'"
    )
}
