//! models.dev's form: one object a provider with its `models`, each with a `cost` in USD per million tokens;
//! rates for long prompts are in `tiers`, formerly in `context_over_200k`.

use serde_json::{Map, Value};

use super::{LeftOut, NewPrice, Rates, Read, Tier, rate};

const SOURCE: &str = "models.dev";
/// USD per million tokens, as nano-USD.
const SHIFT: i32 = 9;
/// What a cost may hold that has no part in the price of text.
const BESIDE: [&str; 2] = ["input_audio", "output_audio"];

pub(super) fn read(providers: &Map<String, Value>) -> Read {
    let mut read = Read::default();
    for (provider, about) in providers {
        let models = about.get("models").and_then(Value::as_object);
        for (name, model) in models.into_iter().flatten() {
            let Some(cost) = model.get("cost").and_then(Value::as_object) else {
                continue;
            };
            let name = format!("{provider}:{name}");
            read.take(price(&name, cost).map_err(|why| LeftOut { model: name, why }));
        }
    }
    read
}

fn price(name: &str, cost: &Map<String, Value>) -> Result<NewPrice, String> {
    let mut price = NewPrice::from_now(name.to_owned(), SOURCE);
    price.rates = rates(cost)?;
    let over_200k = cost.get("context_over_200k").and_then(Value::as_object);
    match (cost.get("tiers").and_then(Value::as_array), over_200k) {
        (Some(tiers), _) => {
            for tier in tiers {
                price.tiers.push(tiered(tier)?);
            }
            price.tiers.sort_by_key(|tier| tier.prompt_over);
        }
        (None, Some(over)) => price.tiers.push(Tier {
            prompt_over: 200_000,
            rates: rates(over)?,
        }),
        (None, None) => {}
    }
    Ok(price)
}

fn tiered(tier: &Value) -> Result<Tier, String> {
    let fields = tier.as_object().ok_or("a tier is no object")?;
    let about = fields.get("tier").and_then(Value::as_object);
    let about = about.ok_or("a tier does not say what it is about")?;
    let size = about.get("size").and_then(Value::as_i64);
    match (about.get("type").and_then(Value::as_str), size) {
        (Some("context"), Some(prompt_over)) => Ok(Tier {
            prompt_over,
            rates: rates(fields)?,
        }),
        (kind, _) => Err(format!(
            "a tier of the type {} is not known",
            kind.unwrap_or("null")
        )),
    }
}

fn rates(cost: &Map<String, Value>) -> Result<Rates, String> {
    let of = |key: &str| rate(cost, key, SHIFT);
    let needed = |key: &str| of(key)?.ok_or_else(|| format!("{key} is missing"));
    const KNOWN: [&str; 8] = [
        "input",
        "output",
        "cache_read",
        "cache_write",
        "reasoning",
        "tiers",
        "tier",
        "context_over_200k",
    ];
    let strange = cost
        .keys()
        .find(|key| !KNOWN.contains(&key.as_str()) && !BESIDE.contains(&key.as_str()));
    if let Some(strange) = strange {
        return Err(format!("its cost has {strange}, which is not known"));
    }
    let output = needed("output")?;
    if of("reasoning")?.is_some_and(|reasoning| reasoning != 0 && reasoning != output) {
        return Err("its reasoning has a rate of its own".into());
    }
    Ok(Rates {
        input: needed("input")?,
        cache_read: of("cache_read")?,
        cache_write_short: of("cache_write")?,
        // The form has one rate for writing; that of the short-lived cache is what providers state first.
        cache_write_long: None,
        output,
    })
}
