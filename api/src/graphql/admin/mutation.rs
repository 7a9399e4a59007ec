//! Changing the workspace and API keys.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, SimpleObject};
use domain::key::{CreateKey, Expiry, Holder, RevokeKey};
use domain::workspace::UpdateWorkspace;
use entity::PersonId;

use super::{ApiKey, Workspace};
use crate::graphql::budget::BudgetInput;
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{Result, UserError, settle};
use crate::graphql::kind::{ActorKind, Role};
use crate::graphql::node;
use crate::graphql::request::assignee_in;
use crate::graphql::scalar::{DateTimeOrDuration, TimeZone, storable};

/// What API key to make.
#[derive(InputObject, Clone, Debug)]
pub struct ApiKeyCreateInput {
    /// What it is called, at most 100 characters. A workflow or system is known by it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// For whom it acts: PERSON, WORKFLOW or SYSTEM. Requests made with it have the source EMPLOYEE, WORKFLOW or SYSTEM.
    #[graphql(default_with = "ActorKind::Person")]
    pub kind: ActorKind,
    /// The global id of the person for whom it acts; without it, a key of the kind PERSON makes a new person of its own name.
    pub person_id: Option<ID>,
    /// When it ends by itself; never without it.
    pub expires_at: Option<DateTimeOrDuration>,
    /// The same key with the same input returns the API key already made, without its text, for 24 hours; with other input it is refused.
    pub idempotency_key: Option<String>,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What became of `apiKeyCreate`.
#[derive(SimpleObject)]
pub struct ApiKeyCreatePayload {
    /// The API key; null if it was refused.
    pub api_key: Option<ApiKey>,
    /// The key's text, to be sent as `Authorization: Bearer …`. It is shown this once; null if the key was made by an earlier call.
    pub secret: Option<String>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// What API key to revoke.
#[derive(InputObject, Clone, Debug)]
pub struct ApiKeyRevokeInput {
    /// The API key's global id.
    pub id: ID,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What became of `apiKeyRevoke`.
#[derive(SimpleObject)]
pub struct ApiKeyRevokePayload {
    /// The API key as it is now; null if it was refused.
    pub api_key: Option<ApiKey>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// What to change of the workspace's settings.
#[derive(InputObject, Clone, Debug)]
pub struct WorkspaceUpdateInput {
    /// How many runs may follow each other on one request without a person's touch: 1 to 100. A new workspace has 12. Left out, it stays as it
    /// is.
    pub hop_budget: Option<i32>,
    /// The global id of the person or the coworker who gets a request that went past the hop budget; null: nobody. A coworker gets one run; if
    /// that settles nothing, the request goes to nobody: open, and `needsPerson`. While the coworker is not published, requests go to nobody at
    /// once. Left out, it stays as it is.
    pub escalation_assignee_id: MaybeUndefined<ID>,
    /// The reporting time zone: where days, weeks and months of metrics begin unless a query says otherwise. Figures by the day are made anew
    /// behind it; until then, metrics are as right as ever and take longer. Left out, it stays as it is.
    pub time_zone: Option<TimeZone>,
    /// What all runs together may cost, replaced as a whole: `{}` takes every limit away.
    pub budget: Option<BudgetInput>,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What became of `workspaceUpdate`.
#[derive(SimpleObject)]
pub struct WorkspaceUpdatePayload {
    /// The workspace as it is now; null if the change was refused.
    pub workspace: Option<Workspace>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// Changing the workspace and API keys.
#[derive(Default)]
pub struct AdminMutation;

#[Object]
impl AdminMutation {
    /// Changes the workspace's settings; what is left out stays as it is.
    async fn workspace_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to change.")] input: WorkspaceUpdateInput,
    ) -> Result<WorkspaceUpdatePayload> {
        let WorkspaceUpdateInput {
            hop_budget,
            escalation_assignee_id,
            time_zone,
            budget,
            client_mutation_id,
        } = input;
        let answer = async {
            let to = match &escalation_assignee_id {
                MaybeUndefined::Undefined => None,
                MaybeUndefined::Null => Some(None),
                MaybeUndefined::Value(id) => Some(Some(assignee_in(id, "escalationAssigneeId")?)),
            };
            let command = UpdateWorkspace {
                actor: ctx.actor().clone(),
                hop_budget,
                escalation_assignee: to,
                time_zone: time_zone.map(|zone| zone.0),
                budget: budget.map(Into::into),
            };
            ctx.store().write(command).await
        };
        let (row, user_errors) = settle(answer.await)?;
        Ok(WorkspaceUpdatePayload {
            workspace: row.map(Workspace),
            user_errors,
            client_mutation_id,
        })
    }

    /// Makes an API key. The answer holds the key's text, the only time that it is ever shown.
    async fn api_key_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to make.")] input: ApiKeyCreateInput,
    ) -> Result<ApiKeyCreatePayload> {
        let ApiKeyCreateInput {
            name,
            role,
            kind,
            person_id,
            expires_at,
            idempotency_key,
            client_mutation_id,
        } = input;
        let answer = async {
            let person = person_id
                .as_ref()
                .map(|id| node::parse_field(id, "personId"))
                .transpose()?;
            let now = ctx.store().now();
            let expires = expires_at
                .map(|at| {
                    storable(at.resolve(now), "expiresAt").map(|_| match at {
                        DateTimeOrDuration::At(at) => Expiry::At(at),
                        DateTimeOrDuration::FromNow(ms) => Expiry::After(ms),
                    })
                })
                .transpose()?;
            let holder = holder(kind, person, &name)?;
            let actor = ctx.actor().clone();
            let command = CreateKey {
                actor,
                name,
                role: role.into(),
                holder,
                expires,
                idempotency_key,
            };
            ctx.store().write(command).await
        };
        let (made, user_errors) = settle(answer.await)?;
        let (api_key, text) = made.unzip();
        Ok(ApiKeyCreatePayload {
            api_key: api_key.map(ApiKey),
            secret: text.flatten().map(|text| text.reveal().to_owned()),
            user_errors,
            client_mutation_id,
        })
    }

    /// Revokes an API key for good. Streams that it opened end within a minute.
    async fn api_key_revoke(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to revoke.")] input: ApiKeyRevokeInput,
    ) -> Result<ApiKeyRevokePayload> {
        let ApiKeyRevokeInput {
            id,
            client_mutation_id,
        } = input;
        let answer = async {
            let (actor, key) = (ctx.actor().clone(), node::parse(&id)?);
            ctx.store().write(RevokeKey { actor, key }).await
        };
        let (row, user_errors) = settle(answer.await)?;
        Ok(ApiKeyRevokePayload {
            api_key: row.map(ApiKey),
            user_errors,
            client_mutation_id,
        })
    }
}

fn holder(kind: ActorKind, person: Option<PersonId>, name: &str) -> domain::Result<Holder> {
    match (kind, person) {
        (ActorKind::Person, Some(person)) => Ok(Holder::Person(person)),
        (ActorKind::Person, None) => Ok(Holder::NewPerson(name.to_owned())),
        (ActorKind::Workflow, None) => Ok(Holder::Workflow(name.to_owned())),
        (ActorKind::System, None) => Ok(Holder::System(name.to_owned())),
        (ActorKind::Workflow | ActorKind::System, Some(_)) => Err(domain::Error::invalid(
            "personId",
            "INVALID",
            "only a key of the kind PERSON takes a `personId`",
        )),
        (ActorKind::Coworker, _) => Err(domain::Error::invalid(
            "kind",
            "INVALID",
            "coworkers have no keys; give PERSON, WORKFLOW or SYSTEM",
        )),
    }
}
