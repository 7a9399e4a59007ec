//! Failures on purpose, of the model and of tools.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::value::{Delay, word_of};

/// A failure on purpose.
#[derive(Debug)]
pub struct Fault<C> {
    /// As it is written, for messages.
    pub word: String,
    pub kind: FaultKind<C>,
    pub times: Option<usize>,
    pub message: Option<String>,
    pub retry_after: Option<Duration>,
}

/// What happens instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind<C> {
    /// A failure of this class.
    Fails(C),
    /// No answer ever comes.
    Hangs,
    /// The process dies on the spot.
    Aborts,
}

impl<C> Fault<C> {
    /// Whether the `nth` try, from 1, fails.
    pub fn strikes(&self, nth: usize) -> bool {
        self.times.is_none_or(|times| nth <= times)
    }
}

impl<'de, C: Deserialize<'de>> Deserialize<'de> for Fault<C> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Long {
            class: String,
            times: Option<usize>,
            message: Option<String>,
            retry_after: Option<Delay>,
        }
        struct WordOrLong<C>(PhantomData<C>);

        impl<'de, C: Deserialize<'de>> Visitor<'de> for WordOrLong<C> {
            type Value = Fault<C>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word, or a mapping with `class`")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Self::Value, E> {
                Ok(Fault {
                    word: word.to_owned(),
                    kind: fault_kind(word)?,
                    times: None,
                    message: None,
                    retry_after: None,
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let Long {
                    class,
                    times,
                    message,
                    retry_after,
                } = Long::deserialize(de::value::MapAccessDeserializer::new(map))?;
                if times == Some(0) {
                    return Err(de::Error::custom(
                        "`times` counts from 1; remove the fault if it should not happen",
                    ));
                }
                Ok(Fault {
                    kind: fault_kind(&class)?,
                    word: class,
                    times,
                    message,
                    retry_after: retry_after.map(|delay| delay.0),
                })
            }
        }

        deserializer.deserialize_any(WordOrLong(PhantomData))
    }
}

fn fault_kind<'de, C: Deserialize<'de>, E: de::Error>(word: &str) -> Result<FaultKind<C>, E> {
    match word {
        "hang" => Ok(FaultKind::Hangs),
        "abort" => Ok(FaultKind::Aborts),
        word => word_of(word)
            .map(FaultKind::Fails)
            .map_err(|error: de::value::Error| E::custom(format!("{error}, `hang`, `abort`"))),
    }
}
