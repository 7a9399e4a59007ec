//! What a coworker says of its end: whether that is so, and the status that follows.

use entity::{Millis, Outcome, RequestStatus};

use super::act::Act;
use crate::access::Action;
use crate::error::{Error, Result};
use crate::request::desk::Desk;
use crate::run::log::Log;
use crate::text::{bounded, required};
use crate::tool::Finish;

/// The most bytes of a summary and of a reason.
pub(super) const LONGEST: usize = 16 * 1024;

impl Act {
    /// Checks that the run may end like this, and sets the status that the rule asks for.
    pub(super) fn settle(
        &self,
        now: Millis,
        log: &mut Log,
        desk: &mut Desk,
        finish: &Finish,
    ) -> Result<()> {
        checked("summary", &finish.summary)?;
        checked("reason", &finish.reason)?;
        let refuse = |message: &str| Err(Error::conflict("OUTCOME", message));
        let rules = &self.config.goal.end_of_run;
        let rule = match &finish.rule {
            None => None,
            Some(named) => {
                let found = rules.iter().find(|rule| rule.when.trim() == named.trim());
                let known = || {
                    rules
                        .iter()
                        .map(|rule| format!("\"{}\"", rule.when))
                        .collect::<Vec<_>>()
                        .join(", ")
                };
                Some(found.ok_or_else(|| {
                    Error::invalid(
                        "rule",
                        "INVALID",
                        format!("your goal has no such rule; it has: {}", known()),
                    )
                })?)
            }
        };
        let (handed_off, public_note) = (log.state().handed_off, log.state().public_note);
        let sets =
            self.actor.may(Action::RequestSetStatus) && !handed_off && log.state().limit.is_none();
        if sets && let Some(status) = rule.and_then(|rule| rule.set_status) {
            self.set_status(now, log, desk, status)?;
        }
        // A run at its limit fails whatever it says; its summary counts.
        if log.state().limit.is_some() {
            return Ok(());
        }
        let status = desk.request.status;
        // R72: what was needed did not answer, so nothing is settled, whatever was found out otherwise.
        if sets
            && matches!(finish.outcome, Outcome::Resolved | Outcome::AwaitingReply)
            && let Some(tools) = log.state().silent_tools()
        {
            return refuse(&format!(
                "{} is not possible while these do not answer: {tools}. Call again, hand the request off, or explain it in a \
                 public note and finish with BLOCKED",
                finish.outcome.as_str()
            ));
        }
        match finish.outcome {
            Outcome::Superseded => refuse("only Stint itself ends a run as SUPERSEDED"),
            Outcome::HandedOff if !handed_off => {
                refuse("HANDED_OFF needs a reassignment before; call reassign")
            }
            Outcome::Resolved
            | Outcome::Replied
            | Outcome::AwaitingReply
            | Outcome::Declined
            | Outcome::Blocked
                if handed_off =>
            {
                refuse("the request is handed off: finish with HANDED_OFF")
            }
            Outcome::Resolved if status != RequestStatus::Resolved => {
                refuse("RESOLVED needs the status RESOLVED: set it, or name a rule that does")
            }
            Outcome::AwaitingReply if status != RequestStatus::Pending => {
                refuse("AWAITING_REPLY needs the status PENDING: call ask_requester")
            }
            Outcome::Blocked if !public_note => refuse(
                "BLOCKED needs a public note that explains what is not available: call post_note",
            ),
            // R72: whoever picks it up finds it in progress.
            Outcome::Blocked if sets => self.set_status(now, log, desk, RequestStatus::InProgress),
            Outcome::Resolved
            | Outcome::Replied
            | Outcome::HandedOff
            | Outcome::AwaitingReply
            | Outcome::Declined
            | Outcome::Blocked => Ok(()),
        }
    }
}

/// Refuses a text that is missing or too long.
///
/// # Errors
/// [`Error::Invalid`] that names the field.
pub(super) fn checked(field: &'static str, text: &str) -> Result<()> {
    required(field, text)?;
    bounded(field, text, LONGEST)
}
