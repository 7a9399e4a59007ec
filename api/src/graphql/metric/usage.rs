//! What runs used.

use async_graphql::{ComplexObject, Context, SimpleObject};
use domain::metric::component::by_component;
use domain::metric::measure::{Measure, Sums};
use domain::metric::query::{Scope, Totals};
use domain::model::tokens::ComponentKind;
use entity::run;

use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{Error, Result};
use crate::graphql::kind::UsageComponentKind;
use crate::graphql::scalar::Int64;

/// Tokens that models read and wrote.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Usage {
    /// All that the models read, what came from a cache included.
    pub input_tokens: Int64,
    /// All that the models wrote, reasoning included.
    pub output_tokens: Int64,
    /// The part of `inputTokens` that was served from a provider's cache.
    pub cached_tokens: Int64,
    /// The part of `outputTokens` that was reasoning.
    pub reasoning_tokens: Int64,
    /// The part of `inputTokens` that was written to a provider's cache.
    pub cache_write_tokens: Int64,
    #[graphql(skip)]
    parts: Parts,
}

/// Where the tokens by component come from.
enum Parts {
    /// They are read.
    Of(Scope),
    /// They were read with the rest, by kind.
    Known(Box<Sums>),
}

/// Input tokens of one part of the prompts.
#[derive(SimpleObject)]
pub struct UsageComponent {
    /// What part of the prompts.
    pub kind: UsageComponentKind,
    /// Which skill or which tool; null for other parts, and in metrics, which tell all skills and all tools each together.
    pub name: Option<String>,
    /// How many, over all model calls.
    pub tokens: Int64,
}

#[ComplexObject]
impl Usage {
    /// The input tokens by part of the prompts, most first. The parts are weighed with a tokenizer and scaled call by call, so that they
    /// add up to `inputTokens`. Null, with the error FORBIDDEN, for callers with the role REQUESTER.
    #[graphql(complexity = "20 + 10 * child_complexity")]
    async fn by_component(&self, ctx: &Context<'_>) -> Option<Result<Vec<UsageComponent>>> {
        let scope = match &self.parts {
            Parts::Of(scope) => scope,
            Parts::Known(sums) => return Some(Ok(by_kind(sums))),
        };
        // Boxed, for it is rare: else each field of each point of a series would carry room for it.
        let found = Box::pin(by_component(ctx.store().read(), ctx.actor(), scope)).await;
        Some(found.map_err(Error::from).map(|components| {
            let parts = components
                .iter()
                .map(|(kind, name, tokens)| UsageComponent {
                    kind: kind.into(),
                    name: name.map(str::to_owned),
                    tokens: Int64(tokens),
                });
            most_first(parts)
        }))
    }
}

fn by_kind(sums: &Sums) -> Vec<UsageComponent> {
    let parts = ComponentKind::ALL.into_iter().map(|kind| UsageComponent {
        kind: kind.into(),
        name: None,
        tokens: Int64(sums[Measure::Part(kind)]),
    });
    most_first(parts.filter(|part| part.tokens.0 > 0))
}

fn most_first(parts: impl Iterator<Item = UsageComponent>) -> Vec<UsageComponent> {
    let mut parts: Vec<_> = parts.collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.tokens));
    parts
}

impl From<&run::Model> for Usage {
    fn from(run: &run::Model) -> Self {
        Self {
            input_tokens: Int64(run.input_tokens),
            output_tokens: Int64(run.output_tokens),
            cached_tokens: Int64(run.cached_tokens),
            reasoning_tokens: Int64(run.reasoning_tokens),
            cache_write_tokens: Int64(run.cache_write_tokens),
            parts: Parts::Of(Scope::Run(run.id)),
        }
    }
}

impl Usage {
    /// What a scope's runs used, of which `totals` are known.
    pub fn of_totals(scope: Scope, totals: &Totals) -> Self {
        Self {
            input_tokens: Int64(totals.input_tokens),
            output_tokens: Int64(totals.output_tokens),
            cached_tokens: Int64(totals.cached_tokens),
            reasoning_tokens: Int64(totals.reasoning_tokens),
            cache_write_tokens: Int64(totals.cache_write_tokens),
            parts: Parts::Of(scope),
        }
    }

    /// What sums say.
    pub fn of_sums(sums: &Sums) -> Self {
        Self {
            input_tokens: Int64(sums.input()),
            output_tokens: Int64(sums[Measure::Output]),
            cached_tokens: Int64(sums[Measure::CacheRead]),
            reasoning_tokens: Int64(sums[Measure::Reasoning]),
            cache_write_tokens: Int64(sums[Measure::CacheWrite]),
            parts: Parts::Known(Box::new(*sums)),
        }
    }
}
