//! What the provider of a model refuses of its parameters: found at publishing, not by the first run.

use super::{Finding, Rule, Severity, Subject, World};
use crate::model::{Effort, Kind, Parameters, Thousandths};

/// The least that Anthropic's models take as `top_p` while they reason.
const LEAST_TOP_P: Thousandths = Thousandths(950);

/// A parameter that its provider refuses ends every run at its first turn.
pub(super) fn lint(subject: &Subject<'_>, world: &World, findings: &mut Vec<Finding>) {
    let Some(kind) = kind(&subject.config.model.provider, world) else {
        return;
    };
    let Parameters {
        temperature,
        top_p,
        max_output_tokens: _,
        reasoning_effort,
        thinking_budget_tokens,
        long_cache: _,
    } = &subject.config.model.parameters;
    let mut refused = |parameter: &str, message: &str, remedy: &str| {
        findings.push(Finding {
            severity: Severity::Error,
            rule: Rule::ParameterRefused,
            place: format!("model.parameters.{parameter}"),
            message: message.into(),
            remedy: remedy.into(),
        });
    };
    match kind {
        Kind::OpenAi => {
            if thinking_budget_tokens.is_some() {
                refused(
                    "thinkingBudgetTokens",
                    "Providers of the kind openai have no budget of tokens for reasoning.",
                    "Say how much it shall reason by reasoningEffort.",
                );
            }
        }
        Kind::Anthropic => {
            let effort = reasoning_effort.is_some_and(|effort| effort != Effort::None);
            let reasons = effort || thinking_budget_tokens.is_some_and(|budget| budget != 0);
            let remedy = "Take it out, or let it reason not at all: thinkingBudgetTokens 0, or reasoningEffort NONE.";
            if reasons && temperature.is_some_and(|value| value != Thousandths(1_000)) {
                let message = "Providers of the kind anthropic refuse a temperature other than 1 while the model reasons.";
                refused("temperature", message, remedy);
            }
            if reasons && top_p.is_some_and(|value| value.0 < LEAST_TOP_P.0) {
                let message = "Providers of the kind anthropic refuse a topP below 0.95 while the model reasons.";
                refused("topP", message, remedy);
            }
        }
        Kind::Gemini => {}
    }
}

/// What the provider speaks, as this process knows it, or as its name says.
fn kind(provider: &str, world: &World) -> Option<Kind> {
    let known = world
        .providers
        .as_ref()
        .and_then(|known| known.get(provider));
    let usual = || {
        let kinds = [Kind::OpenAi, Kind::Anthropic, Kind::Gemini];
        kinds.into_iter().find(|kind| kind.usual_name() == provider)
    };
    known.copied().or_else(usual)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::coworker::lint::sample;
    use crate::model::ModelConfig;

    fn places(provider: &str, parameters: Parameters) -> Vec<String> {
        let mut config = sample();
        config.model = ModelConfig::new(format!("{provider}:m"), None);
        config.model.parameters = parameters;
        let known = [("claude", Kind::Anthropic), ("local", Kind::OpenAi)];
        let known = known.map(|(name, kind)| (name.to_owned(), kind));
        let world = World {
            providers: Some(Arc::new(known.into_iter().collect())),
            ..World::default()
        };
        let subject = Subject {
            handle: "network",
            is_triage: false,
            config: &config,
        };
        let mut findings = Vec::new();
        lint(&subject, &world, &mut findings);
        let places = findings.iter().map(|finding| {
            assert_eq!(
                (finding.severity, finding.rule),
                (Severity::Error, Rule::ParameterRefused)
            );
            finding.place.replace("model.parameters.", "")
        });
        places.collect()
    }

    #[test]
    fn a_parameter_that_the_provider_refuses_is_an_error() {
        let writing = |temperature, top_p| Parameters {
            temperature: Some(Thousandths(temperature)),
            top_p: Some(Thousandths(top_p)),
            ..Parameters::default()
        };
        let thinking = |budget, parameters| Parameters {
            thinking_budget_tokens: Some(budget),
            ..parameters
        };
        let effort = |effort, parameters| Parameters {
            reasoning_effort: Some(effort),
            ..parameters
        };
        let (both, least): (&[&str], _) = (&["temperature", "topP"], writing(1_000, 950));
        for (provider, parameters, expected) in [
            ("claude", thinking(2_048, writing(700, 900)), both),
            (
                "anthropic",
                effort(Effort::Low, writing(0, 950)),
                &["temperature"],
            ),
            ("claude", thinking(2_048, least), &[]),
            ("claude", thinking(0, writing(700, 900)), &[]),
            ("claude", effort(Effort::None, writing(700, 900)), &[]),
            ("claude", writing(700, 900), &[]),
            (
                "local",
                thinking(2_048, writing(700, 900)),
                &["thinkingBudgetTokens"],
            ),
            (
                "openai",
                thinking(2_048, Parameters::default()),
                &["thinkingBudgetTokens"],
            ),
            ("local", effort(Effort::High, writing(700, 900)), &[]),
            ("google", thinking(2_048, writing(700, 900)), &[]),
            // Nobody here knows what it speaks.
            ("elsewhere", thinking(2_048, writing(700, 900)), &[]),
        ] {
            assert_eq!(places(provider, parameters), expected, "{provider}");
        }
    }
}
