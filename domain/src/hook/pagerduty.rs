//! PagerDuty's webhooks, version 3: one event of one incident each.
//!
//! Their form is PagerDuty's "Webhooks: Overview". What is missing has a substitute wherever it can: PagerDuty drops what is
//! refused for good, and after three drops it sends nothing for a day.

use entity::{Millis, Priority, RequestStatus};
use serde_json::Value;

use super::event::{self, Event, Filing, News, Refused};
use crate::request::note;
use crate::request::update::{DESCRIPTION, TITLE};

/// The most characters of a label.
const LABEL: usize = 60;
/// The most bytes of what happened: the rest of a description is for PagerDuty's own facts.
const DETAILS: usize = DESCRIPTION - 8 * 1024;

/// Reads a payload.
///
/// # Errors
/// [`Refused`] if it is no PagerDuty event.
pub(crate) fn read(payload: &Value) -> Result<Event, Refused> {
    let event = &payload["event"];
    let (Some(id), Some(kind)) = (event["id"].as_str(), event["event_type"].as_str()) else {
        let text = "The body has no event.id and event.event_type; it is no webhook of PagerDuty's version 3.";
        return Err(Refused::not_understood(text));
    };
    let data = &event["data"];
    // An incident's own events carry the incident, all others of it refer to it.
    let incident = if data["type"] == "incident" {
        data
    } else {
        &data["incident"]
    };
    let subject = incident["id"].as_str();
    let news = match subject {
        Some(subject) => news(kind, subject, event, data),
        None if kind == "pagey.ping" => News::Nothing("It is PagerDuty's test of the connection."),
        None => News::Nothing("It is not about an incident."),
    };
    let at = event["occurred_at"]
        .as_str()
        .and_then(|text| chrono::DateTime::parse_from_rfc3339(text).ok())
        .map(|at| Millis(at.timestamp_millis()));
    Ok(Event {
        id: event::name(id, "event.id")?,
        kind: Some(event::cut(kind, 100)),
        subject: subject
            .map(|id| event::name(id, "The incident's id"))
            .transpose()?,
        at,
        news,
    })
}

fn news(kind: &str, id: &str, event: &Value, data: &Value) -> News {
    match kind {
        "incident.triggered" => News::Opened(filing(id, data)),
        "incident.reopened" => News::Reopened(filing(id, data)),
        "incident.acknowledged" => News::Status(RequestStatus::InProgress),
        "incident.unacknowledged" => News::Unacknowledged,
        "incident.resolved" => News::Status(RequestStatus::Resolved),
        "incident.priority_updated" => News::Urgency(priority(data)),
        "incident.annotated" => remark(event, data, "content", "PagerDuty"),
        "incident.status_update_published" => {
            remark(event, data, "message", "a PagerDuty status update")
        }
        // Who is on duty is PagerDuty's to know; and types may be added to the list at any time.
        _ => News::Other,
    }
}

fn filing(id: &str, incident: &Value) -> Filing {
    let title = incident["title"]
        .as_str()
        .map(|text| event::cut(text, TITLE))
        .filter(|title| !title.is_empty())
        .unwrap_or_else(|| format!("PagerDuty incident {id}"));
    let number = incident["number"]
        .as_i64()
        .map_or_else(|| id.to_owned(), |number| format!("#{number}"));
    // What happened comes first. What only PagerDuty is concerned with is its signature, which routing does not read.
    let mut text = String::new();
    let mut paragraph = |said: &str| {
        if !said.is_empty() {
            text.push_str(said);
            text.push_str("\n\n");
        }
    };
    paragraph(&match summary(&incident["service"]) {
        name if name.is_empty() => name,
        name => format!("**{name}**"),
    });
    paragraph(&match &incident["body"]["details"] {
        Value::Null => String::new(),
        Value::String(details) => details.trim().to_owned(),
        // Some integrations send an object of their own.
        other => other.to_string(),
    });
    text = event::cut_bytes(&text, DETAILS);
    if !text.is_empty() && !text.ends_with('\n') {
        text.push_str("\n\n");
    }
    text.push_str("-- \n");
    text.push_str(&match incident["html_url"].as_str() {
        Some(url) => format!("PagerDuty incident [{number}]({url})\n"),
        None => format!("PagerDuty incident {number}\n"),
    });
    let mut line = |what: &str, value: String| {
        if !value.is_empty() {
            text.push_str(&format!("\n- {what}: {value}"));
        }
    };
    line("Service", summary(&incident["service"]));
    line("Priority", summary(&incident["priority"]));
    line("Urgency", word(&incident["urgency"]));
    line("Assigned to", summaries(&incident["assignees"]));
    line("Escalation policy", summary(&incident["escalation_policy"]));
    line("Teams", summaries(&incident["teams"]));
    let bridge = &incident["conference_bridge"];
    line("Conference number", word(&bridge["conference_number"]));
    line("Conference", word(&bridge["conference_url"]));
    line("Incident key", word(&incident["incident_key"]));
    let service = event::cut(&summary(&incident["service"]), LABEL);
    let labels = ["pagerduty".to_owned(), service].into_iter();
    Filing {
        title,
        description: event::cut_bytes(&text, DESCRIPTION),
        priority: priority(incident),
        labels: labels.filter(|label| !label.is_empty()).collect(),
    }
}

/// PagerDuty's priorities are named by its customers, P1 to P5 where they did not care; the urgency is always there.
fn priority(incident: &Value) -> Priority {
    let name = summary(&incident["priority"]).to_ascii_uppercase();
    let level = name
        .strip_prefix("SEV")
        .or_else(|| name.strip_prefix('P'))
        .map(|rest| rest.trim_start_matches(['-', ' ']));
    match (level, incident["urgency"].as_str()) {
        (Some("1"), _) => Priority::Urgent,
        (Some("2"), _) => Priority::High,
        (Some("3"), _) => Priority::Normal,
        (Some("4" | "5"), _) => Priority::Low,
        (_, Some("high")) => Priority::High,
        (_, Some("low")) => Priority::Low,
        (_, _) => Priority::Normal,
    }
}

fn remark(event: &Value, data: &Value, field: &str, place: &str) -> News {
    let said = data[field].as_str().unwrap_or_default().trim();
    if said.is_empty() {
        return News::Other;
    }
    let who = summary(&event["agent"]);
    let who = if who.is_empty() { "Someone" } else { &who };
    let trimmed = if data["trimmed"] == true {
        "\n\n(PagerDuty has cut the text short.)"
    } else {
        ""
    };
    let text = format!("**{who}** in {place}:\n\n{said}{trimmed}");
    News::Note(event::cut_bytes(&text, note::BODY))
}

fn summary(reference: &Value) -> String {
    word(&reference["summary"])
}

fn summaries(references: &Value) -> String {
    let all = references.as_array().into_iter().flatten().map(summary);
    all.filter(|name| !name.is_empty())
        .collect::<Vec<_>>()
        .join(", ")
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(kind: &str, data: Value) -> Value {
        json!({ "event": { "id": "01", "event_type": kind, "resource_type": "incident", "occurred_at": "2020-10-02T18:45:22.169Z",
            "agent": { "summary": "Tenex Engineer", "type": "user_reference" }, "client": null, "data": data } })
    }

    #[test]
    fn a_triggered_incident_becomes_a_request() {
        let data = json!({ "id": "PGR0VU2", "type": "incident", "number": 2, "title": " A little bump in the road ",
            "html_url": "https://acme.pagerduty.com/incidents/PGR0VU2", "urgency": "high", "priority": null, "assignees": [],
            "service": { "summary": "API Service" }, "body": { "type": "incident_body", "details": " The disk is full.\n" }, "teams": [{ "summary": "Engineering" }, { "summary": "Support" }] });
        let read = read(&event("incident.triggered", data)).expect("an event");
        assert_eq!(read.subject.as_deref(), Some("PGR0VU2"));
        assert_eq!(read.at, Some(Millis(1_601_664_322_169)));
        let filing = Filing {
            title: "A little bump in the road".into(),
            description: "**API Service**\n\nThe disk is full.\n\n-- \nPagerDuty incident [#2](https://acme.pagerduty.com/incidents/PGR0VU2)\n\n- Service: API Service\n- Urgency: high\n- Teams: Engineering, Support".into(),
            priority: Priority::High,
            labels: vec!["pagerduty".into(), "API Service".into()],
        };
        assert_eq!(read.news, News::Opened(filing));
    }

    #[test]
    fn a_bare_incident_is_an_incident_all_the_same() {
        let data = json!({ "id": "P1", "type": "incident" });
        let News::Opened(filing) = read(&event("incident.triggered", data))
            .expect("an event")
            .news
        else {
            panic!("it is an opening");
        };
        assert_eq!(
            (filing.title.as_str(), filing.priority),
            ("PagerDuty incident P1", Priority::Normal)
        );
    }

    #[test]
    fn priorities_follow_the_name_then_the_urgency() {
        for (name, urgency, expected) in [
            (json!("P1"), "low", Priority::Urgent),
            (json!("sev-2"), "low", Priority::High),
            (json!("P3"), "high", Priority::Normal),
            (json!("SEV 5"), "high", Priority::Low),
            (json!("P12"), "high", Priority::High),
            (json!("Page everyone"), "low", Priority::Low),
            (Value::Null, "high", Priority::High),
            (Value::Null, "", Priority::Normal),
        ] {
            let incident = json!({ "priority": { "summary": name }, "urgency": urgency });
            assert_eq!(priority(&incident), expected, "{incident}");
        }
    }

    #[test]
    fn notes_say_who_wrote_them() {
        let incident = json!({ "id": "P1", "type": "incident_reference", "summary": "A bump" });
        let data = json!({ "incident": incident, "id": "N1", "content": "Looking.", "trimmed": true, "type": "incident_note" });
        let read = read(&event("incident.annotated", data)).expect("an event");
        assert_eq!(read.subject.as_deref(), Some("P1"));
        let text =
            "**Tenex Engineer** in PagerDuty:\n\nLooking.\n\n(PagerDuty has cut the text short.)";
        assert_eq!(read.news, News::Note(text.into()));
    }

    #[test]
    fn what_is_not_about_an_incident_concerns_no_request() {
        let service = event(
            "service.updated",
            json!({ "id": "PF9KMXH", "type": "service" }),
        );
        assert!(matches!(
            read(&service).expect("an event").news,
            News::Nothing(_)
        ));
        let ping = event(
            "pagey.ping",
            json!({ "message": "Hello from your friend Pagey!", "type": "ping" }),
        );
        assert!(matches!(
            read(&ping).expect("an event").news,
            News::Nothing(_)
        ));
        let later = event(
            "incident.renamed_some_day",
            json!({ "id": "P1", "type": "incident" }),
        );
        assert_eq!(read(&later).expect("an event").news, News::Other);
        for wrong in [
            json!({}),
            json!([]),
            json!({ "event": { "id": 7, "event_type": "incident.triggered" } }),
            json!({ "messages": [] }),
        ] {
            assert!(read(&wrong).is_err(), "{wrong}");
        }
    }
}
