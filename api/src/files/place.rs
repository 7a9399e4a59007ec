//! Where in a file a path of the configuration stands: `goal.flow[2]` → line 12, column 7.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// The values of a file with their places.
enum Node {
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
    List(Vec<Spanned<Node>>),
    Leaf,
}

/// The line and column, from 1, of what stands at `path`, or of the closest thing around it that the file
/// has: what is left out has no place of its own.
pub fn find(text: &str, path: &str) -> (u64, u64) {
    walk(text, path).map_or((1, 1), |(at, _)| at)
}

/// Whether what stands at `path`, or closest around it, is a mapping.
pub fn is_mapping(text: &str, path: &str) -> bool {
    walk(text, path).is_some_and(|(_, is_mapping)| is_mapping)
}

fn walk(text: &str, path: &str) -> Option<((u64, u64), bool)> {
    let root =
        serde_saphyr::from_str_with_options::<Spanned<Node>>(text, super::read::options()).ok()?;
    let mut at = (1, 1);
    let mut node = &root.value;
    for segment in segments(path) {
        let (place, next) = match (node, segment) {
            (Node::Map(entries), Segment::Key(key)) => {
                // Durations and money carry their unit in files: limits.maxDuration is maxDurationMs there.
                let named = entries.iter().find(|(name, _)| name.value == key);
                let named =
                    named.or_else(|| entries.iter().find(|(name, _)| name.value.starts_with(key)));
                let Some((name, value)) = named else { break };
                (name.referenced, &value.value)
            }
            (Node::List(items), Segment::Index(index)) => {
                let Some(item) = items.get(index) else { break };
                (item.referenced, &item.value)
            }
            (Node::Map(_) | Node::List(_) | Node::Leaf, Segment::Key(_) | Segment::Index(_)) => {
                break;
            }
        };
        at = (place.line(), place.column());
        node = next;
    }
    Some((at, matches!(node, Node::Map(_))))
}

enum Segment<'a> {
    Key(&'a str),
    Index(usize),
}

fn segments(path: &str) -> Vec<Segment<'_>> {
    let mut all = Vec::new();
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let mut pieces = part.split('[');
        all.extend(
            pieces
                .next()
                .filter(|key| !key.is_empty())
                .map(Segment::Key),
        );
        let index = |piece: &str| {
            piece
                .strip_suffix(']')
                .and_then(|digits| digits.parse().ok())
        };
        all.extend(pieces.filter_map(index).map(Segment::Index));
    }
    all
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tree;

        impl<'de> Visitor<'de> for Tree {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Node::Map(entries))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Node::List(items))
            }

            fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Node, D::Error> {
                Node::deserialize(inner)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
                Ok(Node::Leaf)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
                Ok(Node::Leaf)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
                Ok(Node::Leaf)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
                Ok(Node::Leaf)
            }

            fn visit_str<E>(self, _: &str) -> Result<Node, E> {
                Ok(Node::Leaf)
            }

            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Leaf)
            }

            fn visit_none<E>(self) -> Result<Node, E> {
                Ok(Node::Leaf)
            }
        }

        deserializer.deserialize_any(Tree)
    }
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn a_path_is_found_or_what_is_closest_to_it() {
        let text = "kind: coworker\ngoal:\n  purpose: Help.\n  flow:\n    - Read.\n    - Ask netbox.lookup.\nlimits:\n  maxDurationMs: 5\n";
        for (path, place) in [
            ("kind", (1, 1)),
            ("goal.purpose", (3, 3)),
            ("goal.flow[1]", (6, 7)),
            ("goal.flow[7]", (4, 3)),
            ("goal.endOfRun[0].when", (2, 1)),
            ("limits.maxDuration", (8, 3)),
            ("soul", (1, 1)),
            ("", (1, 1)),
        ] {
            assert_eq!(find(text, path), place, "{path}");
        }
        assert_eq!(find("a: [", "a"), (1, 1));
    }
}
