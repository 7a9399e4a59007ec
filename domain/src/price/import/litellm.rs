//! LiteLLM's form: one object a model, rates in USD per token; the length of prompt that a rate begins at, and
//! the service tier, are in the names of its keys (`input_cost_per_token_above_200k_tokens_priority`).

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{LeftOut, NewPrice, Rates, Read, Tier, rate};
use crate::model::Kind;

const SOURCE: &str = "LiteLLM's table";
/// USD per token, as nano-USD per million.
const SHIFT: i32 = 15;
/// What service tiers are called at the end of a key, and as prices name them.
const TIERS: [(&str, &str); 3] = [
    ("", super::STANDARD),
    ("_priority", "priority"),
    ("_flex", "flex"),
];
/// What models do that are priced by the token.
const MODES: [&str; 3] = ["chat", "completion", "responses"];

pub(super) fn read(models: &Map<String, Value>) -> Read {
    let mut read = Read::default();
    for (key, model) in models {
        let Some(fields) = model.as_object() else {
            continue;
        };
        let text = |key: &str| fields.get(key).and_then(Value::as_str);
        let Some(provider) = text("litellm_provider") else {
            continue;
        };
        if key == "sample_spec" || !text("mode").is_some_and(|mode| MODES.contains(&mode)) {
            continue;
        }
        let name = name(provider, key);
        for (suffix, service_tier) in TIERS {
            // A tier with a rate of its own for input or for output.
            let own = |key: &str| {
                fields
                    .get(&format!("{key}{suffix}"))
                    .is_some_and(Value::is_number)
            };
            if own("input_cost_per_token") || own("output_cost_per_token") {
                let price = price(fields, &name, suffix, service_tier);
                read.take(price.map_err(|why| LeftOut {
                    model: name.clone(),
                    why: format!("{service_tier}: {why}"),
                }));
            }
        }
    }
    read
}

/// `provider:name`, as Stint names models: the provider's prefix of the key stands once, and Gemini's provider is Google.
fn name(provider: &str, key: &str) -> String {
    let name = key
        .strip_prefix(provider)
        .and_then(|rest| rest.strip_prefix('/'));
    let provider = match provider {
        "gemini" => Kind::Gemini.usual_name(),
        other => other,
    };
    format!("{provider}:{}", name.unwrap_or(key))
}

fn price(
    fields: &Map<String, Value>,
    name: &str,
    suffix: &str,
    service_tier: &str,
) -> Result<NewPrice, String> {
    let mut price = NewPrice::from_now(name.to_owned(), SOURCE);
    price.service_tier = service_tier.into();
    price.rates = rates(fields, "", suffix)?;
    // What has no rate of its own in a service tier goes by the standard one.
    reasoning(fields, "", "")?;
    let mut lengths = BTreeSet::new();
    for key in fields
        .iter()
        .filter(|(_, rate)| rate.is_number())
        .map(|(key, _)| key)
    {
        let Some(stem) = key.strip_suffix(suffix) else {
            continue;
        };
        let above = [
            "input_cost_per_token_above_",
            "output_cost_per_token_above_",
        ];
        if let Some(rest) = above.iter().find_map(|start| stem.strip_prefix(start))
            && let Some(thousands) = rest.strip_suffix("k_tokens")
        {
            lengths.insert(
                thousands
                    .parse::<i64>()
                    .map_err(|_| format!("{key} names no length"))?,
            );
        }
    }
    for thousands in lengths {
        let rates = rates(fields, &format!("_above_{thousands}k_tokens"), suffix)?;
        // A kind whose rate does not change with the length is not said again.
        let base = price.rates;
        let rates = Rates {
            cache_read: rates.cache_read.or(base.cache_read),
            cache_write_short: rates.cache_write_short.or(base.cache_write_short),
            cache_write_long: rates.cache_write_long.or(base.cache_write_long),
            ..rates
        };
        price.tiers.push(Tier {
            prompt_over: thousands * 1_000,
            rates,
        });
    }
    Ok(price)
}

/// Refuses rates of output that are not those of reasoning: here they are one kind of tokens.
fn reasoning(fields: &Map<String, Value>, above: &str, suffix: &str) -> Result<(), String> {
    let of = |stem: &str| rate(fields, &format!("{stem}{above}{suffix}"), SHIFT);
    match of("output_cost_per_reasoning_token")? {
        Some(reasoning) if of("output_cost_per_token")? != Some(reasoning) => {
            Err("its reasoning has a rate of its own".into())
        }
        Some(_) | None => Ok(()),
    }
}

/// The rates whose keys end like this; input and output must be there.
fn rates(fields: &Map<String, Value>, above: &str, suffix: &str) -> Result<Rates, String> {
    let of = |stem: &str| rate(fields, &format!("{stem}{above}{suffix}"), SHIFT);
    let needed = |stem: &str| of(stem)?.ok_or_else(|| format!("{stem}{above}{suffix} is missing"));
    reasoning(fields, above, suffix)?;
    let long = format!("cache_creation_input_token_cost_above_1hr{above}{suffix}");
    Ok(Rates {
        input: needed("input_cost_per_token")?,
        cache_read: of("cache_read_input_token_cost")?,
        cache_write_short: of("cache_creation_input_token_cost")?,
        cache_write_long: rate(fields, &long, SHIFT)?,
        output: needed("output_cost_per_token")?,
    })
}
