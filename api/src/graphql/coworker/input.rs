//! What a coworker shall be made of.

use async_graphql::InputObject;
use domain::coworker::config::{EndOfRun, Goal, Identity, Limits, OutOfScope};
use domain::model::{ModelConfig, Parameters};

use crate::graphql::kind::{ReasoningEffort, RequestStatus};
use crate::graphql::scalar::{Decimal, Duration, Int64};

/// Who a coworker shall be.
#[derive(InputObject, Clone, Debug)]
pub struct CoworkerIdentityInput {
    /// Its role, in one line: `Hardware Specialist`.
    pub role: String,
    /// What belongs to its work.
    #[graphql(default)]
    pub scope: String,
    /// What does not belong to its work.
    #[graphql(default)]
    pub out_of_scope: String,
}

impl From<CoworkerIdentityInput> for Identity {
    fn from(
        CoworkerIdentityInput {
            role,
            scope,
            out_of_scope,
        }: CoworkerIdentityInput,
    ) -> Self {
        Self {
            role,
            scope,
            out_of_scope,
        }
    }
}

/// What a coworker shall work towards.
#[derive(InputObject, Clone, Debug)]
pub struct CoworkerGoalInput {
    /// What it is there for.
    pub purpose: String,
    /// The steps of its runbook, in order.
    #[graphql(default)]
    pub flow: Vec<String>,
    /// The work that it must avoid.
    #[graphql(default)]
    pub non_goals: Vec<String>,
    /// What to do with requests that are not its own.
    #[graphql(default)]
    pub out_of_scope: Vec<OutOfScopeRuleInput>,
    /// How a run ends, case by case.
    #[graphql(default)]
    pub end_of_run: Vec<EndOfRunRuleInput>,
}

/// What to do with requests of a kind that is not the coworker's own.
#[derive(InputObject, Clone, Debug)]
pub struct OutOfScopeRuleInput {
    /// The kind of requests.
    pub when: String,
    /// The handle of whom to route them to.
    pub route_to: String,
}

/// How a run ends in one case.
#[derive(InputObject, Clone, Debug)]
pub struct EndOfRunRuleInput {
    /// The case.
    pub when: String,
    /// The status that the request then gets; null: it stays as it is.
    pub set_status: Option<RequestStatus>,
}

impl From<CoworkerGoalInput> for Goal {
    fn from(input: CoworkerGoalInput) -> Self {
        let CoworkerGoalInput {
            purpose,
            flow,
            non_goals,
            out_of_scope,
            end_of_run,
        } = input;
        let out_of_scope = out_of_scope
            .into_iter()
            .map(|OutOfScopeRuleInput { when, route_to }| OutOfScope { when, route_to });
        let end_of_run = end_of_run
            .into_iter()
            .map(|EndOfRunRuleInput { when, set_status }| EndOfRun {
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

/// The model that shall think for a coworker.
#[derive(InputObject, Clone, Debug)]
pub struct CoworkerModelInput {
    /// The provider: `scripted`, or one that the installation is configured with, such as `openai` or `anthropic`. The short form `openai:gpt-5-mini` names the model too. A provider that the worker does not have fails its runs with MODEL_ERROR.
    pub provider: String,
    /// The model's name at its provider, up to 150 bytes. Needed unless the provider is `scripted` or names it.
    pub model: Option<String>,
    /// How it shall write.
    pub parameters: Option<CoworkerModelParametersInput>,
    /// The playbook of the scripted model, YAML. A malformed one is refused with the line and column of the fault.
    pub playbook: Option<String>,
}

impl From<CoworkerModelInput> for ModelConfig {
    fn from(
        CoworkerModelInput {
            provider,
            model,
            parameters,
            playbook,
        }: CoworkerModelInput,
    ) -> Self {
        Self {
            parameters: parameters.map(Into::into).unwrap_or_default(),
            playbook,
            ..Self::new(provider, model)
        }
    }
}

/// How a model shall write. What is left out is as the provider has it.
#[derive(InputObject, Clone, Debug)]
pub struct CoworkerModelParametersInput {
    /// How freely it chooses its words, 0 to 2.
    pub temperature: Option<f64>,
    /// The share of likely words that it chooses from, 0 to 1.
    pub top_p: Option<f64>,
    /// The most tokens that it may write in one turn, reasoning included, 1 to 1,000,000; without it 8,192.
    pub max_output_tokens: Option<Int64>,
    /// How much it shall reason. Instead of `thinkingBudgetTokens`.
    pub reasoning_effort: Option<ReasoningEffort>,
    /// The most tokens that it may reason in one turn, at least 1,024, or 0 for none; at most half of what it may write is used. Only for providers of the kinds anthropic and gemini: others fail the run with MODEL_ERROR.
    pub thinking_budget_tokens: Option<Int64>,
    /// Whether the stable part of the prompt is kept in the provider's cache for an hour instead of minutes. Only for providers of the kind anthropic; others keep it as they do.
    #[graphql(default)]
    pub long_cache: bool,
}

impl From<CoworkerModelParametersInput> for Parameters {
    fn from(input: CoworkerModelParametersInput) -> Self {
        let CoworkerModelParametersInput {
            temperature,
            top_p,
            max_output_tokens,
            reasoning_effort,
            thinking_budget_tokens,
            long_cache,
        } = input;
        Self {
            temperature: temperature.map(Into::into),
            top_p: top_p.map(Into::into),
            max_output_tokens: max_output_tokens.map(|tokens| tokens.0),
            reasoning_effort: reasoning_effort.map(Into::into),
            thinking_budget_tokens: thinking_budget_tokens.map(|tokens| tokens.0),
            long_cache,
        }
    }
}

/// Where a run must come to an end. What is left out has its default.
#[derive(InputObject, Clone, Debug)]
pub struct CoworkerLimitsInput {
    /// Model turns.
    pub max_turns: Option<i32>,
    /// Tool calls, refused ones included.
    pub max_tool_calls: Option<i32>,
    /// Time, without the time that the run is paused.
    pub max_duration: Option<Duration>,
    /// Tokens, input and output together.
    pub max_tokens: Option<Int64>,
    /// Money, USD.
    pub max_cost: Option<Decimal>,
}

impl From<CoworkerLimitsInput> for Limits {
    fn from(input: CoworkerLimitsInput) -> Self {
        let CoworkerLimitsInput {
            max_turns,
            max_tool_calls,
            max_duration,
            max_tokens,
            max_cost,
        } = input;
        let default = Self::default();
        Self {
            max_turns: max_turns.unwrap_or(default.max_turns),
            max_tool_calls: max_tool_calls.unwrap_or(default.max_tool_calls),
            max_duration_ms: max_duration.map_or(default.max_duration_ms, |duration| duration.0),
            max_tokens: max_tokens.map_or(default.max_tokens, |tokens| tokens.0),
            max_cost_nano: max_cost.map(|cost| cost.0).or(default.max_cost_nano),
        }
    }
}
