//! A verified event and everything that it does, in one transaction, once.

use entity::{RequestId, WebhookOutcome, request, webhook_delivery, webhook_subject};
use sea_orm::sea_query::{Expr, ExprTrait, LockType, OnConflict};
use sea_orm::{ActiveValue, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};

use super::Event;
use super::apply::{Applied, apply};
use super::receive::Received;
use crate::access::Actor;
use crate::error::{Error, Result};
use crate::request::route::Ahead;
use crate::store::{Command, Needs, Tx, insert_all};

/// Does what a verified event says, once.
pub(super) struct Deliver {
    /// The log's line, as far as it is known before.
    pub(super) row: webhook_delivery::Model,
    /// What the delivery says.
    pub(super) event: Event,
    /// Where the request would go that it may make.
    pub(super) ahead: Option<Ahead>,
}

impl Command for Deliver {
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
        } = apply(
            tx,
            &actor,
            &self.event,
            &mut subject,
            known,
            self.ahead.as_ref(),
        )
        .await?;
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

    fn needs(&self) -> Needs {
        // The event's key, then its subject, then what requestCreate locks.
        Needs::ALONE
    }
}

impl Deliver {
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
            .filter(counts())
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
            // Not there to be seen: the copy's answer names no request.
            Err(Error::NotFound { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }
}

/// Deliveries that are the first of their event. Written into the statement, so that the planner takes the
/// partial index.
fn counts() -> Expr {
    let others = [WebhookOutcome::Duplicate, WebhookOutcome::Refused];
    let others = others.map(|outcome| Expr::Constant(outcome.as_str().into()));
    webhook_delivery::Column::Outcome
        .into_expr()
        .is_not_in(others)
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
