//! Who fits a request: the published coworkers, ranked by what their identities say. Pure.
//!
//! The ranking is BM25 over role and scope, what colleagues route to a coworker included; what stands
//! among its own out-of-scope counts against it. The verdict is [`verdict`]'s. How well both do is
//! measured by this module's tests, on `route/labelled.yaml`.

mod verdict;
mod words;

use std::collections::BTreeSet;

use bm25::Tokenizer as _;
use bm25::{Embedder, EmbedderBuilder, Embedding, Scorer, TokenEmbedder, TokenEmbedding};
use entity::CoworkerId;
use serde::Serialize;

use super::config::{Identity, OutOfScope};
pub use verdict::Verdict;
use words::{Stems, Vocabulary, Word};

/// How much of what speaks against a coworker is taken from what speaks for it.
const AGAINST: f32 = 0.3;

/// What the ranking knows of a coworker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The coworker.
    pub coworker: CoworkerId,
    /// Its handle.
    pub handle: String,
    /// Its identity, of the published version.
    pub identity: Identity,
    /// Where it routes what is not its own.
    pub routes: Vec<OutOfScope>,
}

/// The coworkers of a workspace, ready to be ranked against requests.
pub struct Roster {
    profiles: Vec<Profile>,
    own: Texts,
    out: Texts,
    vocabulary: Vocabulary,
}

/// One text per profile.
struct Texts {
    scorer: Scorer<usize, u32>,
    stems: Vec<BTreeSet<String>>,
}

/// A request against a roster.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    /// How many distinct words of the request say something.
    pub words: usize,
    /// How many coworkers were looked at.
    pub coworkers: usize,
    /// Those that anything speaks for, best first.
    pub candidates: Vec<Candidate>,
}

/// How a coworker fits a request.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// The coworker.
    #[serde(skip)]
    pub coworker: CoworkerId,
    /// Its handle.
    pub handle: String,
    /// Its role.
    pub role: String,
    /// What it takes on.
    pub scope: String,
    /// How well it fits; comparable only within one ranking.
    pub score: f32,
    /// The request's words that stand in its role and scope.
    pub matched: Vec<String>,
    /// The request's words that stand among what it does not take on.
    pub out_of_scope: Vec<String>,
    /// Where it would route the request, as far as words can tell.
    pub routes: Vec<OutOfScope>,
}

impl Texts {
    fn new(texts: &[String]) -> Self {
        let corpus: Vec<&str> = texts.iter().map(String::as_str).collect();
        let embedder: Embedder<u32, Stems> =
            EmbedderBuilder::with_tokenizer_and_fit_to_corpus(Stems, &corpus).build();
        let mut scorer = Scorer::new();
        for (i, text) in corpus.iter().enumerate() {
            scorer.upsert(&i, embedder.embed(text));
        }
        let stems = corpus.iter().map(|text| stems(text)).collect();
        Self { scorer, stems }
    }

    fn score(&self, i: usize, query: &Embedding<u32>) -> f32 {
        self.scorer.score(&i, query).unwrap_or(0.0)
    }

    fn matched(&self, i: usize, words: &[Word]) -> Vec<String> {
        let stems = self.stems.get(i);
        let matched = words.iter().filter(|w| stems.is_some_and(|s| w.is_in(s)));
        matched.map(|word| word.text.clone()).collect()
    }
}

fn stems(text: &str) -> BTreeSet<String> {
    Stems.tokenize(text).into_iter().collect()
}

impl Roster {
    /// Reads the profiles; the order in which they are given decides nothing.
    pub fn new(mut profiles: Vec<Profile>) -> Self {
        profiles.sort_by(|a, b| a.handle.cmp(&b.handle));
        let own: Vec<String> = profiles.iter().map(|p| own(p, &profiles)).collect();
        let out: Vec<String> = profiles.iter().map(out).collect();
        Self {
            vocabulary: Vocabulary::of(own.iter().chain(&out)),
            own: Texts::new(&own),
            out: Texts::new(&out),
            profiles,
        }
    }

    /// Ranks the coworkers against a request's text.
    pub fn rank(&self, title: &str, description: &str) -> Ranking {
        let words = self.vocabulary.read(&format!("{title}\n{description}"));
        let distinct: BTreeSet<&String> = words.iter().flat_map(|word| &word.stems).collect();
        let query = Embedding(
            distinct
                .into_iter()
                .map(|stem| TokenEmbedding {
                    index: u32::embed(stem),
                    value: 1.0,
                })
                .collect(),
        );
        let mut candidates: Vec<Candidate> = Vec::new();
        for (i, profile) in self.profiles.iter().enumerate() {
            let score = self.own.score(i, &query) - AGAINST * self.out.score(i, &query);
            if score > 0.0 {
                candidates.push(self.candidate(i, profile, score, &words));
            }
        }
        // A stable sort: of equals, the first handle of the alphabet is first.
        candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
        Ranking {
            words: words.len(),
            coworkers: self.profiles.len(),
            candidates,
        }
    }

    fn candidate(&self, i: usize, profile: &Profile, score: f32, words: &[Word]) -> Candidate {
        let Profile {
            coworker,
            handle,
            identity,
            routes,
        } = profile;
        let speaks_of = |rule: &&OutOfScope| {
            let stems = stems(&rule.when);
            words.iter().any(|word| word.is_in(&stems))
        };
        Candidate {
            coworker: *coworker,
            handle: handle.clone(),
            role: identity.role.clone(),
            scope: identity.scope.clone(),
            score,
            matched: self.own.matched(i, words),
            out_of_scope: self.out.matched(i, words),
            routes: routes.iter().filter(speaks_of).cloned().collect(),
        }
    }
}

/// What speaks for a coworker: its role and scope, and what its colleagues route to it.
fn own(profile: &Profile, all: &[Profile]) -> String {
    let routed = all
        .iter()
        .flat_map(|other| &other.routes)
        .filter(|rule| handle(&rule.route_to) == profile.handle)
        .map(|rule| rule.when.as_str());
    let identity = &profile.identity;
    [identity.role.as_str(), identity.scope.as_str()]
        .into_iter()
        .chain(routed)
        .collect::<Vec<_>>()
        .join("\n")
}

/// What speaks against it.
fn out(profile: &Profile) -> String {
    let routed = profile.routes.iter().map(|rule| rule.when.as_str());
    std::iter::once(profile.identity.out_of_scope.as_str())
        .chain(routed)
        .collect::<Vec<_>>()
        .join("\n")
}

/// A handle as people write it: with or without the @, in any case.
fn handle(text: &str) -> String {
    text.trim().trim_start_matches('@').to_lowercase()
}

#[cfg(test)]
mod tests;
