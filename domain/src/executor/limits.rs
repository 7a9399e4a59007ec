//! The limits of a run, and the reserve that pays for its closing turn. Pure.

use entity::{FailureCode, Millis};

use crate::coworker::config::Limits;
use crate::run::event::LimitReached;
use crate::run::state::State;

/// The most that a model may write in one turn, unless its coworker says otherwise.
const MOST_OUTPUT: i64 = 8_192;

/// A tenth of a limit, at least `least`, at most half of it.
fn reserve(limit: i64, least: i64) -> i64 {
    (limit / 10).max(least).min(limit / 2)
}

/// The moment from which on only the closing turn may run.
pub fn closing_from(limits: &Limits, deadline: Millis) -> Millis {
    deadline.plus(-reserve(limits.max_duration_ms, 30_000))
}

/// Tokens that may be used before the closing turn.
fn working_tokens(limits: &Limits) -> i64 {
    limits.max_tokens - reserve(limits.max_tokens, 1_000)
}

/// The most that the model may write in the next turn; `most`: what its coworker says of one turn.
pub fn max_output(state: &State, limits: &Limits, most: Option<i64>, closing: bool) -> i64 {
    let used = state.totals.input_tokens + state.totals.output_tokens;
    let until = if closing {
        limits.max_tokens
    } else {
        working_tokens(limits)
    };
    (until - used).clamp(1, most.unwrap_or(MOST_OUTPUT).max(1))
}

/// The limit that forbids another turn, if any: the turn after it is the closing one.
pub fn before_turn(
    state: &State,
    limits: &Limits,
    deadline: Millis,
    now: Millis,
) -> Option<LimitReached> {
    let reached = |limit, value, maximum| {
        Some(LimitReached {
            limit,
            value,
            maximum,
            budget: None,
            unpriced: None,
        })
    };
    let totals = &state.totals;
    let tokens = totals.input_tokens + totals.output_tokens;
    if totals.turns >= limits.max_turns {
        return reached(
            FailureCode::LimitTurns,
            totals.turns.into(),
            limits.max_turns.into(),
        );
    }
    if let Some(limit) = out_of_time(limits, deadline, now) {
        return Some(limit);
    }
    if tokens >= working_tokens(limits) {
        return reached(FailureCode::LimitTokens, tokens, limits.max_tokens);
    }
    None
}

/// What a run has cost so far, nano-USD: calls whose cost is not known at what they may have cost.
pub fn spent(state: &State) -> i64 {
    state.totals.cost_nano + state.totals.estimated_nano
}

/// What the next call may cost by the run's own limit, nano-USD; none: no limit of money.
pub fn money_left(state: &State, limits: &Limits, closing: bool) -> Option<i64> {
    let most = limits.max_cost_nano?;
    let until = if closing { most } else { working_money(most) };
    Some(until - spent(state))
}

/// The part of an amount of money that may be used before the closing turn.
pub const fn working_money(most: i64) -> i64 {
    most - most / 10
}

/// The limit that forbids another tool call, if any.
pub fn before_call(
    state: &State,
    limits: &Limits,
    deadline: Millis,
    now: Millis,
) -> Option<LimitReached> {
    let (value, maximum) = (state.totals.tool_calls.into(), limits.max_tool_calls.into());
    if value >= maximum {
        return Some(LimitReached {
            limit: FailureCode::LimitToolCalls,
            value,
            maximum,
            budget: None,
            unpriced: None,
        });
    }
    out_of_time(limits, deadline, now)
}

/// The limit of time, if only the closing turn may still run.
pub fn out_of_time(limits: &Limits, deadline: Millis, now: Millis) -> Option<LimitReached> {
    (now >= closing_from(limits, deadline)).then(|| LimitReached {
        limit: FailureCode::LimitTime,
        value: limits.max_duration_ms - deadline.since(now),
        maximum: limits.max_duration_ms,
        budget: None,
        unpriced: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_a_tenth_but_enough_for_a_closing_turn_and_never_more_than_half() {
        assert_eq!(reserve(1_000_000, 1_000), 100_000);
        assert_eq!(reserve(5_000, 1_000), 1_000);
        assert_eq!(reserve(1_000, 1_000), 500);
        let limits = Limits {
            max_duration_ms: 600_000,
            ..Limits::default()
        };
        assert_eq!(closing_from(&limits, Millis(600_000)), Millis(540_000));
    }
}
