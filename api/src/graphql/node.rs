//! Global ids, and the interface of everything that has one.
//!
//! An id spells its type: `run_0197…`. One of another type is refused when it is read, so that a
//! query never looks for a run among the requests.

use async_graphql::{Context, ID, Interface};
use domain::access::{Action, Actor};
use domain::error::{Error, Result};
use entity::{
    ActorKind, AlertDeliveryId, AlertEndpointId, ApiKeyId, ApprovalId, AssignmentId, CoworkerId,
    CoworkerVersionId, DispatchId, ModelPriceId, NoteId, PersonId, RequestId, RunId, SkillId,
    SkillVersionId, ToolActionId, ToolServerId, WebhookDeliveryId, WebhookEndpointId, WorkspaceId,
};
use uuid::Uuid;

use super::actor::{Person, System, Workflow};
use super::admin::{ApiKey, ModelPrice, Workspace};
use super::alert::{AlertDelivery, AlertEndpoint};
use super::approval::Approval;
use super::context::ContextExt as _;
use super::coworker::{Coworker, CoworkerVersion};
use super::hook::{WebhookDelivery, WebhookEndpoint};
use super::request::{Assignment, Dispatch, Note, Request};
use super::run::{
    ApprovalStep, AttemptStep, DoneStep, HandoffStep, NoteStep, Run, RunEvent, RunStartedStep,
    StatusChangeStep, Step, ThinkingStep, ToolCallStep,
};
use super::skill::{Skill, SkillVersion};
use super::tool::{ToolAction, ToolServer};

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

const WORKFLOW: &str = "wfl";
const SYSTEM: &str = "sys";
const EVENT: &str = "evt";
const STEP: &str = "stp";

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

fn split(id: &ID) -> Option<(&str, &str)> {
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

fn numbered(digits: &str) -> Option<(Uuid, i64)> {
    let (run, number) = digits.split_once('_')?;
    let canonical = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
    Some((
        digits_of(run)?,
        canonical.then(|| number.parse().ok()).flatten()?,
    ))
}

/// What is quoted back to the caller is bounded.
fn shortened(id: &ID) -> String {
    id.0.chars().take(60).collect()
}

/// Whatever has a global id. Ids are opaque: keep them, compare them, send them back, and don't take them apart.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "The global id."))]
pub enum Node {
    /// A request.
    Request(Request),
    /// A note.
    Note(Note),
    /// An assignment.
    Assignment(Assignment),
    /// A dispatch.
    Dispatch(Dispatch),
    /// A coworker.
    Coworker(Coworker),
    /// A coworker's version.
    CoworkerVersion(CoworkerVersion),
    /// A skill.
    Skill(Skill),
    /// A skill's version.
    SkillVersion(SkillVersion),
    /// A run.
    Run(Run),
    /// A call that a person must approve.
    Approval(Approval),
    /// An event of a run.
    RunEvent(RunEvent),
    /// A step of a run.
    RunStartedStep(RunStartedStep),
    /// A step of a run.
    AttemptStep(AttemptStep),
    /// A step of a run.
    ThinkingStep(ThinkingStep),
    /// A step of a run.
    ToolCallStep(ToolCallStep),
    /// A step of a run.
    NoteStep(NoteStep),
    /// A step of a run.
    StatusChangeStep(StatusChangeStep),
    /// A step of a run.
    HandoffStep(HandoffStep),
    /// A step of a run.
    ApprovalStep(ApprovalStep),
    /// A step of a run.
    DoneStep(DoneStep),
    /// A person.
    Person(Person),
    /// A workflow.
    Workflow(Workflow),
    /// A system.
    System(System),
    /// A workspace.
    Workspace(Workspace),
    /// An API key.
    ApiKey(ApiKey),
    /// A price row.
    ModelPrice(ModelPrice),
    /// A webhook endpoint.
    WebhookEndpoint(WebhookEndpoint),
    /// A delivery to a webhook endpoint.
    WebhookDelivery(WebhookDelivery),
    /// An alert endpoint.
    AlertEndpoint(AlertEndpoint),
    /// A delivery to an alert endpoint.
    AlertDelivery(AlertDelivery),
    /// A tool server.
    ToolServer(ToolServer),
    /// An action of a tool server.
    ToolAction(ToolAction),
}

impl From<Step> for Node {
    fn from(step: Step) -> Self {
        match step {
            Step::RunStartedStep(step) => step.into(),
            Step::AttemptStep(step) => step.into(),
            Step::ThinkingStep(step) => step.into(),
            Step::ToolCallStep(step) => step.into(),
            Step::NoteStep(step) => step.into(),
            Step::StatusChangeStep(step) => step.into(),
            Step::HandoffStep(step) => step.into(),
            Step::ApprovalStep(step) => step.into(),
            Step::DoneStep(step) => step.into(),
        }
    }
}

/// The object with this id, if the caller may see it.
///
/// # Errors
/// `NOT_FOUND`, identical for what is absent, hidden and another workspace's; `BAD_USER_INPUT` for
/// what is no id.
pub async fn find(ctx: &Context<'_>, id: &ID) -> Result<Node> {
    let (actor, store) = (ctx.actor(), ctx.store());
    let db = store.read();
    let Some((prefix, digits)) = split(id) else {
        return Err(no_id(id));
    };
    match prefix {
        RequestId::PREFIX => {
            Ok(Request(domain::request::query::get(db, actor, parse(id)?).await?).into())
        }
        NoteId::PREFIX => {
            Ok(Note(domain::request::query::get_note(db, actor, parse(id)?).await?).into())
        }
        AssignmentId::PREFIX => Ok(Assignment(
            domain::request::query::get_assignment(db, actor, parse(id)?).await?,
        )
        .into()),
        DispatchId::PREFIX => {
            Ok(Dispatch(domain::request::query::get_dispatch(db, actor, parse(id)?).await?).into())
        }
        CoworkerId::PREFIX => {
            Ok(Coworker(domain::coworker::query::get(db, actor, parse(id)?).await?).into())
        }
        CoworkerVersionId::PREFIX => Ok(CoworkerVersion(
            domain::coworker::query::get_version(db, actor, parse(id)?).await?,
        )
        .into()),
        SkillId::PREFIX => {
            Ok(Skill(domain::skill::query::get(db, actor, parse(id)?).await?).into())
        }
        SkillVersionId::PREFIX => Ok(SkillVersion(
            domain::skill::query::get_version(db, actor, parse(id)?).await?,
        )
        .into()),
        RunId::PREFIX => Ok(Run(domain::run::query::get(db, actor, parse(id)?).await?).into()),
        ApprovalId::PREFIX => {
            Ok(Approval(domain::run::approval::query::get(db, actor, parse(id)?).await?).into())
        }
        EVENT => {
            let (run, seq) = numbered(digits).ok_or_else(|| no_id(id))?;
            Ok(
                RunEvent::from(domain::run::query::get_event(db, actor, RunId(run), seq).await?)
                    .into(),
            )
        }
        STEP => {
            let (run, index) = numbered(digits).ok_or_else(|| no_id(id))?;
            let index = i32::try_from(index).map_err(|_| no_id(id))?;
            Ok(
                Step::from(domain::run::query::get_step(db, actor, RunId(run), index).await?)
                    .into(),
            )
        }
        PersonId::PREFIX => Ok(Person::find(ctx, parse(id)?).await?.into()),
        WORKFLOW | SYSTEM => principal(ctx, id).await,
        WorkspaceId::PREFIX => Ok(Workspace(workspace(ctx, actor, parse(id)?).await?).into()),
        ApiKeyId::PREFIX => {
            Ok(ApiKey(domain::key::query::get(db, actor, parse(id)?).await?).into())
        }
        ModelPriceId::PREFIX => {
            Ok(ModelPrice(domain::metric::cost::get_price(db, actor, parse(id)?).await?).into())
        }
        WebhookEndpointId::PREFIX => {
            Ok(WebhookEndpoint(domain::hook::query::get(db, actor, parse(id)?).await?).into())
        }
        WebhookDeliveryId::PREFIX => Ok(WebhookDelivery(
            domain::hook::query::get_delivery(db, actor, parse(id)?).await?,
        )
        .into()),
        AlertEndpointId::PREFIX => {
            Ok(AlertEndpoint(domain::alert::query::get(db, actor, parse(id)?).await?).into())
        }
        AlertDeliveryId::PREFIX => Ok(AlertDelivery(
            domain::alert::query::get_delivery(db, actor, parse(id)?).await?,
        )
        .into()),
        ToolServerId::PREFIX => {
            let row = domain::tool::server::query::get(db, actor, parse(id)?).await?;
            Ok(ToolServer(row).into())
        }
        ToolActionId::PREFIX => {
            let row = domain::tool::server::query::get_action(db, actor, parse(id)?).await?;
            Ok(ToolAction(row).into())
        }
        _ => Err(no_id(id)),
    }
}

async fn principal(ctx: &Context<'_>, id: &ID) -> Result<Node> {
    let (kind, uuid) = parse_actor(id)?;
    match super::actor::find(ctx, kind, uuid).await? {
        Some(super::actor::Actor::Workflow(workflow)) => Ok(workflow.into()),
        Some(super::actor::Actor::System(system)) => Ok(system.into()),
        Some(super::actor::Actor::Person(_) | super::actor::Actor::Coworker(_)) | None => {
            Err(Error::NotFound {
                what: if kind == ActorKind::Workflow {
                    "Workflow"
                } else {
                    "System"
                },
            })
        }
    }
}

async fn workspace(
    ctx: &Context<'_>,
    actor: &Actor,
    id: WorkspaceId,
) -> Result<entity::workspace::Model> {
    if id != actor.workspace || !actor.may(Action::RequestReadOwn) {
        return Err(Error::NotFound { what: "Workspace" });
    }
    domain::key::query::workspace(ctx.store().read(), actor).await
}

fn no_id(id: &ID) -> Error {
    Error::invalid(
        "id",
        "BAD_USER_INPUT",
        format!("{:?} is not the id of anything", shortened(id)),
    )
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
