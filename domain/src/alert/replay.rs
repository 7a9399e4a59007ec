//! Sending again what was sent before, or given up.

use entity::{AlertDeliveryId, AlertState, alert_delivery};
use sea_orm::sea_query::LockType;
use sea_orm::{ActiveValue, ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use crate::access::{Action, Actor};
use crate::bus::Signal;
use crate::error::{Error, Result};
use crate::idempotency::once;
use crate::store::{Command, Needs, Tx};

/// Sends a delivery again, under the same id and with the same body; its schedule begins anew.
#[derive(Clone, Debug)]
pub struct ReplayDelivery {
    /// Who asks.
    pub actor: Actor,
    /// The delivery.
    pub delivery: AlertDeliveryId,
    /// The caller's key.
    pub idempotency_key: Option<String>,
}

impl Command for ReplayDelivery {
    type Output = alert_delivery::Model;

    async fn run(&self, tx: &Tx) -> Result<alert_delivery::Model> {
        let Self {
            actor,
            delivery,
            idempotency_key,
        } = self;
        actor.authorize(Action::AlertManage)?;
        let key = idempotency_key.as_deref();
        let once = once(tx, actor, "alertDeliveryReplay", key, delivery).await?;
        let found = super::query::visible_deliveries(actor)
            .filter(alert_delivery::Column::Id.eq(*delivery))
            .lock(LockType::NoKeyUpdate)
            .one(tx.conn())
            .await?;
        let row = found.ok_or(Error::NotFound {
            what: "AlertDelivery",
        })?;
        if once.made().is_some() {
            return Ok(row);
        }
        let endpoint = super::query::get(tx.conn(), actor, row.endpoint_id).await?;
        if !endpoint.enabled {
            let message = format!(
                "the endpoint {} is disabled; enable it with alertEndpointUpdate before",
                endpoint.name
            );
            return Err(Error::conflict("DISABLED", message));
        }
        let row = alert_delivery::Model {
            state: AlertState::Waiting,
            round: 0,
            due_at: tx.now().await?,
            settled_at: None,
            ..row
        };
        let change = alert_delivery::ActiveModel {
            id: ActiveValue::Unchanged(row.id),
            state: ActiveValue::Set(row.state),
            round: ActiveValue::Set(row.round),
            due_at: ActiveValue::Set(row.due_at),
            settled_at: ActiveValue::Set(row.settled_at),
            ..Default::default()
        };
        alert_delivery::Entity::update(change)
            .exec(tx.writing().await?)
            .await?;
        once.remember(tx, row.id.0).await?;
        tx.signal(Signal::Alerts);
        Ok(row)
    }

    fn repeatable(&self) -> bool {
        self.idempotency_key.is_some()
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}
