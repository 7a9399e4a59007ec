//! When a turn is played, or an answer given.

use entity::{Outcome, Priority, RequestSource, RequestStatus, Trigger};
use schemars::JsonSchema;
use serde::Deserialize;

use super::value::{AnyOf, Needle};
use crate::model::{Brief, Message, NoteBrief};

/// All keys are optional; all that are given must hold. Texts are looked for without regard to case.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "PlaybookCondition")]
pub struct Condition {
    // About the request, as the run found it.
    /// What triggered the run.
    trigger: AnyOf<Trigger>,
    /// The request's status.
    status: AnyOf<RequestStatus>,
    /// The request's priority.
    priority: AnyOf<Priority>,
    /// Where the request came from.
    source: AnyOf<RequestSource>,
    /// What stands in the request's title.
    title_contains: Option<Needle>,
    /// What stands in the request's text.
    description_contains: Option<Needle>,
    /// Whether this coworker has no earlier run on the request.
    first_run: Option<bool>,
    /// Some earlier run on the request is like this.
    earlier_outcome: Option<EarlierOutcome>,

    // About one and the same note, those that arrived during the run included.
    /// What stands in the name of a note's author.
    note_by: Option<Needle>,
    /// What stands in the same note.
    note_contains: Option<Needle>,

    // About one and the same result among those since the model's last turn.
    /// The tool of a result since the last turn; only in turns.
    result_of: Option<String>,
    /// What stands in the same result; only in turns.
    result_contains: Option<Needle>,
    /// Whether the same call failed; only in turns.
    result_failed: Option<bool>,
    /// Whether the run is near a limit and this is its last turn; stands only at the top of `when`.
    closing: Option<bool>,

    // About one call of a scripted tool; only in `answers`.
    /// From 1: the how many-th call of this tool in the run; only in answers.
    call: Option<usize>,
    /// What stands in the call's arguments; only in answers.
    arguments_contain: Option<Needle>,

    /// At least one of these holds.
    any: Option<Vec<Condition>>,
    /// This does not hold.
    not: Option<Box<Condition>>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(inline)]
struct EarlierOutcome {
    /// The coworker's handle.
    coworker: Option<String>,
    /// How the run ended.
    outcome: AnyOf<Outcome>,
}

/// What conditions are about.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// The request as the run found it.
    pub brief: &'a Brief,
    /// What happened in the run so far; nothing for a tool, which can't see it.
    pub messages: &'a [Message],
    /// The call of a tool: its arguments, and from 1 the how many-th it is.
    pub call: Option<(&'a str, usize)>,
}

/// Where a condition stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At a turn.
    Turn,
    /// At an answer of a tool.
    Answer,
}

impl Condition {
    /// What the condition asks about the closing turn.
    pub fn closing(&self) -> Option<bool> {
        self.closing
    }

    /// Whether it holds, apart from `closing`.
    pub fn holds(&self, moment: Moment<'_>) -> bool {
        self.about_request(moment.brief)
            && self.about_call(moment.call)
            && self.about_results(moment.messages)
            && self.about_notes(moment)
            && self
                .any
                .as_ref()
                .is_none_or(|any| any.iter().any(|one| one.holds(moment)))
            && self.not.as_ref().is_none_or(|not| !not.holds(moment))
    }

    /// Whether it depends on the request alone, and so is the same during a whole run.
    pub fn is_fixed(&self) -> bool {
        !self.asks_notes()
            && !self.asks_results()
            && !self.asks_call()
            && self.any.iter().flatten().all(Self::is_fixed)
            && self.not.as_ref().is_none_or(|not| not.is_fixed())
    }

    /// Says what may not stand at this place.
    pub fn check(&self, place: Place) -> Result<(), &'static str> {
        if place == Place::Turn && self.asks_call() {
            return Err(
                "`call` and `arguments_contain` are about a call of a tool; they stand only in `answers`",
            );
        }
        if place == Place::Answer && (self.asks_results() || self.closing.is_some()) {
            return Err(
                "a tool does not see the run; `result_of`, `result_contains`, `result_failed` and `closing` stand only in `turns`",
            );
        }
        if self.call == Some(0) {
            return Err("calls are counted from 1");
        }
        if self.any.as_ref().is_some_and(Vec::is_empty) {
            return Err("an empty `any` never holds; give it a condition, or remove it");
        }
        for inner in self.any.iter().flatten().chain(self.not.as_deref()) {
            if inner.closing.is_some() {
                return Err(
                    "`closing` stands only at the top of `when`, not within `any` or `not`",
                );
            }
            inner.check(place)?;
        }
        Ok(())
    }

    fn asks_notes(&self) -> bool {
        self.note_by.is_some() || self.note_contains.is_some()
    }

    fn asks_results(&self) -> bool {
        self.result_of.is_some() || self.result_contains.is_some() || self.result_failed.is_some()
    }

    fn asks_call(&self) -> bool {
        self.call.is_some() || self.arguments_contain.is_some()
    }

    fn about_request(&self, brief: &Brief) -> bool {
        self.trigger.admits(&brief.trigger)
            && self.status.admits(&brief.status)
            && self.priority.admits(&brief.priority)
            && self.source.admits(&brief.source)
            && self.first_run.is_none_or(|first| {
                first
                    == brief
                        .earlier
                        .iter()
                        .all(|run| run.coworker != brief.coworker)
            })
            && self
                .earlier_outcome
                .as_ref()
                .is_none_or(|wanted| wanted.is_among(brief))
            && self
                .title_contains
                .as_ref()
                .is_none_or(|needle| needle.is_in(&brief.title))
            && self
                .description_contains
                .as_ref()
                .is_none_or(|needle| needle.is_in(&brief.description))
    }

    fn about_call(&self, call: Option<(&str, usize)>) -> bool {
        let Some((arguments, nth)) = call else {
            return true;
        };
        self.call.is_none_or(|wanted| wanted == nth)
            && self
                .arguments_contain
                .as_ref()
                .is_none_or(|needle| needle.is_in(arguments))
    }

    fn about_results(&self, messages: &[Message]) -> bool {
        if !self.asks_results() {
            return true;
        }
        messages
            .iter()
            .rev()
            .take_while(|message| !matches!(message, Message::Assistant { .. }))
            .any(|message| match message {
                Message::Tool {
                    call_id: _,
                    tool,
                    content,
                    failed,
                } => {
                    self.result_of.as_ref().is_none_or(|name| name == tool)
                        && self.result_failed.is_none_or(|wanted| wanted == *failed)
                        && self
                            .result_contains
                            .as_ref()
                            .is_none_or(|needle| needle.is_in(content))
                }
                Message::Assistant { .. } | Message::Notes(_) | Message::Closing(_) => false,
            })
    }

    fn about_notes(&self, moment: Moment<'_>) -> bool {
        if !self.asks_notes() {
            return true;
        }
        let fits = |note: &NoteBrief| {
            self.note_by
                .as_ref()
                .is_none_or(|needle| needle.is_in(&note.author))
                && self
                    .note_contains
                    .as_ref()
                    .is_none_or(|needle| needle.is_in(&note.body))
        };
        moment.brief.notes.iter().any(fits)
            || moment.messages.iter().any(|message| match message {
                Message::Notes(notes) => notes.iter().any(fits),
                Message::Assistant { .. } | Message::Tool { .. } | Message::Closing(_) => false,
            })
    }
}

impl EarlierOutcome {
    fn is_among(&self, brief: &Brief) -> bool {
        brief.earlier.iter().any(|run| {
            self.coworker
                .as_ref()
                .is_none_or(|handle| *handle == run.coworker)
                && match run.outcome {
                    Some(outcome) => self.outcome.admits(&outcome),
                    None => self.outcome == AnyOf::default(),
                }
        })
    }
}
