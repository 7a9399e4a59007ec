//! Receiving: verify, understand, and then everything in one transaction, once.

use entity::{
    Millis, RequestId, WebhookDeliveryId, WebhookEndpointId, WebhookKind,
    WebhookOutcome, WebhookRefusal, request, webhook_delivery, webhook_endpoint, webhook_subject,
};
use sea_orm::sea_query::{LockType, OnConflict};
use sea_orm::{ActiveValue, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};

use super::apply::{Applied, apply};
use super::endpoint::{in_force, owner};
use super::{Event, Headers, Mapping, Refused, pagerduty, verify};
use crate::access::Actor;
use crate::clock::fresh_id;
use crate::error::{Error, Result};
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

/// The endpoint of this id. No key is asked for: the signature is the credential.
///
/// # Errors
/// [`Error::NotFound`], or what the database said.
pub async fn find(store: &Store, id: WebhookEndpointId) -> Result<webhook_endpoint::Model> {
    webhook_endpoint::Entity::find_by_id(id)
        .one(store.read())
        .await?
        .ok_or(Error::NotFound {
            what: "WebhookEndpoint",
        })
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
    match store.write(Receive { row, event }).await {
        Ok(received) => Ok(Ok(received)),
        // What the desk refuses no sender can mend by sending it again.
        Err(error) if error.is_refusal() => Ok(Err(Refused::not_understood(format!(
            "It can't be done: {error}."
        )))),
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
    let verified = match refused.code {
        WebhookRefusal::NotJson | WebhookRefusal::NotUnderstood => true,
        WebhookRefusal::Disabled
        | WebhookRefusal::NoSecret
        | WebhookRefusal::SignatureMissing
        | WebhookRefusal::SignatureInvalid
        | WebhookRefusal::TimestampOutOfRange
        | WebhookRefusal::TooLarge
        | WebhookRefusal::TooMany => false,
    };
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

/// Does what a verified event says, once.
struct Receive {
    row: webhook_delivery::Model,
    event: Event,
}

impl Command for Receive {
    type Output = Received;

    async fn run(&self, tx: &Tx) -> Result<Received> {
        let actor = Actor::hook(self.row.workspace_id, self.row.endpoint_id);
        // Written first, so that of the copies of an event that come at once one goes on and the others wait for it.
        let mut row = webhook_delivery::Model {
            event_id: Some(self.event.id.clone()),
            event_type: self.event.kind.clone(),
            subject: self.event.subject.clone(),
            verified: true,
            outcome: WebhookOutcome::Recorded,
            ..self.row.clone()
        };
        self.settle(tx).await?;
        if !insert(tx, &row).await? {
            return self.again(tx, &actor, row).await;
        }
        let locked = self.subject(tx).await?;
        // What is about nothing in particular has nothing that is kept.
        let mut subject = locked.clone().unwrap_or_else(|| self.blank(""));
        let known = match subject.request_id {
            Some(id) => Some(crate::request::query::get(tx.conn(), &actor, id).await?),
            None => None,
        };
        let Applied {
            outcome,
            request,
            reason,
        } = apply(tx, &actor, &self.event, &mut subject, known).await?;
        row.outcome = outcome;
        row.reason = reason.map(str::to_owned);
        row.request_id = request.as_ref().map(|request| request.id);
        finish(tx, &row).await?;
        if locked.is_some_and(|before| before != subject) {
            save(tx, subject).await?;
        }
        if outcome == WebhookOutcome::RequestMade && row.subject.is_some() {
            adopt(tx, &row).await?;
        }
        Ok(Received {
            delivery: row,
            request,
        })
    }

    // The delivery's own id tells its first try from another copy.
    fn repeatable(&self) -> bool {
        true
    }
}

impl Receive {
    /// Before anything is written: has what the batch holds of the subject's request written.
    async fn settle(&self, tx: &Tx) -> Result<()> {
        match self.find_subject(tx, None).await? {
            Some(subject) => tx.settle(subject.request_id).await,
            None => Ok(()),
        }
    }

    async fn find_subject(
        &self,
        tx: &Tx,
        lock: Option<LockType>,
    ) -> Result<Option<webhook_subject::Model>> {
        let Some(name) = &self.event.subject else {
            return Ok(None);
        };
        let mut select = webhook_subject::Entity::find()
            .filter(webhook_subject::Column::EndpointId.eq(self.row.endpoint_id))
            .filter(webhook_subject::Column::Subject.eq(name));
        if let Some(lock) = lock {
            select = select.lock(lock);
        }
        Ok(select.one(tx.conn()).await?)
    }

    /// The subject, locked: its events go one after the other. It comes before every other lock of the command.
    async fn subject(&self, tx: &Tx) -> Result<Option<webhook_subject::Model>> {
        let Some(name) = &self.event.subject else {
            return Ok(None);
        };
        let once = OnConflict::new().do_nothing().to_owned();
        insert_all(tx.writing().await?, vec![self.blank(name)], Some(once)).await?;
        let found = self.find_subject(tx, Some(LockType::Update)).await?;
        found
            .map(Some)
            .ok_or_else(|| Error::internal("a webhook's subject is gone"))
    }

    fn blank(&self, name: &str) -> webhook_subject::Model {
        webhook_subject::Model {
            endpoint_id: self.row.endpoint_id,
            subject: name.to_owned(),
            workspace_id: self.row.workspace_id,
            request_id: None,
            status: None,
            status_at: None,
            priority: None,
            priority_at: None,
        }
    }

    /// The event was delivered before: by this very delivery, if a commit's reply was lost, else by an earlier copy.
    async fn again(
        &self,
        tx: &Tx,
        actor: &Actor,
        row: webhook_delivery::Model,
    ) -> Result<Received> {
        use webhook_delivery::Column as C;
        let first = webhook_delivery::Entity::find()
            .filter(C::EndpointId.eq(row.endpoint_id))
            .filter(C::EventId.eq(row.event_id.clone()))
            .filter(C::Outcome.is_not_in([WebhookOutcome::Duplicate, WebhookOutcome::Refused]))
            .one(tx.conn())
            .await?;
        let own = webhook_delivery::Entity::find_by_id(row.id);
        let own = own.one(tx.conn()).await?;
        let delivery = match (own, first) {
            (Some(own), _) => own,
            (None, Some(first)) => {
                let row = webhook_delivery::Model {
                    outcome: WebhookOutcome::Duplicate,
                    request_id: first.request_id,
                    // It is there already, once.
                    payload: None,
                    ..row
                };
                insert_all(tx.writing().await?, vec![row.clone()], None).await?;
                row
            }
            (None, None) => {
                return Err(Error::Unavailable {
                    message: "another copy of the event is under way; repeat it".into(),
                });
            }
        };
        let request = match delivery.request_id {
            Some(id) => self.request(tx, actor, id).await?,
            None => None,
        };
        Ok(Received { delivery, request })
    }

    async fn request(
        &self,
        tx: &Tx,
        actor: &Actor,
        id: RequestId,
    ) -> Result<Option<request::Model>> {
        match crate::request::query::get(tx.conn(), actor, id).await {
            Ok(request) => Ok(Some(request)),
            // Made by a command of this batch, and not written yet: the copy's answer names it all the same.
            Err(Error::NotFound { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }
}

/// Inserts the first delivery of an event; false if there is one.
async fn insert(tx: &Tx, row: &webhook_delivery::Model) -> Result<bool> {
    let insert = webhook_delivery::Entity::insert(webhook_delivery::ActiveModel::from(row.clone()))
        .on_conflict(OnConflict::new().do_nothing().to_owned());
    let done = insert.exec_without_returning(tx.writing().await?).await?;
    Ok(done == 1)
}

async fn finish(tx: &Tx, row: &webhook_delivery::Model) -> Result<()> {
    let change = webhook_delivery::ActiveModel {
        id: ActiveValue::Unchanged(row.id),
        outcome: ActiveValue::Set(row.outcome),
        reason: ActiveValue::Set(row.reason.clone()),
        request_id: ActiveValue::Set(row.request_id),
        ..Default::default()
    };
    webhook_delivery::Entity::update(change)
        .exec(tx.writing().await?)
        .await?;
    Ok(())
}

async fn save(tx: &Tx, subject: webhook_subject::Model) -> Result<()> {
    let webhook_subject::Model {
        endpoint_id,
        subject,
        workspace_id: _,
        request_id,
        status,
        status_at,
        priority,
        priority_at,
    } = subject;
    let change = webhook_subject::ActiveModel {
        endpoint_id: ActiveValue::Unchanged(endpoint_id),
        subject: ActiveValue::Unchanged(subject),
        request_id: ActiveValue::Set(request_id),
        status: ActiveValue::Set(status),
        status_at: ActiveValue::Set(status_at),
        priority: ActiveValue::Set(priority),
        priority_at: ActiveValue::Set(priority_at),
        ..Default::default()
    };
    webhook_subject::Entity::update(change)
        .exec(tx.writing().await?)
        .await?;
    Ok(())
}

/// What came before the request belongs to it from now on, and can be read there.
async fn adopt(tx: &Tx, row: &webhook_delivery::Model) -> Result<()> {
    let sql = "UPDATE webhook_delivery SET request_id = ? WHERE endpoint_id = ? AND subject = ? AND outcome = ? AND request_id IS NULL";
    let values = [
        row.request_id.into(),
        row.endpoint_id.into(),
        row.subject.clone().into(),
        WebhookOutcome::Ignored.as_str().into(),
    ];
    tx.writing().await?.execute_raw(tx.sql(sql, values)).await?;
    Ok(())
}
