//! What is counted: the measures, and their sums over calls and runs.

use std::ops::{AddAssign, Index, IndexMut};

use entity::{RunStatus, usage_ledger, usage_rollup};

use super::fresh::Done;
use crate::model::tokens::{ComponentKind, Components};
use crate::price::{self, Rates};

/// One figure that is summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// Runs that ended.
    Runs,
    /// Of these, those that completed.
    Completed,
    /// Of these, those that failed.
    Failed,
    /// Their model turns.
    Turns,
    /// Their tool calls, refused ones included.
    ToolCalls,
    /// Model calls.
    Calls,
    /// Of these, those without a price.
    UnpricedCalls,
    /// Of these, those whose usage is not known.
    UnknownCalls,
    /// Input tokens that no cache had part in.
    Input,
    /// Input tokens read from a cache.
    CacheRead,
    /// Input tokens written to a cache.
    CacheWrite,
    /// Output tokens, reasoning included.
    Output,
    /// Output tokens that were reasoning.
    Reasoning,
    /// What the priced calls cost, nano-USD.
    Cost,
    /// Of it, what input outside of caches cost.
    CostInput,
    /// Of it, what reading from caches cost.
    CostCacheRead,
    /// Of it, what writing to caches cost.
    CostCacheWrite,
    /// What the calls whose cost is not known may have cost at the most, nano-USD; not in the cost.
    Estimated,
    /// Input tokens of one part of the prompts.
    Part(ComponentKind),
}

impl Measure {
    /// Those of runs.
    pub const RUNS: [Self; 5] = [
        Self::Runs,
        Self::Completed,
        Self::Failed,
        Self::Turns,
        Self::ToolCalls,
    ];
    /// What a cost says besides its lines.
    pub const COST: [Self; 3] = [Self::Cost, Self::UnpricedCalls, Self::UnknownCalls];
    /// Tokens by kind.
    pub const TOKENS: [Self; 5] = [
        Self::Input,
        Self::CacheRead,
        Self::CacheWrite,
        Self::Output,
        Self::Reasoning,
    ];
    /// Costs by kind of tokens; the rest is output.
    pub const COSTS: [Self; 3] = [Self::CostInput, Self::CostCacheRead, Self::CostCacheWrite];

    /// Whether it is one of [`Self::RUNS`]; the others are of calls.
    pub fn is_of_runs(&self) -> bool {
        Self::RUNS.contains(self)
    }

    /// All of them, in the order of the rollup's columns.
    pub fn all() -> impl Iterator<Item = Self> {
        let calls = [Self::Calls, Self::UnpricedCalls, Self::UnknownCalls];
        let of_calls = calls
            .into_iter()
            .chain(Self::TOKENS)
            .chain([Self::Cost])
            .chain(Self::COSTS)
            .chain([Self::Estimated]);
        Self::RUNS.into_iter().chain(of_calls).chain(Self::parts())
    }

    /// Input tokens by part of the prompts.
    pub fn parts() -> impl Iterator<Item = Self> {
        ComponentKind::ALL.into_iter().map(Self::Part)
    }

    /// Its column of the rollup.
    pub fn column(self) -> usage_rollup::Column {
        use usage_rollup::Column as C;
        match self {
            Self::Runs => C::Runs,
            Self::Completed => C::Completed,
            Self::Failed => C::Failed,
            Self::Turns => C::Turns,
            Self::ToolCalls => C::ToolCalls,
            Self::Calls => C::Calls,
            Self::UnpricedCalls => C::UnpricedCalls,
            Self::UnknownCalls => C::UnknownCalls,
            Self::Input => C::InputTokens,
            Self::CacheRead => C::CacheReadTokens,
            Self::CacheWrite => C::CacheWriteTokens,
            Self::Output => C::OutputTokens,
            Self::Reasoning => C::ReasoningTokens,
            Self::Cost => C::CostNano,
            Self::CostInput => C::CostInputNano,
            Self::CostCacheRead => C::CostCacheReadNano,
            Self::CostCacheWrite => C::CostCacheWriteNano,
            Self::Estimated => C::EstimatedNano,
            Self::Part(ComponentKind::Identity) => C::PartIdentity,
            Self::Part(ComponentKind::Soul) => C::PartSoul,
            Self::Part(ComponentKind::Goal) => C::PartGoal,
            Self::Part(ComponentKind::Instructions) => C::PartInstructions,
            Self::Part(ComponentKind::Skill) => C::PartSkills,
            Self::Part(ComponentKind::ToolDefinition) => C::PartTools,
            Self::Part(ComponentKind::Request) => C::PartRequest,
            Self::Part(ComponentKind::Notes) => C::PartNotes,
            Self::Part(ComponentKind::History) => C::PartHistory,
            Self::Part(ComponentKind::ToolResults) => C::PartResults,
        }
    }

    const fn place(self) -> usize {
        match self {
            Self::Runs => 0,
            Self::Completed => 1,
            Self::Failed => 2,
            Self::Turns => 3,
            Self::ToolCalls => 4,
            Self::Calls => 5,
            Self::UnpricedCalls => 6,
            Self::UnknownCalls => 7,
            Self::Input => 8,
            Self::CacheRead => 9,
            Self::CacheWrite => 10,
            Self::Output => 11,
            Self::Reasoning => 12,
            Self::Cost => 13,
            Self::CostInput => 14,
            Self::CostCacheRead => 15,
            Self::CostCacheWrite => 16,
            Self::Estimated => 17,
            Self::Part(kind) => 18 + kind as usize,
        }
    }
}

/// How many measures there are.
const COUNT: usize = 18 + ComponentKind::ALL.len();

/// The sum of each measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sums([i64; COUNT]);

impl Default for Sums {
    fn default() -> Self {
        Self([0; COUNT])
    }
}

impl Index<Measure> for Sums {
    type Output = i64;

    fn index(&self, measure: Measure) -> &i64 {
        &self.0[measure.place()]
    }
}

impl IndexMut<Measure> for Sums {
    fn index_mut(&mut self, measure: Measure) -> &mut i64 {
        &mut self.0[measure.place()]
    }
}

impl AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum = sum.saturating_add(more);
        }
    }
}

impl Sums {
    /// One model call, at the rates of its price.
    pub fn of_call(call: &usage_ledger::Model, rates: Option<Rates>) -> Self {
        let mut sums = Self::default();
        sums[Measure::Calls] = 1;
        if !call.known {
            sums[Measure::UnknownCalls] = 1;
        }
        sums[Measure::Input] = call.input_tokens;
        sums[Measure::CacheRead] = call.cache_read_tokens;
        sums[Measure::CacheWrite] = call.cache_write_short_tokens + call.cache_write_long_tokens;
        sums[Measure::Output] = call.output_tokens;
        sums[Measure::Reasoning] = call.reasoning_tokens;
        match call.cost_nano {
            Some(cost) => {
                sums[Measure::Cost] = cost;
                let rates = rates.unwrap_or_default();
                let line =
                    |tokens, rate: Option<i64>| price::line(tokens, rate.unwrap_or_default());
                sums[Measure::CostInput] = line(call.input_tokens, Some(rates.input));
                sums[Measure::CostCacheRead] = line(call.cache_read_tokens, rates.cache_read);
                sums[Measure::CostCacheWrite] =
                    line(call.cache_write_short_tokens, rates.cache_write_short)
                        + line(call.cache_write_long_tokens, rates.cache_write_long);
            }
            None => {
                sums[Measure::UnpricedCalls] = i64::from(call.known);
                sums[Measure::Estimated] = call.reserved_nano.unwrap_or_default();
            }
        }
        // Rows hold only what was written as a map.
        let components: Components = serde_json::from_str(&call.components).unwrap_or_default();
        for (kind, _, tokens) in components.iter() {
            sums[Measure::Part(kind)] += tokens;
        }
        sums
    }

    /// What a rollup's row holds.
    pub fn of_row(row: &usage_rollup::Model) -> Self {
        let mut sums = Self::default();
        for measure in Measure::all() {
            // A column of whole numbers, which are never missing.
            if let sea_orm::Value::BigInt(Some(sum)) =
                sea_orm::ModelTrait::get(row, measure.column())
            {
                sums[measure] = sum;
            }
        }
        sums
    }

    /// One run that ended.
    pub fn of_run(run: &Done) -> Self {
        let mut sums = Self::default();
        sums[Measure::Runs] = 1;
        match run.status {
            RunStatus::Completed => sums[Measure::Completed] = 1,
            RunStatus::Failed => sums[Measure::Failed] = 1,
            RunStatus::Running | RunStatus::PausedForApproval => {}
        }
        sums[Measure::Turns] = run.turn_count.into();
        sums[Measure::ToolCalls] = run.tool_call_count.into();
        sums
    }

    /// All that the models read, what came from a cache included.
    pub fn input(&self) -> i64 {
        self[Measure::Input] + self[Measure::CacheRead] + self[Measure::CacheWrite]
    }

    /// What the calls cost, nano-USD; none: there were calls, and what any of them cost is not known.
    pub fn cost(&self) -> Option<i64> {
        let open = self[Measure::UnpricedCalls] + self[Measure::UnknownCalls];
        let known = self[Measure::Cost] != 0 || open == 0;
        known.then_some(self[Measure::Cost])
    }

    /// What they cost by run that ended, rounded half up; none without such runs, or where no call's cost is known.
    pub fn cost_per_run(&self) -> Option<i64> {
        let (runs, cost) = (self[Measure::Runs], self[Measure::Cost]);
        let open = self[Measure::UnpricedCalls] + self[Measure::UnknownCalls];
        let known = runs > 0 && self[Measure::Calls] > open;
        known.then(|| (cost + runs / 2).div_euclid(runs))
    }

    /// What output cost, nano-USD.
    pub fn cost_output(&self) -> i64 {
        self[Measure::Cost] - Measure::COSTS.into_iter().map(|of| self[of]).sum::<i64>()
    }

    /// Input tokens whose part of the prompt is not known.
    pub fn unattributed(&self) -> i64 {
        self.input() - Measure::parts().map(|part| self[part]).sum::<i64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_measure_has_a_place_and_a_column_of_its_own() {
        let places: std::collections::BTreeSet<_> = Measure::all().map(Measure::place).collect();
        assert!(places.into_iter().eq(0..COUNT));
        let columns: std::collections::BTreeSet<_> = Measure::all()
            .map(|measure| format!("{:?}", measure.column()))
            .collect();
        assert_eq!(columns.len(), COUNT);
    }
}
