//! Changing webhook endpoints.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use domain::hook::{CreateEndpoint, NewSecret, RotateSecret, UpdateEndpoint};
use domain::secret::Secret;

use super::{WebhookEndpoint, WebhookMapping};
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{Result, UserError, settle};
use crate::graphql::kind::WebhookKind;
use crate::graphql::node;
use crate::graphql::scalar::Duration;

/// What webhook endpoint to make.
#[derive(InputObject, Clone)]
pub struct WebhookEndpointCreateInput {
    /// What the system is called, at most 100 characters: the requester of its requests has this name.
    pub name: String,
    /// What form the deliveries have.
    pub kind: WebhookKind,
    /// How the payloads are read: required for STANDARD and GENERIC, refused for PAGERDUTY, whose form is known.
    pub mapping: Option<WebhookMapping>,
    /// The secret that the sender signs with: `whsec_…` for STANDARD, else 16 to 200 letters, digits and signs. Without it Stint makes one, except for PAGERDUTY.
    pub secret: Option<String>,
    /// The same key with the same input returns the endpoint already made, without its secret, for 24 hours; with other input it is refused.
    pub idempotency_key: Option<String>,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What became of `webhookEndpointCreate`.
#[derive(SimpleObject)]
pub struct WebhookEndpointCreatePayload {
    /// The webhook endpoint; null if it was refused.
    pub webhook_endpoint: Option<WebhookEndpoint>,
    /// The secret that Stint made, for the sender to sign with. It is shown this once; null if one was given, or the endpoint was made by an earlier call.
    pub secret: Option<String>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// What to change in a webhook endpoint. What is left out stays as it is.
#[derive(InputObject, Clone, Debug)]
pub struct WebhookEndpointUpdateInput {
    /// The webhook endpoint's global id.
    pub id: ID,
    /// A new name, at most 100 characters.
    pub name: Option<String>,
    /// A new mapping in the place of the old one.
    pub mapping: Option<WebhookMapping>,
    /// Whether it takes deliveries. A disabled one answers 410 Gone, upon which some senders stop for good.
    pub enabled: Option<bool>,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What became of `webhookEndpointUpdate`.
#[derive(SimpleObject)]
pub struct WebhookEndpointUpdatePayload {
    /// The webhook endpoint as it is now; null if the change was refused.
    pub webhook_endpoint: Option<WebhookEndpoint>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// Which webhook endpoint gets a new secret.
#[derive(InputObject, Clone)]
pub struct WebhookEndpointSecretRotateInput {
    /// The webhook endpoint's global id.
    pub id: ID,
    /// The secret that the sender signs with from now on; required for PAGERDUTY. Without it Stint makes one.
    pub secret: Option<String>,
    /// For how long the secrets before it are accepted: PT0S to P7D.
    #[graphql(default_with = "Duration(86_400_000)")]
    pub overlap: Duration,
    /// The same key with the same input rotates once, for 24 hours; with other input it is refused.
    pub idempotency_key: Option<String>,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What became of `webhookEndpointSecretRotate`.
#[derive(SimpleObject)]
pub struct WebhookEndpointSecretRotatePayload {
    /// The webhook endpoint as it is now; null if it was refused.
    pub webhook_endpoint: Option<WebhookEndpoint>,
    /// The secret that Stint made. It is shown this once; null if one was given, or an earlier call rotated it.
    pub secret: Option<String>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// Changing webhook endpoints.
#[derive(Default)]
pub struct HookMutation;

#[Object]
impl HookMutation {
    /// Makes a webhook endpoint: an address that an outside system sends its events to, as `POST` to the endpoint's `path`. Where no secret is
    /// given, Stint makes one, and the answer holds it, the only time that it is ever shown; PagerDuty makes its own, which
    /// `webhookEndpointSecretRotate` takes once it is known.
    async fn webhook_endpoint_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to make.")] input: WebhookEndpointCreateInput,
    ) -> Result<WebhookEndpointCreatePayload> {
        let WebhookEndpointCreateInput {
            name,
            kind,
            mapping,
            secret,
            idempotency_key,
            client_mutation_id,
        } = input;
        let answer = async {
            let (actor, id, kind) = (ctx.actor().clone(), CreateEndpoint::fresh_id(), kind.into());
            let vault = &ctx.shared().vault;
            let (secret, text) = NewSecret::seal(vault, &actor, id, kind, secret.as_deref())?;
            let create = CreateEndpoint {
                actor,
                id,
                address: CreateEndpoint::fresh_address(),
                name,
                kind,
                mapping: mapping.map(Into::into),
                secret,
                idempotency_key,
            };
            let (row, first) = ctx.store().write(create).await?;
            Ok((row, text.filter(|_| first)))
        };
        let (made, user_errors) = settle(answer.await)?;
        let (row, text) = made.unzip();
        Ok(WebhookEndpointCreatePayload {
            webhook_endpoint: row.map(WebhookEndpoint),
            secret: text.flatten().map(reveal),
            user_errors,
            client_mutation_id,
        })
    }

    /// Changes a webhook endpoint, disables or enables it; what is left out stays as it is. Endpoints are never deleted, because requests name them as their requester.
    async fn webhook_endpoint_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to change.")] input: WebhookEndpointUpdateInput,
    ) -> Result<WebhookEndpointUpdatePayload> {
        let WebhookEndpointUpdateInput {
            id,
            name,
            mapping,
            enabled,
            client_mutation_id,
        } = input;
        let answer = async {
            let update = UpdateEndpoint {
                actor: ctx.actor().clone(),
                endpoint: node::parse(&id)?,
                name,
                mapping: mapping.map(Into::into),
                enabled,
            };
            ctx.store().write(update).await
        };
        let (row, user_errors) = settle(answer.await)?;
        Ok(WebhookEndpointUpdatePayload {
            webhook_endpoint: row.map(WebhookEndpoint),
            user_errors,
            client_mutation_id,
        })
    }

    /// Gives a webhook endpoint its next secret. Deliveries signed with the ones before it are accepted until the overlap is over.
    async fn webhook_endpoint_secret_rotate(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Of which endpoint, and how.")] input: WebhookEndpointSecretRotateInput,
    ) -> Result<WebhookEndpointSecretRotatePayload> {
        let WebhookEndpointSecretRotateInput {
            id,
            secret,
            overlap,
            idempotency_key,
            client_mutation_id,
        } = input;
        let answer = async {
            let (actor, endpoint) = (ctx.actor().clone(), node::parse(&id)?);
            let (store, vault) = (ctx.store(), &ctx.shared().vault);
            let (secret, text) =
                NewSecret::next(store, vault, &actor, endpoint, secret.as_deref()).await?;
            let rotate = RotateSecret {
                actor,
                endpoint,
                secret,
                overlap: overlap.0,
                idempotency_key,
            };
            let (row, first) = store.write(rotate).await?;
            Ok((row, text.filter(|_| first)))
        };
        let (rotated, user_errors) = settle(answer.await)?;
        let (row, text) = rotated.unzip();
        Ok(WebhookEndpointSecretRotatePayload {
            webhook_endpoint: row.map(WebhookEndpoint),
            secret: text.flatten().map(reveal),
            user_errors,
            client_mutation_id,
        })
    }
}

/// The one time that a secret is shown.
fn reveal(secret: Secret) -> String {
    String::from_utf8_lossy(secret.reveal()).into_owned()
}
