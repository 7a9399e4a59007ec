//! The interface of everything that has a global id.

mod id;

use async_graphql::{Context, ID, Interface};
use domain::access::{Action, Actor};
use domain::error::{Error, Result};
use entity::{
    ActorKind, AlertDeliveryId, AlertEndpointId, ApiKeyId, ApprovalId, AssignmentId, CoworkerId,
    CoworkerVersionId, DispatchId, ModelPriceId, NoteId, PersonId, RequestId, RunId, SkillId,
    SkillVersionId, ToolActionId, ToolServerId, WebhookDeliveryId, WebhookEndpointId, WorkspaceId,
};
use id::{EVENT, STEP, SYSTEM, WORKFLOW, numbered, shortened, split};
pub use id::{
    GlobalId, global, global_event, global_step, global_system, global_workflow, parse,
    parse_actor, parse_field,
};

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
