//! Changing coworkers.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use domain::coworker::config::Config;
use domain::coworker::write::Change;
use domain::coworker::{CreateCoworker, UpdateCoworker};

use super::Coworker;
use super::input::{
    CoworkerGoalInput, CoworkerIdentityInput, CoworkerLimitsInput, CoworkerModelInput,
};
use super::tools::CoworkerToolServerInput;
use crate::graphql::budget::BudgetInput;
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{Result, UserError, settle};
use crate::graphql::node;

/// What coworker to make.
#[derive(InputObject, Clone, Debug)]
pub struct CoworkerCreateInput {
    /// Its name, at most 100 characters.
    pub name: String,
    /// Its short name: 2 to 40 of a–z, 0–9 and -, unique in the workspace.
    pub handle: String,
    /// Whether it is the workspace's Triage coworker.
    #[graphql(default)]
    pub is_triage: bool,
    /// Who it is.
    pub identity: CoworkerIdentityInput,
    /// How it speaks and behaves.
    #[graphql(default)]
    pub soul: String,
    /// What it works towards.
    pub goal: CoworkerGoalInput,
    /// The handles of its skills, at most 20, in the order in which its model shall read them.
    #[graphql(default)]
    pub skills: Vec<String>,
    /// Which tools it may use. An action that is not named is enabled.
    #[graphql(default)]
    pub tools: Vec<CoworkerToolServerInput>,
    /// The model that thinks for it.
    pub model: CoworkerModelInput,
    /// Where a run must come to an end; the defaults without it.
    pub limits: Option<CoworkerLimitsInput>,
    /// What all its runs together may cost; no limit without it.
    pub budget: Option<BudgetInput>,
    /// The same key with the same input returns the coworker already made, for 24 hours; with other input it is refused.
    pub idempotency_key: Option<String>,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What became of `coworkerCreate`.
#[derive(SimpleObject)]
pub struct CoworkerCreatePayload {
    /// The coworker; null if it was refused.
    pub coworker: Option<Coworker>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// What to change in a coworker's draft. What is left out stays as it is; what is given replaces its part as a whole.
#[derive(InputObject, Clone, Debug)]
pub struct CoworkerUpdateInput {
    /// The coworker's global id.
    pub id: ID,
    /// A new name, at most 100 characters. In force at once.
    pub name: Option<String>,
    /// Whether it is the workspace's Triage coworker. In force at once.
    pub is_triage: Option<bool>,
    /// Who it is.
    pub identity: Option<CoworkerIdentityInput>,
    /// How it speaks and behaves.
    pub soul: Option<String>,
    /// What it works towards.
    pub goal: Option<CoworkerGoalInput>,
    /// The handles of its skills, at most 20, in the order in which its model shall read them.
    pub skills: Option<Vec<String>>,
    /// Which tools it may use. An action that is not named is enabled.
    pub tools: Option<Vec<CoworkerToolServerInput>>,
    /// The model that thinks for it.
    pub model: Option<CoworkerModelInput>,
    /// Where a run must come to an end.
    pub limits: Option<CoworkerLimitsInput>,
    /// What all its runs together may cost. In force once it is published.
    pub budget: Option<BudgetInput>,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What became of `coworkerUpdate`.
#[derive(SimpleObject)]
pub struct CoworkerUpdatePayload {
    /// The coworker as it is now; null if the change was refused.
    pub coworker: Option<Coworker>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// Changing coworkers.
#[derive(Default)]
pub struct CoworkerMutation;

#[Object]
impl CoworkerMutation {
    /// Makes a coworker as a draft. It takes no work before it is published.
    async fn coworker_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to make.")] input: CoworkerCreateInput,
    ) -> Result<CoworkerCreatePayload> {
        let CoworkerCreateInput {
            name,
            handle,
            is_triage,
            identity,
            soul,
            goal,
            skills,
            tools,
            model,
            limits,
            budget,
            idempotency_key,
            client_mutation_id,
        } = input;
        let config = Config {
            identity: identity.into(),
            soul,
            goal: goal.into(),
            skills,
            tools: tools.into_iter().map(Into::into).collect(),
            model: model.into(),
            limits: limits.map(Into::into).unwrap_or_default(),
            budget: budget.map(Into::into).unwrap_or_default(),
        };
        let actor = ctx.actor().clone();
        let command = CreateCoworker {
            actor,
            handle,
            name,
            is_triage,
            config,
            idempotency_key,
        };
        let (row, user_errors) = settle(ctx.store().write(command).await)?;
        Ok(CoworkerCreatePayload {
            coworker: row.map(Coworker),
            user_errors,
            client_mutation_id,
        })
    }

    /// Changes a coworker's draft; what is left out stays as it is. Runs use the change only after `coworkerPublish`.
    async fn coworker_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to change.")] input: CoworkerUpdateInput,
    ) -> Result<CoworkerUpdatePayload> {
        let CoworkerUpdateInput {
            id,
            name,
            is_triage,
            identity,
            soul,
            goal,
            skills,
            tools,
            model,
            limits,
            budget,
            client_mutation_id,
        } = input;
        let answer = async {
            let change = Change {
                identity: identity.map(Into::into),
                soul,
                goal: goal.map(Into::into),
                skills,
                tools: tools.map(|tools| tools.into_iter().map(Into::into).collect()),
                model: model.map(Into::into),
                limits: limits.map(Into::into),
                budget: budget.map(Into::into),
            };
            let (actor, coworker) = (ctx.actor().clone(), node::parse(&id)?);
            ctx.store()
                .write(UpdateCoworker {
                    actor,
                    coworker,
                    name,
                    is_triage,
                    change,
                })
                .await
        };
        let (row, user_errors) = settle(answer.await)?;
        Ok(CoworkerUpdatePayload {
            coworker: row.map(Coworker),
            user_errors,
            client_mutation_id,
        })
    }
}
