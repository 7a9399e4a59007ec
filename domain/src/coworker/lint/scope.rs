//! Who it is: a scope to be found by, and one that is not another's.
//!
//! How much two scopes are the same is Dice's coefficient over the stems of their words: twice the number of those
//! that they share, by the number that they have together. A ranking score such as that of BM25 would
//! not do here: it has no upper bound and shifts with every other coworker of the workspace, so that no
//! threshold means the same in two workspaces, and it differs between A and B and B and A.

use std::collections::BTreeSet;

use super::{Finding, Peer, Rule, Severity, Subject, World};
use crate::coworker::words::{Vocabulary, Word, distinct};

/// From here on two scopes are too alike to route by: a request that fits one fits the other.
pub(super) const COLLIDES: f64 = 0.75;
/// From here on they are alike enough to look at.
pub(super) const NEARS: f64 = 0.5;

pub(super) fn lint(subject: &Subject<'_>, world: &World, findings: &mut Vec<Finding>) {
    // Triage takes everything, by its nature.
    if subject.is_triage {
        return;
    }
    let place = "identity.scope";
    let scope = &subject.config.identity.scope;
    let own = distinct(scope);
    if own.is_empty() {
        findings.push(Finding {
            severity: Severity::Warning,
            rule: Rule::NoScope,
            place: place.into(),
            message: "It has no scope, so that nothing can be routed to it by identity.".into(),
            remedy: "List in identity.scope what it takes on.".into(),
        });
        return;
    }
    for Peer {
        handle,
        is_triage,
        identity,
    } in &world.peers
    {
        let Some(identity) = identity.as_ref().filter(|_| !is_triage) else {
            continue;
        };
        let other = distinct(&identity.scope);
        let alike = alike(&own, &other);
        if alike < NEARS {
            continue;
        }
        let (severity, so) = if alike >= COLLIDES {
            (
                Severity::Error,
                "which makes routing between the two a matter of chance",
            )
        } else {
            (
                Severity::Warning,
                "and requests may go to the wrong one of the two",
            )
        };
        // In the words of this one, as people wrote them.
        let written = Vocabulary::default().read(scope);
        let shared = written.iter().filter(|word: &&Word| word.is_in(&other));
        let shared: Vec<&str> = shared.take(8).map(|word| word.text.as_str()).collect();
        findings.push(Finding {
            severity,
            rule: Rule::ScopeCollision,
            place: place.into(),
            message: format!(
                "Its scope is {:.0} % that of @{handle} (in common: {}), {so}.",
                alike * 100.0,
                shared.join(", ")
            ),
            remedy: format!("Say in the scopes what only this one and what only @{handle} does, or unpublish one."),
        });
    }
}

/// From 0, nothing in common, to 1, the same stems.
#[expect(clippy::cast_precision_loss, reason = "a text has few words")]
fn alike(a: &BTreeSet<String>, b: &BTreeSet<String>) -> f64 {
    let together = a.len() + b.len();
    if together == 0 {
        return 0.0;
    }
    2.0 * a.intersection(b).count() as f64 / together as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(a: &str, b: &str) -> f64 {
        alike(&distinct(a), &distinct(b))
    }

    #[test]
    fn the_same_in_other_forms_and_orders_is_the_same() {
        let alike = of(
            "Laptops, printers and the batteries of mobile devices",
            "the battery of a mobile device; printer, laptop",
        );
        assert!((alike - 1.0).abs() < f64::EPSILON, "{alike}");
    }

    #[test]
    fn the_scopes_of_different_trades_are_far_from_the_threshold() {
        for (a, b) in [
            (
                "Laptops, printers and other devices, their drivers, and the local network between a device and the edge of its office.",
                "The company's AWS accounts: VPCs, transit gateways, VPN and Direct Connect, routing, security groups.",
            ),
            (
                "Accounts, groups, permissions, passwords and multi-factor authentication of employees.",
                "The company's AWS accounts: VPCs, transit gateways, security groups, and the health of what runs there.",
            ),
        ] {
            assert!(of(a, b) < NEARS / 2.0, "{}: {a} | {b}", of(a, b));
        }
        assert!(of("", "").abs() < f64::EPSILON);
    }
}
