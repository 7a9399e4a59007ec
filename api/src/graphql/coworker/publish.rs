//! Publishing coworkers, bringing versions back, and taking coworkers out of work.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use domain::coworker::{Force, PublishCoworker, Published, RollbackCoworker, UnpublishCoworker};

use super::Coworker;
use super::finding::{self, Finding};
use crate::graphql::context::{Behind, ContextExt as _};
use crate::graphql::error::{Result, UserError, settle};
use crate::graphql::node;

/// What coworker to publish.
#[derive(InputObject, Clone, Debug)]
pub struct CoworkerPublishInput {
    /// The coworker's global id.
    pub id: ID,
    /// Whether to publish in spite of findings that are errors. It always makes a version then, which keeps who did it, why, and the findings.
    #[graphql(default)]
    pub force: bool,
    /// Why it is forced, at most 1,000 characters; required with `force`.
    pub reason: Option<String>,
    /// The same key with the same input publishes once, for 24 hours; with other input it is refused.
    pub idempotency_key: Option<String>,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What became of `coworkerPublish`.
#[derive(SimpleObject)]
pub struct CoworkerPublishPayload {
    /// The coworker as it is now, its new version included; null if the publication was refused.
    pub coworker: Option<Coworker>,
    /// What the lint found; errors among them are why it was refused, unless it was forced. Empty where nothing was to be published.
    pub findings: Vec<Finding>,
    /// Why it was refused; empty if it was not. A finding has its place as the field and its rule as the code.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// What version to bring back.
#[derive(InputObject, Clone, Debug)]
pub struct CoworkerRollbackInput {
    /// The coworker's global id.
    pub id: ID,
    /// The number of the version to bring back.
    pub version: i32,
    /// Whether to publish in spite of findings that are errors. The new version keeps who did it, why, and the findings.
    #[graphql(default)]
    pub force: bool,
    /// Why it is forced, at most 1,000 characters; required with `force`.
    pub reason: Option<String>,
    /// The same key with the same input brings it back once, for 24 hours; with other input it is refused.
    pub idempotency_key: Option<String>,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What became of `coworkerRollback`.
#[derive(SimpleObject)]
pub struct CoworkerRollbackPayload {
    /// The coworker as it is now, its new version included; null if it was refused.
    pub coworker: Option<Coworker>,
    /// What the lint found; errors among them are why it was refused, unless it was forced.
    pub findings: Vec<Finding>,
    /// Why it was refused; empty if it was not. A finding has its place as the field and its rule as the code.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// What coworker to take out of work.
#[derive(InputObject, Clone, Debug)]
pub struct CoworkerUnpublishInput {
    /// The coworker's global id.
    pub id: ID,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What became of `coworkerUnpublish`.
#[derive(SimpleObject)]
pub struct CoworkerUnpublishPayload {
    /// The coworker as it is now; null if it was refused.
    pub coworker: Option<Coworker>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// Publishing coworkers.
#[derive(Default)]
pub struct PublishMutation;

#[Object]
impl PublishMutation {
    /// Publishes a coworker's draft as its next version, which pins the newest version of each of its skills. New runs pin that version; runs
    /// under way keep theirs. Refused, with one user error for each place, where the lint finds errors; `force` overrides that.
    async fn coworker_publish(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to publish.")] input: CoworkerPublishInput,
    ) -> Result<CoworkerPublishPayload> {
        let CoworkerPublishInput {
            id,
            force,
            reason,
            idempotency_key,
            client_mutation_id,
        } = input;
        let answer = async {
            let command = PublishCoworker {
                actor: ctx.actor().clone(),
                coworker: node::parse(&id)?,
                force: Force { force, reason },
                idempotency_key,
                providers: ctx.shared().providers.clone(),
            };
            ctx.store().write(command).await
        };
        let (coworker, findings, user_errors) = told(answer.await)?;
        Ok(CoworkerPublishPayload {
            coworker,
            findings,
            user_errors,
            client_mutation_id,
        })
    }

    /// Brings an earlier version back: publishes its configuration, with its skills as they were, as a new version. The history stays as it
    /// was. A coworker that is not published is back at work then, as after `coworkerPublish`; bringing back the version in force does that
    /// too, and is refused where the coworker is published with it already. A draft that has no changes of its own follows; one that was edited
    /// since stays.
    async fn coworker_rollback(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to bring back.")] input: CoworkerRollbackInput,
    ) -> Result<CoworkerRollbackPayload> {
        let CoworkerRollbackInput {
            id,
            version,
            force,
            reason,
            idempotency_key,
            client_mutation_id,
        } = input;
        let answer = async {
            let command = RollbackCoworker {
                actor: ctx.actor().clone(),
                coworker: node::parse(&id)?,
                version,
                force: Force { force, reason },
                idempotency_key,
                providers: ctx.shared().providers.clone(),
            };
            ctx.store().write(command).await
        };
        let (coworker, findings, user_errors) = told(answer.await)?;
        Ok(CoworkerRollbackPayload {
            coworker,
            findings,
            user_errors,
            client_mutation_id,
        })
    }

    /// Takes a coworker out of work. Its runs under way finish; its waiting dispatches are dropped and publishing again does not revive them. Where
    /// many wait, the last of them may be dropped a moment after the answer; none of them starts.
    async fn coworker_unpublish(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to take out of work.")] input: CoworkerUnpublishInput,
    ) -> Result<CoworkerUnpublishPayload> {
        let CoworkerUnpublishInput {
            id,
            client_mutation_id,
        } = input;
        let answer = async {
            let unpublish = UnpublishCoworker {
                actor: ctx.actor().clone(),
                coworker: node::parse(&id)?,
            };
            let Behind { tasks, closing } = &ctx.shared().behind;
            unpublish.submit(ctx.store(), tasks, closing).await
        };
        let (row, user_errors) = settle(answer.await)?;
        Ok(CoworkerUnpublishPayload {
            coworker: row.map(Coworker),
            user_errors,
            client_mutation_id,
        })
    }
}

/// What the payload of a publication holds.
fn told(
    answer: domain::Result<Published>,
) -> Result<(Option<Coworker>, Vec<Finding>, Vec<UserError>)> {
    let (published, user_errors) = settle(answer)?;
    Ok(match published {
        Some(Published::Done(row, findings)) => {
            (Some(Coworker(*row)), finding::all(findings), user_errors)
        }
        Some(Published::Refused(findings)) => {
            let findings = finding::all(findings);
            let refusals = finding::refusals(&findings);
            (None, findings, refusals)
        }
        None => (None, Vec::new(), user_errors),
    })
}
