//! The deliveries of what happens, written with it.

use std::collections::{BTreeSet, HashMap};

use entity::{
    AlertDeliveryId, AlertKind, AlertState, CoworkerId, RequestId, WorkspaceId, alert_delivery,
    alert_endpoint, coworker, request,
};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};

use super::occasion::{Occasion, global, word};
use super::wishes::Selection;
use crate::clock::fresh_id;
use crate::error::Result;
use crate::run::envelope::timestamp;
use crate::store::insert_all;

/// Writes a delivery for each endpoint that wants to know; what an endpoint was told already it is not told again.
///
/// # Errors
/// What the database said.
pub(crate) async fn write<C: ConnectionTrait>(conn: &C, occasions: &[Occasion]) -> Result<()> {
    if occasions.is_empty() {
        return Ok(());
    }
    let rows = plan(conn, occasions).await?;
    use alert_delivery::Column::{EndpointId, Fact};
    let once = OnConflict::columns([EndpointId, Fact])
        .do_nothing()
        .to_owned();
    insert_all(conn, rows, Some(once)).await
}

/// What is to be written: one row for each endpoint and what it wants to know.
///
/// # Errors
/// What the database said.
pub(super) async fn plan<C: ConnectionTrait>(
    conn: &C,
    occasions: &[Occasion],
) -> Result<Vec<alert_delivery::Model>> {
    let workspaces: BTreeSet<WorkspaceId> = occasions.iter().map(|told| told.workspace).collect();
    let endpoints = alert_endpoint::Entity::find()
        .filter(alert_endpoint::Column::WorkspaceId.is_in(workspaces))
        .filter(alert_endpoint::Column::Enabled.eq(true))
        .order_by_asc(alert_endpoint::Column::Id)
        .all(conn)
        .await?;
    let mut wanted: Vec<(usize, alert_endpoint::Model, Selection)> = Vec::new();
    for endpoint in endpoints {
        let selection = Selection::of(&endpoint)?;
        for (place, occasion) in occasions.iter().enumerate() {
            if wants(&endpoint, &selection, occasion) {
                wanted.push((place, endpoint.clone(), selection.clone()));
            }
        }
    }
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let about = About::read(conn, occasions).await?;
    let mut bodies: HashMap<usize, String> = HashMap::new();
    let mut rows = Vec::with_capacity(wanted.len());
    for (place, endpoint, selection) in wanted {
        let occasion = &occasions[place];
        if !about.has_label(occasion, &selection.labels) {
            continue;
        }
        let body = bodies.entry(place).or_insert_with(|| about.body(occasion));
        rows.push(alert_delivery::Model {
            id: AlertDeliveryId(fresh_id()),
            workspace_id: endpoint.workspace_id,
            endpoint_id: endpoint.id,
            kind: occasion.kind,
            fact: occasion.fact.clone(),
            run_id: occasion.run,
            request_id: occasion.request,
            coworker_id: occasion.coworker,
            body: body.clone(),
            state: AlertState::Waiting,
            attempts: 0,
            round: 0,
            due_at: occasion.at,
            claims: 0,
            lease_until: None,
            created_at: occasion.at,
            settled_at: None,
        });
    }
    Ok(rows)
}

/// Whether an endpoint wants to know, its labels aside.
fn wants(endpoint: &alert_endpoint::Model, selection: &Selection, occasion: &Occasion) -> bool {
    let among = || {
        selection.coworkers.is_empty()
            || occasion
                .coworker
                .is_some_and(|id| selection.coworkers.contains(&id))
    };
    let from = match occasion.kind {
        AlertKind::BudgetNearing => Some(endpoint.budget_percent),
        AlertKind::CostClimbing => Some(endpoint.climb_percent),
        AlertKind::RunEnded
        | AlertKind::RunFailed
        | AlertKind::ApprovalRequested
        | AlertKind::RequestResolved
        | AlertKind::BudgetExhausted => None,
    };
    let far = match (from, occasion.percent) {
        (Some(from), Some(percent)) => percent >= i64::from(from),
        (Some(_), None) => false,
        (None, _) => true,
    };
    endpoint.workspace_id == occasion.workspace
        && selection.kinds.contains(&occasion.kind)
        && far
        && among()
}

/// What occasions concern.
struct About {
    requests: HashMap<RequestId, request::Model>,
    coworkers: HashMap<CoworkerId, coworker::Model>,
}

impl About {
    async fn read<C: ConnectionTrait>(conn: &C, occasions: &[Occasion]) -> Result<Self> {
        let requests: BTreeSet<RequestId> = occasions.iter().filter_map(|o| o.request).collect();
        let coworkers: BTreeSet<CoworkerId> = occasions.iter().filter_map(|o| o.coworker).collect();
        let (mut found, mut named) = (Vec::new(), Vec::new());
        if !requests.is_empty() {
            found = request::Entity::find()
                .filter(request::Column::Id.is_in(requests))
                .all(conn)
                .await?;
        }
        if !coworkers.is_empty() {
            named = coworker::Entity::find()
                .filter(coworker::Column::Id.is_in(coworkers))
                .all(conn)
                .await?;
        }
        Ok(Self {
            requests: found.into_iter().map(|row| (row.id, row)).collect(),
            coworkers: named.into_iter().map(|row| (row.id, row)).collect(),
        })
    }

    /// Whether its request has one of these labels; where there are none, always.
    fn has_label(&self, occasion: &Occasion, labels: &[String]) -> bool {
        let has = || {
            let request = self.requests.get(&occasion.request?)?;
            Some(
                labels_of(request)
                    .iter()
                    .any(|label| labels.contains(label)),
            )
        };
        labels.is_empty() || has().unwrap_or(false)
    }

    fn body(&self, occasion: &Occasion) -> String {
        let mut data = occasion.data.clone();
        let request = occasion.request.and_then(|id| self.requests.get(&id));
        if let Some(row) = request {
            data.insert("request".into(), request_of(row));
        }
        let coworker = occasion.coworker.and_then(|id| self.coworkers.get(&id));
        if let Some(row) = coworker {
            let said = json!({ "id": global("cow", row.id.0), "handle": row.handle });
            data.insert("coworker".into(), said);
        }
        data.insert(
            "workspaceId".into(),
            global("wsp", occasion.workspace.0).into(),
        );
        json!({
            "type": word(occasion.kind),
            "timestamp": timestamp(occasion.at),
            "data": data,
        })
        .to_string()
    }
}

fn labels_of(row: &request::Model) -> Vec<String> {
    // What a row holds was written by this product.
    serde_json::from_str(&row.labels).unwrap_or_default()
}

fn request_of(row: &request::Model) -> Value {
    json!({
        "id": global("req", row.id.0),
        "number": row.number,
        "identifier": format!("REQ-{}", row.number),
        "title": row.title,
        "status": row.status.as_str(),
        "priority": row.priority.as_str(),
        "labels": labels_of(row),
        "createdAt": timestamp(row.created_at),
        "resolvedAt": row.resolved_at.map(timestamp),
    })
}
