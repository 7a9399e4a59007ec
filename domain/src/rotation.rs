//! The secrets that sign webhooks, those that come in and those that go out: their form, how many are in force at once, and
//! how one takes the place of another.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use entity::Millis;
use sea_orm::ConnectionTrait;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::run::envelope::hex;
use crate::secret::random;
use crate::store::Tx;

/// The longest time for which an old secret may stay in force, milliseconds: a week.
pub const OVERLAP: i64 = 7 * 86_400_000;
/// The most secrets that may be in force at once.
pub(crate) const MOST: usize = 5;
/// What a secret of Standard Webhooks begins with.
pub(crate) const WHSEC: &str = "whsec_";

/// The text of a new secret.
///
/// # Errors
/// As [`random`].
pub(crate) fn make() -> Result<String> {
    Ok(format!("{WHSEC}{}", STANDARD.encode(random::<32>()?)))
}

/// The key that the text of a secret of Standard Webhooks holds; none: it is no such secret.
pub(crate) fn standard(text: &str) -> Option<Vec<u8>> {
    let key = text
        .strip_prefix(WHSEC)
        .and_then(|text| STANDARD.decode(text).ok());
    key.filter(|key| (24..=64).contains(&key.len()))
}

/// Says of two secrets whether they are the same: for the idempotency of calls.
pub(crate) fn fingerprint(text: &str) -> String {
    hex(&Sha256::digest(text))
}

/// Refuses an overlap that can't be meant.
///
/// # Errors
/// [`Error::Invalid`].
pub(crate) fn check_overlap(overlap: i64) -> Result<()> {
    if (0..=OVERLAP).contains(&overlap) {
        return Ok(());
    }
    let message = "overlap must be between nothing and a week: PT0S to P7D";
    Err(Error::invalid("overlap", "INVALID", message))
}

/// Ends the secrets of an endpoint that are in force, so many of them, when the overlap is over. Another one may be added then.
///
/// # Errors
/// [`Error::Conflict`] where they would be too many; what the database said.
pub(crate) async fn end(
    tx: &Tx,
    table: &'static str,
    endpoint: Uuid,
    (now, overlap): (Millis, i64),
    in_force: usize,
) -> Result<()> {
    // Without an overlap they end now, however many they are.
    if overlap > 0 && in_force >= MOST {
        let message = format!(
            "{MOST} secrets are in force already; wait until one of them ends, or rotate with the overlap PT0S"
        );
        return Err(Error::conflict("TOO_MANY", message));
    }
    let sql = format!(
        "UPDATE {table} SET ends_at = ? WHERE endpoint_id = ? AND (ends_at IS NULL OR ends_at > ?)"
    );
    let end = now.plus(overlap);
    let values = [end.into(), endpoint.into(), end.into()];
    tx.writing()
        .await?
        .execute_raw(tx.sql(&sql, values))
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_secret_of_standard_webhooks_is_one() {
        let right = format!("{WHSEC}{}", STANDARD.encode([7; 24]));
        for (text, fits) in [
            (right.as_str(), true),
            ("whsec_c2hvcnQ=", false),
            ("0123456789abcdef0123456789abcdef", false),
            ("whsec_", false),
        ] {
            assert_eq!(standard(text).is_some(), fits, "{text}");
        }
        assert!(standard(&make().expect("chance")).is_some());
    }
}
