//! Global ids.
//!
//! An id spells its type: `run_0197…`. One of another type is refused when it is read, so that a
//! query never looks for a run among the requests.

use async_graphql::ID;
use domain::error::{Error, Result};
use entity::{
    ActorKind, AlertDeliveryId, AlertEndpointId, ApiKeyId, ApprovalId, AssignmentId, CoworkerId,
    CoworkerVersionId, DispatchId, ModelPriceId, NoteId, PersonId, RequestId, RunId, SkillId,
    SkillVersionId, ToolActionId, ToolServerId, WebhookDeliveryId, WebhookEndpointId, WorkspaceId,
};
use uuid::Uuid;

/// A row's id that has a global form.
pub trait GlobalId: Copy {
    /// What stands before its digits.
    const PREFIX: &'static str;
    /// The type that it names.
    const NOUN: &'static str;
    /// The id of these digits.
    fn of(uuid: Uuid) -> Self;
    /// Its digits.
    fn uuid(self) -> Uuid;
}

macro_rules! global_ids {
    ($($id:ident $prefix:literal $noun:literal),+ $(,)?) => {$(
        impl GlobalId for $id {
            const PREFIX: &'static str = $prefix;
            const NOUN: &'static str = $noun;
            fn of(uuid: Uuid) -> Self {
                Self(uuid)
            }
            fn uuid(self) -> Uuid {
                self.0
            }
        }
    )+};
}

global_ids! {
    WorkspaceId "wsp" "Workspace",
    PersonId "per" "Person",
    ApiKeyId "key" "ApiKey",
    RequestId "req" "Request",
    NoteId "note" "Note",
    AssignmentId "asg" "Assignment",
    DispatchId "dsp" "Dispatch",
    CoworkerId "cow" "Coworker",
    CoworkerVersionId "cov" "CoworkerVersion",
    SkillId "skl" "Skill",
    SkillVersionId "skv" "SkillVersion",
    RunId "run" "Run",
    ApprovalId "apr" "Approval",
    ModelPriceId "prc" "ModelPrice",
    WebhookEndpointId "whe" "WebhookEndpoint",
    WebhookDeliveryId "whd" "WebhookDelivery",
    AlertEndpointId "ale" "AlertEndpoint",
    AlertDeliveryId "ald" "AlertDelivery",
    ToolServerId "tls" "ToolServer",
    ToolActionId "tla" "ToolAction",
}

pub(super) const WORKFLOW: &str = "wfl";
pub(super) const SYSTEM: &str = "sys";
pub(super) const EVENT: &str = "evt";
pub(super) const STEP: &str = "stp";

/// The global form of an id.
pub fn global<T: GlobalId>(id: T) -> ID {
    ID(format!("{}_{}", T::PREFIX, id.uuid().simple()))
}

/// The global id of a workflow: its key's digits under a prefix of its own.
pub fn global_workflow(key: Uuid) -> ID {
    ID(format!("{WORKFLOW}_{}", key.simple()))
}

/// The global id of a system, or of Stint itself (nil).
pub fn global_system(key: Uuid) -> ID {
    ID(format!("{SYSTEM}_{}", key.simple()))
}

/// The global id of an event.
pub fn global_event(run: RunId, seq: i64) -> ID {
    ID(format!("{EVENT}_{}_{seq}", run.0.simple()))
}

/// The global id of a step.
pub fn global_step(run: RunId, index: i32) -> ID {
    ID(format!("{STEP}_{}_{index}", run.0.simple()))
}

/// Reads an id of the type `T`.
///
/// # Errors
/// `BAD_USER_INPUT`, with the type that was expected.
pub fn parse<T: GlobalId>(id: &ID) -> Result<T> {
    parse_field(id, "id")
}

/// Reads an id of the type `T` from an input field that is not called `id`.
///
/// # Errors
/// `BAD_USER_INPUT`, with the type that was expected.
pub fn parse_field<T: GlobalId>(id: &ID, field: &'static str) -> Result<T> {
    split(id)
        .filter(|(prefix, _)| *prefix == T::PREFIX)
        .and_then(|(_, digits)| digits_of(digits))
        .map(T::of)
        .ok_or_else(|| {
            Error::invalid(
                field,
                "BAD_USER_INPUT",
                format!("{:?} is not the id of a {}", shortened(id), T::NOUN),
            )
        })
}

/// Reads the id of an actor of any kind.
///
/// # Errors
/// `BAD_USER_INPUT`.
pub fn parse_actor(id: &ID) -> Result<(ActorKind, Uuid)> {
    let read = || {
        let (prefix, digits) = split(id)?;
        let kind = match prefix {
            PersonId::PREFIX => ActorKind::Person,
            CoworkerId::PREFIX => ActorKind::Coworker,
            WORKFLOW => ActorKind::Workflow,
            SYSTEM => ActorKind::System,
            _ => return None,
        };
        Some((kind, digits_of(digits)?))
    };
    read().ok_or_else(|| {
        let message = format!(
            "{:?} is not the id of a person, a coworker, a workflow or a system",
            shortened(id)
        );
        Error::invalid("id", "BAD_USER_INPUT", message)
    })
}

pub(super) fn split(id: &ID) -> Option<(&str, &str)> {
    id.0.split_once('_')
}

/// Exactly the form that is given out: 32 lower-case hexadecimal digits.
fn digits_of(digits: &str) -> Option<Uuid> {
    let canonical = digits.len() == 32
        && digits
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    canonical.then(|| Uuid::try_parse(digits).ok()).flatten()
}

pub(super) fn numbered(digits: &str) -> Option<(Uuid, i64)> {
    let (run, number) = digits.split_once('_')?;
    let canonical = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
    Some((
        digits_of(run)?,
        canonical.then(|| number.parse().ok()).flatten()?,
    ))
}

/// What is quoted back to the caller is bounded.
pub(super) fn shortened(id: &ID) -> String {
    id.0.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_as_its_own_type_only() {
        let run = RunId(Uuid::from_u128(0x0197_0000_0000_7000_8000_0000_0000_0001));
        let id = global(run);
        assert_eq!(id.0, "run_01970000000070008000000000000001");
        assert_eq!(parse::<RunId>(&id).expect("its own type"), run);
        let error = parse::<RequestId>(&id).expect_err("another type");
        assert_eq!(
            error.to_string(),
            "\"run_01970000000070008000000000000001\" is not the id of a Request"
        );
        assert_eq!(error.code(), "BAD_USER_INPUT");
    }

    #[test]
    fn only_the_form_that_is_given_out_is_an_id() {
        for wrong in [
            "",
            "run",
            "run_",
            "run_1",
            "run_0197000000007000800000000000000G",
            "RUN_01970000000070008000000000000001",
            "run_01970000-0000-7000-8000-000000000001",
            "run_0197000000007000800000000000000A",
        ] {
            assert!(parse::<RunId>(&ID(wrong.into())).is_err(), "{wrong}");
        }
        assert_eq!(
            numbered("01970000000070008000000000000001_7").map(|(_, n)| n),
            Some(7)
        );
        for wrong in [
            "01970000000070008000000000000001_07",
            "01970000000070008000000000000001_-1",
            "01970000000070008000000000000001_",
            "_1",
        ] {
            assert_eq!(numbered(wrong), None, "{wrong}");
        }
    }
}
