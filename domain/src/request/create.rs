//! Intake: a request by an employee, a workflow or a system.

use entity::{
    ActorKind, CoworkerState, Priority, RequestId, RequestSource, RequestStatus, Trigger, coworker,
    request, workspace,
};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::assign::{Assignee, AssigneeId, assign};
use super::desk::Desk;
use super::route::{self, Ahead, Anew};
use super::timeline::TimelineData;
use super::update::{DESCRIPTION, TITLE, check_labels, labels_row};
use crate::access::{Action, Actor};
use crate::clock::fresh_id;
use crate::error::{Error, Result};
use crate::idempotency::once;
use crate::store::{Command, Counter, Needs, Store, Tx};
use crate::text::{bounded, check_text};

/// Makes a request. Without an assignee it goes to the workspace's Triage coworker, if one is published,
/// else to whom it clearly fits, or to people.
#[derive(Clone, Debug)]
pub struct CreateRequest {
    /// Who makes it; the source follows from what kind of actor that is.
    pub actor: Actor,
    /// One line, 1 to 300 characters.
    pub title: String,
    /// The whole text, at most 64 KiB.
    pub description: String,
    /// How urgent it is.
    pub priority: Priority,
    /// At most 20 labels of 1 to 60 characters.
    pub labels: Vec<String>,
    /// To whom it goes at once.
    pub assignee: Option<AssigneeId>,
    /// The caller's key: the same call again gives the same request.
    pub idempotency_key: Option<String>,
    /// Where it goes if nobody is named, as far as that was looked up beforehand; [`CreateRequest::submit`] does.
    pub ahead: Option<Ahead>,
}

impl CreateRequest {
    /// Makes it. Where it goes if nobody is named is looked up before the writer is asked.
    ///
    /// # Errors
    /// As the command itself.
    pub async fn submit(mut self, store: &Store) -> Result<request::Model> {
        self.check()?;
        if self.assignee.is_none() {
            let workspace = self.actor.workspace;
            let ahead = route::ahead(store.read(), workspace, &self.title, &self.description);
            self.ahead = Some(ahead.await?);
        }
        store.write(self).await
    }

    fn check(&self) -> Result<()> {
        self.actor.authorize(Action::RequestCreate)?;
        if self.assignee.is_some() {
            self.actor.authorize(Action::RequestAssign)?;
        }
        check_text("title", &self.title, TITLE)?;
        bounded("description", &self.description, DESCRIPTION)?;
        check_labels(&self.labels)
    }

    /// The workspace's Triage coworker, if it is published.
    async fn triage(&self, tx: &Tx) -> Result<Option<Assignee>> {
        let triage = |row: &coworker::Model| row.is_triage && row.state == CoworkerState::Published;
        match self.ahead {
            Some(Ahead::Triage(id)) => {
                let found = AssigneeId::Coworker(id).load(tx, &self.actor).await?;
                Ok(match found {
                    Assignee::Coworker(row) if triage(&row) => Some(Assignee::Coworker(row)),
                    Assignee::Coworker(_) | Assignee::Person(_) => None,
                })
            }
            // There was none a moment ago.
            Some(Ahead::Ranked(_)) => Ok(None),
            None => {
                let triage = coworker::Entity::find()
                    .filter(coworker::Column::WorkspaceId.eq(self.actor.workspace))
                    .filter(coworker::Column::IsTriage.eq(true))
                    .filter(coworker::Column::State.eq(CoworkerState::Published));
                let found = tx.lock_one(triage, LockType::Share).await?;
                Ok(found.map(Assignee::Coworker))
            }
        }
    }

    /// Whom the ranking decides for, as it was looked up or, if that does not hold any more, anew.
    async fn decided(&self, tx: &Tx) -> Result<route::Decided> {
        let workspace = self.actor.workspace;
        if let Some(Ahead::Ranked(routing)) = &self.ahead
            && let Some(held) = routing.hold(tx, workspace).await?
        {
            return Ok(held);
        }
        let anew = Anew::new(tx, workspace);
        anew.decide(&self.title, &self.description).await
    }
}

impl Command for CreateRequest {
    type Output = request::Model;

    async fn run(&self, tx: &Tx) -> Result<request::Model> {
        let Self {
            actor,
            title,
            description,
            priority,
            labels,
            assignee,
            idempotency_key,
            ahead: _,
        } = self;
        self.check()?;
        let input = (
            title,
            description,
            priority,
            labels,
            assignee.map(|a| format!("{a:?}")),
        );
        let once = once(
            tx,
            actor,
            "requestCreate",
            idempotency_key.as_deref(),
            &input,
        )
        .await?;
        if let Some(made) = once.made() {
            // The call that made it may be of the same batch, its rows not written yet.
            tx.settle([RequestId(made)]).await?;
            return super::query::get(tx.conn(), actor, RequestId(made)).await;
        }
        let (to, trigger, by) = match assignee {
            Some(id) => (
                Some(id.load(tx, actor).await?),
                Trigger::Assigned,
                actor.clone(),
            ),
            None => (
                self.triage(tx).await?,
                Trigger::Intake,
                Actor::stint(actor.workspace),
            ),
        };
        // Before the workspace's counter is locked.
        let decided = match &to {
            Some(_) => None,
            None => Some(self.decided(tx).await?),
        };
        let now = tx.at();
        let row = request::Model {
            id: RequestId(fresh_id()),
            workspace_id: actor.workspace,
            number: tx.take_number(actor.workspace).await?,
            title: title.trim().to_owned(),
            description: description.clone(),
            status: RequestStatus::Open,
            priority: *priority,
            source: source(actor),
            requester_kind: actor.principal.kind(),
            requester_id: actor.principal.id(),
            assignee_kind: None,
            assignee_id: None,
            assignment_epoch: 0,
            labels: labels_row(labels)?,
            hop_count: 0,
            needs_person: false,
            last_seq: 0,
            created_at: now,
            updated_at: now,
            resolved_at: None,
        };
        once.remember(tx, row.id.0).await?;
        let mut desk = Desk::new(row);
        desk.entry(now, actor, &TimelineData::RequestCreated)?;
        if let Some(to) = to {
            assign(tx, &mut desk, &by, Some(&to), None, trigger).await?;
        }
        if let Some(decided) = decided {
            route::carry_out(tx, &mut desk, decided).await?;
        }
        Ok(desk.save(tx))
    }

    fn repeatable(&self) -> bool {
        self.idempotency_key.is_some()
    }

    fn needs(&self) -> Needs {
        Needs {
            coworker: match self.assignee {
                Some(id) => id.coworker(),
                None => self.ahead.as_ref().and_then(Ahead::coworker),
            },
            counter: Some(Counter::Request(self.actor.workspace)),
            ..Needs::default()
        }
    }
}

fn source(actor: &Actor) -> RequestSource {
    match actor.principal.kind() {
        ActorKind::Person | ActorKind::Coworker => RequestSource::Employee,
        ActorKind::Workflow => RequestSource::Workflow,
        ActorKind::System => RequestSource::System,
    }
}

/// The workspace's row.
///
/// # Errors
/// [`Error::Internal`] if it is gone, else what the database said.
pub async fn workspace<C: ConnectionTrait>(conn: &C, actor: &Actor) -> Result<workspace::Model> {
    let found = workspace::Entity::find_by_id(actor.workspace)
        .one(conn)
        .await?;
    found.ok_or_else(|| Error::internal("the workspace is gone"))
}
