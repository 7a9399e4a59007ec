//! The words of a text, as the ranking and the lint compare them: one reader for both, so that what the lint calls
//! alike is what the ranking can't tell apart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use bm25::{DefaultTokenizer, Language, Tokenizer};

/// The most distinct words of a text that are looked at: its beginning says what it is about.
const MOST: usize = 200;
/// The least letters of a word in which one wrong letter is forgiven.
const FORGIVEN: usize = 5;

/// Folds accents and case, leaves out what every text has, cuts words to their stems.
static ENGLISH: LazyLock<DefaultTokenizer> =
    LazyLock::new(|| DefaultTokenizer::new(Language::English));

/// The stems of a text; what a hyphen joins counts as one word too, so that "Wi-Fi" is also "wifi".
pub(super) struct Stems;

impl Tokenizer for Stems {
    fn tokenize(&self, text: &str) -> Vec<String> {
        words(text).flat_map(stems).collect()
    }
}

/// The distinct stems of a text.
pub(crate) fn distinct(text: &str) -> BTreeSet<String> {
    Stems.tokenize(text).into_iter().collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|word| !word.is_empty())
}

fn stems(word: &str) -> Vec<String> {
    let mut stems = ENGLISH.tokenize(word);
    if word.contains('-') {
        let joined: String = word.split('-').collect();
        if joined.chars().all(char::is_alphanumeric) {
            stems.extend(ENGLISH.tokenize(&joined));
        }
    }
    stems
}

/// What a text says before its signature, which tells who wrote it and nothing of the matter; the last line of two dashes
/// and a space begins it, as in mails (RFC 3676). Earlier ones belong to what is quoted.
fn without_signature(text: &str) -> &str {
    let begins = |at: &usize| {
        let rest = &text[at + "\n-- ".len()..];
        rest.starts_with('\n') || rest.starts_with("\r\n")
    };
    let mut places = text.rmatch_indices("\n-- ").map(|(at, _)| at);
    places.find(begins).map_or(text, |at| &text[..at])
}

/// The stems that a roster knows, by their first letter.
#[derive(Debug, Default)]
pub(super) struct Vocabulary {
    known: BTreeMap<char, BTreeSet<String>>,
}

impl Vocabulary {
    /// These stems.
    pub(super) fn of<'a>(stems: impl Iterator<Item = &'a String>) -> Self {
        let mut known: BTreeMap<char, BTreeSet<String>> = BTreeMap::new();
        for stem in stems {
            if let Some(first) = stem.chars().next() {
                known.entry(first).or_default().insert(stem.clone());
            }
        }
        Self { known }
    }

    /// The stem that was meant: one that differs in one letter, if this one is not known.
    fn meant(&self, stem: String) -> String {
        let letters = stem.chars().count();
        let Some(near) = stem.chars().next().and_then(|c| self.known.get(&c)) else {
            return stem;
        };
        if letters < FORGIVEN || near.contains(&stem) {
            return stem;
        }
        let found = near.iter().find(|known| {
            let length = known.chars().count();
            length >= FORGIVEN
                && length.abs_diff(letters) <= 1
                && strsim::osa_distance(known, &stem) == 1
        });
        found.cloned().unwrap_or(stem)
    }

    /// The distinct words of a text that say something, each with its stems, in the order of the text: the first 200.
    pub(super) fn read(&self, text: &str) -> Vec<Word> {
        let mut seen: BTreeSet<Vec<String>> = BTreeSet::new();
        let mut read = Vec::new();
        for word in words(without_signature(text)) {
            let stems: Vec<String> = stems(word).into_iter().map(|s| self.meant(s)).collect();
            if stems.is_empty() || !seen.insert(stems.clone()) {
                continue;
            }
            let text = word.chars().take(40).collect();
            read.push(Word { text, stems });
            if read.len() == MOST {
                break;
            }
        }
        read
    }
}

/// A word of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// As it was written, shortened.
    pub(super) text: String,
    /// Its stems: several, where signs join several words.
    pub(super) stems: Vec<String>,
}

impl Word {
    /// Whether one of its stems is among these.
    pub(super) fn is_in(&self, stems: &BTreeSet<String>) -> bool {
        self.stems.iter().any(|stem| stems.contains(stem))
    }
}
