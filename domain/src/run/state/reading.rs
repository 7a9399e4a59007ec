//! What a provider counted of a prompt, and what the next one will have at the least.

use crate::model::tokens::Components;
use crate::model::{Message, Usage};

/// A provider's own figures of the newest prompt that it reported any of. They hold for all that the next prompt
/// repeats, whatever a tokenizer says that is not the provider's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// How many answers of the model there are with the one that was given to it.
    pub answers: usize,
    /// What the prompt was estimated at.
    pub estimated: i64,
    /// What the provider counted, cached tokens included.
    pub input: i64,
    /// What it wrote: it may go back as it is.
    pub output: i64,
}

impl Reading {
    pub(super) fn new(messages: &[Message], estimate: &Components, usage: &Usage) -> Self {
        let answers = messages
            .iter()
            .filter(|message| matches!(message, Message::Assistant { .. }));
        Self {
            answers: answers.count(),
            estimated: estimate.total(),
            input: usage.total_input(),
            output: usage.output,
        }
    }

    /// What the next prompt has, with `weighed` new tokens after the answer: more than weighed, as all before them, where
    /// the provider counts more.
    pub fn grown_by(&self, weighed: i64) -> i64 {
        let (input, estimated) = (i128::from(self.input), i128::from(self.estimated.max(1)));
        let new = i128::from(weighed);
        // A gateway's own words may be many more than a short prompt's: they do not grow with what is new.
        let new = (new * input / estimated).clamp(new, new * MOST);
        let all = input + i128::from(self.output) + new;
        i64::try_from(all).unwrap_or(i64::MAX)
    }
}

/// How many times as many tokens as weighed a provider counts at the most.
const MOST: i128 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(estimated: i64, input: i64, output: i64) -> Reading {
        Reading {
            answers: 1,
            estimated,
            input,
            output,
        }
    }

    #[test]
    fn the_next_prompt_has_what_was_read_and_written_and_what_is_new_at_the_providers_measure() {
        // Half as many again as weighed: 1500 + 200 + 100 × 1.5.
        assert_eq!(reading(1_000, 1_500, 200).grown_by(100), 1_850);
        // Fewer than weighed: what is new is weighed as it is.
        assert_eq!(reading(1_000, 400, 200).grown_by(100), 700);
        assert_eq!(reading(1_000, 1_500, 200).grown_by(0), 1_700);
    }

    #[test]
    fn what_a_provider_makes_up_has_bounds() {
        assert_eq!(reading(10, 100_000_000, 5).grown_by(100), 100_000_405);
        assert_eq!(reading(0, 50, 5).grown_by(7), 50 + 5 + 28);
        assert_eq!(reading(1, i64::MAX, i64::MAX).grown_by(i64::MAX), i64::MAX);
    }
}
