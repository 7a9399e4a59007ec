//! Making and changing the endpoints that are told of what happens, and rotating their secrets.

use entity::{AlertDisabled, AlertEndpointId, AlertSecretId, Millis, alert_endpoint, alert_secret};
use sea_orm::sea_query::LockType;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QuerySelect,
};

use super::secret::{NewSecret, in_force};
use super::wishes::Wishes;
use crate::access::{Action, Actor};
use crate::bus::Signal;
use crate::clock::fresh_id;
use crate::error::{Error, Result};
use crate::idempotency::once;
use crate::rotation;
use crate::store::{Command, Needs, Tx, insert_all};

/// The most endpoints of a workspace.
const ENDPOINTS: u64 = 50;
/// From which share of a budget on an endpoint is told, where it does not say, percent.
const BUDGET_PERCENT: i32 = 80;
/// From which rise of the cost per run on an endpoint is told, where it does not say, percent.
const CLIMB_PERCENT: i32 = 25;

/// Makes an endpoint.
#[derive(Clone, Debug)]
pub struct CreateAlertEndpoint {
    /// Who asks.
    pub actor: Actor,
    /// Its id: its first secret is sealed for it.
    pub id: AlertEndpointId,
    /// What it is to be; name, address and kinds must be there.
    pub wishes: Wishes,
    /// Its first secret.
    pub secret: NewSecret,
    /// The caller's key.
    pub idempotency_key: Option<String>,
}

impl CreateAlertEndpoint {
    /// A fresh id.
    pub fn fresh_id() -> AlertEndpointId {
        AlertEndpointId(fresh_id())
    }
}

impl Command for CreateAlertEndpoint {
    /// The endpoint, and whether this call made it.
    type Output = (alert_endpoint::Model, bool);

    async fn run(&self, tx: &Tx) -> Result<Self::Output> {
        let Self {
            actor,
            id,
            wishes,
            secret,
            idempotency_key,
        } = self;
        actor.authorize(Action::AlertManage)?;
        let input = (wishes, secret.given());
        let key = idempotency_key.as_deref();
        let once = once(tx, actor, "alertEndpointCreate", key, &input).await?;
        if let Some(made) = once.made() {
            let made = super::query::get(tx.conn(), actor, AlertEndpointId(made)).await?;
            return Ok((made, false));
        }
        if super::query::visible(actor).count(tx.conn()).await? >= ENDPOINTS {
            let message = format!(
                "the workspace has {ENDPOINTS} alert endpoints, as many as it may; change one that is not used any more"
            );
            return Err(Error::conflict("TOO_MANY", message));
        }
        let now = tx.at();
        let mut row = alert_endpoint::Model {
            id: *id,
            workspace_id: actor.workspace,
            name: String::new(),
            url: String::new(),
            kinds: "[]".into(),
            coworkers: "[]".into(),
            labels: "[]".into(),
            budget_percent: BUDGET_PERCENT,
            climb_percent: CLIMB_PERCENT,
            enabled: true,
            disabled: None,
            disabled_at: None,
            failing_since: None,
            rests_until: None,
            created_at: now,
            updated_at: now,
        };
        wishes.apply(tx, actor, &mut row).await?;
        insert_all(tx.writing().await?, vec![row.clone()], None).await?;
        add(tx, &row, secret, now).await?;
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

async fn add(
    tx: &Tx,
    endpoint: &alert_endpoint::Model,
    secret: &NewSecret,
    now: Millis,
) -> Result<()> {
    let row = alert_secret::Model {
        id: AlertSecretId(fresh_id()),
        workspace_id: endpoint.workspace_id,
        endpoint_id: endpoint.id,
        sealed: secret.sealed().to_vec(),
        created_at: now,
        ends_at: None,
    };
    insert_all(tx.writing().await?, vec![row], None).await
}

/// Changes an endpoint.
#[derive(Clone, Debug)]
pub struct UpdateAlertEndpoint {
    /// Who asks.
    pub actor: Actor,
    /// The endpoint.
    pub endpoint: AlertEndpointId,
    /// What it is to be.
    pub wishes: Wishes,
    /// Whether it is told of anything; none: as it is.
    pub enabled: Option<bool>,
}

impl Command for UpdateAlertEndpoint {
    type Output = alert_endpoint::Model;

    async fn run(&self, tx: &Tx) -> Result<alert_endpoint::Model> {
        let Self {
            actor,
            endpoint,
            wishes,
            enabled,
        } = self;
        actor.authorize(Action::AlertManage)?;
        let mut row = lock(tx, actor, *endpoint).await?;
        let url = row.url.clone();
        wishes.apply(tx, actor, &mut row).await?;
        if row.url != url {
            // What another address said is no word about this one.
            row.failing_since = None;
            row.rests_until = None;
        }
        let now = tx.at().max(row.updated_at);
        match enabled {
            // Whatever it failed with is forgotten: it is given another chance.
            Some(true) => {
                row.enabled = true;
                row.disabled = None;
                row.disabled_at = None;
                row.failing_since = None;
                row.rests_until = None;
            }
            Some(false) if row.enabled => {
                row.enabled = false;
                row.disabled = Some(AlertDisabled::ByHand);
                row.disabled_at = Some(now);
            }
            Some(false) | None => {}
        }
        row.updated_at = now;
        save(tx, row).await
    }

    fn repeatable(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}

/// Gives an endpoint its next secret; those before it go on signing for a while.
#[derive(Clone, Debug)]
pub struct RotateAlertSecret {
    /// Who asks.
    pub actor: Actor,
    /// The endpoint.
    pub endpoint: AlertEndpointId,
    /// The secret.
    pub secret: NewSecret,
    /// For how long the ones before it go on signing, milliseconds: 0 to [`rotation::OVERLAP`].
    pub overlap: i64,
    /// The caller's key.
    pub idempotency_key: Option<String>,
}

impl Command for RotateAlertSecret {
    /// The endpoint, and whether this call rotated its secret.
    type Output = (alert_endpoint::Model, bool);

    async fn run(&self, tx: &Tx) -> Result<Self::Output> {
        let Self {
            actor,
            endpoint,
            secret,
            overlap,
            idempotency_key,
        } = self;
        actor.authorize(Action::AlertManage)?;
        rotation::check_overlap(*overlap)?;
        let input = (endpoint, secret.given(), overlap);
        let key = idempotency_key.as_deref();
        let once = once(tx, actor, "alertEndpointSecretRotate", key, &input).await?;
        let mut row = lock(tx, actor, *endpoint).await?;
        if once.made().is_some() {
            return Ok((row, false));
        }
        let now = tx.at();
        let old = in_force(tx.conn(), &row, now).await?.len();
        rotation::end(tx, "alert_secret", row.id.0, (now, *overlap), old).await?;
        add(tx, &row, secret, now).await?;
        once.remember(tx, row.id.0).await?;
        row.updated_at = now.max(row.updated_at);
        Ok((save(tx, row).await?, true))
    }

    fn repeatable(&self) -> bool {
        self.idempotency_key.is_some()
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}

async fn lock(tx: &Tx, actor: &Actor, id: AlertEndpointId) -> Result<alert_endpoint::Model> {
    let found = super::query::visible(actor)
        .filter(alert_endpoint::Column::Id.eq(id))
        .lock(LockType::NoKeyUpdate)
        .one(tx.conn())
        .await?;
    found.ok_or(Error::NotFound {
        what: "AlertEndpoint",
    })
}

async fn save(tx: &Tx, row: alert_endpoint::Model) -> Result<alert_endpoint::Model> {
    // What waits for an endpoint that was disabled is looked for at once.
    tx.signal(Signal::Alerts);
    let change = row.clone().into_active_model().reset_all();
    change.update(tx.writing().await?).await?;
    Ok(row)
}
