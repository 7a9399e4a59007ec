//! The format of the files: what serde reads and writes, and what the JSON Schema says.

use std::borrow::Cow;
use std::fmt;

use domain::budget;
use domain::coworker::Config;
use domain::coworker::config::{Goal, Identity, Limits};
use domain::coworker::tools::ToolServer;
use domain::model::ModelConfig;
use domain::money::{parse_decimal, print_decimal};
use domain::tool::server::Declaration;
use entity::Millis;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::graphql::scalar::{instant, print_instant};

/// A file of Stint: a coworker, a skill, a tool server, or prices of models, by its `kind`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Object {
    /// A coworker.
    Coworker(Box<Coworker>),
    /// A skill.
    Skill(Skill),
    /// A server of tools.
    ToolServer(Server),
    /// Prices.
    Prices(Prices),
}

/// The words that `kind` may be.
pub const KINDS: [&str; 4] = ["coworker", "skill", "tool-server", "prices"];

/// A coworker: who it is, what it shall achieve, with which tools and which model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Coworker {
    /// What the file holds.
    pub kind: CoworkerKind,
    /// The name to show, 1 to 100 characters.
    pub name: String,
    /// Its short name: 2 to 40 of a-z, 0-9 and -; unique in the workspace. A file with another handle is another coworker.
    pub handle: String,
    /// Whether it is the workspace's Triage coworker; there is at most one.
    #[serde(default)]
    pub is_triage: bool,
    /// Whether it takes work: true publishes what the file says, false keeps it as a draft and takes the coworker out of work.
    #[serde(default = "yes")]
    pub published: bool,
    /// Who it is and what it is for; routing reads it.
    pub identity: Identity,
    /// How it speaks and behaves.
    #[serde(default)]
    pub soul: String,
    /// What it shall achieve, and how a run ends.
    pub goal: Goal,
    /// The handles of the skills that it has, in the order in which its model reads them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<String>,
    /// Which tools it may use, action by action. Of the built-in tools and of those of its playbook it may use those that are not
    /// named too; of those of tool servers it may not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolServer>,
    /// The model that thinks for it.
    pub model: ModelConfig,
    /// The limits of one run.
    #[serde(default)]
    pub limits: Limits,
    /// What all its runs together may cost.
    #[serde(default, skip_serializing_if = "Budget::is_none")]
    pub budget: Budget,
}

/// What all runs of a coworker together may cost, in USD. A tenth is held back for closing turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budget {
    /// In a day (UTC); no limit if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily: Option<Dollars>,
    /// In a month (UTC); no limit if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly: Option<Dollars>,
}

impl Budget {
    const fn is_none(&self) -> bool {
        self.daily.is_none() && self.monthly.is_none()
    }
}

/// A skill: a procedure in words that coworkers share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Skill {
    /// What the file holds.
    pub kind: SkillKind,
    /// The name to show, 1 to 100 characters.
    pub name: String,
    /// Its short name, by which coworkers name it: 2 to 40 of a-z, 0-9 and -; unique in the workspace.
    pub handle: String,
    /// The text that models read, up to 64 KiB.
    pub text: String,
}

/// A server of tools outside of Stint. Secrets stand in no file: headers name them, and the API sets them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ToolServerFile")]
pub struct Server {
    /// What the file holds.
    pub kind: ServerKind,
    /// What stands before the dot of its tools' names: 1 to 64 of a-z, 0-9, _ and -; unique in the workspace.
    pub name: String,
    /// How its tools are reached. What it is (its type) stays.
    pub reach: Declaration,
}

/// Prices of models.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Prices {
    /// What the file holds.
    pub kind: PricesKind,
    /// The prices. One that was set stays as it is: a new price is a new entry with its own moment.
    pub prices: Vec<Price>,
}

/// What a model costs from a moment on, in USD per million tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Price {
    /// The model, as runs and metrics name it: provider:name, or scripted.
    pub model: String,
    /// Other names under which the same model is served, up to 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The provider's service tier; standard if it is not given.
    #[serde(default = "standard", skip_serializing_if = "is_standard")]
    pub service_tier: String,
    /// From when on it holds: 2026-01-01T00:00:00Z.
    pub effective_from: Moment,
    /// Uncached input tokens.
    pub input: Dollars,
    /// Input tokens read from the cache; calls that use them are unpriced if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<Dollars>,
    /// Input tokens written to the short-lived cache; calls that use them are unpriced if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_short: Option<Dollars>,
    /// Input tokens written to the long-lived cache; calls that use them are unpriced if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_long: Option<Dollars>,
    /// Output tokens, reasoning included.
    pub output: Dollars,
    /// Rates for the whole of calls with long prompts, by growing length, up to 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<PriceTier>,
    /// Where the figures come from, up to 200 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
}

/// What calls with long prompts cost, in USD per million tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriceTier {
    /// For prompts of more tokens than this, cached ones included.
    pub prompt_over: i64,
    /// Uncached input tokens.
    pub input: Dollars,
    /// Input tokens read from the cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<Dollars>,
    /// Input tokens written to the short-lived cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_short: Option<Dollars>,
    /// Input tokens written to the long-lived cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_long: Option<Dollars>,
    /// Output tokens, reasoning included.
    pub output: Dollars,
}

fn standard() -> String {
    domain::price::STANDARD.to_owned()
}

fn is_standard(service_tier: &str) -> bool {
    service_tier == domain::price::STANDARD
}

/// The kind of a coworker's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum CoworkerKind {
    /// A coworker.
    Coworker,
}

/// The kind of a skill's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum SkillKind {
    /// A skill.
    Skill,
}

/// The kind of a tool server's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum ServerKind {
    /// A server of tools.
    ToolServer,
}

/// The kind of a file of prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum PricesKind {
    /// Prices of models.
    Prices,
}

const fn yes() -> bool {
    true
}

impl Coworker {
    /// Its configuration.
    pub fn config(&self) -> Config {
        let Self {
            kind: CoworkerKind::Coworker,
            name: _,
            handle: _,
            is_triage: _,
            published: _,
            identity,
            soul,
            goal,
            skills,
            tools,
            model,
            limits,
            budget: Budget { daily, monthly },
        } = self.clone();
        Config {
            identity,
            soul,
            goal,
            skills,
            tools,
            model,
            limits,
            budget: budget::Budget {
                daily_nano: daily.map(|usd| usd.0),
                monthly_nano: monthly.map(|usd| usd.0),
            },
        }
    }

    /// The file of a coworker with this configuration.
    pub fn of(handle: &str, name: &str, is_triage: bool, published: bool, config: Config) -> Self {
        let Config {
            identity,
            soul,
            goal,
            skills,
            tools,
            model,
            limits,
            budget:
                budget::Budget {
                    daily_nano,
                    monthly_nano,
                },
        } = config;
        Self {
            kind: CoworkerKind::Coworker,
            name: name.to_owned(),
            handle: handle.to_owned(),
            is_triage,
            published,
            identity,
            soul,
            goal,
            skills,
            tools,
            model,
            limits,
            budget: Budget {
                daily: daily_nano.map(Dollars),
                monthly: monthly_nano.map(Dollars),
            },
        }
    }
}

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

/// The JSON Schema of the files, for editors.
pub fn schema() -> String {
    let mut schema = schemars::schema_for!(Object);
    schema.insert("title".to_owned(), "A file of Stint".into());
    format!("{:#}\n", schema.as_value())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `INSTA_UPDATE=always` brings the published copy up to date.
    #[test]
    fn the_published_schema_is_what_the_code_says() {
        if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/files/stint.schema.json");
            std::fs::write(path, schema()).expect("the schema can be written");
            return;
        }
        assert_eq!(
            crate::files::SCHEMA,
            schema(),
            "stint export --schema > api/src/files/stint.schema.json"
        );
    }

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
