//! What the lint found, and what changed.

use async_graphql::{Context, SimpleObject};
use domain::coworker::diff::{self, Diff};
use domain::coworker::history::{self, Compared};
use domain::coworker::lint;
use entity::coworker;

use super::CoworkerVersion;
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{Result, UserError};
use crate::graphql::kind::{FindingRule, FindingSeverity};

/// The points of looking at a coworker among all others.
pub const LOOK: usize = 20;

/// Something that the lint found in a configuration.
#[derive(SimpleObject, Clone, Debug)]
pub struct Finding {
    /// How bad it is.
    pub severity: FindingSeverity,
    /// Which rule found it.
    pub rule: FindingRule,
    /// Where in the configuration, with places in lists counted from 0: `goal.flow[2]`.
    pub place: String,
    /// What is wrong, in a sentence.
    pub message: String,
    /// How to put it right, in a sentence.
    pub remedy: String,
}

impl From<lint::Finding> for Finding {
    fn from(
        lint::Finding {
            severity,
            rule,
            place,
            message,
            remedy,
        }: lint::Finding,
    ) -> Self {
        Self {
            severity: severity.into(),
            rule: rule.into(),
            place,
            message,
            remedy,
        }
    }
}

/// All of them.
pub fn all(found: Vec<lint::Finding>) -> Vec<Finding> {
    found.into_iter().map(Finding::from).collect()
}

/// Those that refuse a publication, each at its place.
pub fn refusals(findings: &[Finding]) -> Vec<UserError> {
    let errors = findings
        .iter()
        .filter(|finding| finding.severity == FindingSeverity::Error);
    errors
        .map(|finding| UserError {
            field: Some(finding.place.clone()),
            message: format!("{} {}", finding.message, finding.remedy),
            code: finding.rule.word().to_owned(),
        })
        .collect()
}

/// What changed between two configurations of a coworker.
#[derive(SimpleObject)]
pub struct CoworkerDiff {
    /// The version before; null: there is none, and everything is new.
    pub from: Option<CoworkerVersion>,
    /// The version after; null: the draft.
    pub to: Option<CoworkerVersion>,
    /// The places that changed, at most 200.
    pub changes: Vec<ConfigChange>,
    /// The same for people: a unified diff of the two configurations as YAML; empty if nothing changed.
    pub text: String,
    /// Whether something was left out because it is long: changes after the 200th, characters of a value after the 2,000th, lines after 64 KiB.
    pub is_cut: bool,
}

/// A place of a configuration that changed.
#[derive(SimpleObject)]
pub struct ConfigChange {
    /// Where: `goal.flow[2]`, counted from 0 as it stands after the change, or before it if it is gone. Skills stand as `skills.handle` with the number of their version.
    pub path: String,
    /// The value before: a text as it is, all else as JSON; null: there was none.
    pub before: Option<String>,
    /// The value after; null: it is gone.
    pub after: Option<String>,
}

impl CoworkerDiff {
    /// What changed from one version to another.
    ///
    /// # Errors
    /// As [`history::compare`].
    pub async fn of(
        ctx: &Context<'_>,
        coworker: &coworker::Model,
        from: Option<i32>,
        to: Option<i32>,
    ) -> Result<Self> {
        let db = ctx.store().read();
        let Compared { from, to, diff } =
            history::compare(db, ctx.actor(), coworker, from, to).await?;
        let Diff {
            changes,
            text,
            is_cut,
        } = diff;
        let change = |diff::Change {
                          path,
                          before,
                          after,
                      }| ConfigChange {
            path,
            before,
            after,
        };
        Ok(Self {
            from: from.map(CoworkerVersion),
            to: to.map(CoworkerVersion),
            changes: changes.into_iter().map(change).collect(),
            text,
            is_cut,
        })
    }
}
