//! Changing alert endpoints, and sending again.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use domain::alert::{
    CreateAlertEndpoint, NewSecret, ReplayDelivery, RotateAlertSecret, UpdateAlertEndpoint, Wishes,
};
use domain::secret::Secret;
use entity::CoworkerId;

use super::{AlertDelivery, AlertEndpoint};
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{Result, UserError, settle};
use crate::graphql::kind::AlertKind;
use crate::graphql::node;
use crate::graphql::scalar::Duration;

/// What alert endpoint to make.
#[derive(InputObject, Clone)]
pub struct AlertEndpointCreateInput {
    /// What it is called, at most 100 characters.
    pub name: String,
    /// Where alerts are sent to, by `POST`: an address of HTTPS, or of HTTP. Private addresses are reached only where the operator excepts them (`--allow-private-host`).
    pub url: String,
    /// Of what it is told, at least one.
    pub kinds: Vec<AlertKind>,
    /// Only of what concerns one of these coworkers, at most 50, by global id; of all without it.
    pub coworker_ids: Option<Vec<ID>>,
    /// Only of what concerns a request with at least one of these labels, at most 20; of all without it.
    pub labels: Option<Vec<String>>,
    /// From which share of a budget on it is told of BUDGET_NEARING, percent: 1 to 100, 80 without it.
    pub budget_percent: Option<i32>,
    /// From which rise of the cost per run on it is told of COST_CLIMBING, percent: 1 to 1000, 25 without it.
    pub climb_percent: Option<i32>,
    /// The secret to sign with, `whsec_` and 24 to 64 bytes in base64. Without it Stint makes one.
    pub secret: Option<String>,
    /// The same key with the same input returns the endpoint already made, without its secret, for 24 hours; with other input it is refused.
    pub idempotency_key: Option<String>,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What became of `alertEndpointCreate`.
#[derive(SimpleObject)]
pub struct AlertEndpointCreatePayload {
    /// The alert endpoint; null if it was refused.
    pub alert_endpoint: Option<AlertEndpoint>,
    /// The secret that Stint made, for the receiver to verify with. It is shown this once; null if one was given, or the endpoint was made by an earlier call.
    pub secret: Option<String>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// What to change in an alert endpoint. What is left out stays as it is.
#[derive(InputObject, Clone, Debug)]
pub struct AlertEndpointUpdateInput {
    /// The alert endpoint's global id.
    pub id: ID,
    /// A new name, at most 100 characters.
    pub name: Option<String>,
    /// A new address.
    pub url: Option<String>,
    /// Of what it is told from now on, at least one.
    pub kinds: Option<Vec<AlertKind>>,
    /// Only of what concerns one of these coworkers; an empty list: of all.
    pub coworker_ids: Option<Vec<ID>>,
    /// Only of what concerns a request with at least one of these labels; an empty list: of all.
    pub labels: Option<Vec<String>>,
    /// From which share of a budget on it is told of BUDGET_NEARING, percent: 1 to 100.
    pub budget_percent: Option<i32>,
    /// From which rise of the cost per run on it is told of COST_CLIMBING, percent: 1 to 1000.
    pub climb_percent: Option<i32>,
    /// Whether it is told of anything. Enabled, it begins anew, whatever it failed with. Disabled, what waits for it is dropped and can be replayed.
    pub enabled: Option<bool>,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What became of `alertEndpointUpdate`.
#[derive(SimpleObject)]
pub struct AlertEndpointUpdatePayload {
    /// The alert endpoint as it is now; null if the change was refused.
    pub alert_endpoint: Option<AlertEndpoint>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// Which alert endpoint gets a new secret.
#[derive(InputObject, Clone)]
pub struct AlertEndpointSecretRotateInput {
    /// The alert endpoint's global id.
    pub id: ID,
    /// The secret to sign with from now on. Without it Stint makes one.
    pub secret: Option<String>,
    /// For how long the secrets before it go on signing beside it: PT0S to P7D.
    #[graphql(default_with = "Duration(86_400_000)")]
    pub overlap: Duration,
    /// The same key with the same input rotates once, for 24 hours; with other input it is refused.
    pub idempotency_key: Option<String>,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What became of `alertEndpointSecretRotate`.
#[derive(SimpleObject)]
pub struct AlertEndpointSecretRotatePayload {
    /// The alert endpoint as it is now; null if it was refused.
    pub alert_endpoint: Option<AlertEndpoint>,
    /// The secret that Stint made. It is shown this once; null if one was given, or an earlier call rotated it.
    pub secret: Option<String>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// What to send again.
#[derive(InputObject, Clone, Debug)]
pub struct AlertDeliveryReplayInput {
    /// The delivery's global id.
    pub id: ID,
    /// The same key with the same input replays once, for 24 hours; with other input it is refused.
    pub idempotency_key: Option<String>,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What became of `alertDeliveryReplay`.
#[derive(SimpleObject)]
pub struct AlertDeliveryReplayPayload {
    /// The delivery as it is now; null if it was refused.
    pub alert_delivery: Option<AlertDelivery>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// Changing alert endpoints, and sending again.
#[derive(Default)]
pub struct AlertMutation;

#[Object]
impl AlertMutation {
    /// Makes an alert endpoint: an address of an outside system that is told of what happens here, by webhooks signed as Standard Webhooks 1.0 has it.
    /// Where no secret is given, Stint makes one, and the answer holds it, the only time that it is ever shown. The server that answers tells it of
    /// everything from now on, another server of the same installation from a second later at the most. At most 50 in a workspace.
    async fn alert_endpoint_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to make.")] input: AlertEndpointCreateInput,
    ) -> Result<AlertEndpointCreatePayload> {
        let AlertEndpointCreateInput {
            name,
            url,
            kinds,
            coworker_ids,
            labels,
            budget_percent,
            climb_percent,
            secret,
            idempotency_key,
            client_mutation_id,
        } = input;
        let answer = async {
            let (actor, id) = (ctx.actor().clone(), CreateAlertEndpoint::fresh_id());
            let vault = &ctx.shared().vault;
            let (secret, text) = NewSecret::seal(vault, &actor, id, secret.as_deref())?;
            let create = CreateAlertEndpoint {
                actor,
                id,
                wishes: Wishes {
                    name: Some(name),
                    url: Some(url),
                    kinds: Some(kinds.into_iter().map(Into::into).collect()),
                    coworkers: coworkers(coworker_ids)?,
                    labels,
                    budget_percent,
                    climb_percent,
                },
                secret,
                idempotency_key,
            };
            let (row, first) = ctx.store().write(create).await?;
            heed(ctx).await;
            Ok((row, text.filter(|_| first)))
        };
        let (made, user_errors) = settle(answer.await)?;
        let (row, text) = made.unzip();
        Ok(AlertEndpointCreatePayload {
            alert_endpoint: row.map(AlertEndpoint),
            secret: text.flatten().map(reveal),
            user_errors,
            client_mutation_id,
        })
    }

    /// Changes an alert endpoint, disables or enables it; what is left out stays as it is. What was written for it before is sent to its new address.
    async fn alert_endpoint_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to change.")] input: AlertEndpointUpdateInput,
    ) -> Result<AlertEndpointUpdatePayload> {
        let AlertEndpointUpdateInput {
            id,
            name,
            url,
            kinds,
            coworker_ids,
            labels,
            budget_percent,
            climb_percent,
            enabled,
            client_mutation_id,
        } = input;
        let answer = async {
            let update = UpdateAlertEndpoint {
                actor: ctx.actor().clone(),
                endpoint: node::parse(&id)?,
                wishes: Wishes {
                    name,
                    url,
                    kinds: kinds.map(|kinds| kinds.into_iter().map(Into::into).collect()),
                    coworkers: coworkers(coworker_ids)?,
                    labels,
                    budget_percent,
                    climb_percent,
                },
                enabled,
            };
            let row = ctx.store().write(update).await?;
            heed(ctx).await;
            Ok(row)
        };
        let (row, user_errors) = settle(answer.await)?;
        Ok(AlertEndpointUpdatePayload {
            alert_endpoint: row.map(AlertEndpoint),
            user_errors,
            client_mutation_id,
        })
    }

    /// Gives an alert endpoint its next secret. Until the overlap is over, a message has a signature by each: the receiver verifies with either.
    async fn alert_endpoint_secret_rotate(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Of which endpoint, and how.")] input: AlertEndpointSecretRotateInput,
    ) -> Result<AlertEndpointSecretRotatePayload> {
        let AlertEndpointSecretRotateInput {
            id,
            secret,
            overlap,
            idempotency_key,
            client_mutation_id,
        } = input;
        let answer = async {
            let (actor, endpoint) = (ctx.actor().clone(), node::parse(&id)?);
            let vault = &ctx.shared().vault;
            let (secret, text) = NewSecret::seal(vault, &actor, endpoint, secret.as_deref())?;
            let rotate = RotateAlertSecret {
                actor,
                endpoint,
                secret,
                overlap: overlap.0,
                idempotency_key,
            };
            let (row, first) = ctx.store().write(rotate).await?;
            Ok((row, text.filter(|_| first)))
        };
        let (rotated, user_errors) = settle(answer.await)?;
        let (row, text) = rotated.unzip();
        Ok(AlertEndpointSecretRotatePayload {
            alert_endpoint: row.map(AlertEndpoint),
            secret: text.flatten().map(reveal),
            user_errors,
            client_mutation_id,
        })
    }

    /// Sends an alert again at once, whatever became of it: under the same id, with the same body, a signature of now; its schedule of tries begins anew. Refused with DISABLED while its endpoint is.
    async fn alert_delivery_replay(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to send again.")] input: AlertDeliveryReplayInput,
    ) -> Result<AlertDeliveryReplayPayload> {
        let AlertDeliveryReplayInput {
            id,
            idempotency_key,
            client_mutation_id,
        } = input;
        let answer = async {
            let replay = ReplayDelivery {
                actor: ctx.actor().clone(),
                delivery: node::parse(&id)?,
                idempotency_key,
            };
            ctx.store().write(replay).await
        };
        let (row, user_errors) = settle(answer.await)?;
        Ok(AlertDeliveryReplayPayload {
            alert_delivery: row.map(AlertDelivery),
            user_errors,
            client_mutation_id,
        })
    }
}

fn coworkers(ids: Option<Vec<ID>>) -> domain::Result<Option<Vec<CoworkerId>>> {
    let parse = |ids: Vec<ID>| {
        let parsed = ids.iter().map(|id| node::parse_field(id, "coworkerIds"));
        parsed.collect::<domain::Result<Vec<_>>>()
    };
    ids.map(parse).transpose()
}

/// From now on, what happens here is told as the change has it. Should that fail, it is so a second later.
async fn heed(ctx: &Context<'_>) {
    let store = ctx.store();
    if let Err(err) = store.listening().look(store.read()).await {
        tracing::warn!(%err, "who is told of what could not be looked up; trying again");
    }
}

/// The one time that a secret is shown.
fn reveal(secret: Secret) -> String {
    String::from_utf8_lossy(secret.reveal()).into_owned()
}
