//! Who fits a request: the published coworkers, ranked by what their identities say. Pure.
//!
//! The ranking is BM25 over role and scope, what colleagues route to a coworker included; what stands
//! among its own out-of-scope counts against it. The verdict is [`verdict`]'s. How well both do is
//! measured by this module's tests, on `route/labelled.yaml`.

mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use bm25::{Embedder, EmbedderBuilder, Embedding, Scorer, TokenEmbedder, TokenEmbedding};
use entity::{CoworkerId, CoworkerVersionId};
use serde::Serialize;

use super::config::{Identity, OutOfScope};
use super::handle;
use super::words::{Stems, Vocabulary, Word, distinct};
pub use verdict::Verdict;

/// How much of what speaks against a coworker is taken from what speaks for it.
const AGAINST: f32 = 0.3;
/// The most candidates of a ranking.
const MOST: usize = 10;

/// What the ranking knows of a coworker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The coworker.
    pub coworker: CoworkerId,
    /// Its published version.
    pub version: CoworkerVersionId,
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
    /// The stems of each profile's routes, in their order.
    routes: Vec<Vec<BTreeSet<String>>>,
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
    /// Those that anything speaks for, best first, the ten best.
    pub candidates: Vec<Candidate>,
}

/// How a coworker fits a request.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// The coworker.
    #[serde(skip)]
    pub coworker: CoworkerId,
    /// The version that was compared.
    #[serde(skip)]
    pub version: CoworkerVersionId,
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
        let stems = corpus.iter().map(|text| distinct(text)).collect();
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

impl Roster {
    /// Reads the profiles, all that takes time about them; the order in which they are given decides nothing.
    pub fn new(mut profiles: Vec<Profile>) -> Self {
        profiles.sort_by(|a, b| a.handle.cmp(&b.handle));
        let mut routed: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for rule in profiles.iter().flat_map(|profile| &profile.routes) {
            let to = routed.entry(handle(&rule.route_to)).or_default();
            to.push(&rule.when);
        }
        let own: Vec<String> = profiles.iter().map(|p| own(p, &routed)).collect();
        let out: Vec<String> = profiles.iter().map(out).collect();
        let (own, out) = (Texts::new(&own), Texts::new(&out));
        let stems = |profile: &Profile| {
            let rules = profile.routes.iter();
            rules.map(|rule| distinct(&rule.when)).collect()
        };
        Self {
            vocabulary: Vocabulary::of(own.stems.iter().chain(&out.stems).flatten()),
            routes: profiles.iter().map(stems).collect(),
            own,
            out,
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
        let score = |i| self.own.score(i, &query) - AGAINST * self.out.score(i, &query);
        let mut scored: Vec<(usize, &Profile, f32)> = self
            .profiles
            .iter()
            .enumerate()
            .map(|(i, profile)| (i, profile, score(i)))
            .filter(|(.., score)| *score > 0.0)
            .collect();
        // A stable sort: of equals, the first handle of the alphabet is first.
        scored.sort_by(|(.., a), (.., b)| b.total_cmp(a));
        scored.truncate(MOST);
        let best = scored.into_iter();
        Ranking {
            words: words.len(),
            coworkers: self.profiles.len(),
            candidates: best
                .map(|(i, profile, score)| self.candidate(i, profile, score, &words))
                .collect(),
        }
    }

    fn candidate(&self, i: usize, profile: &Profile, score: f32, words: &[Word]) -> Candidate {
        let Profile {
            coworker,
            version,
            handle,
            identity,
            routes,
        } = profile;
        let stems = self.routes.get(i).into_iter().flatten();
        let rules = routes.iter().zip(stems);
        let speaking = rules.filter(|(_, stems)| words.iter().any(|word| word.is_in(stems)));
        Candidate {
            coworker: *coworker,
            version: *version,
            handle: handle.clone(),
            role: identity.role.clone(),
            scope: identity.scope.clone(),
            score,
            matched: self.own.matched(i, words),
            out_of_scope: self.out.matched(i, words),
            routes: speaking.map(|(rule, _)| rule.clone()).collect(),
        }
    }
}

/// What speaks for a coworker: its role and scope, and what its colleagues route to it.
fn own(profile: &Profile, routed: &BTreeMap<String, Vec<&str>>) -> String {
    let routed = routed.get(&profile.handle).into_iter().flatten().copied();
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

#[cfg(test)]
mod tests;
