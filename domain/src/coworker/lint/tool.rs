//! Tools that texts name and the coworker has not, and settings of actions that do not exist.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{Finding, QUOTED, Rule, Severity, Subject, World};
use crate::coworker::Config;
use crate::coworker::tools::is_action;
use crate::text::cut;
use crate::tool::{BUILT_IN, specs, triage_specs};

pub(super) fn lint(subject: &Subject<'_>, world: &World, findings: &mut Vec<Finding>) {
    let config = subject.config;
    let tools = Tools::of(subject, world);
    let goal = &config.goal;
    let indexed = |part: &'static str, texts: &[String]| -> Vec<(String, String)> {
        let texts = texts.iter().enumerate();
        texts
            .map(|(i, text)| (format!("goal.{part}[{i}]"), text.clone()))
            .collect()
    };
    let mut told = vec![("goal.purpose".to_owned(), goal.purpose.clone())];
    told.extend(indexed("flow", &goal.flow));
    for (i, rule) in goal.out_of_scope.iter().enumerate() {
        told.push((format!("goal.outOfScope[{i}].when"), rule.when.clone()));
    }
    for (i, rule) in goal.end_of_run.iter().enumerate() {
        told.push((format!("goal.endOfRun[{i}].when"), rule.when.clone()));
    }
    for (place, text) in &told {
        tools.look(place, text, Reading::Goal, findings);
    }
    for (place, text) in indexed("nonGoals", &goal.non_goals) {
        tools.look(&place, &text, Reading::NonGoal, findings);
    }
    for (i, handle) in config.skills.iter().enumerate() {
        let place = format!("skills[{i}]");
        match world.skills.get(handle) {
            Some(text) => tools.look(&place, text, Reading::Skill, findings),
            None => findings.push(Finding {
                severity: Severity::Error,
                rule: Rule::SkillUnknown,
                place,
                message: format!("The library has no skill {}.", cut(handle, QUOTED)),
                remedy: "Make it with skillCreate, or remove it from the coworker.".into(),
            }),
        }
    }
    tools.settings(config, findings);
    tools.shadowed(findings);
}

/// How a text is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// It shall do what the text says.
    Goal,
    /// It must not.
    NonGoal,
    /// It shall, and other coworkers share the text.
    Skill,
}

/// The tools that a coworker has.
struct Tools<'a> {
    config: &'a Config,
    /// The built-in ones and those of its playbook.
    own: Vec<String>,
    /// Those of the workspace's servers, each with why nobody can call it now.
    served: &'a BTreeMap<String, Option<&'static str>>,
    /// Servers that have not said yet what they offer.
    silent: &'a BTreeSet<String>,
    /// What stands before the dot of its own tools and of those that its settings name.
    servers: HashSet<String>,
}

impl<'a> Tools<'a> {
    fn of(subject: &Subject<'a>, world: &'a World) -> Self {
        let config = subject.config;
        let mut own = config.own_tools();
        if subject.is_triage {
            own.extend(triage_specs().iter().map(|spec| spec.name.clone()));
        }
        let servers = own
            .iter()
            .filter_map(|tool| Some(tool.split_once('.')?.0.to_owned()));
        let named = config.tools.iter().map(|server| server.server.clone());
        let served = world.served.keys();
        let served = served.filter_map(|tool| Some(tool.split_once('.')?.0.to_owned()));
        Self {
            config,
            servers: servers.chain(named).chain(served).collect(),
            served: &world.served,
            silent: &world.silent,
            own,
        }
    }

    /// Whether a server's tool of this name comes before one of the playbook: the coworker's settings name the server.
    fn is_served(&self, name: &str) -> bool {
        let named = |server: &str| self.config.named_servers().any(|named| named == server);
        let own = self.own.iter().any(|own| own == name);
        let server = name.split_once('.').map(|(server, _)| server);
        self.served.contains_key(name) && (!own || server.is_some_and(named))
    }

    fn is_there(&self, name: &str) -> bool {
        let promised = name.split_once('.').is_some_and(|(server, action)| {
            self.silent.contains(server) && self.config.is_given(server, action)
        });
        promised || self.served.contains_key(name) || self.own.iter().any(|own| own == name)
    }

    /// Why the coworker can't call a tool that there is, to be read after its name.
    fn withheld(&self, name: &str) -> Option<&'static str> {
        if !self.is_served(name) {
            return (!self.config.enables(name)).then_some("is not enabled");
        }
        let (server, action) = name.split_once('.')?;
        let barred = self.served.get(name).copied().flatten();
        let own = || (!self.config.is_given(server, action)).then_some("is not enabled");
        barred.or_else(own)
    }

    /// What a playbook says of a tool has no effect where a server has one of the same name.
    fn shadowed(&self, findings: &mut Vec<Finding>) {
        let own = self.own.iter();
        for name in own.filter(|name| self.is_served(name)) {
            findings.push(Finding {
                severity: Severity::Warning,
                rule: Rule::ToolShadowed,
                place: "model.playbook".into(),
                message: format!("The playbook has a tool {name}, and so has a tool server: the server's is called."),
                remedy: "Give the playbook's tool another name, or take the server out of the settings of tools.".into(),
            });
        }
    }

    /// Finds each tool that a text names and that can't be called, once.
    fn look(&self, place: &str, text: &str, reading: Reading, findings: &mut Vec<Finding>) {
        let mut seen = HashSet::new();
        for name in mentions(text, &self.servers) {
            if !seen.insert(name) {
                continue;
            }
            let there = self.is_there(name);
            let severity = match reading {
                Reading::Goal => Severity::Error,
                Reading::NonGoal | Reading::Skill => Severity::Warning,
            };
            let finding = if !there {
                Finding {
                    severity,
                    rule: Rule::ToolUnknown,
                    place: place.to_owned(),
                    message: format!("The text names the tool {name}, and there is no such tool."),
                    remedy: format!(
                        "Name one that there is ({}), or set the words in double quotes if they are no tool.",
                        self.offered()
                    ),
                }
            } else if let Some(why) = self.withheld(name).filter(|_| reading != Reading::NonGoal) {
                Finding {
                    severity,
                    rule: Rule::ToolNotEnabled,
                    place: place.to_owned(),
                    message: format!("The text names the tool {name}, which {why}."),
                    remedy: format!("Enable {name}, or take it out of the text."),
                }
            } else {
                continue;
            };
            findings.push(finding);
        }
    }

    fn offered(&self) -> String {
        let served = self.served.keys().filter(|name| !self.own.contains(name));
        let all = self.own.iter().chain(served);
        let enabled = all.filter(|name| self.withheld(name).is_none());
        let enabled: Vec<&str> = enabled.map(String::as_str).collect();
        match enabled.len().checked_sub(20) {
            Some(more) if more > 0 => format!("{} and {more} more", enabled[..20].join(", ")),
            Some(_) | None => enabled.join(", "),
        }
    }

    /// A setting of what does not exist is most likely misspelt, and so without effect.
    fn settings(&self, config: &Config, findings: &mut Vec<Finding>) {
        for (i, server) in config.tools.iter().enumerate() {
            for (j, action) in server.actions.iter().enumerate() {
                let name = if server.server == BUILT_IN {
                    action.name.clone()
                } else {
                    format!("{}.{}", server.server, action.name)
                };
                if !self.is_there(&name) {
                    findings.push(Finding {
                        severity: Severity::Warning,
                        rule: Rule::ActionUnknown,
                        place: format!("tools[{i}].actions[{j}].name"),
                        message: format!(
                            "The server {} has no action {}; the setting has no effect.",
                            server.server, action.name
                        ),
                        remedy: "Correct the name, or remove the setting.".into(),
                    });
                }
            }
        }
    }
}

/// The names in a text that are meant as tools: `server.action`, and the built-in tools whose names are
/// no everyday words. What is in double quotes, and what looks like an address, a file or a number, is not.
/// Of the words in backticks, those of built-in tools count too.
fn mentions<'t>(text: &'t str, servers: &HashSet<String>) -> Vec<&'t str> {
    let mut found = Vec::new();
    let (mut quoted, mut marked) = (false, false);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        if end == 0 {
            match first {
                '"' => quoted = !quoted,
                '“' => quoted = true,
                '”' => quoted = false,
                '`' => marked = !marked,
                // A quotation mark that was never closed does not silence the rest.
                '\n' => (quoted, marked) = (false, false),
                _ => {}
            }
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let token = rest[..end].trim_matches(['.', ':', '-', '_']);
        rest = &rest[end..];
        if !quoted && (is_built_in(token, marked) || is_tool(token, servers)) {
            found.push(token);
        }
    }
    found
}

/// Whether a character belongs to a name, a path or an address, which are looked at as a whole.
fn belongs(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '\\' | '@' | ':')
}

fn is_built_in(token: &str, marked: bool) -> bool {
    (marked || token.contains('_'))
        && specs()
            .iter()
            .chain(triage_specs())
            .any(|spec| spec.name == token)
}

fn is_tool(token: &str, servers: &HashSet<String>) -> bool {
    let part = |part: &str| {
        part.len() > 1
            && part.starts_with(|c: char| c.is_ascii_lowercase())
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
    };
    token.split_once('.').is_some_and(|(server, action)| {
        let known = servers.contains(server);
        // Servers of others choose the names of their actions.
        (part(server) && part(action) && (known || !ENDINGS.contains(&action)))
            || (known && is_action(action))
    })
}

/// What ends the names of hosts and of files.
const ENDINGS: [&str; 54] = [
    "ai",
    "app",
    "biz",
    "ch",
    "cloud",
    "co",
    "com",
    "corp",
    "de",
    "dev",
    "edu",
    "eu",
    "example",
    "fr",
    "gov",
    "info",
    "internal",
    "invalid",
    "io",
    "lan",
    "local",
    "localhost",
    "net",
    "org",
    "test",
    "uk",
    "us",
    "bat",
    "cfg",
    "conf",
    "csv",
    "doc",
    "docx",
    "exe",
    "gz",
    "html",
    "ini",
    "js",
    "json",
    "log",
    "md",
    "msi",
    "pdf",
    "png",
    "ps1",
    "py",
    "rs",
    "sh",
    "toml",
    "txt",
    "xlsx",
    "xml",
    "yaml",
    "yml",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_names_the_tools_that_its_reader_would_look_for() {
        let servers = HashSet::from(["json".to_owned(), "device".to_owned()]);
        let text = "Measure with device.telemetry, then `aws.replace_route`: not \"aws.delete_vpc\". Call post_note \
                    and `finish`; finish early, reassign e.g. at 3.1 or on vpn.example (see https://docs.company.com/a.b, \
                    ops@company.help, C:\\logs\\last.run, erp.internal.site, report.pdf). Ask device.md. End.Then Some.Thing";
        assert_eq!(
            mentions(text, &servers),
            [
                "device.telemetry",
                "aws.replace_route",
                "post_note",
                "finish",
                "device.md"
            ]
        );
    }

    #[test]
    fn a_quotation_that_is_never_closed_ends_with_its_line() {
        let text = "The 19\" rack: a.bb cc.dd\nthen ee.ff";
        assert_eq!(mentions(text, &HashSet::new()), ["ee.ff"]);
    }
}
