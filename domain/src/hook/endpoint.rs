//! Making and changing webhook endpoints, and rotating their secrets.

use entity::{
    Millis, WebhookEndpointId, WebhookKind, WebhookSecretId, webhook_endpoint, webhook_secret,
};
use sea_orm::sea_query::LockType;
use sea_orm::{ActiveValue, ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::Mapping;
use super::secret::{NewSecret, in_force};
use crate::access::{Action, Actor};
use crate::clock::{fresh_id, random_id};
use crate::error::{Error, Result};
use crate::idempotency::once;
use crate::rotation;
use crate::store::{Command, Needs, Tx, insert_all};
use crate::text::check_text;

/// What an address begins with.
pub(super) const ADDRESS: &str = "in_";
/// The most endpoints of a workspace.
const ENDPOINTS: u64 = 1_000;

/// Makes an endpoint.
#[derive(Clone, Debug)]
pub struct CreateEndpoint {
    /// Who asks.
    pub actor: Actor,
    /// Its id: its first secret is sealed for it.
    pub id: WebhookEndpointId,
    /// Its address, from [`CreateEndpoint::fresh_address`].
    pub address: String,
    /// What the system is called, 1 to 100 characters.
    pub name: String,
    /// What form the deliveries have.
    pub kind: WebhookKind,
    /// How they are read; none for PagerDuty.
    pub mapping: Option<Mapping>,
    /// Its first secret; a PagerDuty endpoint may get it later.
    pub secret: Option<NewSecret>,
    /// The caller's key.
    pub idempotency_key: Option<String>,
}

impl CreateEndpoint {
    /// A fresh id, which is no secret: it is the requester's on every request of the endpoint.
    pub fn fresh_id() -> WebhookEndpointId {
        WebhookEndpointId(fresh_id())
    }

    /// An address that can't be guessed, nor told from the id.
    pub fn fresh_address() -> String {
        format!("{ADDRESS}{}", random_id().simple())
    }
}

impl Command for CreateEndpoint {
    /// The endpoint, and whether this call made it.
    type Output = (webhook_endpoint::Model, bool);

    async fn run(&self, tx: &Tx) -> Result<Self::Output> {
        let Self {
            actor,
            id,
            address,
            name,
            kind,
            mapping,
            secret,
            idempotency_key,
        } = self;
        actor.authorize(Action::HookManage)?;
        check_text("name", name, 100)?;
        check_mapping(*kind, mapping.as_ref())?;
        let mapping = mapping.as_ref().map(Mapping::to_row).transpose()?;
        let given = secret.as_ref().and_then(|secret| secret.given.as_ref());
        let input = (name, kind, &mapping, given);
        let once = once(
            tx,
            actor,
            "webhookEndpointCreate",
            idempotency_key.as_deref(),
            &input,
        )
        .await?;
        if let Some(made) = once.made() {
            let made = super::query::get(tx.conn(), actor, WebhookEndpointId(made)).await?;
            return Ok((made, false));
        }
        if super::query::count(tx.conn(), actor).await? >= ENDPOINTS {
            let message = format!(
                "the workspace has {ENDPOINTS} webhook endpoints, as many as it may; change one that is not used any more"
            );
            return Err(Error::conflict("TOO_MANY", message));
        }
        let now = tx.at();
        let row = webhook_endpoint::Model {
            id: *id,
            address: address.clone(),
            workspace_id: actor.workspace,
            name: name.trim().to_owned(),
            kind: *kind,
            mapping,
            enabled: true,
            created_at: now,
            updated_at: now,
        };
        insert_all(tx.writing().await?, vec![row.clone()], None).await?;
        if let Some(secret) = secret {
            add(tx, &row, secret, now).await?;
        }
        once.remember(tx, row.id.0).await?;
        Ok((row, true))
    }

    fn repeatable(&self) -> bool {
        self.idempotency_key.is_some()
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}

fn check_mapping(kind: WebhookKind, mapping: Option<&Mapping>) -> Result<()> {
    match (kind, mapping) {
        (WebhookKind::Pagerduty, None) => Ok(()),
        (WebhookKind::Pagerduty, Some(_)) => Err(Error::invalid(
            "mapping",
            "INVALID",
            "PagerDuty's form is known; leave the mapping out",
        )),
        (WebhookKind::Standard | WebhookKind::Generic, Some(mapping)) => mapping.check(kind),
        (WebhookKind::Standard | WebhookKind::Generic, None) => Err(Error::invalid(
            "mapping",
            "REQUIRED",
            "say with a mapping where the parts of a request are in the payload; its title at least",
        )),
    }
}

async fn add(
    tx: &Tx,
    endpoint: &webhook_endpoint::Model,
    secret: &NewSecret,
    now: Millis,
) -> Result<webhook_secret::Model> {
    let row = webhook_secret::Model {
        id: WebhookSecretId(fresh_id()),
        workspace_id: endpoint.workspace_id,
        endpoint_id: endpoint.id,
        sealed: secret.sealed.clone(),
        created_at: now,
        ends_at: None,
    };
    insert_all(tx.writing().await?, vec![row.clone()], None).await?;
    Ok(row)
}

/// Changes an endpoint; what is `None` stays.
#[derive(Clone, Debug)]
pub struct UpdateEndpoint {
    /// Who asks.
    pub actor: Actor,
    /// The endpoint.
    pub endpoint: WebhookEndpointId,
    /// What the system is called.
    pub name: Option<String>,
    /// How deliveries are read.
    pub mapping: Option<Mapping>,
    /// Whether it takes deliveries.
    pub enabled: Option<bool>,
}

impl Command for UpdateEndpoint {
    type Output = webhook_endpoint::Model;

    async fn run(&self, tx: &Tx) -> Result<webhook_endpoint::Model> {
        self.actor.authorize(Action::HookManage)?;
        let mut row = lock(tx, &self.actor, self.endpoint).await?;
        if let Some(name) = &self.name {
            check_text("name", name, 100)?;
            name.trim().clone_into(&mut row.name);
        }
        if let Some(mapping) = &self.mapping {
            check_mapping(row.kind, Some(mapping))?;
            row.mapping = Some(mapping.to_row()?);
        }
        row.enabled = self.enabled.unwrap_or(row.enabled);
        row.updated_at = tx.at().max(row.updated_at);
        save(tx, row).await
    }

    fn repeatable(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}

/// Gives an endpoint its next secret; those before it stay in force for a while.
#[derive(Clone, Debug)]
pub struct RotateSecret {
    /// Who asks.
    pub actor: Actor,
    /// The endpoint.
    pub endpoint: WebhookEndpointId,
    /// The secret.
    pub secret: NewSecret,
    /// For how long the ones before it stay in force, milliseconds: 0 to [`rotation::OVERLAP`].
    pub overlap: i64,
    /// The caller's key.
    pub idempotency_key: Option<String>,
}

impl Command for RotateSecret {
    /// The endpoint, and whether this call rotated its secret.
    type Output = (webhook_endpoint::Model, bool);

    async fn run(&self, tx: &Tx) -> Result<Self::Output> {
        let Self {
            actor,
            endpoint,
            secret,
            overlap,
            idempotency_key,
        } = self;
        actor.authorize(Action::HookManage)?;
        rotation::check_overlap(*overlap)?;
        let input = (endpoint, &secret.given, overlap);
        let once = once(
            tx,
            actor,
            "webhookEndpointSecretRotate",
            idempotency_key.as_deref(),
            &input,
        )
        .await?;
        let row = lock(tx, actor, *endpoint).await?;
        if once.made().is_some() {
            return Ok((row, false));
        }
        let now = tx.at();
        let old = in_force(tx.conn(), &row, now).await?.len();
        rotation::end(tx, "webhook_secret", row.id.0, (now, *overlap), old).await?;
        add(tx, &row, secret, now).await?;
        once.remember(tx, row.id.0).await?;
        let row = webhook_endpoint::Model {
            updated_at: now.max(row.updated_at),
            ..row
        };
        Ok((save(tx, row).await?, true))
    }

    fn repeatable(&self) -> bool {
        self.idempotency_key.is_some()
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}

async fn lock(tx: &Tx, actor: &Actor, id: WebhookEndpointId) -> Result<webhook_endpoint::Model> {
    let found = super::query::visible(actor)
        .filter(webhook_endpoint::Column::Id.eq(id))
        .lock(LockType::NoKeyUpdate)
        .one(tx.conn())
        .await?;
    found.ok_or(Error::NotFound {
        what: "WebhookEndpoint",
    })
}

async fn save(tx: &Tx, row: webhook_endpoint::Model) -> Result<webhook_endpoint::Model> {
    let webhook_endpoint::Model {
        id,
        address: _,
        workspace_id: _,
        name,
        kind: _,
        mapping,
        enabled,
        created_at: _,
        updated_at,
    } = row.clone();
    let change = webhook_endpoint::ActiveModel {
        id: ActiveValue::Unchanged(id),
        name: ActiveValue::Set(name),
        mapping: ActiveValue::Set(mapping),
        enabled: ActiveValue::Set(enabled),
        updated_at: ActiveValue::Set(updated_at),
        ..Default::default()
    };
    webhook_endpoint::Entity::update(change)
        .exec(tx.writing().await?)
        .await?;
    Ok(row)
}
