//! Secrets at rest: sealed under a key that is not in the database.
//!
//! Each secret is sealed under a fresh data key, and that one under the installation's key (AES-256-GCM both times), bound
//! to what it belongs to: a sealed secret that is moved to another row does not open. What is sealed names the
//! installation's key that sealed it, so that keys can be replaced one after the other.

pub mod kept;
mod veil;

pub use veil::Veil;

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use crate::error::{Error, Result};

/// Bytes of a key.
pub const KEY: usize = 32;
/// The first byte of what is sealed this way.
const FORM: u8 = 1;
/// Bytes of the name of the installation's key.
const NAME: usize = 8;
/// Bytes of a sealed data key: nonce, key, tag.
const DATA_KEY: usize = NONCE_LEN + KEY + 16;

/// Whether what somebody sent is what it must be: signatures, the hashes of keys and the checksums of cursors are compared
/// here and nowhere else. How long it takes tells nothing but the lengths, so that nobody finds out byte by byte what would pass.
pub fn is_same(given: &[u8], expected: &[u8]) -> bool {
    given.ct_eq(expected).into()
}

/// A secret in the clear. It shows itself to nobody who does not ask.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        is_same(&self.0, &other.0)
    }
}

impl Eq for Secret {}

impl Secret {
    /// These bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Seals and opens secrets; cheap to clone.
#[derive(Clone, Default)]
pub struct Vault {
    /// The first one seals, all of them open.
    keys: Arc<[InstallationKey]>,
}

struct InstallationKey {
    name: [u8; NAME],
    key: LessSafeKey,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault")
            .field("keys", &self.keys.len())
            .finish()
    }
}

impl Vault {
    /// A vault with these keys of the installation: the first seals, all of them open. Without any it refuses to seal.
    ///
    /// # Errors
    /// [`Error::Internal`], which does not happen for keys of this length.
    pub fn new(keys: &[[u8; KEY]]) -> Result<Self> {
        let keys = keys.iter().map(|bytes| {
            let mut name = [0; NAME];
            name.copy_from_slice(&Sha256::digest(bytes)[..NAME]);
            Ok(InstallationKey {
                name,
                key: key(bytes)?,
            })
        });
        Ok(Self {
            keys: keys.collect::<Result<_>>()?,
        })
    }

    /// A fresh key of an installation, as text.
    ///
    /// # Errors
    /// [`Error::Internal`] if the machine gives no random bytes.
    pub fn fresh_key() -> Result<String> {
        Ok(STANDARD.encode(random::<KEY>()?))
    }

    /// Reads a key of an installation: 32 bytes in base64.
    pub fn read_key(text: &str) -> Option<[u8; KEY]> {
        STANDARD.decode(text.trim()).ok()?.try_into().ok()
    }

    /// Seals a secret that belongs to `owner`.
    ///
    /// # Errors
    /// [`Error::Conflict`] with the code `NO_SECRET_KEY` if the installation has no key.
    pub fn seal(&self, owner: &str, secret: &Secret) -> Result<Vec<u8>> {
        let Some(InstallationKey { name, key: own }) = self.keys.first() else {
            return Err(Error::conflict(
                "NO_SECRET_KEY",
                "this installation has no key to keep secrets under; its operator gives it one with STINT_SECRET_KEY or --secret-key-file",
            ));
        };
        let data_key = random::<KEY>()?;
        let mut sealed = vec![FORM];
        sealed.extend_from_slice(name);
        sealed.extend(close(own, owner, &data_key)?);
        sealed.extend(close(&key(&data_key)?, owner, secret.reveal())?);
        Ok(sealed)
    }

    /// Opens what was sealed for `owner`.
    ///
    /// # Errors
    /// [`Error::Internal`] if it was sealed under a key that this process does not have, for another owner, or was changed.
    pub fn open(&self, owner: &str, sealed: &[u8]) -> Result<Secret> {
        let damaged = || Error::internal(format!("the secret of {owner} does not open"));
        let rest = sealed.strip_prefix(&[FORM]).ok_or_else(damaged)?;
        let (name, rest) = rest.split_at_checked(NAME).ok_or_else(damaged)?;
        let (data_key, secret) = rest.split_at_checked(DATA_KEY).ok_or_else(damaged)?;
        let own = self.keys.iter().find(|known| known.name == name);
        let own = own.ok_or_else(|| {
            Error::internal(format!(
                "the secret of {owner} was sealed under a key that this process was not given"
            ))
        })?;
        let data_key = unclose(&own.key, owner, data_key).ok_or_else(damaged)?;
        unclose(&key(&data_key)?, owner, secret)
            .map(Secret)
            .ok_or_else(damaged)
    }
}

fn key(bytes: &[u8]) -> Result<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, bytes)
        .map(LessSafeKey::new)
        .map_err(Error::internal)
}

/// Nonce, text and tag. A nonce is random: no key seals anywhere near 2^32 times.
fn close(key: &LessSafeKey, owner: &str, clear: &[u8]) -> Result<Vec<u8>> {
    let nonce = random::<NONCE_LEN>()?;
    let mut text = clear.to_vec();
    let tag = key
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(owner.as_bytes()),
            &mut text,
        )
        .map_err(Error::internal)?;
    Ok([&nonce[..], &text, tag.as_ref()].concat())
}

fn unclose(key: &LessSafeKey, owner: &str, closed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, text) = closed.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut text = text.to_vec();
    let clear = key
        .open_in_place(nonce, Aad::from(owner.as_bytes()), &mut text)
        .ok()?;
    Some(clear.to_vec())
}

/// Random bytes, fit for keys.
///
/// # Errors
/// [`Error::Internal`] if the machine gives none.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(Error::internal)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_for_its_owner_only_and_as_it_was() {
        let vault = Vault::new(&[[7; KEY]]).expect("a vault");
        let secret = Secret::new(*b"whsec_canary");
        let sealed = vault.seal("endpoint:1", &secret).expect("sealed");
        assert!(!sealed.windows(6).any(|bytes| bytes == b"canary"));
        assert_eq!(vault.open("endpoint:1", &sealed).expect("opens"), secret);
        assert!(vault.open("endpoint:2", &sealed).is_err());
        for i in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[i] ^= 1;
            assert!(vault.open("endpoint:1", &changed).is_err(), "byte {i}");
            assert!(vault.open("endpoint:1", &sealed[..i]).is_err(), "{i} bytes");
        }
        assert_ne!(
            sealed,
            vault.seal("endpoint:1", &secret).expect("sealed again")
        );
        assert_eq!(
            format!("{secret:?} {vault:?}"),
            "Secret(…) Vault { keys: 1 }"
        );
    }

    #[test]
    fn only_the_same_bytes_are_the_same() {
        let whole: Vec<u8> = (0..=255).collect();
        assert!(is_same(&whole, &whole) && is_same(&[], &[]));
        for i in 0..whole.len() {
            let mut changed = whole.clone();
            changed[i] ^= 1 << (i % 8);
            assert!(!is_same(&changed, &whole), "byte {i}");
            assert!(!is_same(&whole[..i], &whole), "{i} bytes");
            assert!(!is_same(&whole, &whole[..i]), "{i} bytes expected");
        }
        assert_ne!(Secret::new(*b"a"), Secret::new(*b"b"));
    }

    #[test]
    fn keys_are_replaced_one_after_the_other() {
        let (old, new) = ([1; KEY], [2; KEY]);
        let secret = Secret::new(*b"s");
        let sealed = Vault::new(&[old])
            .and_then(|vault| vault.seal("o", &secret))
            .expect("sealed");
        let both = Vault::new(&[new, old]).expect("a vault");
        assert_eq!(both.open("o", &sealed).expect("the old one opens"), secret);
        let again = both.seal("o", &secret).expect("sealed");
        let only_new = Vault::new(&[new]).expect("a vault");
        assert_eq!(
            only_new.open("o", &again).expect("the new one seals"),
            secret
        );
        assert!(only_new.open("o", &sealed).is_err());
        assert_eq!(
            Vault::default()
                .seal("o", &secret)
                .expect_err("without a key")
                .code(),
            "NO_SECRET_KEY"
        );
    }

    #[test]
    fn a_fresh_key_reads_back() {
        let text = Vault::fresh_key().expect("a key");
        assert!(Vault::read_key(&format!("{text}\n")).is_some());
        assert_eq!(Vault::read_key("c2hvcnQ="), None);
        assert_eq!(Vault::read_key("no base64"), None);
    }
}
