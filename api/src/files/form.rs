//! The format of the files: what serde reads and writes, and what the JSON Schema says.

use domain::budget;
use domain::coworker::Config;
use domain::coworker::config::{Goal, Identity, Limits};
use domain::coworker::tools::ToolServer;
use domain::model::ModelConfig;
use domain::tool::server::Declaration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::price::Prices;
use super::value::Dollars;

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
}
