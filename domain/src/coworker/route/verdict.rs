//! Whether a ranking is clear enough to assign a request without anyone looking.
//!
//! The thresholds were chosen on the tuning half of `labelled.yaml`.

use super::{Candidate, Ranking};

/// The least distance of the best candidate from the second, as a share of its own score.
const MARGIN: f32 = 0.25;
/// The least share of the request's words that must stand in the best candidate's role and scope.
const SHARE: f32 = 0.15;
/// The least words that must stand there: one word alone is chance.
const WORDS: usize = 2;
/// Of a long request so many words count: nobody names their trouble with every word.
const COUNTED: usize = 20;
/// Words that a reason quotes.
const QUOTED: usize = 6;

/// What follows from a ranking; the reason is for people, at most 1,000 characters.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict<'a> {
    /// The best candidate gets it.
    Assign(&'a Candidate, String),
    /// Nobody fits clearly enough: people decide.
    Leave(String),
}

impl Ranking {
    /// The verdict.
    pub fn verdict(&self) -> Verdict<'_> {
        let Some(best) = self.candidates.first() else {
            return Verdict::Leave(self.nobody());
        };
        let named = best.matched.len();
        let words = format!(
            "{named} of {} telling words of the request ({}) {} in its role and scope",
            self.words,
            quoted(best),
            if named == 1 { "stands" } else { "stand" },
        );
        let second = self.candidates.get(1);
        if named < WORDS || share(named, self.words) < SHARE {
            let text = format!("@{} fits best, but only {words}.", best.handle);
            return Verdict::Leave(text);
        }
        match second {
            Some(second) if margin(best, second) < MARGIN => Verdict::Leave(format!(
                "@{} and @{} fit about equally well; of the first, {words}.",
                best.handle, second.handle
            )),
            Some(second) => {
                let behind = format!("@{} comes next, clearly behind", second.handle);
                Verdict::Assign(
                    best,
                    format!("@{} fits best: {words}; {behind}.", best.handle),
                )
            }
            None => Verdict::Assign(
                best,
                format!("@{} fits: {words}; no other does.", best.handle),
            ),
        }
    }

    fn nobody(&self) -> String {
        match self.coworkers {
            0 => "No coworker is published that could take it.".into(),
            1 => "The request has no word in common with the role and scope of the one published coworker.".into(),
            n => format!("The request has no word in common with the role and scope of any of the {n} published coworkers."),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "both are at most a few hundred")]
fn share(named: usize, words: usize) -> f32 {
    named as f32 / words.clamp(1, COUNTED) as f32
}

fn margin(best: &Candidate, second: &Candidate) -> f32 {
    (best.score - second.score) / best.score
}

fn quoted(candidate: &Candidate) -> String {
    let mut text = candidate
        .matched
        .iter()
        .take(QUOTED)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if candidate.matched.len() > QUOTED {
        text.push_str(", …");
    }
    text
}
