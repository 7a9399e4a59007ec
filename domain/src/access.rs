//! Who acts, and with which rights.

mod policy;

use entity::{
    ActorKind, ApiKeyId, CoworkerId, PersonId, RunId, Trigger, WebhookEndpointId, WorkspaceId, run,
};
pub use policy::{Action, Standing, allows};
use uuid::Uuid;

use crate::error::{Error, Result};

/// Who acts, in which workspace, with which rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The workspace; everything that the actor sees or changes is in it.
    pub workspace: WorkspaceId,
    /// Who.
    pub principal: Principal,
    /// With which rights.
    pub standing: Standing,
}

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Principal {
    /// A person, through one of their keys.
    Person(PersonId),
    /// A workflow, known by its key.
    Workflow(ApiKeyId),
    /// An outside system, known by its key.
    System(ApiKeyId),
    /// An outside system, known by the webhook endpoint that it delivers to.
    Hook(WebhookEndpointId),
    /// A coworker in a run.
    Coworker(CoworkerId, RunId),
    /// Stint itself.
    Stint,
    /// Whoever operates the installation, at its command line.
    Operator,
}

impl Principal {
    /// What rows store of it.
    pub const fn kind(self) -> ActorKind {
        match self {
            Self::Person(_) => ActorKind::Person,
            Self::Workflow(_) => ActorKind::Workflow,
            Self::System(_) | Self::Hook(_) | Self::Stint | Self::Operator => ActorKind::System,
            Self::Coworker(..) => ActorKind::Coworker,
        }
    }

    /// What rows store of it; nil for Stint itself, all ones for the operator.
    pub const fn id(self) -> Uuid {
        match self {
            Self::Person(id) => id.0,
            Self::Workflow(id) | Self::System(id) => id.0,
            Self::Hook(id) => id.0,
            Self::Coworker(id, _) => id.0,
            Self::Stint => Uuid::nil(),
            Self::Operator => Uuid::max(),
        }
    }

    /// The run, if a coworker acts.
    pub const fn run(self) -> Option<RunId> {
        match self {
            Self::Coworker(_, run) => Some(run),
            Self::Person(_) | Self::Workflow(_) | Self::System(_) | Self::Hook(_) => None,
            Self::Stint | Self::Operator => None,
        }
    }

    /// Whether a person acts: only then a request counts as touched.
    pub const fn is_person(self) -> bool {
        matches!(self, Self::Person(_))
    }
}

impl Actor {
    /// Stint itself, in `workspace`.
    pub const fn stint(workspace: WorkspaceId) -> Self {
        Self {
            workspace,
            principal: Principal::Stint,
            standing: Standing::Stint,
        }
    }

    /// The outside system behind a webhook endpoint.
    pub const fn hook(workspace: WorkspaceId, endpoint: WebhookEndpointId) -> Self {
        Self {
            workspace,
            principal: Principal::Hook(endpoint),
            standing: Standing::Webhook,
        }
    }

    /// The coworker in its run.
    pub fn in_run(run: &run::Model) -> Self {
        Self {
            workspace: run.workspace_id,
            principal: Principal::Coworker(run.coworker_id, run.id),
            standing: if run.trigger == Trigger::Mention {
                Standing::MentionedRun
            } else {
                Standing::AssignedRun
            },
        }
    }

    /// Whether the actor may do it.
    pub const fn may(&self, action: Action) -> bool {
        allows(self.standing, action)
    }

    /// Refuses what the actor may not do.
    ///
    /// # Errors
    /// [`Error::Forbidden`] with a sentence that names the role and the action.
    pub fn authorize(&self, action: Action) -> Result<()> {
        if self.may(action) {
            return Ok(());
        }
        let who = match self.standing {
            Standing::Role(role) => format!("a key with the role {}", role.as_str()),
            Standing::MentionedRun => "a coworker that was only mentioned".into(),
            Standing::AssignedRun => "a coworker".into(),
            Standing::Webhook => "a webhook endpoint".into(),
            Standing::Stint => "Stint".into(),
        };
        Err(Error::Forbidden {
            message: format!("{who} may not {}", action.phrase()),
        })
    }
}
