use std::collections::HashSet;

use uuid::Uuid;

use super::*;
use crate::tool::Effect;

const CALL: Bound<'static> = Bound {
    arguments: r#"{"device":"LT-2231","hard":true}"#,
    call: "t1c1",
    expires_at: Millis(1_779_334_200_000),
    run: RunId(Uuid::from_u128(2)),
    schema: "5e",
    tool: "device.reset",
    workspace: WorkspaceId(Uuid::from_u128(1)),
};

/// Chance that can be had again: xorshift64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("it is small")
    }

    /// The text with one letter changed, added or taken away.
    fn changed(&mut self, text: &str) -> String {
        const LETTERS: [char; 12] = [
            '"', ',', '{', '}', ':', '\\', 'a', 'A', '0', ' ', '\u{e9}', '\n',
        ];
        let mut letters: Vec<char> = text.chars().collect();
        let (at, letter) = (
            self.below(letters.len()),
            LETTERS[self.below(LETTERS.len())],
        );
        match self.below(3) {
            0 if letters[at] != letter => letters[at] = letter,
            1 if letters.len() > 1 => drop(letters.remove(at)),
            _ => letters.insert(at, letter),
        }
        letters.into_iter().collect()
    }
}

/// G15: whatever is changed of what was shown, however little, it is another call.
#[test]
fn none_of_ten_thousand_changes_of_a_single_field_has_the_same_digest() {
    let digest = CALL.digest();
    let mut chance = Chance(0x5eed_0015);
    let (mut seen, mut fields) = (HashSet::from([digest.clone()]), [0; 7]);
    for _ in 0..10_000 {
        let field = chance.below(7);
        fields[field] += 1;
        let texts = [CALL.arguments, CALL.call, CALL.schema, CALL.tool];
        let text = texts.get(field).map(|text| chance.changed(text));
        let text = text.unwrap_or_default();
        let bit = 1 << chance.below(63);
        let mut other = CALL;
        match field {
            0 => other.arguments = &text,
            1 => other.call = &text,
            2 => other.schema = &text,
            3 => other.tool = &text,
            4 => other.expires_at.0 ^= bit,
            5 => other.run.0 = Uuid::from_u128(CALL.run.0.as_u128() ^ (bit as u128) << 64),
            _ => other.workspace.0 = Uuid::from_u128(CALL.workspace.0.as_u128() ^ (bit as u128)),
        }
        assert_ne!(other, CALL, "field {field} was not changed");
        assert_ne!(other.digest(), digest, "{other:?}");
        seen.insert(other.digest());
    }
    assert!(fields.iter().all(|n| *n > 1_000), "{fields:?}");
    assert!(seen.len() > 1_000, "different calls have different digests");
}

/// Values that lie side by side can't be shifted into each other.
#[test]
fn what_ends_one_field_can_not_begin_the_next() {
    let (one, other) = (
        Bound {
            arguments: "{}",
            call: "x",
            ..CALL
        },
        Bound {
            arguments: r#"{}","call":"x"#,
            call: "",
            ..CALL
        },
    );
    assert_ne!(one.digest(), other.digest());
}

#[test]
fn the_digest_is_that_of_canonical_json() {
    let expected = concat!(
        r#"{"arguments":"{\"device\":\"LT-2231\",\"hard\":true}","call":"t1c1","expires_at":1779334200000,"#,
        r#""run":"00000000-0000-0000-0000-000000000002","schema":"5e","tool":"device.reset","#,
        r#""workspace":"00000000-0000-0000-0000-000000000001"}"#,
    );
    assert_eq!(canonical(&serde_json::json!(CALL)), expected);
    assert_eq!(CALL.digest(), hash(expected));
}

#[test]
fn a_tool_is_known_by_what_it_says_and_not_by_the_order_in_which_it_says_it() {
    let spec = |description: &str, parameters: &str| ToolSpec {
        name: "device.reset".into(),
        description: description.into(),
        parameters: serde_json::from_str(parameters).expect("JSON"),
        effect: Effect::Effect,
        destructive: true,
    };
    let hash = |spec| schema_hash(&spec);
    let one = hash(spec("Resets it.", r#"{"type":"object","required":["a"]}"#));
    assert_eq!(
        one,
        hash(spec(
            "Resets it.",
            r#"{ "required": ["a"], "type": "object" }"#
        ))
    );
    for other in [
        spec("Resets it", r#"{"type":"object","required":["a"]}"#),
        spec("Resets it.", r#"{"type":"object","required":[]}"#),
        spec("Resets it.", r#"{"type":"object"}"#),
    ] {
        assert_ne!(one, hash(other));
    }
}
