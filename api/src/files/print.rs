//! How a plan is shown: a unified diff per object, and a line that counts.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use similar::{ChangeTag, TextDiff};

use super::plan::{CoworkerStep, Plan, Then, Write};
use super::playbook;
use super::price::{Prices, PricesKind};
use super::read::Source;

const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const COME: Style = AnsiColor::Green.on_default();
const GONE: Style = AnsiColor::Red.on_default();
const PLACE: Style = AnsiColor::Cyan.on_default();

/// How long the best alignment of two texts is looked for.
const PATIENCE: Duration = Duration::from_millis(100);

/// The changes, object by object.
///
/// # Errors
/// [`domain::Error::Internal`], which does not happen for these types.
pub fn changes(plan: &Plan, sources: &[Source]) -> domain::Result<String> {
    let mut text = String::new();
    let file = |source: usize| {
        sources
            .get(source)
            .map_or("", |source| source.name.as_str())
    };
    for step in &plan.skills {
        let verb = if step.before.is_some() {
            "change"
        } else {
            "create"
        };
        let before = step
            .before
            .as_ref()
            .map(|(_, skill)| domain::yaml::print(skill));
        text += &head("skill", &step.skill.handle, verb, file(step.source));
        text += &diff(
            &before.transpose()?.unwrap_or_default(),
            &domain::yaml::print(&step.skill)?,
        );
    }
    for step in &plan.servers {
        let verb = if step.before.is_some() {
            "change"
        } else {
            "create"
        };
        let before = step
            .before
            .as_ref()
            .map(|(_, server)| domain::yaml::print(server));
        text += &head("tool server", &step.server.name, verb, file(step.source));
        text += &diff(
            &before.transpose()?.unwrap_or_default(),
            &domain::yaml::print(&step.server)?,
        );
    }
    for step in &plan.prices {
        let entry = Prices {
            kind: PricesKind::Prices,
            prices: vec![step.price.clone()],
        };
        text += &head("price", &step.price.model, "set", file(step.source));
        text += &diff("", &domain::yaml::print(&entry)?);
    }
    for step in &plan.coworkers {
        let before = step
            .before
            .as_ref()
            .map(|(_, coworker)| playbook::print(coworker));
        text += &head(
            "coworker",
            &step.coworker.handle,
            &verbs(step),
            file(step.source),
        );
        text += &diff(
            &before.transpose()?.unwrap_or_default(),
            &playbook::print(&step.coworker)?,
        );
    }
    Ok(text)
}

/// How many objects are made, changed and left: `2 to create, 1 to change, 4 as they are`.
pub fn summary(plan: &Plan) -> String {
    let made = plan
        .skills
        .iter()
        .filter(|step| step.before.is_none())
        .count()
        + plan
            .coworkers
            .iter()
            .filter(|step| step.before.is_none())
            .count()
        + plan
            .servers
            .iter()
            .filter(|step| step.before.is_none())
            .count()
        + plan.prices.len();
    let all = plan.skills.len() + plan.coworkers.len() + plan.servers.len() + plan.prices.len();
    format!(
        "{made} to create, {} to change, {} as the files say",
        all - made,
        plan.same
    )
}

/// How many objects the files hold, as words: `1 object`.
pub fn objects(n: usize) -> String {
    let end = if n == 1 { "" } else { "s" };
    format!("{n} object{end}")
}

fn verbs(step: &CoworkerStep) -> String {
    let write = match (step.write, &step.before) {
        (_, None) => Some("create"),
        (Write::Name | Write::All, Some(_)) => Some("change"),
        (Write::Nothing, Some(_)) => None,
    };
    let then = match step.then {
        Then::Nothing => None,
        Then::Publish => Some("publish"),
        Then::Unpublish => Some("take out of work"),
    };
    let verbs: Vec<&str> = write.into_iter().chain(then).collect();
    verbs.join(", ")
}

fn head(kind: &str, handle: &str, verbs: &str, file: &str) -> String {
    let (handle, file) = (shown(handle), shown(file));
    format!("{STRONG}{kind} {handle}: {verbs}{STRONG:#}  {FAINT}{file}{FAINT:#}\n")
}

fn diff(before: &str, after: &str) -> String {
    if before == after {
        return format!(
            "{FAINT}  what it says stays; a skill of it, or a draft, was changed{FAINT:#}\n\n"
        );
    }
    let lines = TextDiff::configure()
        .timeout(PATIENCE)
        .diff_lines(before, after);
    let mut text = String::new();
    for hunk in lines.unified_diff().context_radius(3).iter_hunks() {
        // Of what is new, every line is; to say so again helps nobody.
        if !before.is_empty() {
            text += &format!("{PLACE}{}{PLACE:#}\n", hunk.header());
        }
        for change in hunk.iter_changes() {
            let (sign, style) = match change.tag() {
                ChangeTag::Equal => (' ', FAINT),
                ChangeTag::Delete => ('-', GONE),
                ChangeTag::Insert => ('+', COME),
            };
            let line = shown(change.value().trim_end_matches('\n'));
            text += &format!("{style}{sign} {line}{style:#}\n");
        }
    }
    text + "\n"
}

/// Without what would steer a terminal: a text may come from anyone.
fn shown(text: &str) -> String {
    let plain = |c: char| {
        if c.is_control() && c != '\t' {
            '\u{fffd}'
        } else {
            c
        }
    };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_change_is_shown_with_what_stands_around_it() {
        let lines: Vec<String> = (1..=9).map(|n| format!("line{n}: x\n")).collect();
        let (before, after) = (
            lines.concat(),
            lines.concat().replace("line5: x", "line5: y"),
        );
        assert_eq!(
            plain(&diff(&before, &after)),
            "@@ -2,7 +2,7 @@\n  line2: x\n  line3: x\n  line4: x\n- line5: x\n+ line5: y\n  line6: x\n  line7: x\n  line8: x\n\n"
        );
        assert_eq!(plain(&diff("", "a: 1\n")), "+ a: 1\n\n");
        assert!(diff(&before, &after).contains("\u{1b}["));
    }

    #[test]
    fn nothing_that_a_text_holds_steers_the_terminal() {
        assert_eq!(shown("a\u{1b}[2Jb\rc\td"), "a\u{fffd}[2Jb\u{fffd}c\td");
    }
}
