//! How many tokens the parts of a prompt have: counted with a tokenizer, then scaled so that they add up to
//! what the provider reports. Providers have tokenizers of their own; the shares hold well, the sum exactly.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::scripted;

/// Texts are counted in pieces of so many bytes at most: a tokenizer's time grows with the square of a word.
const PIECE: usize = 1024;
/// Of a text, so many bytes are counted; the rest is taken to be like them.
const COUNTED: usize = 256 * 1024;
/// Bytes of a token, where there is no tokenizer.
const BYTES: usize = 4;

/// What part of a prompt tokens belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ComponentKind {
    /// The coworker's role, scope and what is out of it.
    Identity,
    /// Its soul.
    Soul,
    /// Its goal: purpose, flow, non-goals, where to route, how runs end.
    Goal,
    /// What Stint tells every coworker.
    Instructions,
    /// A skill, by name.
    Skill,
    /// The definition of a tool, by name.
    ToolDefinition,
    /// The request and the outcomes of earlier runs on it.
    Request,
    /// Its notes.
    Notes,
    /// What the model said and asked for earlier in the run.
    History,
    /// What tools answered earlier in the run.
    ToolResults,
}

impl ComponentKind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Identity,
        Self::Soul,
        Self::Goal,
        Self::Instructions,
        Self::Skill,
        Self::ToolDefinition,
        Self::Request,
        Self::Notes,
        Self::History,
        Self::ToolResults,
    ];

    /// How the log spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Soul => "soul",
            Self::Goal => "goal",
            Self::Instructions => "instructions",
            Self::Skill => "skill",
            Self::ToolDefinition => "tool",
            Self::Request => "request",
            Self::Notes => "notes",
            Self::History => "history",
            Self::ToolResults => "tool_results",
        }
    }

    /// The kind that the log spells like this.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Tokens by component: `soul`, `skill:VPN`, `tool:device.telemetry`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Components(BTreeMap<String, i64>);

impl Components {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds tokens to a component, which is made if it is not there.
    pub fn add(&mut self, kind: ComponentKind, name: Option<&str>, tokens: i64) {
        if tokens > 0 {
            let key = match name {
                Some(name) => format!("{}:{name}", kind.as_str()),
                None => kind.as_str().to_owned(),
            };
            self.add_key(&key, tokens);
        }
    }

    /// Adds tokens to the component that the log spells like this.
    pub fn add_key(&mut self, key: &str, tokens: i64) {
        match self.0.get_mut(key) {
            Some(sum) => *sum += tokens,
            None => {
                self.0.insert(key.to_owned(), tokens);
            }
        }
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        for (key, tokens) in &other.0 {
            self.add_key(key, *tokens);
        }
    }

    /// The sum.
    pub fn total(&self) -> i64 {
        self.0.values().sum()
    }

    /// Kind, name and tokens of each; kinds of another release are left out.
    pub fn iter(&self) -> impl Iterator<Item = (ComponentKind, Option<&str>, i64)> {
        self.0.iter().filter_map(|(key, tokens)| {
            let (kind, name) = match key.split_once(':') {
                Some((kind, name)) => (kind, Some(name)),
                None => (key.as_str(), None),
            };
            Some((ComponentKind::parse(kind)?, name, *tokens))
        })
    }

    /// The same shares of another sum: whole tokens, what is left over goes to the largest remainders.
    pub fn scaled(&self, sum: i64) -> Self {
        let total = i128::from(self.total());
        if total == 0 || sum <= 0 {
            return Self::default();
        }
        let mut parts: Vec<(&String, i64, i128)> = self
            .0
            .iter()
            .map(|(key, tokens)| {
                let exact = i128::from(*tokens) * i128::from(sum);
                let whole = i64::try_from(exact / total).unwrap_or(i64::MAX);
                (key, whole, exact % total)
            })
            .collect();
        let given: i64 = parts.iter().map(|(_, whole, _)| whole).sum();
        parts.sort_by(|a, b| b.2.cmp(&a.2).then(a.0.cmp(b.0)));
        let left = usize::try_from(sum - given).unwrap_or(0);
        for (_, whole, _) in parts.iter_mut().take(left) {
            *whole += 1;
        }
        let parts = parts.into_iter().filter(|(_, whole, _)| *whole > 0);
        Self(parts.map(|(key, whole, _)| (key.clone(), whole)).collect())
    }
}

/// Whether a provider's tokens are counted with a tokenizer. The scripted model has none: its playbook names
/// its usage, and the parts of its prompts are weighed by their bytes.
pub fn is_tokenized(provider: &str) -> bool {
    provider != scripted::PROVIDER
}

/// About how many tokens a text has: by the tokenizer, else by its bytes. The tokenizer's tables are read at
/// its first use; it takes milliseconds for a long text.
pub fn count(text: &str, tokenized: bool) -> i64 {
    let whole = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    if !tokenized {
        return whole(text.len().div_ceil(BYTES));
    }
    let bpe = tiktoken_rs::o200k_base_singleton();
    let (mut tokens, mut at) = (0, 0);
    let end = text.floor_char_boundary(COUNTED);
    while at < end {
        let mut next = text.floor_char_boundary(at + PIECE).min(end);
        // Words stay whole where they can.
        if next < end
            && let Some(space) = text[at..next]
                .rfind(char::is_whitespace)
                .filter(|space| *space > 0)
        {
            next = at + space;
        }
        tokens += bpe.count_ordinary(&text[at..next]);
        at = next;
    }
    if end == 0 {
        return 0;
    }
    whole(tokens.saturating_mul(text.len()) / end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_counted_whole_or_in_pieces() {
        assert_eq!(count("", true), 0);
        assert_eq!(count("The gateway does not answer.", true), 6);
        assert_eq!(count("abcde", false), 2);
        let line = "The gateway does not answer; telemetry is fine. ";
        let long = line.repeat(1_000);
        // Ten words and marks a line; a space at the end belongs to the next word.
        assert!(
            (9_900..10_200).contains(&count(&long, true)),
            "{}",
            count(&long, true)
        );
    }

    #[test]
    fn a_word_without_an_end_is_counted_too() {
        // Whole, it would take the tokenizer minutes.
        let word = "a".repeat(4 * 1024 * 1024);
        assert!(count(&word, true) > 100_000);
    }

    proptest! {
        #[test]
        fn scaled_parts_add_up_exactly_and_keep_their_shares(
            parts in prop::collection::btree_map("[a-z]{1,3}", 1_i64..100_000, 1..12),
            sum in 1_i64..10_000_000,
        ) {
            let components = Components(parts);
            let scaled = components.scaled(sum);
            prop_assert_eq!(scaled.total(), sum);
            for (key, tokens) in &components.0 {
                #[expect(clippy::cast_precision_loss, reason = "numbers of a test")]
                let exact = *tokens as f64 * sum as f64 / components.total() as f64;
                #[expect(clippy::cast_precision_loss, reason = "numbers of a test")]
                let got = scaled.0.get(key).copied().unwrap_or(0) as f64;
                prop_assert!((got - exact).abs() <= 1.0);
            }
        }
    }
}
