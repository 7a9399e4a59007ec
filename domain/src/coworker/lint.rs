//! What can be seen of a configuration before it works: the faults that make a coworker do what it
//! shouldn't, stop in the middle, or name what is not there. Pure: what it looks at is passed in.

mod parameters;
mod scope;
#[cfg(test)]
mod tests;
mod tool;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use entity::RequestStatus;
use serde::{Deserialize, Serialize};

use super::config::{Config, Identity};
use super::handle;
use crate::model::KnownProviders;
use crate::text::cut;
use crate::tool::specs;

/// The most findings of one configuration; errors come first.
const MOST: usize = 100;
/// The most characters of a rule that a finding quotes.
const QUOTED: usize = 80;

/// Something that the lint found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Which rule found it.
    pub rule: Rule,
    /// Where in the configuration: `goal.flow[2]`, places counted from 0.
    pub place: String,
    /// What is wrong, in a sentence.
    pub message: String,
    /// How to put it right, in a sentence.
    pub remedy: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Severity {
    /// It will not work: publishing is refused, unless it is forced.
    Error,
    /// It may be meant like that.
    Warning,
}

/// The rules of the lint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Rule {
    /// A text names a tool that is not enabled.
    ToolNotEnabled,
    /// A text names a tool that does not exist.
    ToolUnknown,
    /// The settings name an action that does not exist.
    ActionUnknown,
    /// A tool of a server has the name of a tool of the playbook.
    ToolShadowed,
    /// An out-of-scope rule routes to a coworker that does not exist, or to itself.
    RouteToNobody,
    /// An out-of-scope rule routes to a coworker that is not published.
    RouteToUnpublished,
    /// There is no end-of-run rule for a status in which its runs can leave a request.
    NoEndOfRunRule,
    /// Two end-of-run rules have the same words.
    EndOfRunAmbiguous,
    /// The identity has no scope.
    NoScope,
    /// The scope is nearly that of another published coworker.
    ScopeCollision,
    /// The library has no such skill.
    SkillUnknown,
    /// Money is limited, and the model has no price.
    UnpricedModel,
    /// This process has no provider for the model.
    ProviderNotConfigured,
    /// The model's provider refuses a parameter.
    ParameterRefused,
}

/// A configuration, and whose it is.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The coworker's handle.
    pub handle: &'a str,
    /// Whether it is the workspace's Triage coworker.
    pub is_triage: bool,
    /// What it would be made of.
    pub config: &'a Config,
}

/// What a configuration stands among.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The other coworkers of the workspace.
    pub peers: Vec<Peer>,
    /// The texts of the skills that the configuration names, by handle; those that there are.
    pub skills: HashMap<String, String>,
    /// The tools of the workspace's servers by name, each with why it can't be called now, if it can't.
    pub served: BTreeMap<String, Option<&'static str>>,
    /// The servers that have not said yet what they offer: a name that a coworker was given of them is taken at its word.
    pub silent: BTreeSet<String>,
    /// Whether the workspace has a budget.
    pub has_budget: bool,
    /// Whether the configuration's model has no price.
    pub is_unpriced: bool,
    /// The providers of models that this process has.
    pub providers: KnownProviders,
}

/// Another coworker.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its handle.
    pub handle: String,
    /// Whether it is the workspace's Triage coworker.
    pub is_triage: bool,
    /// Who it is, in the version in force; none: it is not published.
    pub identity: Option<Identity>,
}

/// Everything that is wrong or doubtful with a configuration, errors first, then in the order of its parts.
pub fn lint(subject: &Subject<'_>, world: &World) -> Vec<Finding> {
    let mut findings = Vec::new();
    scope::lint(subject, world, &mut findings);
    tool::lint(subject, world, &mut findings);
    routes(subject, world, &mut findings);
    ends(subject, &mut findings);
    money(subject, world, &mut findings);
    provider(subject, world, &mut findings);
    parameters::lint(subject, world, &mut findings);
    findings.sort_by_key(|finding| finding.severity);
    findings.truncate(MOST);
    findings
}

/// Whether these findings refuse a publication.
pub fn refuses(findings: &[Finding]) -> bool {
    findings
        .iter()
        .any(|finding| finding.severity == Severity::Error)
}

/// What is not its own must go to someone who takes it.
fn routes(subject: &Subject<'_>, world: &World, findings: &mut Vec<Finding>) {
    let goal = &subject.config.goal;
    if !goal.out_of_scope.is_empty() && !subject.config.enables("reassign") {
        findings.push(Finding {
            severity: Severity::Error,
            rule: Rule::ToolNotEnabled,
            place: "goal.outOfScope".into(),
            message: "It shall route requests elsewhere, and the tool reassign is not enabled."
                .into(),
            remedy: "Enable reassign of the server stint, or remove the out-of-scope rules.".into(),
        });
    }
    for (i, rule) in goal.out_of_scope.iter().enumerate() {
        let handle = handle(&rule.route_to);
        let peer = world.peers.iter().find(|peer| peer.handle == handle);
        let (severity, found, message, remedy) = match peer {
            Some(Peer {
                identity: Some(_), ..
            }) => continue,
            Some(_) => (
                Severity::Warning,
                Rule::RouteToUnpublished,
                format!(
                    "It routes to @{handle}, which is not published: what is routed there waits for a person."
                ),
                format!("Publish @{handle} too."),
            ),
            None if handle == subject.handle => (
                Severity::Error,
                Rule::RouteToNobody,
                "It routes to itself what is out of its scope.".to_owned(),
                "Name the coworker that shall take it.".to_owned(),
            ),
            None => (
                Severity::Error,
                Rule::RouteToNobody,
                format!("It routes to @{handle}, and there is no such coworker."),
                "Name the handle of a coworker of this workspace, or make that coworker first."
                    .to_owned(),
            ),
        };
        findings.push(Finding {
            severity,
            rule: found,
            place: format!("goal.outOfScope[{i}].routeTo"),
            message,
            remedy,
        });
    }
}

/// A run names the rule by which it ends; without one for its case it stops somewhere in the middle.
fn ends(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let config = subject.config;
    let rules = &config.goal.end_of_run;
    for (i, rule) in rules.iter().enumerate() {
        let same = |other: &&super::config::EndOfRun| other.when.trim() == rule.when.trim();
        if let Some(first) = rules[..i].iter().find(same) {
            // Twice the same is only superfluous.
            if first.set_status != rule.set_status {
                findings.push(Finding {
                    severity: Severity::Error,
                    rule: Rule::EndOfRunAmbiguous,
                    place: format!("goal.endOfRun[{i}].when"),
                    message: format!("Two end-of-run rules say \"{}\" and set different statuses; a run can't name the second.", cut(&rule.when, QUOTED)),
                    remedy: "Tell the two cases apart in their words, or keep one.".into(),
                });
            }
        }
    }
    // Triage leaves a request as it is: what it decides is to whom it goes.
    if subject.is_triage {
        return;
    }
    let has_outside_tools = config.own_tools().len() > specs().len();
    for (status, applies, when) in [
        (
            RequestStatus::Resolved,
            config.enables("set_status"),
            "its work is done",
        ),
        (
            RequestStatus::Pending,
            config.enables("ask_requester"),
            "it asked the requester",
        ),
        (
            RequestStatus::InProgress,
            has_outside_tools,
            "a tool or system that it needs can't be reached",
        ),
    ] {
        let ruled = rules.iter().any(|rule| match rule.set_status {
            Some(RequestStatus::Closed) => status == RequestStatus::Resolved,
            set => set == Some(status),
        });
        if applies && !ruled {
            findings.push(Finding {
                severity: Severity::Warning,
                rule: Rule::NoEndOfRunRule,
                place: "goal.endOfRun".into(),
                message: format!("No end-of-run rule sets the status {}.", status.as_str()),
                remedy: format!(
                    "Say how a run ends when {when}, with setStatus {}.",
                    status.as_str()
                ),
            });
        }
    }
}

/// What can't be priced can't be kept within a limit of money.
fn money(subject: &Subject<'_>, world: &World, findings: &mut Vec<Finding>) {
    let config = subject.config;
    let (place, what) = if config.limits.max_cost_nano.is_some() {
        ("limits.maxCost", "The cost of its runs is limited")
    } else if !config.budget.is_none() {
        ("budget", "It has a budget")
    } else if world.has_budget {
        ("model", "The workspace has a budget")
    } else {
        return;
    };
    if world.is_unpriced {
        let name = config.model.name();
        findings.push(Finding {
            severity: Severity::Error,
            rule: Rule::UnpricedModel,
            place: place.into(),
            message: format!("{what}, and the model {name} has no price: nobody could tell when it is used up."),
            remedy: format!("Set a price for {name} with modelPriceSet, or take the limit away; this can't be forced."),
        });
    }
}

/// A model that can't be asked ends every run. No error: another worker may have its provider.
fn provider(subject: &Subject<'_>, world: &World, findings: &mut Vec<Finding>) {
    let model = &subject.config.model;
    let Some(known) = &world.providers else {
        return;
    };
    if model.is_scripted() || known.contains_key(&model.provider) {
        return;
    }
    let (name, provider) = (model.name(), &model.provider);
    let how = match provider.as_str() {
        "openai" => "Set STINT_OPENAI_API_KEY, or STINT_OPENAI_BASE_URL for a server of your own that needs no key,".to_owned(),
        "anthropic" => "Set STINT_ANTHROPIC_API_KEY".to_owned(),
        "google" => "Set STINT_GEMINI_API_KEY".to_owned(),
        other => format!("Give the settings file (STINT_CONFIG) a table [models.{other}] with its kind, base_url and key,"),
    };
    findings.push(Finding {
        severity: Severity::Warning,
        rule: Rule::ProviderNotConfigured,
        place: "model".into(),
        message: format!("Its model is {name}, and the provider {provider} is not configured on this server: runs that it executes fail with MODEL_ERROR."),
        remedy: format!("{how} and start the server again, or name the model of another provider."),
    });
}

/// A sound configuration with a tool, for tests of this module and its neighbours.
#[cfg(test)]
pub(super) fn sample() -> Config {
    serde_saphyr::from_str(
        "identity: { role: Network Engineer, scope: 'Routers, switches and the wireless network of offices.' }\n\
         goal:\n  purpose: The network works.\n  flow: ['Measure with device.telemetry.']\n  \
           endOfRun:\n  - { when: Solved, setStatus: RESOLVED }\n  - { when: Asked, setStatus: PENDING }\n  \
           - { when: Unreachable, setStatus: IN_PROGRESS }\n\
         model:\n  provider: scripted\n  playbook: |\n    tools:\n      - name: device.telemetry\n        \
           description: Measures.\n        answers: [{ response: ok }]\n    turns: [{ text: Done. }]\n",
    )
    .expect("a configuration")
}
