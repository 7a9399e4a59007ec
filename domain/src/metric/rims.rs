//! The rims of spans: rows that lie in no whole bucket. Where such rows tell by themselves all that is asked, the database sums
//! them up; they would else be read one by one, and an hour of a large workforce has hundreds.

use entity::{RunStatus, run, usage_ledger};
use sea_orm::sea_query::{Expr, ExprTrait as _, SelectStatement};
use sea_orm::{ColumnTrait as _, DbBackend};

use super::facts::Ask;
use super::measure::Measure;
use super::parts::{Part, Placed, Rows, of_each};

/// A statement that sums up rows at rims.
pub(super) struct Summed {
    /// What is summed up.
    pub measures: Vec<Measure>,
    /// The statement.
    pub select: SelectStatement,
}

/// The model calls that are asked for; none: only their prices, their prompts or their runs tell some of it.
pub(super) fn calls(ask: &Ask, backend: DbBackend, rims: &[Part]) -> Option<Summed> {
    let calls = ask.which.of_calls(&ask.by)?;
    let measures = ask.measures.iter().filter(|measure| !measure.is_of_runs());
    let each = measures.map(|measure| Some((*measure, of_call(*measure)?)));
    let each: Vec<_> = each.collect::<Option<_>>()?;
    let measures = each.iter().map(|(measure, _)| *measure).collect();
    let mut select = ask.sums(backend, usage_ledger::Entity, each.into_iter());
    select
        .and_where(usage_ledger::Column::WorkspaceId.eq(ask.workspace))
        .cond_where(calls.clone());
    let at = usage_ledger::Column::At.into_expr();
    let rows = (select, Rows::Summed);
    let select = of_each(
        backend,
        spans(rims),
        (usage_ledger::Entity, at),
        rows,
        |_| {},
    );
    Some(Summed { measures, select })
}

/// The runs that are asked for; none: how long each took is asked, or more than calls tell as well.
pub(super) fn runs(ask: &Ask, backend: DbBackend, rims: &[Part]) -> Option<Summed> {
    if ask.durations || ask.which.of_calls(&ask.by).is_none() {
        return None;
    }
    let measures = ask.measures.iter();
    let each: Vec<_> = measures
        .filter_map(|measure| Some((*measure, of_run(*measure)?)))
        .collect();
    let measures = each.iter().map(|(measure, _)| *measure).collect();
    let mut select = ask.sums(backend, run::Entity, each.into_iter());
    select
        .and_where(run::Column::WorkspaceId.eq(ask.workspace))
        .cond_where(ask.which.runs.clone());
    let at = run::Column::EndedAt.into_expr();
    let rows = (select, Rows::Summed);
    let select = of_each(backend, spans(rims), (run::Entity, at), rows, |_| {});
    Some(Summed { measures, select })
}

fn spans(rims: &[Part]) -> impl Iterator<Item = Placed> {
    rims.iter().map(|rim| rim.placed(None))
}

/// What a call's row adds to a measure, as [`Sums::of_call`](super::measure::Sums::of_call) has it; none: it takes more than the row.
fn of_call(measure: Measure) -> Option<Expr> {
    use usage_ledger::Column as L;
    let one_if = |when: Expr| Expr::case(when, 1_i64).finally(0_i64).into();
    let known = || L::Known.into_expr();
    let unpriced = || L::CostNano.into_expr().is_null();
    Some(match measure {
        Measure::Calls => Expr::val(1_i64),
        Measure::UnpricedCalls => one_if(known().and(unpriced())),
        Measure::UnknownCalls => one_if(known().not()),
        Measure::Input => L::InputTokens.into_expr(),
        Measure::CacheRead => L::CacheReadTokens.into_expr(),
        Measure::CacheWrite => {
            let short = L::CacheWriteShortTokens.into_expr();
            short.add(L::CacheWriteLongTokens.into_expr())
        }
        Measure::Output => L::OutputTokens.into_expr(),
        Measure::Reasoning => L::ReasoningTokens.into_expr(),
        Measure::Cost => L::CostNano.into_expr(),
        Measure::Estimated => {
            let reserved = L::ReservedNano.into_expr();
            Expr::case(unpriced(), reserved).into()
        }
        Measure::CostInput
        | Measure::CostCacheRead
        | Measure::CostCacheWrite
        | Measure::Part(_)
        | Measure::Runs
        | Measure::Completed
        | Measure::Failed
        | Measure::Turns
        | Measure::ToolCalls => return None,
    })
}

/// What an ended run's row adds to a measure, as [`Sums::of_run`](super::measure::Sums::of_run) has it; none: the measure is of calls.
fn of_run(measure: Measure) -> Option<Expr> {
    use run::Column as R;
    let one_if = |status: RunStatus| {
        let is = R::Status.eq(status);
        Expr::case(is, 1_i64).finally(0_i64).into()
    };
    Some(match measure {
        Measure::Runs => Expr::val(1_i64),
        Measure::Completed => one_if(RunStatus::Completed),
        Measure::Failed => one_if(RunStatus::Failed),
        Measure::Turns => R::TurnCount.into_expr(),
        Measure::ToolCalls => R::ToolCallCount.into_expr(),
        _ => return None,
    })
}
