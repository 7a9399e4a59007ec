//! Who is in the story: the coworkers in their colours, and the request as a card.

use anstyle::{AnsiColor, Style};
use entity::{coworker, request};

use super::text::{columns, words, wrap};

/// One colour per coworker, in the order of their appearance.
const HUES: [AnsiColor; 5] = [
    AnsiColor::Magenta,
    AnsiColor::Cyan,
    AnsiColor::Green,
    AnsiColor::Yellow,
    AnsiColor::Blue,
];

/// The coworkers by handle, with the names and colours that people see.
pub struct Faces(Vec<(String, String)>);

impl Faces {
    /// The faces of these coworkers.
    pub fn of(coworkers: &[coworker::Model]) -> Self {
        let faces = coworkers
            .iter()
            .map(|one| (one.handle.clone(), one.name.clone()));
        Self(faces.collect())
    }

    /// A coworker's name; the handle itself if nobody has it.
    pub fn name<'a>(&'a self, handle: &'a str) -> &'a str {
        let found = self.0.iter().find(|(known, _)| known == handle);
        found.map_or(handle, |(_, name)| name)
    }

    /// A coworker's colour.
    pub fn hue(&self, handle: &str) -> Style {
        let place = self.0.iter().position(|(known, _)| known == handle);
        HUES[place.unwrap_or(self.0.len()) % HUES.len()].on_default()
    }

    /// A coworker's name in its colour.
    pub fn face(&self, handle: &str) -> String {
        let style = self.hue(handle).bold();
        format!("{style}{}{style:#}", self.name(handle))
    }

    /// All of them.
    pub fn all(&self) -> String {
        let faces: Vec<String> = self.0.iter().map(|(handle, _)| self.face(handle)).collect();
        faces.join(", ")
    }
}

/// A request as a card of `width` columns.
pub fn card(request: &request::Model, requester: &str, width: usize) -> String {
    let (plain, strong, faint) = (Style::new(), Style::new().bold(), Style::new().dimmed());
    let inner = width - 4;
    let (number, status) = (
        format!("REQ-{}", request.number),
        words(request.status.as_str()),
    );
    let rule = "─".repeat(inner.saturating_sub(number.len() + status.len() + 5));
    let mut card = format!("╭─ {strong}{number}{strong:#} ─{rule} {status} ─╮\n");
    let mut line = |style: Style, text: &str| {
        let pad = " ".repeat(inner.saturating_sub(columns(text)));
        card.push_str(&format!("│ {style}{text}{style:#}{pad} │\n"));
    };
    let mut paragraph = |style, text: &str| {
        wrap(text, inner).iter().for_each(|text| line(style, text));
    };
    let (source, priority) = (
        words(request.source.as_str()),
        words(request.priority.as_str()),
    );
    paragraph(strong, &request.title);
    paragraph(plain, &format!("\n{}", request.description));
    paragraph(
        faint,
        &format!("\n{requester} · {source} · {priority} priority"),
    );
    card.push_str(&format!("╰{}╯\n", "─".repeat(inner + 2)));
    card
}
