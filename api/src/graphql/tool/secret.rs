//! The secrets that tool servers are reached with.

use async_graphql::{Context, InputObject, Object, SimpleObject};
use domain::secret::kept::{DeleteSecret, SealedValue, SetSecret};
use entity::secret;

use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{Result, UserError, settle};
use crate::graphql::scalar::DateTime;

/// A secret that tool servers are reached with.
pub struct Secret(pub secret::Model);

/// A secret that tool servers are reached with. Its value is kept encrypted, is put into calls when they are sent, and is never shown again: where it
/// comes back in a tool's answer, `‹secret:NAME›` stands in its place.
#[Object]
impl Secret {
    /// Its name: declarations refer to it as `{{secret:NAME}}`.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it was last given a value.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}

/// What secret to set.
#[derive(InputObject, Clone)]
pub struct SecretSetInput {
    /// Its name: 1 to 64 letters, digits, `_` and `-`.
    pub name: String,
    /// Its value, 8 bytes to 8 KiB in one line. It takes the place of the one before, from the next call on.
    pub value: String,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What became of `secretSet`.
#[derive(SimpleObject)]
pub struct SecretSetPayload {
    /// The secret; null if it was refused.
    pub secret: Option<Secret>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// What secret to delete.
#[derive(InputObject, Clone, Debug)]
pub struct SecretDeleteInput {
    /// Its name.
    pub name: String,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What became of `secretDelete`.
#[derive(SimpleObject)]
pub struct SecretDeletePayload {
    /// The name of the secret that is gone; null if it was refused.
    pub deleted_name: Option<String>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// Changing secrets.
#[derive(Default)]
pub struct SecretMutation;

#[Object]
impl SecretMutation {
    /// Sets a secret that tool servers are reached with: makes it, or gives it another value.
    async fn secret_set(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to set.")] input: SecretSetInput,
    ) -> Result<SecretSetPayload> {
        let SecretSetInput {
            name,
            value,
            client_mutation_id,
        } = input;
        let answer = async {
            let actor = ctx.actor().clone();
            let value = SealedValue::seal(&ctx.shared().vault, &actor, &name, &value)?;
            ctx.store().write(SetSecret { actor, value }).await
        };
        let (row, user_errors) = settle(answer.await)?;
        Ok(SecretSetPayload {
            secret: row.map(Secret),
            user_errors,
            client_mutation_id,
        })
    }

    /// Deletes a secret that no tool server refers to any more.
    async fn secret_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to delete.")] input: SecretDeleteInput,
    ) -> Result<SecretDeletePayload> {
        let SecretDeleteInput {
            name,
            client_mutation_id,
        } = input;
        let actor = ctx.actor().clone();
        let answer = ctx.store().write(DeleteSecret { actor, name }).await;
        let (row, user_errors) = settle(answer)?;
        Ok(SecretDeletePayload {
            deleted_name: row.map(|row| row.name),
            user_errors,
            client_mutation_id,
        })
    }
}
