//! The text of a cursor: the keys of a row, under a checksum that only this workspace can make.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::{KeyValue, List};
use crate::secret::is_same;

/// Bytes of the checksum.
const CHECKSUM: usize = 16;

/// The cursor of a row with these keys, in the list and order that `tag` names.
pub(super) fn seal(list: &List, tag: &str, values: &[KeyValue]) -> String {
    let payload = serde_json::to_vec(values).expect("numbers, ids and texts are JSON");
    let mut bytes = checksum(&list.cursor_key, tag, &payload).to_vec();
    bytes.extend_from_slice(&payload);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The keys in a cursor, if it was made for this list and order.
pub(super) fn open(list: &List, tag: &str, cursor: &str, keys: usize) -> Option<Vec<KeyValue>> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (sum, payload) = bytes.split_at_checked(CHECKSUM)?;
    if !is_same(sum, &checksum(&list.cursor_key, tag, payload)) {
        return None;
    }
    let values: Vec<KeyValue> = serde_json::from_slice(payload).ok()?;
    (values.len() == keys).then_some(values)
}

/// A keyed hash, nested so that it can't be extended.
fn checksum(key: &[u8], tag: &str, payload: &[u8]) -> [u8; CHECKSUM] {
    let inner = Sha256::new()
        .chain_update(key)
        .chain_update((tag.len() as u64).to_be_bytes())
        .chain_update(tag)
        .chain_update(payload)
        .finalize();
    let outer = Sha256::new()
        .chain_update(key)
        .chain_update(inner)
        .finalize();
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&outer[..CHECKSUM]);
    sum
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn list(key: u8, name: &str) -> List {
        List {
            cursor_key: vec![key; 32],
            name: name.into(),
        }
    }

    fn values() -> Vec<KeyValue> {
        vec![
            KeyValue::Int(-7),
            KeyValue::Text("a \"b\"".into()),
            KeyValue::Id(Uuid::from_u128(5)),
        ]
    }

    #[test]
    fn a_cursor_opens_in_its_own_list_only() {
        let mine = list(1, "requests");
        let cursor = seal(&mine, "requests-number", &values());
        assert_eq!(open(&mine, "requests-number", &cursor, 3), Some(values()));
        assert_eq!(
            open(&mine, "requests+number", &cursor, 3),
            None,
            "another order"
        );
        assert_eq!(
            open(&list(2, "requests"), "requests-number", &cursor, 3),
            None,
            "another workspace"
        );
        assert_eq!(
            open(&mine, "requests-number", &cursor, 2),
            None,
            "another number of keys"
        );
    }

    #[test]
    fn a_changed_cursor_is_refused() {
        let list = list(1, "requests");
        let cursor = seal(&list, "t", &values());
        let bytes = URL_SAFE_NO_PAD.decode(&cursor).expect("it is base64");
        for i in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[i] ^= 1;
            assert_eq!(open(&list, "t", &URL_SAFE_NO_PAD.encode(changed), 3), None);
        }
        for junk in ["", "AA", "not base64!", "bm90IGEgY3Vyc29y"] {
            assert_eq!(open(&list, "t", junk, 3), None);
        }
    }
}
