//! All that a model may cost at a moment: in whichever service tier its provider answers.

use std::collections::BTreeSet;

use entity::Millis;

use super::book::price_of;
use super::card::{Card, STANDARD, Table, names};
use super::shipped;

/// What a model costs at a moment, in each service tier that has a price.
#[derive(Clone, Debug, PartialEq)]
pub struct Cards {
    standard: Card,
    /// The others, with their names.
    others: Vec<(String, Card)>,
}

impl Cards {
    /// By a workspace's own rows or else by the shipped ones; none: the model is unpriced.
    pub fn of(own: &Table, model: &str, at: Millis) -> Option<Self> {
        let standard = price_of(own, model, STANDARD, at)?;
        let tables = [own, shipped()];
        let tiers = names(model).flat_map(|name| tables.map(|table| (table, name)));
        let tiers: BTreeSet<&str> = tiers
            .flat_map(|(table, name)| table.service_tiers(name))
            .filter(|tier| *tier != STANDARD)
            .collect();
        let others = tiers.into_iter().filter_map(|tier| {
            let card = price_of(own, model, tier, at)?;
            Some((tier.to_owned(), card))
        });
        Some(Self {
            standard,
            others: others.collect(),
        })
    }

    /// What the model costs in this tier; none: that one has no price.
    pub fn tier(&self, name: &str) -> Option<&Card> {
        if name == STANDARD {
            return Some(&self.standard);
        }
        let found = self.others.iter().find(|(tier, _)| tier == name);
        found.map(|(_, card)| card)
    }

    /// As [`Card::ceiling`], in the dearest tier: a provider may answer in another one than it was asked in.
    pub fn ceiling(&self, input: i64, output: i64) -> i64 {
        let all = self.all().map(|card| card.ceiling(input, output));
        all.max().unwrap_or(0)
    }

    /// As [`Card::affordable`], whatever the tier.
    pub fn affordable(&self, input: i64, amount: i64) -> Option<i64> {
        self.all()
            .map(|card| card.affordable(input, amount))
            .min()
            .flatten()
    }

    fn all(&self) -> impl Iterator<Item = &Card> {
        let others = self.others.iter().map(|(_, card)| card);
        std::iter::once(&self.standard).chain(others)
    }
}

#[cfg(test)]
mod tests {
    use entity::{ModelPriceId, WorkspaceId, model_price};
    use uuid::Uuid;

    use super::*;
    use crate::model::Usage;
    use crate::price::Rates;

    fn row(tier: &str, prompt_over: i64, input: i64, output: i64) -> model_price::Model {
        model_price::Model {
            id: ModelPriceId(Uuid::nil()),
            workspace_id: WorkspaceId(Uuid::nil()),
            model: "mine:m".into(),
            aliases: "[]".into(),
            service_tier: tier.into(),
            prompt_over,
            effective_from: Millis(0),
            input,
            cache_read: Some(input),
            cache_write_short: Some(input),
            cache_write_long: Some(input),
            output,
            source: String::new(),
            created_at: Millis(0),
        }
    }

    fn cards() -> Cards {
        let rows = vec![
            row(STANDARD, 0, 2_500_000_000, 10_000_000_000),
            row(STANDARD, 1_000, 5_000_000_000, 20_000_000_000),
            row("flex", 0, 1_000_000_000, 5_000_000_000),
            row("priority", 0, 5_000_000_000, 30_000_000_000),
        ];
        Cards::of(&Table::new(rows), "mine:m", Millis(1)).expect("a price")
    }

    #[test]
    fn a_ceiling_holds_in_every_tier_and_over_the_length_just_above() {
        let cards = cards();
        // 700 × 5,000 + 100 × 30,000 nano, and what rounding may add: the dearest tier, not the one that was asked for.
        assert_eq!(cards.ceiling(700, 100), 3_500_000 + 3_000_000 + 4);
        let standard = cards.tier(STANDARD).expect("a price");
        // Estimated at 800 at the most, it may turn out to have 1,001 and cost 5 and 20 USD: 800 × 5,000 + 100 × 20,000.
        assert_eq!(standard.ceiling(799, 100), 799 * 2_500 + 1_000_000 + 4);
        assert_eq!(standard.ceiling(801, 100), 801 * 5_000 + 2_000_000 + 4);
        assert_eq!(cards.tier("batch"), None);
        assert_eq!(Cards::of(&Table::default(), "mine:m", Millis(1)), None);
    }

    #[test]
    fn what_is_affordable_costs_no_more_than_the_amount_in_any_tier() {
        let cards = cards();
        for amount in [0, 3_500_003, 3_500_004, 3_530_004, 6_500_004, 9_999_999] {
            match cards.affordable(700, amount) {
                None => assert!(amount < 3_500_004, "{amount}"),
                Some(most) => {
                    assert!(cards.ceiling(700, most) <= amount, "{amount}: {most}");
                    assert!(cards.ceiling(700, most + 1) > amount, "{amount}: {most}");
                }
            }
        }
    }

    /// Each kind of input is rounded by itself: split badly, a prompt costs a little more than as a whole.
    #[test]
    fn a_ceiling_holds_however_the_kinds_are_rounded() {
        let rows = vec![row(STANDARD, 0, 2_500_000, 2_500_000)];
        let cards = Cards::of(&Table::new(rows), "mine:m", Millis(1)).expect("a price");
        let card = cards.tier(STANDARD).expect("a price");
        let usage = Usage {
            input: 1,
            cache_read: 1,
            cache_write_short: 1,
            cache_write_long: 1,
            output: 1,
            reasoning: 0,
        };
        let cost = card.row(4).and_then(|row| Rates::from(row).cost(&usage));
        // 2.5 nano each, rounded up: 15; of four at once 10, and 3 for the output.
        assert_eq!((cost, cards.ceiling(4, 1)), (Some(15), 10 + 3 + 4));
    }
}
