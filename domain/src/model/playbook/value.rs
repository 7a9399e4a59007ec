//! The small values that a playbook is written in. Each checks itself while it is read, so that an
//! error carries the line and column of the value.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, IntoDeserializer, SeqAccess, Visitor};

/// The longest delay.
pub const MAX_DELAY: Duration = Duration::from_secs(600);

/// A duration, written as `300ms`, `2s` or `1m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay(pub Duration);

impl<'de> Deserialize<'de> for Delay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            _ => 0,
        };
        let delay = number
            .parse::<u64>()
            .ok()
            .filter(|_| millis > 0)
            .map(|n| Duration::from_millis(n.saturating_mul(millis)));
        match delay {
            Some(delay) if delay <= MAX_DELAY => Ok(Self(delay)),
            Some(_) => Err(de::Error::custom(format!(
                "{text} is too long; at most 10m are allowed"
            ))),
            None => Err(de::Error::custom(format!(
                "{text:?} is not a duration; write a whole number and a unit, such as 300ms, 2s or 1m"
            ))),
        }
    }
}

/// A piece of text that is looked for without regard to case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needle(Box<str>);

impl Needle {
    /// Whether `hay` contains it.
    pub fn is_in(&self, hay: &str) -> bool {
        if self.0.is_ascii() {
            let needle = self.0.as_bytes();
            hay.as_bytes()
                .windows(needle.len())
                .any(|window| window.eq_ignore_ascii_case(needle))
        } else {
            hay.to_lowercase().contains(&*self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Needle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?.to_lowercase();
        if text.is_empty() {
            return Err(de::Error::custom(
                "an empty text is found everywhere; write what to look for, or remove the key",
            ));
        }
        Ok(Self(text.into()))
    }
}

/// One value, or a list of values of which any will do; without one, every value will.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnyOf<T>(Vec<T>);

impl<T> Default for AnyOf<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: PartialEq> AnyOf<T> {
    /// Whether `value` will do.
    pub fn admits(&self, value: &T) -> bool {
        self.0.is_empty() || self.0.contains(value)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for AnyOf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMany<T> {
            type Value = AnyOf<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one word, or a list of them")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Self::Value, E> {
                word_of(word).map(|value| AnyOf(vec![value]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                if values.is_empty() {
                    return Err(de::Error::custom(
                        "an empty list never fits; name a value, or remove the key",
                    ));
                }
                Ok(AnyOf(values))
            }
        }

        deserializer.deserialize_any(OneOrMany(PhantomData))
    }
}

/// Reads one word of a closed set. The error is made anew, so that it carries the word's place.
pub fn word_of<'de, T: Deserialize<'de>, E: de::Error>(word: &str) -> Result<T, E> {
    let word: de::value::StringDeserializer<de::value::Error> = word.to_owned().into_deserializer();
    T::deserialize(word)
        .map_err(|error| E::custom(error.to_string().replacen("variant", "word", 1)))
}
