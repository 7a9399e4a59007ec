//! What a model call may cost at the most, and whether the run's limit and the budgets have it.

use std::time::Duration;

use entity::FailureCode;

use super::driver::Driver;
use super::limits;
use crate::budget::{Hold, Reserved};
use crate::error::Result;
use crate::price::Cards;
use crate::run::event::LimitReached;

/// The least output for which a model is asked where money is scarce: enough for a closing turn.
const LEAST_OUTPUT: i64 = 1_000;

/// Whether a call may be made.
pub(super) enum Afford {
    Yes(Means),
    /// What is left does not pay for it.
    No(LimitReached),
    /// Someone rang while it waited.
    Rung,
}

/// What a call may use.
pub(super) struct Means {
    /// The most that the model may write.
    pub(super) max_output: i64,
    /// What the call may cost at the most, nano-USD; none: unpriced.
    pub(super) reservation: Option<i64>,
    /// What is held back of budgets; none where none applies.
    pub(super) hold: Option<Hold>,
    /// What the model costs, as it was reckoned with; none: unpriced.
    pub(super) cards: Option<Cards>,
}

impl Driver {
    /// Reserves what a call may cost whose prompt has about `estimate` tokens. Where money is scarce, the model may
    /// write less.
    pub(super) async fn afford(
        &self,
        estimate: i64,
        max_output: i64,
        closing: bool,
    ) -> Result<Afford> {
        let now = self.now();
        let run = self.log.run();
        let prices = &self.shared.prices;
        let cards = prices.at(&self.shared.store, run.workspace_id, &run.model, now);
        let Some(cards) = cards.await? else {
            return Ok(match self.unpriced().await? {
                Some(limit) => Afford::No(limit),
                None => Afford::Yes(Means {
                    max_output,
                    reservation: None,
                    hold: None,
                    cards: None,
                }),
            });
        };
        let input = most_input(estimate);
        let least = LEAST_OUTPUT.min(max_output);
        let enough = |money| cards.affordable(input, money).filter(|most| *most >= least);
        let mut output = max_output;
        let (state, limits) = (self.state(), &self.config.limits);
        if let Some(left) = limits::money_left(state, limits, closing) {
            let Some(most) = enough(left) else {
                return Ok(Afford::No(LimitReached {
                    limit: FailureCode::LimitCost,
                    value: limits::spent(state),
                    maximum: limits.max_cost_nano.unwrap_or_default(),
                    budget: None,
                    unpriced: None,
                }));
            };
            output = output.min(most);
        }
        let until = if closing {
            run.deadline
        } else {
            limits::closing_from(limits, run.deadline)
        };
        let time = Duration::from_millis(u64::try_from(until.since(now)).unwrap_or(0).max(1));
        let money = (cards.ceiling(input, output), cards.ceiling(input, least));
        let whose = (run.workspace_id, run.coworker_id);
        let shared = &self.shared;
        let reserved = tokio::select! {
            biased;
            reserved = shared.purse.reserve(&shared.store, whose, money, closing) => reserved?,
            () = self.interrupt.notified() => return Ok(Afford::Rung),
            () = tokio::time::sleep(time) => {
                let limit = limits::out_of_time(limits, run.deadline, self.now().max(until));
                return Ok(limit.map_or(Afford::Rung, Afford::No));
            }
        };
        Ok(match reserved {
            Reserved::Free => Afford::Yes(Means {
                max_output: output,
                reservation: Some(money.0),
                hold: None,
                cards: Some(cards),
            }),
            Reserved::Held(hold) => Afford::Yes(Means {
                max_output: output.min(enough(hold.amount()).unwrap_or(least)),
                reservation: Some(hold.amount()),
                hold: Some(hold),
                cards: Some(cards),
            }),
            Reserved::Refused(refusal) => Afford::No(LimitReached {
                limit: FailureCode::BudgetExhausted,
                value: refusal.used,
                maximum: refusal.limit,
                budget: Some(refusal.key.words().into()),
                unpriced: None,
            }),
        })
    }

    /// The limit of money that can't be kept because the model has no price, if any. Runs start only where there is
    /// none: it was set later, or the price was taken away.
    async fn unpriced(&self) -> Result<Option<LimitReached>> {
        let (run, limits) = (self.log.run(), &self.config.limits);
        let value = limits::spent(self.state());
        if let Some(maximum) = limits.max_cost_nano {
            return Ok(Some(LimitReached {
                limit: FailureCode::LimitCost,
                value,
                maximum,
                budget: None,
                unpriced: Some(run.model.clone()),
            }));
        }
        let (store, whose) = (&self.shared.store, (run.workspace_id, run.coworker_id));
        let budgets = self.shared.purse.budgets(store, whose).await?;
        Ok(budgets.first().map(|(key, maximum)| LimitReached {
            limit: FailureCode::BudgetExhausted,
            value,
            maximum: *maximum,
            budget: Some(key.words().into()),
            unpriced: Some(run.model.clone()),
        }))
    }
}

/// The most tokens that a prompt may turn out to have: a fifth more, for it is an estimate.
fn most_input(estimate: i64) -> i64 {
    (estimate.saturating_mul(6).saturating_add(4)) / 5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_may_turn_out_to_be_a_fifth_longer_than_it_was_estimated() {
        assert_eq!([0, 1, 5, 6, 1_000].map(most_input), [0, 2, 6, 8, 1_200]);
    }
}
