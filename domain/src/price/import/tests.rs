//! The two forms, as their files have them.

use entity::Millis;

use super::*;
use crate::price::Table;

const LITELLM: &str = r#"{
  "sample_spec": { "litellm_provider": "one of", "mode": "chat", "input_cost_per_token": 0.0 },
  "claude-sonnet-4-6": { "litellm_provider": "anthropic", "mode": "chat", "max_tokens": 64000,
    "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05, "cache_read_input_token_cost": 3e-07,
    "cache_creation_input_token_cost": 3.75e-06, "cache_creation_input_token_cost_above_1hr": 6e-06,
    "input_cost_per_token_above_200k_tokens": 6e-06, "output_cost_per_token_above_200k_tokens": 2.25e-05,
    "cache_read_input_token_cost_above_200k_tokens": 6e-07, "cache_creation_input_token_cost_above_200k_tokens": 7.5e-06,
    "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 1.2e-05 },
  "gpt-5.4": { "litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1.5e-05,
    "cache_read_input_token_cost": 2.5e-07, "input_cost_per_token_priority": 5e-06, "output_cost_per_token_priority": 3e-05,
    "cache_read_input_token_cost_priority": 5e-07, "input_cost_per_token_above_272k_tokens": 5e-06,
    "output_cost_per_token_above_272k_tokens": 2.25e-05 },
  "gemini/gemini-2.5-flash": { "litellm_provider": "gemini", "mode": "chat", "input_cost_per_token": 3e-07, "output_cost_per_token": 2.5e-06 },
  "text-embedding-3-large": { "litellm_provider": "openai", "mode": "embedding", "input_cost_per_token": 1.3e-07, "output_cost_per_token": 0.0 },
  "half": { "litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06,
    "input_cost_per_token_above_128k_tokens": 2e-06 },
  "odd": { "litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06,
    "cache_read_input_token_cost": 2e-06 },
  "thinker": { "litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 4e-06,
    "output_cost_per_reasoning_token": 1.2e-05, "input_cost_per_token_flex": 5e-07, "output_cost_per_token_flex": 2e-06 },
  "gemini/gemini-2.5-pro": { "litellm_provider": "gemini", "mode": "chat", "input_cost_per_token": 1.25e-06, "output_cost_per_token": 1e-05,
    "output_cost_per_reasoning_token": 1e-05 },
  "deepseek-chat": { "litellm_provider": "deepseek", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06 },
  "deepseek/deepseek-chat": { "litellm_provider": "deepseek", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 3e-06 }
}"#;

const MODELS_DEV: &str = r#"{
  "openai": { "id": "openai", "name": "OpenAI", "models": {
    "gpt-5.5": { "id": "gpt-5.5", "cost": { "input": 5, "output": 30, "cache_read": 0.5,
      "tiers": [{ "input": 10, "output": 45, "cache_read": 1, "tier": { "type": "context", "size": 272000 } }],
      "context_over_200k": { "input": 10, "output": 45, "cache_read": 1 } } },
    "voice": { "id": "voice", "cost": { "input": 4, "output": 16, "input_audio": 32, "output_audio": 64 } },
    "open": { "id": "open" } } },
  "google": { "id": "google", "models": {
    "gemini-2.5-pro": { "cost": { "input": 1.25, "output": 10, "cache_read": 0.31, "context_over_200k": { "input": 2.5, "output": 15, "cache_read": 0.625 } } },
    "thinker": { "cost": { "input": 1, "output": 2, "reasoning": 3 } },
    "timed": { "cost": { "input": 1, "output": 2, "tiers": [{ "input": 2, "output": 4, "tier": { "type": "time" } }] } } } }
}"#;

fn usd(text: &str) -> i64 {
    crate::money::parse_decimal(text).unwrap_or(-1)
}

fn found<'a>(read: &'a Read, model: &str, service_tier: &str) -> &'a NewPrice {
    let mine = |price: &&NewPrice| price.model == model && price.service_tier == service_tier;
    read.prices
        .iter()
        .find(mine)
        .unwrap_or_else(|| panic!("{model} {service_tier}: {read:?}"))
}

#[test]
fn litellms_table_is_read_with_tiers_service_tiers_and_both_caches() {
    let read = read(LITELLM).expect("it is LiteLLM's form");
    let sonnet = found(&read, "anthropic:claude-sonnet-4-6", STANDARD);
    let rates = |input, cache_read, short, long, output| Rates {
        input: usd(input),
        cache_read: Some(usd(cache_read)),
        cache_write_short: Some(usd(short)),
        cache_write_long: Some(usd(long)),
        output: usd(output),
    };
    assert_eq!(sonnet.rates, rates("3", "0.3", "3.75", "6", "15"));
    let long = Tier {
        prompt_over: 200_000,
        rates: rates("6", "0.6", "7.5", "12", "22.5"),
    };
    assert_eq!(sonnet.tiers, [long]);
    let standard = found(&read, "openai:gpt-5.4", STANDARD);
    assert_eq!(
        (standard.rates.input, standard.tiers[0].prompt_over),
        (usd("2.5"), 272_000)
    );
    // The length does not change what the cache costs, so the table does not say it again.
    assert_eq!(standard.tiers[0].rates.cache_read, Some(usd("0.25")));
    let priority = found(&read, "openai:gpt-5.4", "priority");
    assert_eq!(
        (
            priority.rates.input,
            priority.rates.output,
            priority.tiers.len()
        ),
        (usd("5"), usd("30"), 0)
    );
    assert_eq!(
        found(&read, "google:gemini-2.5-flash", STANDARD)
            .rates
            .cache_read,
        None
    );
    // Reasoning at the rate of output is output.
    assert_eq!(
        found(&read, "google:gemini-2.5-pro", STANDARD).rates.output,
        usd("10")
    );
    assert_eq!(read.prices.len(), 5, "{:?}", read.prices);
}

#[test]
fn what_cant_be_meant_is_left_out_with_its_reason() {
    let lite = read(LITELLM).expect("it is LiteLLM's form");
    let why = |read: &Read| -> Vec<String> {
        read.left_out
            .iter()
            .map(|left| format!("{}: {}", left.model, left.why))
            .collect()
    };
    assert_eq!(
        why(&lite),
        [
            "deepseek:deepseek-chat: standard: the file has it in 2 spellings that differ in price",
            "openai:half: standard: output_cost_per_token_above_128k_tokens is missing",
            "openai:odd: cacheRead is dearer than input; no provider charges more for what it had in its cache",
            "openai:thinker: standard: its reasoning has a rate of its own",
            "openai:thinker: flex: its reasoning has a rate of its own",
        ]
    );
    let dev = read(MODELS_DEV).expect("it is models.dev's form");
    assert_eq!(
        why(&dev),
        [
            "google:thinker: its reasoning has a rate of its own",
            "google:timed: a tier of the type time is not known",
        ]
    );
}

#[test]
fn models_devs_table_is_read_with_both_spellings_of_long_prompts() {
    let read = read(MODELS_DEV).expect("it is models.dev's form");
    let gpt = found(&read, "openai:gpt-5.5", STANDARD);
    assert_eq!(
        (gpt.rates.input, gpt.rates.cache_read),
        (usd("5"), Some(usd("0.5")))
    );
    assert_eq!(
        (
            gpt.tiers.len(),
            gpt.tiers[0].prompt_over,
            gpt.tiers[0].rates.output
        ),
        (1, 272_000, usd("45"))
    );
    let gemini = found(&read, "google:gemini-2.5-pro", STANDARD);
    assert_eq!(
        (
            gemini.tiers[0].prompt_over,
            gemini.tiers[0].rates.cache_read
        ),
        (200_000, Some(usd("0.625")))
    );
    assert_eq!(
        found(&read, "openai:voice", STANDARD).rates.output,
        usd("16")
    );
    assert_eq!(read.prices.len(), 3);
}

#[test]
fn only_what_differs_from_what_is_in_force_is_a_change() {
    let read = read(MODELS_DEV).expect("it is models.dev's form");
    let at = Millis(1_795_000_000_000);
    let changes = changes(&read, &Table::default(), at);
    // gpt-5.5 is in the shipped table just so; of gemini-2.5-pro that has other rates for the cache.
    let changed: Vec<_> = changes
        .prices
        .iter()
        .map(|(before, now)| (before.is_some(), now.model.as_str()))
        .collect();
    assert_eq!(
        changed,
        [(true, "google:gemini-2.5-pro"), (false, "openai:voice")]
    );
    assert_eq!(changes.same, 1);
}

#[test]
fn other_files_are_refused_with_a_sentence() {
    for wrong in ["", "[]", "{}", r#"{"a": 1}"#, r#"{"a": {"b": 1}}"#] {
        let err = read(wrong).expect_err(wrong).to_string();
        assert!(err.contains("models.dev"), "{err}");
    }
}
