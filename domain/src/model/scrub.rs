//! Taking a provider's secrets out of what it says: a gateway may show what it was sent. Out of whole texts, and out
//! of those that are shown while they are written, of which a secret may come in two pieces.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::bus::delta::{DeltaCall, DeltaKind};
use crate::secret::{Secret, Veil};

/// Shorter values can't be told from ordinary words.
const LEAST: usize = 8;

/// Takes the secrets of one provider out of texts, in every form in which they may come back.
#[derive(Clone, Debug)]
pub(super) struct Scrub(Veil);

impl Scrub {
    /// Over these secrets of the provider of this name.
    pub(super) fn new<'a>(provider: &str, secrets: impl Iterator<Item = &'a Secret>) -> Self {
        let known = secrets.filter(|secret| secret.reveal().len() >= LEAST);
        Self(Veil::new(known.map(|secret| (provider, secret))))
    }

    /// Whether there is nothing to take out.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A text without the secrets.
    pub(super) fn over(&self, text: String) -> String {
        self.0.over(text).0
    }
}

/// What is held back of an answer that is shown while it is written. It follows the answer from its beginning, whether
/// somebody watches or not: who comes in the middle of a secret must not see its end.
pub(super) struct Held<'a> {
    scrub: &'a Scrub,
    tails: Mutex<Tails>,
}

/// The end of each text.
#[derive(Default)]
struct Tails {
    thinking: String,
    text: String,
    /// By their places: the tool, and the end of the arguments.
    calls: BTreeMap<usize, (Arc<str>, String)>,
}

impl fmt::Debug for Held<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held(…)")
    }
}

impl<'a> Held<'a> {
    /// Nothing yet.
    pub(super) fn new(scrub: &'a Scrub) -> Self {
        Self {
            scrub,
            tails: Mutex::default(),
        }
    }

    /// What can be shown of the reasoning after this piece of it.
    pub(super) fn thinking(&self, piece: &str) -> String {
        self.add(&mut self.tails.lock().thinking, piece)
    }

    /// What can be shown of what the model says after this piece of it.
    pub(super) fn text(&self, piece: &str) -> String {
        self.add(&mut self.tails.lock().text, piece)
    }

    /// The tool, and what can be shown of the arguments after this piece of them.
    pub(super) fn tool_call(
        &self,
        place: usize,
        tool: impl FnOnce() -> String,
        piece: &str,
    ) -> (Arc<str>, String) {
        let mut tails = self.tails.lock();
        let (known, tail) = tails.calls.entry(place).or_default();
        // It may come after the call itself.
        if known.is_empty() {
            *known = self.scrub.over(tool()).into();
        }
        (known.clone(), self.add(tail, piece))
    }

    fn add(&self, tail: &mut String, piece: &str) -> String {
        tail.push_str(piece);
        self.scrub.0.next(tail, false)
    }

    /// What was held back of an answer that is whole: of each text, with the call that it belongs to.
    pub(super) fn rest(&self) -> Vec<(DeltaKind, Option<DeltaCall>, String)> {
        let Tails {
            thinking,
            text,
            calls,
        } = std::mem::take(&mut *self.tails.lock());
        let texts = [
            (DeltaKind::Thinking, None, thinking),
            (DeltaKind::Text, None, text),
        ];
        let calls = calls.into_iter().map(|(place, (tool, arguments))| {
            let call = DeltaCall { place, tool };
            (DeltaKind::ToolCall, Some(call), arguments)
        });
        let rest = texts.into_iter().chain(calls);
        rest.filter(|(.., text)| !text.is_empty())
            .map(|(kind, call, text)| (kind, call, self.scrub.over(text)))
            .collect()
    }
}

#[cfg(test)]
mod tests;
