//! The secrets that alerts are signed with: made or given, sealed, several in force while they are rotated.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use entity::{AlertEndpointId, Millis, WorkspaceId, alert_endpoint, alert_secret};
use hmac::{Hmac, KeyInit, Mac};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use sha2::Sha256;

use crate::access::{Action, Actor};
use crate::error::{Error, Result};
use crate::rotation;
use crate::secret::{Secret, Vault};

/// A secret on its way into the database: sealed, because a command holds nothing in the clear that it does not need.
#[derive(Clone, Debug)]
pub struct NewSecret {
    sealed: Vec<u8>,
    /// Says of two secrets whether they are the same: for the idempotency of the call.
    given: Option<String>,
}

impl NewSecret {
    /// Seals the secret that the receiver gave, or makes one; the text to show once is beside it then.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without [`Action::AlertManage`]; [`Error::Invalid`] for what is no secret of Standard Webhooks;
    /// [`Error::Conflict`] with `NO_SECRET_KEY`.
    pub fn seal(
        vault: &Vault,
        actor: &Actor,
        endpoint: AlertEndpointId,
        given: Option<&str>,
    ) -> Result<(Self, Option<Secret>)> {
        actor.authorize(Action::AlertManage)?;
        let text = match given {
            Some(text) => text.trim().to_owned(),
            None => rotation::make()?,
        };
        let owner = owner(actor.workspace, endpoint);
        let secret = Self {
            sealed: vault.seal(&owner, &Secret::new(key(&text)?))?,
            given: given.map(|_| rotation::fingerprint(&text)),
        };
        Ok((secret, given.is_none().then(|| Secret::new(text))))
    }

    pub(super) fn sealed(&self) -> &[u8] {
        &self.sealed
    }

    pub(super) fn given(&self) -> Option<&str> {
        self.given.as_deref()
    }
}

/// To whom a secret belongs, for [`Vault`].
fn owner(workspace: WorkspaceId, endpoint: AlertEndpointId) -> String {
    format!("alert_secret:{workspace}:{endpoint}")
}

/// The key of a secret's text.
fn key(text: &str) -> Result<Vec<u8>> {
    rotation::standard(text).ok_or_else(|| {
        let message = "a secret is whsec_ and 24 to 64 bytes in base64, as Standard Webhooks has it; leave it out to have one made";
        Error::invalid("secret", "INVALID", message)
    })
}

/// The secrets of an endpoint that have not ended, newest first.
///
/// # Errors
/// What the database said.
pub(super) async fn in_force<C: ConnectionTrait>(
    db: &C,
    endpoint: &alert_endpoint::Model,
    now: Millis,
) -> Result<Vec<alert_secret::Model>> {
    let ends = alert_secret::Column::EndsAt;
    let rows = alert_secret::Entity::find()
        .filter(alert_secret::Column::EndpointId.eq(endpoint.id))
        .filter(alert_secret::Column::WorkspaceId.eq(endpoint.workspace_id))
        .filter(Condition::any().add(ends.is_null()).add(ends.gt(now)))
        .order_by_desc(alert_secret::Column::CreatedAt)
        .order_by_desc(alert_secret::Column::Id)
        .limit(2 * rotation::MOST as u64)
        .all(db)
        .await?;
    Ok(rows)
}

/// The signatures of a message, one by each secret, as the header holds them.
///
/// # Errors
/// As [`Vault::open`].
pub(super) fn sign(
    vault: &Vault,
    secrets: &[alert_secret::Model],
    id: &str,
    seconds: i64,
    body: &str,
) -> Result<String> {
    let signed = format!("{id}.{seconds}.");
    let mut signatures = Vec::with_capacity(secrets.len());
    for row in secrets {
        let secret = vault.open(&owner(row.workspace_id, row.endpoint_id), &row.sealed)?;
        // HMAC takes keys of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.reveal()).map_err(Error::internal)?;
        mac.update(signed.as_bytes());
        mac.update(body.as_bytes());
        signatures.push(format!(
            "v1,{}",
            STANDARD.encode(mac.finalize().into_bytes())
        ));
    }
    Ok(signatures.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::KEY;
    use entity::AlertSecretId;
    use uuid::Uuid;

    #[test]
    fn another_implementation_agrees_with_every_signature() {
        let vault = Vault::new(&[[7; KEY]]).expect("a vault");
        let actor = Actor::stint(WorkspaceId(Uuid::from_u128(1)));
        let endpoint = AlertEndpointId(Uuid::from_u128(2));
        let texts = [[1; 24].to_vec(), [2; 64].to_vec()]
            .map(|key| format!("{}{}", rotation::WHSEC, STANDARD.encode(key)));
        let rows = texts.clone().map(|text| {
            let (secret, shown) =
                NewSecret::seal(&vault, &actor, endpoint, Some(&text)).expect("sealed");
            assert_eq!(shown, None, "what was given is not shown again");
            alert_secret::Model {
                id: AlertSecretId(Uuid::nil()),
                workspace_id: actor.workspace,
                endpoint_id: endpoint,
                sealed: secret.sealed().to_vec(),
                created_at: Millis(0),
                ends_at: None,
            }
        });
        let body = "{\"type\":\"run.ended\",\"é\":1}";
        let header = sign(&vault, &rows, "ald_1", 1_779_247_800, body).expect("signed");
        assert_eq!(header.split(' ').count(), 2);
        for (text, own) in texts.iter().zip(header.split(' ')) {
            let oracle = standardwebhooks::Webhook::new(text).expect("a secret");
            let expected = oracle.sign("ald_1", 1_779_247_800, body.as_bytes());
            assert_eq!(own, expected.expect("signed"));
        }
    }
}
