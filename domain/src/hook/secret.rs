//! The secrets that deliveries to an endpoint are signed with.

use entity::{
    Millis, WebhookEndpointId, WebhookKind, WorkspaceId, webhook_endpoint, webhook_secret,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use crate::access::{Action, Actor};
use crate::error::{Error, Result};
use crate::rotation;
use crate::secret::{Secret, Vault};
use crate::store::Store;

/// A secret on its way into the database: sealed, because a command holds nothing in the clear that it does not need.
#[derive(Clone, Debug)]
pub struct NewSecret {
    pub(super) sealed: Vec<u8>,
    /// Says of two secrets whether they are the same: for the idempotency of the call.
    pub(super) given: Option<String>,
}

impl NewSecret {
    /// Seals the secret that the sender gave, or makes one; the text to show once is beside it then. For PagerDuty, which makes
    /// its own, there is nothing without one that was given.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without [`Action::HookManage`]; [`Error::Invalid`] for a secret that does not have the form of its
    /// kind; [`Error::Conflict`] with `NO_SECRET_KEY`.
    pub fn seal(
        vault: &Vault,
        actor: &Actor,
        endpoint: WebhookEndpointId,
        kind: WebhookKind,
        given: Option<&str>,
    ) -> Result<(Option<Self>, Option<Secret>)> {
        actor.authorize(Action::HookManage)?;
        let (text, made) = match given {
            Some(text) => (text.trim().to_owned(), false),
            None => match kind {
                WebhookKind::Pagerduty => return Ok((None, None)),
                WebhookKind::Standard | WebhookKind::Generic => (rotation::make()?, true),
            },
        };
        let bytes = bytes(kind, &text)?;
        let owner = owner(actor.workspace, endpoint);
        let secret = Self {
            sealed: vault.seal(&owner, &Secret::new(bytes))?,
            given: (!made).then(|| rotation::fingerprint(&text)),
        };
        Ok((Some(secret), made.then(|| Secret::new(text))))
    }

    /// As [`NewSecret::seal`], for an endpoint that is there.
    ///
    /// # Errors
    /// Besides those: [`Error::NotFound`], and `REQUIRED` for a PagerDuty endpoint without a given one.
    pub async fn next(
        store: &Store,
        vault: &Vault,
        actor: &Actor,
        endpoint: WebhookEndpointId,
        given: Option<&str>,
    ) -> Result<(Self, Option<Secret>)> {
        actor.authorize(Action::HookManage)?;
        let row = super::query::get(store.read(), actor, endpoint).await?;
        let (secret, text) = Self::seal(vault, actor, endpoint, row.kind, given)?;
        let secret = secret.ok_or_else(|| {
            let message = "PagerDuty makes its own secrets: give the one that it shows for the webhook subscription";
            Error::invalid("secret", "REQUIRED", message)
        })?;
        Ok((secret, text))
    }
}

/// To whom a secret belongs, for [`Vault`].
pub(super) fn owner(workspace: WorkspaceId, endpoint: WebhookEndpointId) -> String {
    format!("webhook_secret:{workspace}:{endpoint}")
}

/// The key of a secret's text: Standard Webhooks write bytes in base64, others sign with the text itself.
fn bytes(kind: WebhookKind, text: &str) -> Result<Vec<u8>> {
    let invalid = |message: &str| Err(Error::invalid("secret", "INVALID", message));
    match kind {
        WebhookKind::Standard => rotation::standard(text).map_or_else(
            || {
                invalid(
                    "a Standard Webhooks secret is whsec_ and 24 to 64 bytes in base64; take it from the sender, or leave it out to have one made",
                )
            },
            Ok,
        ),
        WebhookKind::Pagerduty | WebhookKind::Generic => {
            if (16..=200).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
            {
                return Ok(text.as_bytes().to_vec());
            }
            invalid("a secret has 16 to 200 letters, digits and signs, without spaces")
        }
    }
}

/// The secrets of an endpoint that have not ended, newest first.
///
/// # Errors
/// What the database said.
pub(super) async fn in_force<C: ConnectionTrait>(
    db: &C,
    endpoint: &webhook_endpoint::Model,
    now: Millis,
) -> Result<Vec<webhook_secret::Model>> {
    let ends = webhook_secret::Column::EndsAt;
    let rows = webhook_secret::Entity::find()
        .filter(webhook_secret::Column::EndpointId.eq(endpoint.id))
        .filter(webhook_secret::Column::WorkspaceId.eq(endpoint.workspace_id))
        .filter(Condition::any().add(ends.is_null()).add(ends.gt(now)))
        .order_by_desc(webhook_secret::Column::CreatedAt)
        .order_by_desc(webhook_secret::Column::Id)
        .limit(2 * rotation::MOST as u64)
        .all(db)
        .await?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn a_secret_has_the_form_of_its_kind() {
        let standard = format!("whsec_{}", STANDARD.encode([7; 24]));
        for (kind, text, fits) in [
            (WebhookKind::Standard, standard.as_str(), true),
            (WebhookKind::Standard, "whsec_c2hvcnQ=", false),
            (WebhookKind::Standard, "0123456789abcdef", false),
            (WebhookKind::Pagerduty, "0123456789abcdef", true),
            (WebhookKind::Generic, "0123456789abcde", false),
            (WebhookKind::Generic, "0123456789 abcdef", false),
        ] {
            assert_eq!(bytes(kind, text).is_ok(), fits, "{kind:?} {text}");
        }
    }
}
