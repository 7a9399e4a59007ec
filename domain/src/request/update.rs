//! Changing a request.

use entity::{Priority, RequestId, RequestStatus, request};
use sea_orm::{ActiveValue, EntityTrait};

use super::desk::Desk;
use crate::access::{Action, Actor};
use crate::error::{Error, Result};
use crate::run::approval::end_paused_if_closed;
use crate::store::{Command, Needs, Tx};
use crate::text::{bounded, check_text};

/// The most characters of a title.
pub const TITLE: usize = 300;
/// The most bytes of a description.
pub const DESCRIPTION: usize = 64 * 1024;
/// The most labels.
pub const LABELS: usize = 20;

/// Changes a request; what is `None` stays.
#[derive(Clone, Debug)]
pub struct UpdateRequest {
    /// Who asks.
    pub actor: Actor,
    /// The request.
    pub request: RequestId,
    /// The title.
    pub title: Option<String>,
    /// The text.
    pub description: Option<String>,
    /// The status.
    pub status: Option<RequestStatus>,
    /// The priority.
    pub priority: Option<Priority>,
    /// The labels.
    pub labels: Option<Vec<String>>,
}

impl Command for UpdateRequest {
    type Output = request::Model;

    async fn run(&self, tx: &Tx) -> Result<request::Model> {
        let Self {
            actor,
            request,
            title,
            description,
            status,
            priority,
            labels,
        } = self;
        let texts = title.is_some() || description.is_some() || labels.is_some();
        if texts || priority.is_some() {
            actor.authorize(Action::RequestUpdate)?;
        }
        if status.is_some() {
            actor.authorize(Action::RequestSetStatus)?;
        }
        let mut desk = Desk::lock(tx, actor, *request).await?;
        if let Some(title) = title {
            check_text("title", title, TITLE)?;
            title.trim().clone_into(&mut desk.request.title);
        }
        if let Some(description) = description {
            bounded("description", description, DESCRIPTION)?;
            desk.request.description.clone_from(description);
        }
        if let Some(labels) = labels {
            check_labels(labels)?;
            desk.request.labels = labels_row(labels)?;
        }
        desk.request.priority = priority.unwrap_or(desk.request.priority);
        desk.request.updated_at = tx.at().max(desk.request.updated_at);
        if texts {
            save_texts(tx, &desk.request).await?;
        }
        if let Some(status) = status {
            desk.set_status(tx.at(), actor, *status)?;
            end_paused_if_closed(tx, &mut desk).await?;
        }
        Ok(desk.save(tx))
    }

    fn repeatable(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        Needs {
            request: Some(self.request),
            ..Needs::default()
        }
    }
}

async fn save_texts(tx: &Tx, row: &request::Model) -> Result<()> {
    let request::Model {
        id,
        title,
        description,
        labels,
        ..
    } = row.clone();
    let change = request::ActiveModel {
        id: ActiveValue::Unchanged(id),
        title: ActiveValue::Set(title),
        description: ActiveValue::Set(description),
        labels: ActiveValue::Set(labels),
        ..Default::default()
    };
    request::Entity::update(change)
        .exec(tx.writing().await?)
        .await?;
    Ok(())
}

/// Refuses too many, empty or oversized labels.
///
/// # Errors
/// [`Error::Invalid`] that names the limit.
pub fn check_labels(labels: &[String]) -> Result<()> {
    if labels.len() > LABELS {
        let message = format!("there are {} labels; {LABELS} are allowed", labels.len());
        return Err(Error::invalid("labels", "TOO_LONG", message));
    }
    labels
        .iter()
        .try_for_each(|label| check_text("labels", label, 60))
}

/// The form that rows hold.
///
/// # Errors
/// [`Error::Internal`], which does not happen for strings.
pub fn labels_row(labels: &[String]) -> Result<String> {
    serde_json::to_string(labels).map_err(Error::internal)
}
