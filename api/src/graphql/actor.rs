//! Whoever or whatever acts.

use async_graphql::{Context, ID, Interface, Object};
use domain::access::Principal;
use domain::error::{Error, Result};
use entity::{
    ApiKeyId, CoworkerId, PersonId, WebhookEndpointId, api_key, person, webhook_endpoint,
};
use uuid::Uuid;

use super::context::ContextExt as _;
use super::coworker::Coworker;
use super::kind::ActorKind;
use super::node;

/// Whoever or whatever acts: a person, a coworker, a workflow or a system.
#[derive(Interface)]
#[graphql(
    field(name = "id", ty = "ID", desc = "The global id."),
    field(name = "display_name", ty = "String", desc = "The name to show."),
    field(name = "kind", ty = "ActorKind", desc = "What kind of actor it is.")
)]
pub enum Actor {
    /// A person.
    Person(Person),
    /// A coworker.
    Coworker(Coworker),
    /// A workflow.
    Workflow(Workflow),
    /// A system.
    System(System),
}

/// A human being who uses the workspace.
pub struct Person(pub person::Model);

/// A human being who uses the workspace.
#[Object]
impl Person {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        node::global(self.0.id)
    }

    /// The name to show.
    pub(crate) async fn display_name(&self) -> String {
        self.0.name.clone()
    }

    /// Always PERSON.
    pub(crate) async fn kind(&self) -> ActorKind {
        ActorKind::Person
    }
}

impl Person {
    /// The person with this id.
    ///
    /// # Errors
    /// `NOT_FOUND`.
    pub async fn find(ctx: &Context<'_>, id: PersonId) -> Result<Self> {
        Ok(Self(
            domain::key::query::get_person(ctx.store().read(), ctx.actor(), id).await?,
        ))
    }
}

/// An automation that acts with an API key of its own.
pub struct Workflow(pub api_key::Model);

/// An automation that acts with an API key of its own.
#[Object]
impl Workflow {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        node::global_workflow(self.0.id.0)
    }

    /// The name to show: the name of its API key.
    pub(crate) async fn display_name(&self) -> String {
        self.0.name.clone()
    }

    /// Always WORKFLOW.
    pub(crate) async fn kind(&self) -> ActorKind {
        ActorKind::Workflow
    }
}

/// An outside system, Stint itself, or the operator.
pub enum System {
    /// By its key.
    Key(api_key::Model),
    /// By the endpoint that it delivers to.
    Hook(webhook_endpoint::Model),
    /// Stint itself.
    Stint,
    /// Whoever operates the installation, at its command line.
    Operator,
}

impl System {
    /// The name to show.
    pub fn name(&self) -> &str {
        match self {
            Self::Key(key) => &key.name,
            Self::Hook(endpoint) => &endpoint.name,
            Self::Stint => "Stint",
            Self::Operator => "stint apply",
        }
    }
}

/// An outside system that acts with an API key of its own or through a webhook endpoint, Stint itself, or whoever operates the installation
/// and applied files with `stint apply`.
#[Object]
impl System {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        node::global_system(match self {
            Self::Key(key) => key.id.0,
            Self::Hook(endpoint) => endpoint.id.0,
            Self::Stint => Principal::Stint.id(),
            Self::Operator => Principal::Operator.id(),
        })
    }

    /// The name to show: the name of its API key or webhook endpoint, Stint, or stint apply.
    pub(crate) async fn display_name(&self) -> String {
        self.name().to_owned()
    }

    /// Always SYSTEM.
    pub(crate) async fn kind(&self) -> ActorKind {
        ActorKind::System
    }
}

/// The actor of this kind and id, if there is one in the caller's workspace.
///
/// # Errors
/// What the database answers.
pub async fn find(ctx: &Context<'_>, kind: entity::ActorKind, id: Uuid) -> Result<Option<Actor>> {
    let loaders = ctx.loaders();
    Ok(match kind {
        entity::ActorKind::Person => loaders
            .row(PersonId(id))
            .await?
            .map(|row| Person(row).into()),
        entity::ActorKind::Coworker => loaders
            .row(CoworkerId(id))
            .await?
            .map(|row| Coworker(row).into()),
        entity::ActorKind::Workflow => {
            let key = loaders.row(ApiKeyId(id)).await?;
            key.filter(|key| key.principal_kind == kind)
                .map(|key| Workflow(key).into())
        }
        entity::ActorKind::System if id.is_nil() => Some(System::Stint.into()),
        entity::ActorKind::System if id.is_max() => Some(System::Operator.into()),
        entity::ActorKind::System => match loaders.row(ApiKeyId(id)).await? {
            Some(key) if key.principal_kind == kind => Some(System::Key(key).into()),
            Some(_) => None,
            None => loaders
                .row(WebhookEndpointId(id))
                .await?
                .map(|endpoint| System::Hook(endpoint).into()),
        },
    })
}

/// The actor that a row names.
///
/// # Errors
/// [`Error::Internal`] if it is not there.
pub async fn named(ctx: &Context<'_>, kind: entity::ActorKind, id: Uuid) -> Result<Actor> {
    let found = find(ctx, kind, id).await?;
    found.ok_or_else(|| {
        Error::internal(format!(
            "the actor {} {id} is referred to and not there",
            kind.as_str()
        ))
    })
}

/// The actor that a principal is.
///
/// # Errors
/// As [`named`].
pub async fn principal(ctx: &Context<'_>, principal: Principal) -> Result<Actor> {
    named(ctx, principal.kind(), principal.id()).await
}

/// The name to show for a principal.
///
/// # Errors
/// As [`named`].
pub async fn name(ctx: &Context<'_>, who: Principal) -> Result<String> {
    Ok(match principal(ctx, who).await? {
        Actor::Person(Person(row)) => row.name,
        Actor::Coworker(Coworker(row)) => row.name,
        Actor::Workflow(Workflow(row)) => row.name,
        Actor::System(system) => system.name().to_owned(),
    })
}
