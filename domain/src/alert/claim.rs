//! Which deliveries are to be sent now, and by whom: claimed for a while, so that of several nodes one sends each.

use std::sync::Arc;

use entity::{AlertEndpointId, WorkspaceId, alert_delivery, alert_endpoint, alert_secret};
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, Value};

use super::secret::in_force;
use super::share::Busy;
use crate::error::Result;
use crate::store::{Command, Store, Tx, statement};

/// The most endpoints of one look.
const ENDPOINTS: usize = 100;
/// The most deliveries to a disabled endpoint that one claim settles.
const DROPPED: u64 = 200;

/// An endpoint that something is to be done for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromQueryResult)]
pub(super) struct Due {
    pub(super) id: AlertEndpointId,
    pub(super) workspace_id: WorkspaceId,
}

/// The endpoints that something is to be done for, without those that rest, and those that are busy or whose workspace is;
/// first those for which something has waited longest.
///
/// # Errors
/// What the database said.
pub(super) async fn due(store: &Store, busy: &Busy) -> Result<Vec<Due>> {
    let not = |column: &str, n: usize| match n {
        0 => String::new(),
        n => format!(" AND {column} NOT IN ({})", vec!["?"; n].join(", ")),
    };
    let (endpoints, workspaces) = (
        not("e.id", busy.endpoints.len()),
        not("e.workspace_id", busy.workspaces.len()),
    );
    let sql = format!(
        "SELECT e.id AS id, e.workspace_id AS workspace_id FROM alert_endpoint e WHERE EXISTS (SELECT 1 FROM alert_delivery d \
         WHERE d.endpoint_id = e.id AND d.state = 'WAITING' AND (d.due_at <= ? OR NOT e.enabled) \
         AND (d.lease_until IS NULL OR d.lease_until <= ?)) \
         AND (e.rests_until IS NULL OR e.rests_until <= ? OR NOT e.enabled){endpoints}{workspaces} \
         ORDER BY (SELECT MIN(d.due_at) FROM alert_delivery d WHERE d.endpoint_id = e.id AND d.state = 'WAITING') LIMIT {ENDPOINTS}"
    );
    let now = store.now();
    let values = [now.into(), now.into(), now.into()].into_iter();
    let values = values.chain(busy.endpoints.iter().map(|id| Value::from(*id)));
    let values = values.chain(busy.workspaces.iter().map(|id| Value::from(*id)));
    let statement = statement(store.backend(), &sql, values);
    Ok(Due::find_by_statement(statement).all(store.read()).await?)
}

/// Claims what is to be sent to some endpoints, the oldest first. What waits for one that is disabled is settled instead.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    /// The endpoints, each with the most that is wanted for it.
    pub(super) endpoints: Vec<(AlertEndpointId, usize)>,
    /// How long a claim counts, milliseconds.
    pub(super) lease_ms: i64,
}

/// A delivery that is to be sent.
#[derive(Clone, Debug)]
pub(super) struct Claimed {
    pub(super) delivery: alert_delivery::Model,
    pub(super) endpoint: Arc<alert_endpoint::Model>,
    /// What it is signed with.
    pub(super) secrets: Arc<[alert_secret::Model]>,
}

impl Command for Claim {
    type Output = Vec<Claimed>;

    async fn run(&self, tx: &Tx) -> Result<Vec<Claimed>> {
        let now = tx.now().await?;
        let mut claimed = Vec::new();
        for (id, most) in &self.endpoints {
            let found = alert_endpoint::Entity::find_by_id(*id)
                .one(tx.conn())
                .await?;
            let Some(endpoint) = found else { continue };
            // Another node that claims at this moment takes other rows.
            let end = match tx.backend() {
                DbBackend::Postgres => " FOR UPDATE SKIP LOCKED)",
                _ => ")",
            };
            if !endpoint.enabled {
                let sql = format!(
                    "UPDATE alert_delivery SET state = 'DROPPED', settled_at = ? WHERE id IN (SELECT id FROM alert_delivery \
                     WHERE endpoint_id = ? AND state = 'WAITING' AND (lease_until IS NULL OR lease_until <= ?) LIMIT ?{end}"
                );
                let values = [now.into(), (*id).into(), now.into(), DROPPED.into()];
                tx.writing()
                    .await?
                    .execute_raw(tx.sql(&sql, values))
                    .await?;
                continue;
            }
            // It asked another node a moment ago to be left alone.
            if endpoint.rests_until > Some(now) {
                continue;
            }
            let sql = format!(
                "UPDATE alert_delivery SET claims = claims + 1, lease_until = ? WHERE id IN (SELECT id FROM alert_delivery \
                 WHERE endpoint_id = ? AND state = 'WAITING' AND due_at <= ? AND (lease_until IS NULL OR lease_until <= ?) \
                 ORDER BY due_at, id LIMIT ?{end} RETURNING *"
            );
            let most = i64::try_from(*most).unwrap_or(i64::MAX);
            let until = now.plus(self.lease_ms);
            let values = [
                until.into(),
                (*id).into(),
                now.into(),
                now.into(),
                most.into(),
            ];
            let rows = alert_delivery::Model::find_by_statement(tx.sql(&sql, values))
                .all(tx.writing().await?)
                .await?;
            if rows.is_empty() {
                continue;
            }
            let secrets: Arc<[_]> = in_force(tx.conn(), &endpoint, now).await?.into();
            let endpoint = Arc::new(endpoint);
            claimed.extend(rows.into_iter().map(|delivery| Claimed {
                delivery,
                endpoint: endpoint.clone(),
                secrets: secrets.clone(),
            }));
        }
        Ok(claimed)
    }
}

/// Claims of a process that is gone are void: an embedded database has one at a time.
#[derive(Clone, Copy, Debug)]
pub struct VoidClaims;

impl Command for VoidClaims {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<()> {
        let sql = "UPDATE alert_delivery SET lease_until = NULL, claims = claims + 1 WHERE state = 'WAITING' AND lease_until IS NOT NULL";
        tx.writing().await?.execute_raw(tx.sql(sql, [])).await?;
        Ok(())
    }

    fn repeatable(&self) -> bool {
        true
    }
}
