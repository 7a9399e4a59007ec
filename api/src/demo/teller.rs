//! The story's words: events in, lines out. Pure; what it writes has styles, which the terminal's stream
//! drops where there is none.

use anstyle::{AnsiColor, Style};
use domain::run::event::{
    ActorRef, Event, ModelCompleted, Reassigned, RunCompleted, RunFailed, RunStarted, Totals,
};
use domain::tool::specs;
use entity::{Millis, NoteVisibility, Trigger, coworker, request};

use super::faces::{Faces, card};
use super::text::{between, clip, columns, compact, count, dollars, thousands, words, wrap};

const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const PLAIN: Style = Style::new();
const BAD: Style = AnsiColor::Red.on_default();

/// Columns of the labels, with the gap after them.
const LABEL: usize = 14;
/// The most lines of a tool's answer.
const ANSWER: usize = 3;

/// Tells a story, event by event.
pub struct Teller {
    width: usize,
    faces: Faces,
    /// Who handed the request on last.
    from: Option<String>,
    run: Option<Run>,
}

/// The run that is being told.
struct Run {
    hue: Style,
    /// What is under way, and since when.
    doing: Option<(Doing, Millis)>,
    summary: String,
    started: Millis,
}

/// What a coworker is doing.
enum Doing {
    Thinking,
    Calling { tool: String, request: String },
}

impl Teller {
    /// A teller for a terminal of `width` columns, 40 at least.
    pub fn new(width: usize, coworkers: &[coworker::Model]) -> Self {
        Self {
            width: width.max(40),
            faces: Faces::of(coworkers),
            from: None,
            run: None,
        }
    }

    /// The request as a card, and who is there to work on it.
    pub fn card(&self, request: &request::Model, requester: &str) -> String {
        let card = card(request, requester, self.width);
        format!("{card}\nOn duty: {}\n", self.faces.all())
    }

    /// What an event adds to the story; empty if it adds nothing yet.
    pub fn tell(&mut self, number: i64, at: Millis, event: &Event) -> String {
        match event {
            Event::RunStarted(started) => self.begin(number, at, started),
            Event::AttemptStarted(attempt) => {
                let text = format!(
                    "another worker goes on with it, attempt {}",
                    attempt.attempt
                );
                self.entry("attempt", "", FAINT, &[text])
            }
            Event::ModelRequested(_) => {
                self.doing(at, Doing::Thinking);
                String::new()
            }
            Event::ModelCompleted(completed) => self.thought(at, completed),
            Event::ModelFailed(failed) => {
                self.done();
                self.wrapped("model", "", BAD, &failed.message)
            }
            Event::ToolRequested(requested) => {
                if !is_builtin(&requested.tool) {
                    let (tool, request) = (requested.tool.clone(), compact(&requested.arguments));
                    self.doing(at, Doing::Calling { tool, request });
                }
                String::new()
            }
            Event::ToolCompleted(completed) => {
                self.answered(at, FAINT, &compact(&completed.response))
            }
            Event::ToolFailed(failed) => self.answered(at, BAD, &failed.message),
            Event::ToolOutcomeUnknown(unknown) => self.answered(at, BAD, &unknown.message),
            Event::ToolRefused(refused) => {
                let (tool, request) = (refused.tool.clone(), compact(&refused.arguments));
                self.doing(at, Doing::Calling { tool, request });
                self.answered(at, BAD, &format!("refused: {}", refused.message))
            }
            Event::ApprovalRequested(asked) => {
                let asks = format!("may it call {} with {}?", asked.tool, asked.arguments);
                self.wrapped("approval", "", STRONG, &asks)
            }
            Event::ApprovalApproved(decided) => {
                let said = format!("{} approved", decided.by.name);
                self.wrapped("approval", "", PLAIN, &said)
            }
            Event::ApprovalDenied(decided) => {
                let said = format!("{} denied", decided.by.name);
                self.wrapped("approval", "", BAD, &said)
            }
            Event::ApprovalExpired(_) => self.wrapped("approval", "", BAD, "expired"),
            Event::StopRequested(stop) => {
                self.wrapped("stop", "", BAD, &format!("asked for by {}", stop.by.name))
            }
            Event::NotePosted(note) => match note.visibility {
                NoteVisibility::Public => self.wrapped("public note", "", STRONG, &note.body),
                NoteVisibility::Private => self.wrapped("private note", "", PLAIN, &note.body),
            },
            Event::StatusChanged(changed) => {
                let (before, after) = (
                    words(changed.before.as_str()),
                    words(changed.after.as_str()),
                );
                self.entry(
                    "status",
                    "",
                    PLAIN,
                    &[format!("{before} → {STRONG}{after}{STRONG:#}")],
                )
            }
            Event::Reassigned(reassigned) => self.handed_over(reassigned),
            Event::LimitReached(reached) => {
                let limit = words(reached.limit.as_str());
                let text = format!(
                    "{limit}: {} of {}",
                    thousands(reached.value),
                    thousands(reached.maximum)
                );
                self.wrapped("limit", "", BAD, &text)
            }
            Event::SummaryWritten(summary) => {
                if let Some(run) = &mut self.run {
                    run.summary.clone_from(&summary.text);
                }
                String::new()
            }
            Event::RunCompleted(completed) => self.completed(at, completed),
            Event::RunFailed(failed) => self.failed(at, failed),
            Event::TurnStarted(_)
            | Event::ApprovalVoided(_)
            | Event::RunPaused(_)
            | Event::RunResumed(_)
            | Event::Unknown(_) => String::new(),
        }
    }

    /// What is under way now, as the beginning of a line, to which a clock may be added.
    pub fn glimpse(&self) -> Option<String> {
        let run = self.run.as_ref()?;
        let (doing, _) = run.doing.as_ref()?;
        let hue = run.hue;
        let (label, text) = match doing {
            Doing::Thinking => ("thinks", String::new()),
            Doing::Calling { tool, request } => {
                let room = self.body().saturating_sub(12);
                let call = wrap(&format!("{tool}({request})"), room);
                ("calls", clip(call, 1, room).concat() + " ")
            }
        };
        Some(format!("{hue}│{hue:#} {hue}{label:LABEL$}{hue:#}{text}"))
    }

    fn doing(&mut self, at: Millis, doing: Doing) {
        if let Some(run) = &mut self.run {
            run.doing = Some((doing, at));
        }
    }

    fn done(&mut self) -> Option<(Doing, Millis)> {
        self.run.as_mut()?.doing.take()
    }

    fn begin(&mut self, number: i64, at: Millis, started: &RunStarted) -> String {
        let handle = &started.coworker.handle;
        let (name, hue) = (self.faces.name(handle).to_owned(), self.faces.hue(handle));
        let from = self.from.take().unwrap_or_else(|| "someone".into());
        let why = match started.trigger {
            Trigger::Intake => "a new request".into(),
            Trigger::Routed => format!("routed by {from}"),
            Trigger::Handoff => format!("handed over by {from}"),
            Trigger::Assigned => "assigned".into(),
            Trigger::Mention => "mentioned".into(),
            Trigger::Reply => "the requester replied".into(),
        };
        let number = format!("Run-{number}");
        let used = columns(&number) + columns(&name) + columns(&why) + 11;
        self.run = Some(Run {
            hue,
            doing: None,
            summary: String::new(),
            started: at,
        });
        let strong = hue.bold();
        let head = format!(
            "\n{hue}╭─{hue:#} {STRONG}{number}{STRONG:#} {hue}─{hue:#} {strong}{name}{strong:#} {hue}─"
        );
        match self.width.checked_sub(used) {
            Some(room) => {
                let rule = "─".repeat(room);
                format!("{head}{rule}{hue:#} {why} {hue}─{hue:#}\n")
            }
            None => format!("{head}{hue:#}\n") + &self.wrapped("", "", FAINT, &why),
        }
    }

    fn thought(&mut self, at: Millis, completed: &ModelCompleted) -> String {
        let time = self
            .done()
            .map(|(_, since)| between(since, at))
            .unwrap_or_default();
        let mut told = self.gap();
        if !completed.thinking.is_empty() {
            told += &self.wrapped("thinks", &time, FAINT, &completed.thinking);
        }
        if !completed.text.is_empty() {
            told += &self.wrapped("says", "", PLAIN, &completed.text);
        }
        told
    }

    /// What came of a call; nothing for a built-in tool, whose effect is told by the step that it makes.
    fn answered(&mut self, at: Millis, style: Style, answer: &str) -> String {
        let Some((Doing::Calling { tool, request }, since)) = self.done() else {
            return String::new();
        };
        let width = self.body();
        let mut lines = wrap(&format!("{tool}({request})"), width);
        if let Some(rest) = lines.first().and_then(|line| line.strip_prefix(&tool)) {
            lines[0] = format!("{STRONG}{tool}{STRONG:#}{rest}");
        }
        let answer = clip(wrap(answer, width - 2), ANSWER, width - 2);
        let call = self.entry("calls", "", PLAIN, &lines);
        // What was refused took no time.
        let time = if at > since {
            between(since, at)
        } else {
            String::new()
        };
        let arrow = |(index, line)| format!("{} {line}", if index == 0 { "→" } else { " " });
        let answer: Vec<String> = answer.into_iter().enumerate().map(arrow).collect();
        call + &self.entry("", &time, style, &answer)
    }

    fn handed_over(&mut self, reassigned: &Reassigned) -> String {
        let face = |who: &Option<ActorRef>| match who {
            Some(who) => self.faces.face(&who.name),
            None => "nobody".to_owned(),
        };
        let (before, after) = (face(&reassigned.before), face(&reassigned.after));
        let mut lines = vec![format!("{before} → {after}")];
        lines.extend(wrap(&reassigned.reason, self.body()));
        let from = reassigned.before.as_ref();
        self.from = from.map(|who| self.faces.name(&who.name).to_owned());
        self.entry("hands over", "", PLAIN, &lines)
    }

    fn completed(&mut self, at: Millis, completed: &RunCompleted) -> String {
        let outcome = words(completed.outcome.as_str());
        self.end(at, PLAIN, &outcome, &completed.reason, &completed.totals)
    }

    fn failed(&mut self, at: Millis, failed: &RunFailed) -> String {
        let code = words(failed.code.as_str());
        self.end(at, BAD, &code, &failed.reason, &failed.totals)
    }

    fn end(
        &mut self,
        at: Millis,
        style: Style,
        how: &str,
        reason: &str,
        totals: &Totals,
    ) -> String {
        self.done();
        let run = self.run.as_mut();
        let summary = run.map(|run| std::mem::take(&mut run.summary));
        let mut told = self.gap();
        told += &self.wrapped("summary", "", PLAIN, &summary.unwrap_or_default());
        let (strong, mut lines) = (style.bold(), wrap(&format!("{how}. {reason}"), self.body()));
        if let Some(rest) = lines.first().and_then(|line| line.strip_prefix(how)) {
            lines[0] = format!("{strong}{how}{strong:#}{rest}");
        }
        told += &self.entry("outcome", "", PLAIN, &lines);
        let Some(Run { hue, started, .. }) = self.run.take() else {
            return told;
        };
        let used = [
            between(started, at),
            count(totals.turns.into(), "turn"),
            count(totals.tool_calls.into(), "tool call"),
            format!(
                "{} tokens in, {} out",
                thousands(totals.input_tokens),
                thousands(totals.output_tokens)
            ),
            dollars(totals.cost_nano),
        ];
        for (index, line) in wrap(&used.join(" · "), self.width - 3).iter().enumerate() {
            let left = if index == 0 { "╰─" } else { "  " };
            told += &format!("{hue}{left}{hue:#} {FAINT}{line}{FAINT:#}\n");
        }
        told
    }

    // ── Lines ────────────────────────────────────────────────────────────────────────────────────

    /// The columns that an entry's text has.
    fn body(&self) -> usize {
        self.width - LABEL - 2
    }

    fn bar(&self) -> Style {
        self.run.as_ref().map_or(PLAIN, |run| run.hue)
    }

    /// An empty line between two turns.
    fn gap(&self) -> String {
        let bar = self.bar();
        format!("{bar}│{bar:#}\n")
    }

    fn wrapped(&self, label: &str, time: &str, style: Style, text: &str) -> String {
        self.entry(label, time, style, &wrap(text, self.body()))
    }

    /// An entry: its label, below it the time that it took, and beside them its lines.
    fn entry(&self, label: &str, time: &str, style: Style, lines: &[String]) -> String {
        let bar = self.bar();
        let mut told = String::new();
        // A label of nothing has its time in the first line.
        let second = usize::from(!label.is_empty());
        for (index, line) in lines.iter().enumerate() {
            let (left, styled) = match index {
                0 if second == 1 => (label, bar),
                index if index == second => (time, FAINT),
                _ => ("", PLAIN),
            };
            if left.is_empty() && line.is_empty() {
                told += &self.gap();
            } else {
                told += &format!(
                    "{bar}│{bar:#} {styled}{left:LABEL$}{styled:#}{style}{line}{style:#}\n"
                );
            }
        }
        told
    }
}

fn is_builtin(tool: &str) -> bool {
    specs().iter().any(|spec| spec.name == tool)
}

#[cfg(test)]
mod tests;
