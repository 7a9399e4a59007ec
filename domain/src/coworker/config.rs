//! What a coworker is made of; a published version pins it.

use entity::RequestStatus;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::tools::{self, ToolServer};
use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::model::ModelConfig;
use crate::text::{bounded, required};

/// The whole configuration of a coworker. Kept as JSON; files spell it as YAML with the same keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
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
    /// Which tools it may use; those that are not named it may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolServer>,
    /// The model that thinks for it.
    pub model: ModelConfig,
    /// The limits of one run.
    #[serde(default)]
    pub limits: Limits,
    /// What all its runs together may cost by day and month.
    #[serde(default, skip_serializing_if = "Budget::is_none")]
    pub budget: Budget,
}

/// Who a coworker is and what it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identity {
    /// One line: its profession.
    pub role: String,
    /// What it takes on.
    #[serde(default)]
    pub scope: String,
    /// What it does not take on.
    #[serde(default)]
    pub out_of_scope: String,
}

/// What a coworker shall achieve.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Goal {
    /// The purpose in a few sentences.
    pub purpose: String,
    /// The steps of its work, in order.
    #[serde(default)]
    pub flow: Vec<String>,
    /// What it must not do.
    #[serde(default)]
    pub non_goals: Vec<String>,
    /// Where to route what is not its own.
    #[serde(default)]
    pub out_of_scope: Vec<OutOfScope>,
    /// How a run ends.
    #[serde(default)]
    pub end_of_run: Vec<EndOfRun>,
}

/// Where to route what is not the coworker's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutOfScope {
    /// The kind of request.
    pub when: String,
    /// The handle of whom to route it to.
    pub route_to: String,
}

/// An end-of-run rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EndOfRun {
    /// The situation, in the words by which a run names the rule that it met.
    pub when: String,
    /// The status that the request gets then; none: it keeps its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "statuses")]
    pub set_status: Option<RequestStatus>,
}

/// A status, or none; rows know nothing of schemas.
fn statuses(_: &mut SchemaGenerator) -> Schema {
    let all: Vec<_> = RequestStatus::ALL
        .iter()
        .map(|s| Some(s.as_str()))
        .chain([None])
        .collect();
    json_schema!({ "enum": all })
}

/// The limits of one run. A tenth of each (at least 1,000 output tokens and 30 s, at most half) is
/// kept back for the closing turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// Model turns.
    pub max_turns: i32,
    /// Tool calls, refused ones included.
    pub max_tool_calls: i32,
    /// Milliseconds from start, paused time excluded.
    pub max_duration_ms: i64,
    /// Input and output tokens of all calls together.
    pub max_tokens: i64,
    /// Cost of all calls together, nano-USD; none: no limit of money.
    pub max_cost_nano: Option<i64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_turns: 40,
            max_tool_calls: 100,
            max_duration_ms: 15 * 60_000,
            max_tokens: 1_000_000,
            max_cost_nano: None,
        }
    }
}

/// The longest text of a configuration field, bytes.
const LONGEST: usize = 64 * 1024;
/// The most skills of a coworker: each is read whole, in every turn.
const MOST_SKILLS: usize = 20;

impl Config {
    /// Reads a stored configuration.
    ///
    /// # Errors
    /// [`Error::Internal`]: rows hold only what [`Config::check`] let through.
    pub fn from_row(json: &str) -> Result<Self> {
        serde_json::from_str(json).map_err(Error::internal)
    }

    /// The form that rows hold.
    ///
    /// # Errors
    /// [`Error::Internal`], which does not happen for these types.
    pub fn to_row(&self) -> Result<String> {
        serde_json::to_string(self).map_err(Error::internal)
    }

    /// Refuses what can't work: empty or oversized texts, limits out of range, a malformed playbook.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the field and the remedy.
    pub fn check(&self) -> Result<()> {
        let Self {
            identity,
            soul,
            goal,
            skills,
            tools,
            model,
            limits,
            budget,
        } = self;
        required("identity.role", &identity.role)?;
        required("goal.purpose", &goal.purpose)?;
        for (field, text) in [
            ("identity.role", &identity.role),
            ("identity.scope", &identity.scope),
            ("identity.outOfScope", &identity.out_of_scope),
            ("soul", soul),
            ("goal.purpose", &goal.purpose),
        ] {
            bounded(field, text, LONGEST)?;
        }
        at_most("goal.flow", goal.flow.len(), 100)?;
        at_most("goal.nonGoals", goal.non_goals.len(), 100)?;
        at_most("goal.outOfScope", goal.out_of_scope.len(), 100)?;
        at_most("goal.endOfRun", goal.end_of_run.len(), 50)?;
        for rule in &goal.end_of_run {
            required("goal.endOfRun.when", &rule.when)?;
        }
        let lists: [(_, Vec<&String>); 5] = [
            ("goal.flow", goal.flow.iter().collect()),
            ("goal.nonGoals", goal.non_goals.iter().collect()),
            (
                "goal.outOfScope.when",
                goal.out_of_scope.iter().map(|rule| &rule.when).collect(),
            ),
            (
                "goal.outOfScope.routeTo",
                goal.out_of_scope
                    .iter()
                    .map(|rule| &rule.route_to)
                    .collect(),
            ),
            (
                "goal.endOfRun.when",
                goal.end_of_run.iter().map(|rule| &rule.when).collect(),
            ),
        ];
        for (field, texts) in lists {
            texts
                .iter()
                .try_for_each(|text| bounded(field, text, LONGEST))?;
        }
        at_most("skills", skills.len(), MOST_SKILLS)?;
        for (i, skill) in skills.iter().enumerate() {
            if skills[..i].contains(skill) {
                let message = format!("the skill {skill} stands twice; keep one");
                return Err(Error::invalid("skills", "INVALID", message));
            }
            required("skills", skill)?;
            bounded("skills", skill, LONGEST)?;
        }
        tools::check(tools)?;
        limits.check()?;
        budget.check()?;
        model.check()
    }
}

impl Config {
    /// Whether it limits what its runs may cost.
    pub fn limits_money(&self) -> bool {
        self.limits.max_cost_nano.is_some() || !self.budget.is_none()
    }
}

impl Limits {
    fn check(&self) -> Result<()> {
        let Self {
            max_turns,
            max_tool_calls,
            max_duration_ms,
            max_tokens,
            max_cost_nano,
        } = *self;
        within("limits.maxTurns", i64::from(max_turns), 1, 1_000)?;
        within("limits.maxToolCalls", i64::from(max_tool_calls), 0, 10_000)?;
        within("limits.maxDuration", max_duration_ms, 1, 7 * 24 * 3_600_000)?;
        within("limits.maxTokens", max_tokens, 1, 1_000_000_000)?;
        within(
            "limits.maxCost",
            max_cost_nano.unwrap_or(1),
            1,
            1_000_000_000_000_000,
        )
    }
}

pub(super) fn at_most(field: &'static str, n: usize, most: usize) -> Result<()> {
    if n > most {
        return Err(Error::invalid(
            field,
            "TOO_LONG",
            format!("{field} has {n} entries; {most} are allowed"),
        ));
    }
    Ok(())
}

fn within(field: &'static str, value: i64, least: i64, most: i64) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::invalid(
        field,
        "INVALID",
        format!("{field} is {value}; it must be from {least} to {most}"),
    ))
}
