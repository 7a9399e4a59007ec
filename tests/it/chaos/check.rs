//! What must be so when everything has come to its end.

use tests::{Client, TestApp};

use crate::look;

/// Asserts what must be so at the end of everything.
pub async fn in_order(app: &TestApp, admin: &Client) {
    look::sound_for(app, admin).await;
    let runs = look::runs(admin).await;
    let numbers: Vec<_> = runs
        .iter()
        .map(|run| run["number"].as_u64().expect("a number"))
        .collect();
    assert_eq!(numbers, (1..=runs.len() as u64).collect::<Vec<_>>());
    let started: Vec<_> = runs
        .iter()
        .map(|run| run["startedAt"].as_str().expect("a time"))
        .collect();
    assert!(started.is_sorted(), "{started:?}");
    for run in &runs {
        assert!(run["endedAt"].is_string(), "a run without an end: {run:#}");
        assert_ne!(run["failureCode"], "INTERNAL", "{run:#}");
        let log = look::events(admin, run).await;
        if run["trigger"] == "MENTION" {
            let changes = look::data(&log, "request.status_changed").len()
                + look::data(&log, "request.reassigned").len();
            assert_eq!(changes, 0, "{run:#}");
        }
        // Nothing but its ending follows a hand-off.
        let handed = log
            .iter()
            .position(|event| event["type"] == "request.reassigned");
        for event in handed.map_or(&[][..], |at| &log[at + 2..]) {
            assert!(
                !matches!(
                    event["type"].as_str(),
                    Some("note.posted" | "request.reassigned" | "request.status_changed")
                ),
                "{log:#?}"
            );
        }
    }
    for (wrong, sql) in WRONG {
        assert_eq!(look::number(app, sql).await, 0, "{wrong}");
    }
}

/// What must not be in the database, and how many of it there are.
const WRONG: [(&str, &str); 11] = [
    (
        "timelines and epochs with gaps",
        "SELECT COUNT(*) AS n FROM request r WHERE last_seq <> (SELECT COUNT(*) FROM request_event e WHERE e.request_id = r.id)
            OR assignment_epoch <> (SELECT COUNT(*) FROM assignment a WHERE a.request_id = r.id)",
    ),
    (
        "dispatches that were neither started nor dropped with a reason",
        "SELECT COUNT(*) AS n FROM dispatch WHERE state = 'WAITING' OR (state = 'STARTED') <> (run_id IS NOT NULL)
            OR (state = 'DROPPED') <> (drop_reason IS NOT NULL)",
    ),
    (
        "dispatches that were dropped without their timeline saying so",
        "SELECT COUNT(*) AS n FROM request r WHERE (SELECT COUNT(*) FROM dispatch d WHERE d.request_id = r.id AND d.state = 'DROPPED')
            <> (SELECT COUNT(*) FROM request_event e WHERE e.request_id = r.id AND e.kind = 'DISPATCH_DROPPED')",
    ),
    (
        "calls that wait for a person in a run that is over",
        "SELECT COUNT(*) AS n FROM approval WHERE state = 'PENDING'",
    ),
    (
        "assignments without a dispatch that says what became of them",
        "SELECT COUNT(*) AS n FROM assignment a WHERE assignee_kind = 'COWORKER' AND NOT EXISTS (SELECT 1 FROM dispatch d
            WHERE d.request_id = a.request_id AND d.coworker_id = a.assignee_id AND d.assignment_epoch = a.epoch)",
    ),
    (
        "runs that began while another of the same coworker on the same request was active",
        "SELECT COUNT(*) AS n FROM (SELECT kind, LAG(kind, 1, 'RUN_ENDED') OVER (PARTITION BY request_id, actor_id ORDER BY seq) AS prior
            FROM request_event WHERE kind IN ('RUN_STARTED', 'RUN_ENDED')) e WHERE e.kind = e.prior",
    ),
    (
        "dispatches whose run is not there",
        "SELECT COUNT(*) AS n FROM dispatch d WHERE state = 'STARTED' AND NOT EXISTS (SELECT 1 FROM run r WHERE r.dispatch_id = d.id AND r.id = d.run_id)",
    ),
    (
        "events of an outside system that count twice",
        "SELECT COUNT(*) AS n FROM (SELECT 1 AS one FROM webhook_delivery WHERE outcome NOT IN ('DUPLICATE', 'REFUSED')
            GROUP BY endpoint_id, event_id HAVING COUNT(*) > 1) twice",
    ),
    (
        "open requests that nobody has, of which no person knows",
        "SELECT COUNT(*) AS n FROM request r WHERE status NOT IN ('RESOLVED', 'CLOSED') AND assignee_id IS NULL AND NOT needs_person
            AND hop_count > 0 AND NOT EXISTS (SELECT 1 FROM request_event e WHERE e.request_id = r.id AND e.actor_kind = 'PERSON'
                AND e.kind IN ('NOTE_POSTED', 'STATUS_CHANGED', 'ASSIGNED')
                AND e.seq >= (SELECT MAX(seq) FROM request_event a WHERE a.request_id = r.id AND a.kind IN ('ASSIGNED', 'LEFT_TO_PEOPLE')))",
    ),
    (
        "open requests that Triage gave up and has all the same",
        "SELECT COUNT(*) AS n FROM request r JOIN coworker c ON c.id = r.assignee_id AND c.is_triage
            JOIN run u ON u.request_id = r.id AND u.coworker_id = c.id AND u.assignment_epoch = r.assignment_epoch
            WHERE r.status NOT IN ('RESOLVED', 'CLOSED') AND (u.outcome = 'DECLINED' OR u.failure_code <> 'STOPPED')
            AND NOT EXISTS (SELECT 1 FROM request_event e WHERE e.request_id = r.id AND e.kind = 'STATUS_CHANGED'
                AND e.seq > (SELECT MAX(seq) FROM request_event a WHERE a.run_id = u.id AND a.kind = 'RUN_ENDED'))",
    ),
    (
        "open requests whose work was dropped, of which no person knows though none chose who should do it",
        "SELECT COUNT(*) AS n FROM dispatch d JOIN request r ON r.id = d.request_id AND r.assignment_epoch = d.assignment_epoch
            WHERE r.status NOT IN ('RESOLVED', 'CLOSED') AND NOT r.needs_person AND d.trigger <> 'ASSIGNED'
            AND d.drop_reason IN ('NOT_PUBLISHED', 'BUDGET_EXHAUSTED', 'UNPRICED_MODEL')
            AND NOT EXISTS (SELECT 1 FROM request_event e WHERE e.request_id = r.id AND e.at >= d.decided_at
                AND (e.kind IN ('RUN_STARTED', 'RUN_ENDED') OR e.actor_kind = 'PERSON' AND e.kind IN ('NOTE_POSTED', 'STATUS_CHANGED', 'ASSIGNED')))
            AND NOT EXISTS (SELECT 1 FROM dispatch n WHERE n.request_id = r.id AND n.trigger = 'ASSIGNED' AND n.created_at >= d.decided_at)",
    ),
];

/// For how many cases [`HAPPENS`] is said.
const USUAL: i64 = 16;

/// What must have happened in all cases together, how often at least in [`USUAL`] of them, and how many of it there are: where
/// nothing happens, nothing breaks.
const HAPPENS: [(&str, i64, &str); 24] = [
    (
        "runs for new requests",
        4,
        "SELECT COUNT(*) AS n FROM run WHERE trigger = 'INTAKE'",
    ),
    (
        "dispatches for what was routed",
        1,
        "SELECT COUNT(*) AS n FROM dispatch WHERE trigger = 'ROUTED'",
    ),
    (
        "runs for what a person assigned",
        15,
        "SELECT COUNT(*) AS n FROM run WHERE trigger = 'ASSIGNED'",
    ),
    (
        "runs for what was handed on",
        2,
        "SELECT COUNT(*) AS n FROM run WHERE trigger = 'HANDOFF'",
    ),
    (
        "runs for mentions",
        12,
        "SELECT COUNT(*) AS n FROM run WHERE trigger = 'MENTION'",
    ),
    (
        "runs for answers",
        1,
        "SELECT COUNT(*) AS n FROM run WHERE trigger = 'REPLY'",
    ),
    (
        "runs that the next assignment ended",
        2,
        "SELECT COUNT(*) AS n FROM run WHERE outcome = 'SUPERSEDED'",
    ),
    (
        "runs that were stopped",
        1,
        "SELECT COUNT(*) AS n FROM run WHERE failure_code = 'STOPPED'",
    ),
    (
        "runs that failed by themselves",
        8,
        "SELECT COUNT(*) AS n FROM run WHERE failure_code <> 'STOPPED'",
    ),
    (
        "calls that were refused",
        50,
        "SELECT COUNT(*) AS n FROM run_event WHERE kind = 'tool.refused'",
    ),
    (
        "calls that a person decided about",
        5,
        "SELECT COUNT(*) AS n FROM approval WHERE state IN ('APPROVED', 'DENIED')",
    ),
    (
        "dispatches whose coworker was out of work",
        4,
        "SELECT COUNT(*) AS n FROM dispatch WHERE drop_reason = 'NOT_PUBLISHED'",
    ),
    (
        "dispatches of an epoch that was over",
        1,
        "SELECT COUNT(*) AS n FROM dispatch WHERE drop_reason = 'SUPERSEDED'",
    ),
    (
        "dispatches on closed requests",
        1,
        "SELECT COUNT(*) AS n FROM dispatch WHERE drop_reason = 'REQUEST_CLOSED'",
    ),
    (
        "coworkers that were taken out of work",
        3,
        "SELECT COUNT(*) AS n FROM coworker WHERE term > 0",
    ),
    (
        "later versions",
        2,
        "SELECT COUNT(*) AS n FROM coworker_version WHERE version > 1",
    ),
    (
        "events of an outside system",
        8,
        "SELECT COUNT(*) AS n FROM webhook_delivery WHERE outcome NOT IN ('DUPLICATE', 'REFUSED')",
    ),
    (
        "events that came again",
        1,
        "SELECT COUNT(*) AS n FROM webhook_delivery WHERE outcome = 'DUPLICATE'",
    ),
    (
        "dispatches past the hop budget",
        2,
        "SELECT COUNT(*) AS n FROM dispatch WHERE drop_reason = 'HOP_LIMIT'",
    ),
    (
        "dispatches for which there was no money",
        2,
        "SELECT COUNT(*) AS n FROM dispatch WHERE drop_reason = 'BUDGET_EXHAUSTED'",
    ),
    (
        "calls that nobody may decide about any more",
        1,
        "SELECT COUNT(*) AS n FROM approval WHERE state = 'VOID'",
    ),
    (
        "versions that were brought back",
        3,
        "SELECT COUNT(*) AS n FROM coworker_version WHERE restored_from IS NOT NULL",
    ),
    (
        "requests that a coworker gave to nobody",
        1,
        "SELECT COUNT(*) AS n FROM request_event WHERE kind = 'LEFT_TO_PEOPLE' AND actor_kind = 'COWORKER'",
    ),
    (
        "requests that Triage gave up",
        2,
        "SELECT COUNT(*) AS n FROM assignment WHERE reason LIKE 'Triage declined in %' OR reason LIKE 'Triage failed in %'",
    ),
];

/// What happened too seldom so far, if so many cases were wanted: how often, and how often at least.
pub async fn rare(app: &TestApp, cases: u32) -> Vec<(&'static str, i64, i64)> {
    let mut rare = Vec::new();
    for (what, least, sql) in HAPPENS {
        let (seen, least) = (
            look::number(app, sql).await,
            least * i64::from(cases) / USUAL,
        );
        if seen < least {
            rare.push((what, seen, least));
        }
    }
    rare
}
