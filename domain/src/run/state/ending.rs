//! What is said of a run that has reached a limit.

use entity::FailureCode;

use super::Ending;
use crate::money::print_decimal;
use crate::run::event::LimitReached;

/// The ending of a run whose limit leaves no closing turn.
pub fn limit_ending(limit: &LimitReached) -> Ending {
    let said = match how_far(limit) {
        Some(how_far) => format!("{}: {how_far}", what(limit)),
        None => what(limit),
    };
    Ending::Failed(limit.limit, said)
}

/// What a coworker is told before its last turn.
pub(super) fn last_turn(limit: &LimitReached) -> String {
    let said = match how_far(limit) {
        Some(how_far) => format!("{} ({how_far})", what(limit)),
        None => what(limit),
    };
    format!("This is the last turn, for {said}. Call `finish` with what you know.")
}

/// What happened: `the workspace's daily budget is used up`.
pub fn what(limit: &LimitReached) -> String {
    match (&limit.budget, &limit.unpriced) {
        (Some(budget), None) => format!("{budget} is used up"),
        (Some(budget), Some(model)) => {
            format!("{budget} can't be kept: the model {model} has no price")
        }
        (None, Some(model)) => {
            format!("the limit of the run's cost can't be kept: the model {model} has no price")
        }
        (None, None) => format!("the run reached its limit {}", limit.limit.as_str()),
    }
}

/// `3 of 3`, money in USD; none where nothing could be counted.
fn how_far(limit: &LimitReached) -> Option<String> {
    let LimitReached {
        limit,
        value,
        maximum,
        budget: _,
        unpriced,
    } = limit;
    if unpriced.is_some() {
        return None;
    }
    Some(match limit {
        FailureCode::LimitCost | FailureCode::BudgetExhausted => {
            let (value, maximum) = (print_decimal(*value), print_decimal(*maximum));
            format!("{value} of {maximum} USD, and what is left may not pay for another call")
        }
        FailureCode::ModelError
        | FailureCode::LimitTurns
        | FailureCode::LimitToolCalls
        | FailureCode::LimitTime
        | FailureCode::LimitTokens
        | FailureCode::Stopped
        | FailureCode::Poisoned
        | FailureCode::VersionUnsupported
        | FailureCode::Internal => format!("{value} of {maximum}"),
    })
}
