//! What a coworker is made of, as the contract shows it.

use async_graphql::{Object, SimpleObject};
use domain::budget::Budget;
use domain::coworker::Config;
use domain::coworker::config::{EndOfRun, Goal, Identity, Limits, OutOfScope};
use domain::model::{ModelConfig, Parameters};

use super::tools::CoworkerToolServer;
use crate::graphql::kind::{ReasoningEffort, RequestStatus};
use crate::graphql::scalar::{Decimal, Duration, Int64};

/// All that makes a coworker behave as it does.
pub struct CoworkerConfig(pub Config);

/// All that makes a coworker behave as it does.
#[Object]
impl CoworkerConfig {
    /// Who it is: what it is asked to do, and what not. Requests are routed by it.
    async fn identity(&self) -> CoworkerIdentity {
        self.0.identity.clone().into()
    }

    /// How it speaks and behaves.
    async fn soul(&self) -> &str {
        &self.0.soul
    }

    /// What it works towards.
    async fn goal(&self) -> CoworkerGoal {
        self.0.goal.clone().into()
    }

    /// The handles of its skills, in the order in which its model reads them.
    async fn skills(&self) -> &[String] {
        &self.0.skills
    }

    /// Its tools: every action that it has or that its settings name, with whether it is enabled.
    async fn tools(&self) -> Vec<CoworkerToolServer> {
        super::tools::of(&self.0)
    }

    /// The model that thinks for it.
    async fn model(&self) -> CoworkerModel {
        self.0.model.clone().into()
    }

    /// Where a run must come to an end.
    async fn limits(&self) -> CoworkerLimits {
        self.0.limits.into()
    }

    /// What all its runs together may cost.
    async fn budget(&self) -> CoworkerBudget {
        self.0.budget.into()
    }
}

/// Who a coworker is. Requests are routed by it.
#[derive(SimpleObject)]
pub struct CoworkerIdentity {
    /// Its role, in one line: `Hardware Specialist`.
    pub role: String,
    /// What belongs to its work.
    pub scope: String,
    /// What does not belong to its work.
    pub out_of_scope: String,
}

impl From<Identity> for CoworkerIdentity {
    fn from(
        Identity {
            role,
            scope,
            out_of_scope,
        }: Identity,
    ) -> Self {
        Self {
            role,
            scope,
            out_of_scope,
        }
    }
}

/// What a coworker works towards.
#[derive(SimpleObject)]
pub struct CoworkerGoal {
    /// What it is there for.
    pub purpose: String,
    /// The steps of its runbook, in order.
    pub flow: Vec<String>,
    /// The work that it must avoid.
    pub non_goals: Vec<String>,
    /// What to do with requests that are not its own.
    pub out_of_scope: Vec<OutOfScopeRule>,
    /// How a run ends, case by case.
    pub end_of_run: Vec<EndOfRunRule>,
}

/// What to do with requests of a kind that is not the coworker's own.
#[derive(SimpleObject)]
pub struct OutOfScopeRule {
    /// The kind of requests.
    pub when: String,
    /// The handle of whom to route them to.
    pub route_to: String,
}

/// How a run ends in one case.
#[derive(SimpleObject)]
pub struct EndOfRunRule {
    /// The case.
    pub when: String,
    /// The status that the request then gets; null: it stays as it is.
    pub set_status: Option<RequestStatus>,
}

impl From<Goal> for CoworkerGoal {
    fn from(
        Goal {
            purpose,
            flow,
            non_goals,
            out_of_scope,
            end_of_run,
        }: Goal,
    ) -> Self {
        let out_of_scope = out_of_scope
            .into_iter()
            .map(|OutOfScope { when, route_to }| OutOfScopeRule { when, route_to });
        let end_of_run = end_of_run
            .into_iter()
            .map(|EndOfRun { when, set_status }| EndOfRunRule {
                when,
                set_status: set_status.map(Into::into),
            });
        Self {
            purpose,
            flow,
            non_goals,
            out_of_scope: out_of_scope.collect(),
            end_of_run: end_of_run.collect(),
        }
    }
}

/// The model that thinks for a coworker.
#[derive(SimpleObject)]
pub struct CoworkerModel {
    /// The provider: `scripted`, a deterministic model that follows a playbook and needs no key, or one that the installation is configured with, such as `openai` or `anthropic`.
    pub provider: String,
    /// The model's name at its provider. Null for `scripted`.
    pub model: Option<String>,
    /// The name under which runs, prices and metrics know it: `openai:gpt-5-mini`, or `scripted`.
    pub name: String,
    /// How it shall write.
    pub parameters: CoworkerModelParameters,
    /// The playbook of the scripted model, YAML, exactly as it was written.
    pub playbook: Option<String>,
}

impl From<ModelConfig> for CoworkerModel {
    fn from(config: ModelConfig) -> Self {
        let name = config.name();
        let ModelConfig {
            provider,
            model,
            parameters,
            playbook,
        } = config;
        Self {
            provider,
            model,
            name,
            parameters: parameters.into(),
            playbook,
        }
    }
}

/// How a model shall write. Null is as the provider has it.
#[derive(SimpleObject)]
pub struct CoworkerModelParameters {
    /// How freely it chooses its words, 0 to 2.
    pub temperature: Option<f64>,
    /// The share of likely words that it chooses from, 0 to 1.
    pub top_p: Option<f64>,
    /// The most tokens that it may write in one turn, reasoning included. Null: 8,192.
    pub max_output_tokens: Option<Int64>,
    /// How much it shall reason.
    pub reasoning_effort: Option<ReasoningEffort>,
    /// The most tokens that it may reason in one turn, for providers of the kinds anthropic and gemini.
    pub thinking_budget_tokens: Option<Int64>,
    /// Whether the stable part of the prompt is kept in the provider's cache for an hour instead of minutes, for providers of the kind anthropic.
    pub long_cache: bool,
}

impl From<Parameters> for CoworkerModelParameters {
    fn from(parameters: Parameters) -> Self {
        let Parameters {
            temperature,
            top_p,
            max_output_tokens,
            reasoning_effort,
            thinking_budget_tokens,
            long_cache,
        } = parameters;
        Self {
            temperature: temperature.map(|value| value.value()),
            top_p: top_p.map(|value| value.value()),
            max_output_tokens: max_output_tokens.map(Int64),
            reasoning_effort: reasoning_effort.map(Into::into),
            thinking_budget_tokens: thinking_budget_tokens.map(Int64),
            long_cache,
        }
    }
}

/// Where a run must come to an end. A part is held back for one closing turn, so that the run can still explain itself.
#[derive(SimpleObject)]
pub struct CoworkerLimits {
    /// Model turns.
    pub max_turns: i32,
    /// Tool calls, refused ones included.
    pub max_tool_calls: i32,
    /// Time, without the time that the run is paused.
    pub max_duration: Duration,
    /// Tokens, input and output together.
    pub max_tokens: Int64,
    /// Money, USD; null: no limit.
    pub max_cost: Option<Decimal>,
}

impl From<Limits> for CoworkerLimits {
    fn from(limits: Limits) -> Self {
        let Limits {
            max_turns,
            max_tool_calls,
            max_duration_ms,
            max_tokens,
            max_cost_nano,
        } = limits;
        Self {
            max_turns,
            max_tool_calls,
            max_duration: Duration(max_duration_ms),
            max_tokens: Int64(max_tokens),
            max_cost: max_cost_nano.map(Decimal),
        }
    }
}

/// What all runs of a coworker together may cost.
#[derive(SimpleObject)]
pub struct CoworkerBudget {
    /// In a day (UTC), USD; null: no limit.
    pub daily: Option<Decimal>,
    /// In a month (UTC), USD; null: no limit.
    pub monthly: Option<Decimal>,
}

impl From<Budget> for CoworkerBudget {
    fn from(
        Budget {
            daily_nano,
            monthly_nano,
        }: Budget,
    ) -> Self {
        Self {
            daily: daily_nano.map(Decimal),
            monthly: monthly_nano.map(Decimal),
        }
    }
}
