//! Money and moments, as files write them.

use std::borrow::Cow;
use std::fmt;

use domain::money::{parse_decimal, print_decimal};
use entity::Millis;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::graphql::scalar::{instant, print_instant};

/// An amount of money, nano-USD; a number or a text in files, such as 0.25.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dollars(pub i64);

impl Serialize for Dollars {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let exact = print_decimal(self.0);
        // As a number where none of its digits is lost on the way back.
        match exact.parse::<f64>() {
            Ok(number) if number.to_string() == exact => serializer.serialize_f64(number),
            Ok(_) | Err(_) => serializer.serialize_str(&exact),
        }
    }
}

impl<'de> Deserialize<'de> for Dollars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Dollars;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount in USD, such as 0.25")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Dollars, E> {
                let nano = parse_decimal(text.trim()).filter(|nano| *nano >= 0);
                nano.map(Dollars).ok_or_else(|| {
                    E::custom(format!(
                        "{text} is no amount in USD: write it like 0.25, with at most nine digits after the point"
                    ))
                })
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Dollars, E> {
                // The shortest digits that mean this number: those that were written.
                self.visit_str(&number.to_string())
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Dollars, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Dollars, E> {
                self.visit_str(&number.to_string())
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Dollars {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Dollars".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "string"], "minimum": 0, "pattern": r"^[0-9]+(\.[0-9]{1,9})?$" })
    }
}

/// A moment, as RFC 3339 writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Millis);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&print_instant(self.0))
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // The epoch itself stands for "now" where prices are set, and now is another moment each time.
        let at = instant(&text).filter(|at| at.0 > 0);
        at.map(Self).ok_or_else(|| {
            de::Error::custom(format!(
                "{text:?} is no moment after 1970: write it like 2026-01-01T00:00:00Z"
            ))
        })
    }
}

impl JsonSchema for Moment {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_keeps_every_digit() {
        for (text, nano) in [
            ("3", 3_000_000_000),
            ("0.3", 300_000_000),
            ("0.000000001", 1),
            ("'999999.123456789'", 999_999_123_456_789),
        ] {
            let read: Dollars = serde_saphyr::from_str(text).expect(text);
            assert_eq!(read, Dollars(nano), "{text}");
            let again = domain::yaml::print(&read).expect("YAML");
            assert_eq!(
                serde_saphyr::from_str::<Dollars>(&again).expect("money"),
                read,
                "{again}"
            );
        }
        for text in ["-1", "free", "0.0000000001", "1e30"] {
            assert!(serde_saphyr::from_str::<Dollars>(text).is_err(), "{text}");
        }
    }
}
