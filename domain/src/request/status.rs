//! Which status may follow which: one table, for people, coworkers and outside systems alike.

use entity::RequestStatus;
use entity::RequestStatus::{Closed, InProgress, Open, Pending, Resolved};

use crate::error::{Error, Result};

/// The statuses that a request can get from each status.
///
/// What is resolved can be opened again, but nobody waits for an answer on it before that. What is closed
/// stays closed.
const TRANSITIONS: [(RequestStatus, &[RequestStatus]); 5] = [
    (Open, &[InProgress, Pending, Resolved, Closed]),
    (InProgress, &[Open, Pending, Resolved, Closed]),
    (Pending, &[Open, InProgress, Resolved, Closed]),
    (Resolved, &[Open, InProgress, Closed]),
    (Closed, &[]),
];

/// The statuses that a request can get from this one.
pub fn allowed(before: RequestStatus) -> &'static [RequestStatus] {
    TRANSITIONS
        .iter()
        .find(|(from, _)| *from == before)
        .map_or(&[], |(_, to)| to)
}

/// Refuses what the table does not have.
///
/// # Errors
/// [`Error::Conflict`] that names both statuses and those that are allowed: `REQUEST_CLOSED` for a request
/// that is closed for good, else `STATUS_TRANSITION`.
pub fn check(before: RequestStatus, after: RequestStatus) -> Result<()> {
    let allowed = allowed(before);
    if allowed.contains(&after) {
        return Ok(());
    }
    let (from, to) = (before.as_str(), after.as_str());
    if allowed.is_empty() {
        let message = format!(
            "the request can't go from {from} to {to}: it is closed for good, and no status is allowed; make a new one"
        );
        return Err(Error::conflict("REQUEST_CLOSED", message));
    }
    let allowed: Vec<&str> = allowed.iter().map(|status| status.as_str()).collect();
    let message = format!(
        "the request can't go from {from} to {to}; allowed are: {}",
        allowed.join(", ")
    );
    Err(Error::conflict("STATUS_TRANSITION", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_statuses() {
        let mut table = String::new();
        for before in RequestStatus::ALL {
            let row: Vec<String> = RequestStatus::ALL
                .iter()
                .filter(|after| *after != before)
                .map(|after| match check(*before, *after) {
                    Ok(()) => format!("{} → {}", before.as_str(), after.as_str()),
                    Err(err) => format!("{}: {err}", err.code()),
                })
                .collect();
            table.push_str(&row.join("\n"));
            table.push('\n');
        }
        insta::assert_snapshot!(table);
    }
}
