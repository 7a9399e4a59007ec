//! Changing skills.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use domain::skill::{CreateSkill, UpdateSkill};

use super::Skill;
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{Result, UserError, settle};
use crate::graphql::node;

/// What skill to make.
#[derive(InputObject, Clone, Debug)]
pub struct SkillCreateInput {
    /// Its short name: 2 to 40 of a–z, 0–9 and -, unique in the workspace.
    pub handle: String,
    /// Its name, at most 100 characters.
    pub name: String,
    /// The text that models read, Markdown, at most 64 KiB.
    pub text: String,
    /// The same key with the same input returns the skill already made, for 24 hours; with other input it is refused.
    pub idempotency_key: Option<String>,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What became of `skillCreate`.
#[derive(SimpleObject)]
pub struct SkillCreatePayload {
    /// The skill; null if it was refused.
    pub skill: Option<Skill>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// What to change in a skill. What is left out stays as it is.
#[derive(InputObject, Clone, Debug)]
pub struct SkillUpdateInput {
    /// The skill's global id.
    pub id: ID,
    /// A new name, at most 100 characters.
    pub name: Option<String>,
    /// A new text in the place of the old one, Markdown, at most 64 KiB.
    pub text: Option<String>,
    /// The same key with the same input makes one version, for 24 hours; with other input it is refused.
    pub idempotency_key: Option<String>,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What became of `skillUpdate`.
#[derive(SimpleObject)]
pub struct SkillUpdatePayload {
    /// The skill as it is now; null if the change was refused.
    pub skill: Option<Skill>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// Changing skills.
#[derive(Default)]
pub struct SkillMutation;

#[Object]
impl SkillMutation {
    /// Makes a skill of the library, with its first version.
    async fn skill_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to make.")] input: SkillCreateInput,
    ) -> Result<SkillCreatePayload> {
        let SkillCreateInput {
            handle,
            name,
            text,
            idempotency_key,
            client_mutation_id,
        } = input;
        let command = CreateSkill {
            actor: ctx.actor().clone(),
            handle,
            name,
            text,
            idempotency_key,
        };
        let (row, user_errors) = settle(ctx.store().write(command).await)?;
        Ok(SkillCreatePayload {
            skill: row.map(Skill),
            user_errors,
            client_mutation_id,
        })
    }

    /// Changes a skill: makes its next version, unless it says the same already. Coworkers read it once they are published again.
    async fn skill_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to change.")] input: SkillUpdateInput,
    ) -> Result<SkillUpdatePayload> {
        let SkillUpdateInput {
            id,
            name,
            text,
            idempotency_key,
            client_mutation_id,
        } = input;
        let answer = async {
            let command = UpdateSkill {
                actor: ctx.actor().clone(),
                skill: node::parse(&id)?,
                name,
                text,
                idempotency_key,
            };
            ctx.store().write(command).await
        };
        let (row, user_errors) = settle(answer.await)?;
        Ok(SkillUpdatePayload {
            skill: row.map(Skill),
            user_errors,
            client_mutation_id,
        })
    }
}
