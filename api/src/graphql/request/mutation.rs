//! Changing requests.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use domain::request::assign::AssigneeId;
use domain::request::{AssignRequest, CreateNote, CreateRequest, UpdateRequest};
use entity::{ActorKind, CoworkerId, PersonId};

use super::{Note, Request};
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{Result, UserError, settle};
use crate::graphql::kind::{NoteVisibility, Priority, RequestStatus};
use crate::graphql::node;

/// What request to make.
#[derive(InputObject, Clone, Debug)]
pub struct RequestCreateInput {
    /// What it is about, in one line of at most 300 characters.
    pub title: String,
    /// The whole text, at most 64 KiB.
    #[graphql(default)]
    pub description: String,
    /// How urgent it is.
    #[graphql(default_with = "Priority::Normal")]
    pub priority: Priority,
    /// Labels, at most 20 of at most 60 characters.
    #[graphql(default)]
    pub labels: Vec<String>,
    /// The global id of a coworker or a person to assign it to; without it, the request is routed.
    pub assignee_id: Option<ID>,
    /// The same key with the same input returns the request already made, for 24 hours; with other input it is refused.
    pub idempotency_key: Option<String>,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What became of `requestCreate`.
#[derive(SimpleObject)]
pub struct RequestCreatePayload {
    /// The request; null if it was refused.
    pub request: Option<Request>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// What to change in a request. What is left out stays as it is.
#[derive(InputObject, Clone, Debug)]
pub struct RequestUpdateInput {
    /// The request's global id.
    pub id: ID,
    /// A new title, at most 300 characters.
    pub title: Option<String>,
    /// A new text, at most 64 KiB.
    pub description: Option<String>,
    /// A new status.
    pub status: Option<RequestStatus>,
    /// A new urgency.
    pub priority: Option<Priority>,
    /// New labels in the place of all of the old ones, at most 20 of at most 60 characters.
    pub labels: Option<Vec<String>>,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What became of `requestUpdate`.
#[derive(SimpleObject)]
pub struct RequestUpdatePayload {
    /// The request as it is now; null if the change was refused.
    pub request: Option<Request>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// What to assign, and to whom.
#[derive(InputObject, Clone, Debug)]
pub struct RequestAssignInput {
    /// The request's global id.
    pub id: ID,
    /// The global id of a coworker or a person; null: nobody.
    pub assignee_id: Option<ID>,
    /// Why, for the timeline and for the coworker to read; at most 1,000 characters.
    pub reason: Option<String>,
    /// The same key with the same input returns the first result, for 24 hours; with other input it is refused.
    pub idempotency_key: Option<String>,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What became of `requestAssign`.
#[derive(SimpleObject)]
pub struct RequestAssignPayload {
    /// The request as it is now; null if the assignment was refused.
    pub request: Option<Request>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// What note to post.
#[derive(InputObject, Clone, Debug)]
pub struct NoteCreateInput {
    /// The global id of the request to post it on.
    pub request_id: ID,
    /// The text, Markdown, at most 64 KiB. `@handle` mentions a coworker, where the caller may see coworkers.
    pub body: String,
    /// Who may read it.
    #[graphql(default_with = "NoteVisibility::Public")]
    pub visibility: NoteVisibility,
    /// The same key with the same input returns the note already posted, for 24 hours; with other input it is refused.
    pub idempotency_key: Option<String>,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What became of `noteCreate`.
#[derive(SimpleObject)]
pub struct NoteCreatePayload {
    /// The note; null if it was refused.
    pub note: Option<Note>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// Changing requests.
#[derive(Default)]
pub struct RequestMutation;

#[Object]
impl RequestMutation {
    /// Makes a request. Without an assignee it goes to the workspace's Triage coworker, if there is a published one. Without one, and when
    /// Triage declines or fails, it goes to the published coworker whose identity clearly fits it best, or stays with people; the reason is
    /// the assignment's, or stands on the timeline.
    async fn request_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to make.")] input: RequestCreateInput,
    ) -> Result<RequestCreatePayload> {
        let RequestCreateInput {
            title,
            description,
            priority,
            labels,
            assignee_id,
            idempotency_key,
            client_mutation_id,
        } = input;
        let answer = async {
            let command = CreateRequest {
                actor: ctx.actor().clone(),
                title,
                description,
                priority: priority.into(),
                labels,
                assignee: assignee_id.as_ref().map(assignee).transpose()?,
                idempotency_key,
                ahead: None,
            };
            command.submit(ctx.store()).await
        };
        let (row, user_errors) = settle(answer.await)?;
        Ok(RequestCreatePayload {
            request: row.map(Request),
            user_errors,
            client_mutation_id,
        })
    }

    /// Changes a request; what is left out stays as it is.
    async fn request_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to change.")] input: RequestUpdateInput,
    ) -> Result<RequestUpdatePayload> {
        let RequestUpdateInput {
            id,
            title,
            description,
            status,
            priority,
            labels,
            client_mutation_id,
        } = input;
        let answer = async {
            let command = UpdateRequest {
                actor: ctx.actor().clone(),
                request: node::parse(&id)?,
                title,
                description,
                status: status.map(Into::into),
                priority: priority.map(Into::into),
                labels,
            };
            ctx.store().write(command).await
        };
        let (row, user_errors) = settle(answer.await)?;
        Ok(RequestUpdatePayload {
            request: row.map(Request),
            user_errors,
            client_mutation_id,
        })
    }

    /// Assigns a request to a coworker or a person, or to nobody. A coworker starts a run by itself. A run that works under the earlier assignment ends as SUPERSEDED.
    async fn request_assign(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to assign, and to whom.")] input: RequestAssignInput,
    ) -> Result<RequestAssignPayload> {
        let RequestAssignInput {
            id,
            assignee_id,
            reason,
            idempotency_key,
            client_mutation_id,
        } = input;
        let answer = async {
            let command = AssignRequest {
                actor: ctx.actor().clone(),
                request: node::parse(&id)?,
                assignee: assignee_id.as_ref().map(assignee).transpose()?,
                reason,
                idempotency_key,
            };
            ctx.store().write(command).await
        };
        let (row, user_errors) = settle(answer.await)?;
        Ok(RequestAssignPayload {
            request: row.map(Request),
            user_errors,
            client_mutation_id,
        })
    }

    /// Posts a note on a request. Each published coworker whose `@handle` a person writes in it starts a run by itself, 10 at most; what
    /// callers write who may not see coworkers, such as those with the role REQUESTER, mentions nobody.
    ///
    /// The requester's public note on a request that is PENDING and assigned to a coworker is the answer that it waits for: the coworker
    /// goes on with it, in one run, also where the note mentions it. On a request that is RESOLVED or CLOSED a note starts nothing, and
    /// calls nobody to look: whoever may sets its status to OPEN where there is more to do.
    async fn note_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to post.")] input: NoteCreateInput,
    ) -> Result<NoteCreatePayload> {
        let NoteCreateInput {
            request_id,
            body,
            visibility,
            idempotency_key,
            client_mutation_id,
        } = input;
        let answer = async {
            let command = CreateNote {
                actor: ctx.actor().clone(),
                request: node::parse_field(&request_id, "requestId")?,
                body,
                visibility: visibility.into(),
                idempotency_key,
            };
            ctx.store().write(command).await
        };
        let (row, user_errors) = settle(answer.await)?;
        Ok(NoteCreatePayload {
            note: row.map(Note),
            user_errors,
            client_mutation_id,
        })
    }
}

fn assignee(id: &ID) -> domain::Result<AssigneeId> {
    assignee_in(id, "assigneeId")
}

/// Whom the id in this field names, of those who can be assigned.
///
/// # Errors
/// `BAD_USER_INPUT` that names the field.
pub fn assignee_in(id: &ID, field: &'static str) -> domain::Result<AssigneeId> {
    match node::parse_actor(id) {
        Ok((ActorKind::Person, uuid)) => Ok(AssigneeId::Person(PersonId(uuid))),
        Ok((ActorKind::Coworker, uuid)) => Ok(AssigneeId::Coworker(CoworkerId(uuid))),
        Ok((ActorKind::Workflow | ActorKind::System, _)) | Err(_) => {
            let message = format!("`{field}` is not the id of a coworker or a person");
            Err(domain::Error::invalid(field, "BAD_USER_INPUT", message))
        }
    }
}
