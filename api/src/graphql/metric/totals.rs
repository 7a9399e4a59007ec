//! Sums over a span of time.

use async_graphql::{Lookahead, Object, SimpleObject};
use domain::metric::facts::Fact;
use domain::metric::measure::Measure;
use domain::metric::series::Wanted;

use super::cost::{Calls, Cost, Recorded};
use super::usage::Usage;
use crate::graphql::kind::Pricing;
use crate::graphql::scalar::{Decimal, Duration, Int64, int};

/// What a query asks of totals: only that is summed up.
pub(super) fn wanted(totals: &Lookahead<'_>) -> Wanted {
    let asked = |field: &str| totals.field(field).exists();
    let mut measures: Vec<Measure> = Vec::new();
    let mut want = |when: bool, more: &[Measure]| {
        for measure in more.iter().filter(|_| when) {
            if !measures.contains(measure) {
                measures.push(*measure);
            }
        }
    };
    want(asked("runs") || asked("costPerRun"), &[Measure::Runs]);
    want(asked("completed"), &[Measure::Completed]);
    want(asked("failed"), &[Measure::Failed]);
    want(asked("turns"), &[Measure::Turns]);
    want(asked("toolCalls"), &[Measure::ToolCalls]);
    want(
        asked("modelCalls") || asked("costPerRun"),
        &[Measure::Calls],
    );
    let estimated = totals.field("cost").field("estimatedAmount").exists();
    want(estimated, &[Measure::Estimated]);
    want(asked("cost") || asked("costPerRun"), &Measure::COST);
    want(asked("usage"), &Measure::TOKENS);
    want(
        totals.field("usage").field("byComponent").exists(),
        &Measure::parts().collect::<Vec<_>>(),
    );
    Wanted {
        measures,
        durations: asked("duration"),
    }
}

/// Figures of a span of time.
pub struct MetricsTotals {
    calls: Calls,
    fact: Fact,
}

impl MetricsTotals {
    /// Sums, and the calls that they are of.
    pub(super) fn of(calls: Calls, fact: Fact) -> Self {
        Self { calls, fact }
    }

    fn get(&self, measure: Measure) -> i64 {
        self.fact.sums[measure]
    }
}

/// Figures of a span of time.
#[Object]
impl MetricsTotals {
    /// Runs that ended.
    async fn runs(&self) -> i32 {
        int(self.get(Measure::Runs))
    }

    /// Of these, those that completed.
    async fn completed(&self) -> i32 {
        int(self.get(Measure::Completed))
    }

    /// Of these, those that failed.
    async fn failed(&self) -> i32 {
        int(self.get(Measure::Failed))
    }

    /// Model calls that ended, those with unknown usage included; also of runs that go on.
    async fn model_calls(&self) -> i32 {
        int(self.get(Measure::Calls))
    }

    /// Model turns of the runs that ended.
    async fn turns(&self) -> Int64 {
        Int64(self.get(Measure::Turns))
    }

    /// Tool calls of the runs that ended, refused ones included.
    async fn tool_calls(&self) -> Int64 {
        Int64(self.get(Measure::ToolCalls))
    }

    /// The tokens that the model calls used. By component of the prompt they are told by kind, with all skills and all tools each together:
    /// a run and a request name each of them.
    async fn usage(&self) -> Usage {
        Usage::of_sums(&self.fact.sums)
    }

    /// What the model calls cost.
    async fn cost(
        &self,
        #[graphql(desc = "At which prices.", default_with = "Pricing::AtRun")] pricing: Pricing,
    ) -> Cost {
        let recorded = Recorded::from(&self.fact.sums);
        Cost::of(self.calls.clone(), pricing, recorded)
    }

    /// The recorded cost divided by the runs that ended, rounded to a nano-dollar; null without such runs, or where no call is priced.
    async fn cost_per_run(&self) -> Option<Decimal> {
        self.fact.sums.cost_per_run().map(Decimal)
    }

    /// How long the runs that ended took.
    async fn duration(&self) -> DurationQuantiles {
        let quantile = |part| self.fact.durations.quantile(part).map(Duration);
        DurationQuantiles {
            p50: quantile(0.5),
            p95: quantile(0.95),
        }
    }
}

/// How long runs took, right to one per cent.
#[derive(SimpleObject)]
pub struct DurationQuantiles {
    /// Half of the runs took at most this long; null: none has ended.
    pub p50: Option<Duration>,
    /// 95 of 100 runs took at most this long; null: none has ended.
    pub p95: Option<Duration>,
}
