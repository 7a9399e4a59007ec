//! The same call twice makes one thing: a caller's key, remembered in the transaction that made it.

use entity::idempotency_key;
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait};
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::access::Actor;
use crate::error::{Error, Result};
use crate::store::{Command, Tx};

/// How long a key is remembered, milliseconds: 24 hours.
const KEPT: i64 = 24 * 3_600_000;
/// How much longer its row stays, milliseconds: the clocks of two nodes may differ.
const LONGER: i64 = 3_600_000;
/// The most keys that one sweep deletes.
pub const BATCH: u64 = 500;
/// The most characters of a key.
const LONGEST: usize = 200;

/// A creating call under its key, if it has one.
#[derive(Debug)]
pub struct Once {
    row: Option<idempotency_key::Model>,
    made: Option<Uuid>,
}

/// Looks whether `actor` made this call before. `operation` is the API's name of it.
///
/// # Errors
/// [`Error::Conflict`] with the code `IDEMPOTENCY_MISMATCH` if the key was used with other input;
/// [`Error::Invalid`] for a key that is empty or too long.
pub async fn once(
    tx: &Tx,
    actor: &Actor,
    operation: &str,
    key: Option<&str>,
    input: &impl Serialize,
) -> Result<Once> {
    let Some(key) = key else {
        return Ok(Once {
            row: None,
            made: None,
        });
    };
    if key.is_empty() || key.len() > LONGEST || key.contains('\0') {
        let message = format!(
            "idempotencyKey has {} bytes; it must have 1 to {LONGEST}, none of them NUL",
            key.len()
        );
        return Err(Error::invalid("idempotencyKey", "INVALID", message));
    }
    let input = serde_json::to_vec(input).map_err(Error::internal)?;
    let now = tx.at();
    let row = idempotency_key::Model {
        workspace_id: actor.workspace,
        // Two principals that choose the same key do not meet.
        key: format!("{operation}:{}:{key}", actor.principal.id()),
        input_hash: Sha256::digest(&input).to_vec(),
        made_id: Uuid::nil(),
        created_at: now,
    };
    let found = idempotency_key::Entity::find_by_id((row.workspace_id, row.key.clone()))
        .one(tx.conn())
        .await?;
    let made = match found {
        Some(found) if now.since(found.created_at) > KEPT => None,
        Some(found) if found.input_hash != row.input_hash => {
            return Err(Error::conflict(
                "IDEMPOTENCY_MISMATCH",
                format!("the idempotency key \"{key}\" was used with other input; use a new key"),
            ));
        }
        Some(found) => Some(found.made_id),
        None => None,
    };
    Ok(Once {
        row: Some(row),
        made,
    })
}

/// As [`once`], for what has a unique name and is alone in its transaction: of two calls at the same time the second waits here for the
/// first, so that it finds what that made, and not only that the name is taken.
///
/// # Errors
/// As [`once`].
pub async fn once_at_a_time(
    tx: &Tx,
    actor: &Actor,
    operation: &str,
    key: Option<&str>,
    input: &impl Serialize,
) -> Result<Once> {
    // SQLite has one writer.
    if let Some(key) = key.filter(|_| tx.backend() == DbBackend::Postgres) {
        let name = format!(
            "{}:{operation}:{}:{key}",
            actor.workspace,
            actor.principal.id()
        );
        let hash = Sha256::digest(name);
        let hash = hash
            .iter()
            .take(8)
            .fold(0, |sum, byte| sum << 8 | i64::from(*byte));
        let lock = tx.sql("SELECT pg_advisory_xact_lock(?)", [hash.into()]);
        tx.conn().execute_raw(lock).await?;
    }
    once(tx, actor, operation, key, input).await
}

impl Once {
    /// What the earlier call made.
    pub fn made(&self) -> Option<Uuid> {
        self.made
    }

    /// Remembers what this call made. Of two calls at the same time one fails with a conflict of rows,
    /// and is run again by whoever repeats it.
    ///
    /// # Errors
    /// What the database said.
    pub async fn remember(&self, tx: &Tx, id: Uuid) -> Result<()> {
        let Some(row) = &self.row else { return Ok(()) };
        let sql = "INSERT INTO idempotency_key (workspace_id, key, input_hash, made_id, created_at) VALUES (?, ?, ?, ?, ?) \
                   ON CONFLICT (workspace_id, key) DO UPDATE SET input_hash = excluded.input_hash, \
                   made_id = excluded.made_id, created_at = excluded.created_at \
                   WHERE idempotency_key.created_at < excluded.created_at - ?";
        let idempotency_key::Model {
            workspace_id,
            key,
            input_hash,
            made_id: _,
            created_at,
        } = row.clone();
        let values = [
            workspace_id.into(),
            key.into(),
            input_hash.into(),
            id.into(),
            created_at.into(),
            KEPT.into(),
        ];
        let done = tx.writing().await?.execute_raw(tx.sql(sql, values)).await?;
        if done.rows_affected() == 0 {
            // Another call with this key was committed meanwhile: run again, and find it.
            return Err(Error::Unavailable {
                message: "the same call is under way; repeat it".into(),
            });
        }
        Ok(())
    }
}

/// Sweeps a part of the keys that nobody remembers any more.
#[derive(Clone, Copy, Debug)]
pub struct Sweep;

impl Command for Sweep {
    /// How many keys are gone.
    type Output = u64;

    async fn run(&self, tx: &Tx) -> Result<u64> {
        // A key that is used again at this moment, or swept by another node, is left alone.
        let end = match tx.backend() {
            DbBackend::Postgres => " FOR UPDATE SKIP LOCKED)",
            _ => ")",
        };
        let sql = format!(
            "DELETE FROM idempotency_key WHERE (workspace_id, key) IN (SELECT workspace_id, key FROM idempotency_key \
             WHERE created_at < ? ORDER BY created_at LIMIT ?{end}"
        );
        let before = tx.now().await?.plus(-(KEPT + LONGER));
        let statement = tx.sql(&sql, [before.into(), BATCH.into()]);
        let done = tx.writing().await?.execute_raw(statement).await?;
        Ok(done.rows_affected())
    }

    fn repeatable(&self) -> bool {
        true
    }
}
