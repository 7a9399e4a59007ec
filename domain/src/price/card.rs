//! The price of a model at a moment: one row for each length of prompt.

use std::collections::HashMap;

use entity::{Millis, model_price};

use super::{Rates, line, tokens_for};

/// The service tier of a call that says nothing of one.
pub const STANDARD: &str = "standard";

/// What rounding may add: input comes in four kinds, each rounded by itself.
const ROUNDING: i64 = 4;
/// The part of a prompt by which it may turn out to be longer than the most that was estimated, where that would price
/// the call anew.
const NEAR: i64 = 4;

/// A provider's word for the service tier of a call, as prices name it.
pub fn service_tier(said: Option<&str>) -> &str {
    match said {
        None | Some("" | "auto" | "default" | "on_demand" | "standard") => STANDARD,
        Some(tier) => tier,
    }
}

/// What a model costs at a moment: the rows of one moment, by the length of prompt that they begin at.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    rows: Vec<model_price::Model>,
}

impl Card {
    /// The price in force at `at` among a model's rows.
    fn in_force<'a>(
        rows: impl Iterator<Item = &'a model_price::Model> + Clone,
        service_tier: &str,
        at: Millis,
    ) -> Option<Self> {
        let mine = rows.filter(|row| row.service_tier == service_tier && row.effective_from <= at);
        // Two models may have one name as another name of theirs: the newest row counts, with the others of its own price.
        let newest = mine
            .clone()
            .max_by_key(|row| (row.effective_from, row.created_at, row.id))?;
        let mut rows: Vec<_> = mine
            .filter(|row| row.effective_from == newest.effective_from && row.model == newest.model)
            .cloned()
            .collect();
        rows.sort_by_key(|row| row.prompt_over);
        Some(Self { rows })
    }

    /// The row that prices a call whose prompt has so many tokens, cached ones included: the whole call.
    pub fn row(&self, prompt: i64) -> Option<&model_price::Model> {
        self.rows
            .iter()
            .rev()
            .find(|row| row.prompt_over < prompt.max(1))
    }

    /// All rows, the one for short prompts first.
    pub fn rows(&self) -> &[model_price::Model] {
        &self.rows
    }

    /// The most that a call can cost whose prompt has at most `input` tokens and whose answer at most `output`:
    /// at the dearest rate and length, nano-USD.
    pub fn ceiling(&self, input: i64, output: i64) -> i64 {
        let cost = |row| {
            let rates = Rates::from(row);
            line(input, rates.dearest_input())
                .saturating_add(line(output, rates.output))
                .saturating_add(ROUNDING)
        };
        self.reached(input).map(cost).max().unwrap_or(0)
    }

    /// The rows that may price a prompt of about so many tokens. A length that begins just above is among them: it
    /// prices the whole call anew.
    fn reached(&self, input: i64) -> impl Iterator<Item = &model_price::Model> {
        let most = input.saturating_add(input / NEAR).max(1);
        self.rows.iter().filter(move |row| row.prompt_over < most)
    }

    /// The most output with which a call can't cost more than `amount`, if its prompt has at most `input` tokens;
    /// none if the prompt alone may cost more.
    pub fn affordable(&self, input: i64, amount: i64) -> Option<i64> {
        let mut most = i64::MAX;
        for row in self.reached(input) {
            let rates = Rates::from(row);
            let left = amount - line(input, rates.dearest_input()) - ROUNDING;
            if left < 0 {
                return None;
            }
            most = most.min(tokens_for(left, rates.output));
        }
        Some(most)
    }
}

/// Price rows of one owner, found by the names of their models.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<model_price::Model>,
    by_name: HashMap<String, Vec<usize>>,
}

impl Table {
    /// These rows.
    pub fn new(rows: Vec<model_price::Model>) -> Self {
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, row) in rows.iter().enumerate() {
            for name in std::iter::once(row.model.clone()).chain(aliases(row)) {
                by_name.entry(name).or_default().push(at);
            }
        }
        Self { rows, by_name }
    }

    /// All rows.
    pub fn rows(&self) -> &[model_price::Model] {
        &self.rows
    }

    /// The service tiers in which the model of this name has a price.
    pub(super) fn service_tiers(&self, name: &str) -> impl Iterator<Item = &str> {
        let places = self.by_name.get(name).into_iter().flatten();
        let rows = places.filter_map(|place| self.rows.get(*place));
        rows.map(|row| row.service_tier.as_str())
    }

    /// What the model of this name costs at a moment.
    pub fn card(&self, name: &str, service_tier: &str, at: Millis) -> Option<Card> {
        let places = self.by_name.get(name)?;
        let rows = places.iter().filter_map(|place| self.rows.get(*place));
        Card::in_force(rows, service_tier, at)
    }
}

/// The other names of a row's model.
pub fn aliases(row: &model_price::Model) -> Vec<String> {
    // Rows hold only what was written as a list.
    serde_json::from_str(&row.aliases).unwrap_or_default()
}

/// The names under which a model's price is looked for: its own, then without the date that providers put
/// behind a name for one state of the model (`-20260115`, `-2026-01-15`, `@20260115`) or without `-latest`.
pub fn names(model: &str) -> impl Iterator<Item = &str> {
    let short = model
        .strip_suffix("-latest")
        .or_else(|| without_date(model))
        .filter(|short| !short.ends_with(':'));
    std::iter::once(model).chain(short)
}

fn without_date(model: &str) -> Option<&str> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let cut = |n: usize| {
        model
            .len()
            .checked_sub(n)
            .filter(|at| model.is_char_boundary(*at))
    };
    if let Some((name, date)) = cut(9).map(|at| model.split_at(at))
        && date.starts_with(['-', '@'])
        && date[1..].starts_with("20")
        && digits(&date[1..])
    {
        return Some(name);
    }
    let (name, date) = model.split_at(cut(11)?);
    let parts: Vec<&str> = date.strip_prefix('-')?.split('-').collect();
    match parts[..] {
        [y, m, d] if [y.len(), m.len(), d.len()] == [4, 2, 2] => {
            (y.starts_with("20") && [y, m, d].into_iter().all(digits)).then_some(name)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_of_a_model_is_found_under_the_models_name() {
        let both = |name: &'static str| names(name).collect::<Vec<_>>();
        assert_eq!(
            both("anthropic:claude-haiku-4-5-20251001"),
            [
                "anthropic:claude-haiku-4-5-20251001",
                "anthropic:claude-haiku-4-5"
            ]
        );
        assert_eq!(
            both("openai:gpt-5.4-2026-03-05"),
            ["openai:gpt-5.4-2026-03-05", "openai:gpt-5.4"]
        );
        assert_eq!(
            both("google:gemini-2.5-pro@20260101")[1],
            "google:gemini-2.5-pro"
        );
        assert_eq!(
            both("mistral:mistral-large-latest")[1],
            "mistral:mistral-large"
        );
        for whole in [
            "mistral:mistral-large-2512",
            "scripted",
            "openai:20260101",
            "x:é-2026-01-0",
            "a:-20260101",
        ] {
            assert_eq!(both(whole), [whole]);
        }
    }
}
