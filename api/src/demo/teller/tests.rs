use anstream::adapter::strip_str;
use domain::coworker::config::Limits;
use domain::model::tokens::Components;
use domain::model::{FinishReason, Usage};
use domain::run::event::{
    CoworkerRef, ModelRequested, NotePosted, Refusal, RequestRef, StatusChanged, SummaryWritten,
    ToolCompleted, ToolFailed, ToolRefused, ToolRequested, TurnStarted,
};
use domain::tool::{Effect, ToolErrorClass};
use entity::{
    ActorKind, AssignmentId, CoworkerId, CoworkerState, CoworkerVersionId, DispatchId, NoteId,
    Outcome, Priority, RequestId, RequestSource, RequestStatus, RunId, SummaryAuthor, WorkspaceId,
};
use uuid::Uuid;

use super::*;

const NIL: Uuid = Uuid::nil();

fn coworkers() -> Vec<coworker::Model> {
    [("triage", "Triage"), ("aws-engineer", "AWS Engineer")]
        .map(|(handle, name)| coworker::Model {
            id: CoworkerId(NIL),
            workspace_id: WorkspaceId(NIL),
            handle: handle.into(),
            name: name.into(),
            state: CoworkerState::Published,
            is_triage: false,
            term: 0,
            version: 1,
            version_id: None,
            daily_budget_nano: None,
            monthly_budget_nano: None,
            draft: String::new(),
            created_at: Millis(0),
            updated_at: Millis(0),
        })
        .into()
}

fn started(handle: &str, trigger: Trigger) -> Event {
    let coworker = CoworkerRef {
        is_triage: false,
        id: CoworkerId(NIL),
        handle: handle.into(),
        version_id: CoworkerVersionId(NIL),
        version: 1,
    };
    let request = RequestRef {
        id: RequestId(NIL),
        number: 7,
        title: "The network is slow".into(),
    };
    RunStarted {
        run: RunId(NIL),
        workspace: WorkspaceId(NIL),
        request,
        coworker,
        trigger,
        dispatch: DispatchId(NIL),
        assignment_epoch: Some(1),
        model: "scripted".into(),
        limits: Limits::default(),
        deadline: Millis(0),
    }
    .into()
}

fn asked() -> Event {
    let prompt = Vec::new();
    ModelRequested {
        model: "scripted".into(),
        attempt: 1,
        prompt,
        tools: Vec::new(),
        max_output_tokens: 1,
        closing: false,
        estimate: Components::default(),
        reservation: None,
    }
    .into()
}

fn thought(thinking: &str, text: &str) -> Event {
    ModelCompleted {
        model: "scripted".into(),
        text: text.into(),
        thinking: thinking.into(),
        calls: Vec::new(),
        finish_reason: FinishReason::ToolCalls,
        usage: Some(Usage::default()),
        verbatim: None,
        price: None,
        cost_nano: None,
        latency_ms: 1_100,
        first_token_ms: None,
        service_tier: None,
        reservation: None,
    }
    .into()
}

fn called(tool: &str, arguments: &str) -> Event {
    let (call_id, tool, arguments) = ("c1".into(), tool.into(), arguments.into());
    ToolRequested {
        call_id,
        tool,
        arguments,
        idempotency_key: "k".into(),
        effect: Effect::Read,
    }
    .into()
}

fn answered(response: &str) -> Event {
    ToolCompleted {
        call_id: "c1".into(),
        response: response.into(),
        redacted: Vec::new(),
        latency_ms: 350,
    }
    .into()
}

fn noted(visibility: NoteVisibility, body: &str) -> Event {
    NotePosted {
        call_id: "c2".into(),
        note: NoteId(NIL),
        visibility,
        body: body.into(),
    }
    .into()
}

fn named(name: &str) -> ActorRef {
    ActorRef {
        kind: ActorKind::Coworker,
        id: NIL,
        name: name.into(),
    }
}

fn ended(outcome: Outcome, reason: &str) -> [Event; 2] {
    let totals = Totals {
        turns: 3,
        tool_calls: 4,
        input_tokens: 8_039,
        output_tokens: 551,
        cost_nano: 20_284_800,
        ..Totals::default()
    };
    let summary = "Matched request 7 to AWS Engineer, with a private note on what is known. Next: they look at the gateway.";
    [
        SummaryWritten {
            text: summary.into(),
            author: SummaryAuthor::Coworker,
        }
        .into(),
        RunCompleted {
            outcome,
            reason: reason.into(),
            rule: None,
            totals,
        }
        .into(),
    ]
}

/// Tells the events, a tenth of a second apart, as a pipe gets them.
fn told(teller: &mut Teller, number: i64, events: impl IntoIterator<Item = Event>) -> String {
    let mut at = Millis(0);
    let mut text = String::new();
    for event in events {
        text += &teller.tell(number, at, &event);
        at = at.plus(100);
    }
    strip_str(&text).to_string()
}

#[test]
fn a_run_reads_as_a_story() {
    let mut teller = Teller::new(80, &coworkers());
    let mut events = vec![
        started("triage", Trigger::Intake),
        TurnStarted { turn: 1 }.into(),
        asked(),
        thought(
            "It could be the laptop, the office Wi-Fi, or something further away; from the text alone I can't tell.",
            "",
        ),
        called("directory.find_device", r#"{"request":"7"}"#),
        answered(r#"{"device":"LT-2231","os":"Windows 11","hops":[{"at":"LIS edge","ms":3}]}"#),
        called("set_status", r#"{"status":"IN_PROGRESS"}"#),
        answered("The status is set."),
        StatusChanged {
            call_id: "c1".into(),
            before: RequestStatus::Open,
            after: RequestStatus::InProgress,
        }
        .into(),
        asked(),
        thought("The gateway is next.", "I hand it on."),
        called("post_note", "{}"),
        answered("The note is posted."),
        noted(
            NoteVisibility::Private,
            "What I measured:\n- The device is fine: 3 ms to the office edge, which is what others have.\n- The path is not.\n\nPlease look at the gateway.",
        ),
        Reassigned {
            call_id: "c1".into(),
            assignment: AssignmentId(NIL),
            before: Some(named("triage")),
            after: Some(named("aws-engineer")),
            epoch: 2,
            reason: "The delay arises at the gateway.".into(),
        }
        .into(),
    ];
    events.extend(ended(
        Outcome::HandedOff,
        "The gateway is the AWS Engineer's.",
    ));
    let mut text = told(&mut teller, 41, events);
    let mut events = vec![
        started("aws-engineer", Trigger::Routed),
        asked(),
        thought("", ""),
        called("aws.describe_gateway", "{}"),
        ToolFailed {
            call_id: "c1".into(),
            class: ToolErrorClass::Offline,
            message: "AWS did not answer.".into(),
            response: None,
            encoding: None,
            redacted: Vec::new(),
            latency_ms: 900,
        }
        .into(),
        ToolRefused {
            call_id: "c1".into(),
            tool: "reboot".into(),
            arguments: r#"{"now":true}"#.into(),
            reason: Refusal::Unknown,
            message: "there is no tool reboot".into(),
        }
        .into(),
        noted(NoteVisibility::Public, "I can't look at the moment."),
    ];
    events.extend(ended(Outcome::Blocked, "AWS did not answer."));
    text += &told(&mut teller, 42, events);
    assert!(text.lines().all(|line| columns(line) <= 80), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn a_request_is_a_card() {
    let request = request::Model {
        id: RequestId(NIL),
        workspace_id: WorkspaceId(NIL),
        number: 7,
        title: "The network is slow".into(),
        description: "Since about nine everything crawls: the ERP needs half a minute per page."
            .into(),
        status: RequestStatus::Open,
        priority: Priority::Normal,
        source: RequestSource::Employee,
        requester_kind: ActorKind::Person,
        requester_id: NIL,
        assignee_kind: None,
        assignee_id: None,
        assignment_epoch: 1,
        labels: "[]".into(),
        hop_count: 0,
        needs_person: false,
        last_seq: 2,
        created_at: Millis(0),
        updated_at: Millis(0),
        resolved_at: None,
    };
    let card = Teller::new(60, &coworkers()).card(&request, "Maya Chen");
    insta::assert_snapshot!(strip_str(&card).to_string());
}
