//! Receiving: who is it from, what does it say, and what became of it.

use entity::{
    Millis, WebhookDeliveryId, WebhookKind, WebhookOutcome, WebhookRefusal, request,
    webhook_delivery, webhook_endpoint,
};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::deliver::Deliver;
use super::endpoint::ADDRESS;
use super::secret::{in_force, owner};
use super::{Event, Headers, Mapping, Refused, pagerduty, verify};
use crate::clock::fresh_id;
use crate::error::Result;
use crate::request::route::ahead;
use crate::secret::Vault;
use crate::store::{Command, Store, Tx, insert_all};

/// The largest body of a delivery.
pub const BODY: usize = 512 << 10;

/// A delivery as it came.
#[derive(Clone, Debug)]
pub struct Delivery<'a> {
    /// The endpoint that it came to.
    pub endpoint: &'a webhook_endpoint::Model,
    /// Its headers.
    pub headers: Headers,
    /// Its body, byte by byte.
    pub body: &'a [u8],
}

/// What became of a delivery that was not refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// The line of the log.
    pub delivery: webhook_delivery::Model,
    /// The request that it made or belongs to.
    pub request: Option<request::Model>,
}

/// Whether an endpoint can have this address; false costs no look.
pub fn is_address(text: &str) -> bool {
    // Those of the first release were their ids.
    let digits = text
        .strip_prefix(ADDRESS)
        .or_else(|| text.strip_prefix("whe_"));
    digits.is_some_and(|digits| {
        digits.len() == 32
            && digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// The endpoints of these addresses, in any order, in one look. No key is asked for: the signature is the credential.
///
/// # Errors
/// What the database said.
pub async fn find(store: &Store, addresses: &[String]) -> Result<Vec<webhook_endpoint::Model>> {
    let address = webhook_endpoint::Column::Address;
    // As many values as the next power of two, so that few different statements are prepared.
    let last = addresses.last().into_iter();
    let more = addresses.len().next_power_of_two() - addresses.len();
    let padded = addresses.iter().chain(last.cycle().take(more));
    Ok(webhook_endpoint::Entity::find()
        .filter(address.is_in(padded))
        .all(store.read())
        .await?)
}

/// The addresses of endpoints, the newest first, `most` at the most.
///
/// # Errors
/// What the database said.
pub async fn addresses(store: &Store, most: u64) -> Result<Vec<String>> {
    let addresses = webhook_endpoint::Entity::find()
        .select_only()
        .column(webhook_endpoint::Column::Address)
        .order_by_desc(webhook_endpoint::Column::CreatedAt)
        .limit(most);
    Ok(addresses.into_tuple().all(store.read()).await?)
}

/// Receives a delivery: what it gives back is committed.
///
/// # Errors
/// The inner one is a refusal, to be logged with [`refuse`]; the outer one a fault: nothing was changed, or the commit's reply
/// was lost, and the sender may send it again either way.
pub async fn receive(
    store: &Store,
    vault: &Vault,
    delivery: &Delivery<'_>,
) -> Result<Result<Received, Refused>> {
    let Delivery {
        endpoint,
        headers,
        body,
    } = delivery;
    if let Err(refused) = enabled(endpoint) {
        return Ok(Err(refused));
    }
    let mapping = endpoint
        .mapping
        .as_deref()
        .map(Mapping::from_row)
        .transpose()?;
    let now = store.now();
    let owner = owner(endpoint.workspace_id, endpoint.id);
    let mut secrets = Vec::new();
    for row in in_force(store.read(), endpoint, now).await? {
        secrets.push(vault.open(&owner, &row.sealed)?);
    }
    let verified = verify::verify(
        endpoint.kind,
        mapping.as_ref(),
        &secrets,
        headers,
        body,
        now,
    );
    let event = match verified.and_then(|()| read(endpoint, mapping.as_ref(), headers, body)) {
        Ok(event) => event,
        Err(refused) => return Ok(Err(refused)),
    };
    let row = line(delivery, now);
    let ahead = match event.news.filing() {
        Some(filing) => {
            let (title, text) = (&filing.title, &filing.description);
            Some(ahead(store.read(), endpoint.workspace_id, title, text).await?)
        }
        None => None,
    };
    match store.write(Deliver { row, event, ahead }).await {
        Ok(received) => Ok(Ok(received)),
        // What the desk refuses no sender can mend by sending it again.
        Err(error) if error.is_refusal() && error.code() != "CONFLICT" => Ok(Err(
            Refused::not_understood(format!("It can't be done: {error}.")),
        )),
        Err(fault) => Err(fault),
    }
}

fn enabled(endpoint: &webhook_endpoint::Model) -> Result<(), Refused> {
    if endpoint.enabled {
        return Ok(());
    }
    let text = "This webhook endpoint is disabled.";
    Err(Refused::new(WebhookRefusal::Disabled, text))
}

fn read(
    endpoint: &webhook_endpoint::Model,
    mapping: Option<&Mapping>,
    headers: &Headers,
    body: &[u8],
) -> Result<Event, Refused> {
    let payload = serde_json::from_slice(body).map_err(|error| {
        Refused::new(
            WebhookRefusal::NotJson,
            format!("The body is no JSON: {error}."),
        )
    })?;
    match (endpoint.kind, mapping) {
        (WebhookKind::Pagerduty, _) => pagerduty::read(&payload),
        (WebhookKind::Standard | WebhookKind::Generic, Some(mapping)) => {
            mapping.read(endpoint.kind, headers, &payload)
        }
        (WebhookKind::Standard | WebhookKind::Generic, None) => Err(Refused::not_understood(
            "This endpoint has no mapping; give it one with webhookEndpointUpdate.",
        )),
    }
}

/// The log's line of a delivery of which nothing is known yet but that it is here.
fn line(delivery: &Delivery<'_>, now: Millis) -> webhook_delivery::Model {
    let Delivery {
        endpoint,
        headers,
        body,
    } = delivery;
    let message = match endpoint.kind {
        WebhookKind::Pagerduty => "x-webhook-id",
        WebhookKind::Standard | WebhookKind::Generic => "webhook-id",
    };
    webhook_delivery::Model {
        id: WebhookDeliveryId(fresh_id()),
        workspace_id: endpoint.workspace_id,
        endpoint_id: endpoint.id,
        event_id: None,
        event_type: None,
        subject: None,
        message_id: headers.get(message).map(|id| super::event::cut(id, 255)),
        verified: false,
        outcome: WebhookOutcome::Refused,
        refusal: None,
        reason: None,
        request_id: None,
        payload: text(body),
        size: i64::try_from(body.len()).unwrap_or(i64::MAX),
        received_at: now,
    }
}

/// The body as a row can hold it.
fn text(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    (!text.contains('\0')).then(|| text.to_owned())
}

/// Writes a refusal to the log. What nobody vouches for is not kept: only its size.
///
/// # Errors
/// What the database said.
pub async fn refuse(
    store: &Store,
    delivery: &Delivery<'_>,
    refused: &Refused,
) -> Result<webhook_delivery::Model> {
    let verified = refused.is_verified();
    let line = line(delivery, store.now());
    // A body that was too large was not read to its end.
    let announced = delivery.headers.get("content-length");
    let announced = announced.and_then(|length| length.parse().ok());
    let row = webhook_delivery::Model {
        verified,
        size: announced
            .filter(|_| refused.code == WebhookRefusal::TooLarge)
            .unwrap_or(line.size),
        refusal: Some(refused.code),
        reason: Some(refused.message.clone()),
        payload: line.payload.filter(|_| verified),
        ..line
    };
    store.write(LogRefusal { row }).await
}

struct LogRefusal {
    row: webhook_delivery::Model,
}

impl Command for LogRefusal {
    type Output = webhook_delivery::Model;

    async fn run(&self, tx: &Tx) -> Result<webhook_delivery::Model> {
        let once = OnConflict::new().do_nothing().to_owned();
        insert_all(tx.writing_last(), vec![self.row.clone()], Some(once)).await?;
        Ok(self.row.clone())
    }

    fn repeatable(&self) -> bool {
        true
    }
}
