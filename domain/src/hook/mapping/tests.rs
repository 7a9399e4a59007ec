use serde_json::json;

use super::*;

fn mapping() -> Mapping {
    Mapping {
        title: "/alert/name".into(),
        description: Some("/alert/text".into()),
        priority: Some("/alert/severity".into()),
        priorities: vec![Meaning {
            value: "critical".into(),
            means: Priority::Urgent,
        }],
        labels: Some("/alert/tags".into()),
        status: Some("/alert/state".into()),
        statuses: vec![Meaning {
            value: "ok".into(),
            means: RequestStatus::Resolved,
        }],
        subject: Some("/alert/id".into()),
        event_id: Some("/id".into()),
        event_type: Some("/kind".into()),
        occurred_at: Some("/at".into()),
        ..Mapping::default()
    }
}

fn read(mapping: &Mapping, payload: &Value) -> Result<Event, Refused> {
    mapping.read(WebhookKind::Generic, &Headers::default(), payload)
}

#[test]
fn a_payload_is_read_where_the_pointers_say() {
    let payload = json!({ "id": 7, "kind": "alert", "at": 1_601_664_322, "alert": {
        "id": "a-1", "name": "Disk\nfull", "text": { "free": 0 }, "severity": "CRITICAL", "tags": ["disk", 3, null, " "], "state": "ok" } });
    let event = read(&mapping(), &payload).expect("it is all there");
    let filing = Filing {
        title: "Disk full".into(),
        description: "{\n  \"free\": 0\n}".into(),
        priority: Priority::Urgent,
        labels: vec!["disk".into(), "3".into()],
    };
    assert_eq!(
        event,
        Event {
            id: "7".into(),
            kind: Some("alert".into()),
            subject: Some("a-1".into()),
            at: Some(Millis(1_601_664_322_000)),
            news: News::Stands(filing, Some(RequestStatus::Resolved)),
        }
    );
}

#[test]
fn only_the_title_and_the_id_must_be_there() {
    let event = read(
        &mapping(),
        &json!({ "id": "1", "alert": { "name": "Disk full" } }),
    );
    let filing = Filing {
        title: "Disk full".into(),
        description: String::new(),
        priority: Priority::Normal,
        labels: Vec::new(),
    };
    let event = event.expect("the rest is left out");
    assert_eq!(
        (event.subject, event.news),
        (None, News::Stands(filing, None))
    );
    for (payload, named) in [
        (
            json!({ "id": "1", "alert": { "name": " " } }),
            "/alert/name",
        ),
        (json!({ "id": "1", "alert": { "name": [] } }), "/alert/name"),
        (json!({ "id": "1" }), "/alert/name"),
        (json!({ "alert": { "name": "Disk full" } }), "id"),
        (
            json!({ "id": "x".repeat(300), "alert": { "name": "Disk full" } }),
            "300 bytes",
        ),
        (json!([]), "id"),
    ] {
        let refused = read(&mapping(), &payload).expect_err("it can't be read");
        assert!(refused.message.contains(named), "{payload}: {refused:?}");
    }
}

#[test]
fn a_standard_webhook_has_its_id_type_and_time_where_the_standard_says() {
    let mapping = Mapping {
        title: "/data/name".into(),
        event_types: vec!["incident.opened".into()],
        ..Mapping::default()
    };
    let headers = Headers::new([("Webhook-Id".to_owned(), "msg_1".to_owned())]);
    let payload = |kind: &str| json!({ "type": kind, "timestamp": "2022-11-03T20:26:10.344522Z", "data": { "name": "A" } });
    let read = |kind: &str| {
        mapping
            .read(WebhookKind::Standard, &headers, &payload(kind))
            .expect("an event")
    };
    let opened = read("incident.opened");
    assert_eq!(
        (opened.id.as_str(), opened.at),
        ("msg_1", Some(Millis(1_667_507_170_344)))
    );
    assert!(matches!(opened.news, News::Stands(..)));
    assert!(matches!(read("incident.seen").news, News::Nothing(_)));
}

#[test]
fn a_mapping_that_can_read_nothing_is_refused() {
    let field = |kind, mapping: Mapping| match mapping.check(kind) {
        Ok(()) => "none",
        Err(Error::Invalid { field, .. }) => field,
        Err(other) => panic!("{other}"),
    };
    use WebhookKind::{Generic, Standard};
    let with = |change: fn(&mut Mapping)| {
        let mut changed = mapping();
        change(&mut changed);
        changed
    };
    assert_eq!(field(Generic, mapping()), "none");
    assert_eq!(
        field(Generic, with(|m| m.title = "alert.name".into())),
        "mapping.title"
    );
    assert_eq!(
        field(Generic, with(|m| m.subject = Some("/a~2".into()))),
        "mapping.subject"
    );
    assert_eq!(
        field(Generic, with(|m| m.event_id = None)),
        "mapping.eventId"
    );
    assert_eq!(
        field(Generic, with(|m| m.signature_header = Some("a b".into()))),
        "mapping.signatureHeader"
    );
    assert_eq!(
        field(Generic, with(|m| m.event_types = vec![String::new()])),
        "mapping.eventTypes"
    );
    assert_eq!(field(Standard, mapping()), "mapping");
    assert_eq!(field(Standard, with(|m| m.event_id = None)), "none");
}
