//! What a run's log means: `fold(events) → State`, and `next(state) → what to do`. Pure.
//!
//! A worker that takes a run over folds its log and asks [`State::next`]; nothing else is
//! remembered anywhere.

mod asked;
mod ending;
mod next;
mod reading;
mod silent;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use entity::{
    FailureCode, Millis, NoteVisibility, Outcome, RequestStatus, RunStatus, SummaryAuthor,
};

pub use self::asked::{Asked, Verdict};
use self::ending::last_turn;
pub use self::ending::{limit_ending, what};
pub use self::next::{Ending, Next};
pub use self::reading::Reading;
use super::event::{
    Event, LimitReached, ModelFailed, ModelRequested, PartRef, RunStarted, StopRequested,
    ToolRequested, Totals,
};
use crate::model::{Message, ModelErrorClass, PartKind, ToolCall, Usage};
use crate::store::Projection;

/// A run, as its log tells it.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// How it began; none before the first event.
    pub started: Option<Arc<RunStarted>>,
    /// When it began.
    pub started_at: Option<Millis>,
    /// The turn, from 1; 0 before the first.
    pub turn: i32,
    /// The attempt, from 1.
    pub attempt: i32,
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// What the provider counted of the newest prompt that it reported figures of.
    pub read: Option<Reading>,
    /// The parts of the newest prompt.
    pub parts: Vec<PartRef>,
    /// Calls that the model asked for and that were not begun.
    pub pending: VecDeque<ToolCall>,
    /// What was begun and has not ended.
    pub open: Option<Open>,
    /// The call that a person was asked about and that was neither made nor refused since.
    pub asked: Option<Asked>,
    /// Since when the run waits for a decision.
    pub paused_at: Option<Millis>,
    /// When its time is up.
    pub deadline: Option<Millis>,
    /// The failure of the newest model call, until one succeeds.
    pub model_failed: Option<ModelFailed>,
    /// Failed tries in this turn, given-up ones not counted.
    pub model_failures: i32,
    /// A stop that was asked for.
    pub stop: Option<StopRequested>,
    /// A limit that was reached.
    pub limit: Option<LimitReached>,
    /// Closing turns begun since a limit was reached.
    pub closing_turns: i32,
    /// Turns begun since the request was handed off.
    pub finishing_turns: i32,
    /// The coworker assigned the request to someone else.
    pub handed_off: bool,
    /// The coworker posted a public note.
    pub public_note: bool,
    /// The status that the coworker set last.
    pub status_set: Option<RequestStatus>,
    /// The tools that did not answer when they were called last, each with whether a public note came since.
    pub silent: BTreeMap<String, bool>,
    /// A call whose outcome is unknown.
    pub outcome_unknown: Option<String>,
    /// Where notes that arrived meanwhile stand among the messages: the index, and the part's digest.
    pub notes_at: Vec<(usize, String)>,
    /// The attempt in which the open call was begun.
    pub opened_in: i32,
    /// Calls per tool so far.
    pub calls: HashMap<String, usize>,
    /// What it used.
    pub totals: Totals,
    /// When a stop was asked for.
    pub stop_requested_at: Option<Millis>,
    /// The summary.
    pub summary: Option<(String, SummaryAuthor)>,
    /// The end.
    pub end: Option<End>,
}

/// What was begun and has not ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Open {
    /// A model call.
    Model(ModelRequested),
    /// A tool call.
    Tool(ToolRequested),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// When.
    pub at: Millis,
    /// The outcome, or the failure.
    pub how: Result<Outcome, FailureCode>,
    /// Why.
    pub reason: String,
    /// The end-of-run rule met.
    pub rule: Option<String>,
}

impl State {
    /// The state of a whole log.
    pub fn fold<'a>(events: impl IntoIterator<Item = (Millis, &'a Event)>) -> Self {
        let mut state = Self::default();
        events
            .into_iter()
            .for_each(|(at, event)| state.apply(at, event));
        state
    }

    /// Takes in one more event.
    pub fn apply(&mut self, at: Millis, event: &Event) {
        match event {
            Event::RunStarted(e) => {
                self.started = Some(Arc::new(e.clone()));
                self.started_at = Some(at);
                self.deadline = Some(e.deadline);
                self.attempt = 1;
            }
            Event::AttemptStarted(e) => self.attempt = e.attempt,
            Event::TurnStarted(e) => {
                self.turn = e.turn;
                self.totals.turns = e.turn;
                self.model_failed = None;
                self.model_failures = 0;
                // Said where the closing turn begins, not where the limit was reached: what became of the
                // calls of the turn before comes first.
                self.messages.extend(self.closing());
            }
            Event::ModelRequested(e) => {
                let notes = e.prompt.iter().filter(|part| part.kind == PartKind::Notes);
                for part in notes.skip(self.notes_at.len()) {
                    self.notes_at
                        .push((self.messages.len(), part.digest.clone()));
                }
                self.parts.clone_from(&e.prompt);
                self.opened_in = self.attempt;
                self.open = Some(Open::Model(e.clone()));
                if e.attempt == 1 {
                    self.closing_turns += i32::from(e.closing);
                    self.finishing_turns += i32::from(self.handed_off);
                }
            }
            Event::ModelCompleted(e) => {
                let open = self.open.take();
                self.model_failed = None;
                self.messages.push(Message::Assistant {
                    text: e.text.clone(),
                    thinking: e.thinking.clone(),
                    calls: e.calls.clone(),
                    verbatim: e.verbatim.clone(),
                });
                if let (Some(Open::Model(asked)), Some(usage)) = (&open, &e.usage) {
                    self.read = Some(Reading::new(&self.messages, &asked.estimate, usage));
                }
                self.pending.extend(e.calls.iter().cloned());
                self.charge(e.usage.as_ref(), e.cost_nano);
                self.totals.estimated_nano += e.reservation.unwrap_or(0);
            }
            Event::ModelFailed(e) => {
                self.open = None;
                self.charge(e.usage.as_ref(), e.cost_nano);
                self.totals.estimated_nano += e.reservation.unwrap_or(0);
                if e.class != ModelErrorClass::Abandoned {
                    self.model_failures += 1;
                }
                self.model_failed = Some(e.clone());
            }
            Event::ToolRequested(e) => {
                self.called(&e.call_id, &e.tool);
                self.opened_in = self.attempt;
                self.open = Some(Open::Tool(e.clone()));
            }
            Event::ToolCompleted(e) => {
                self.heard(None);
                self.answered(&e.call_id, e.response.clone(), false);
            }
            Event::ToolFailed(e) => {
                self.heard(Some(e.class));
                self.answered(&e.call_id, e.message.clone(), true);
            }
            Event::ToolRefused(e) => {
                self.called(&e.call_id, &e.tool);
                self.messages.push(Message::Tool {
                    call_id: e.call_id.clone(),
                    tool: e.tool.clone(),
                    content: e.message.clone(),
                    failed: true,
                });
            }
            Event::ToolOutcomeUnknown(e) => {
                self.answered(&e.call_id, e.message.clone(), true);
                self.outcome_unknown = Some(e.message.clone());
            }
            Event::ApprovalRequested(e) => {
                self.asked = Some(Asked {
                    requested: e.clone(),
                    verdict: None,
                });
            }
            Event::ApprovalApproved(e) => self.decided(&e.call_id, Verdict::Approved),
            Event::ApprovalDenied(e) => {
                let verdict = Verdict::Denied(e.by.clone(), e.reason.clone());
                self.decided(&e.call_id, verdict);
            }
            Event::ApprovalExpired(e) => self.decided(&e.call_id, Verdict::Expired),
            Event::ApprovalVoided(e) => {
                self.decided(&e.call_id, Verdict::Void);
                self.paused_at = None;
            }
            Event::RunPaused(_) => self.paused_at = Some(at),
            Event::RunResumed(e) => {
                self.paused_at = None;
                self.deadline = Some(e.deadline);
            }
            Event::StopRequested(e) => {
                self.stop_requested_at.get_or_insert(at);
                self.stop.get_or_insert_with(|| e.clone());
            }
            Event::NotePosted(e) => match e.visibility {
                NoteVisibility::Public => {
                    self.public_note = true;
                    self.told();
                }
                NoteVisibility::Private => {}
            },
            Event::StatusChanged(e) => self.status_set = Some(e.after),
            Event::Reassigned(_) => self.handed_off = true,
            Event::LimitReached(e) => self.limit = Some(e.clone()),
            Event::SummaryWritten(e) => self.summary = Some((e.text.clone(), e.author)),
            Event::RunCompleted(e) => {
                self.end = Some(End {
                    at,
                    how: Ok(e.outcome),
                    reason: e.reason.clone(),
                    rule: e.rule.clone(),
                });
            }
            Event::RunFailed(e) => {
                self.end = Some(End {
                    at,
                    how: Err(e.code),
                    reason: e.reason.clone(),
                    rule: None,
                });
            }
            Event::Unknown(_) => {}
        }
    }

    fn called(&mut self, call_id: &str, tool: &str) {
        self.pending.retain(|call| call.id != call_id);
        self.asked
            .take_if(|asked| asked.requested.call_id == call_id);
        self.totals.tool_calls += 1;
        *self.calls.entry(tool.to_owned()).or_default() += 1;
    }

    fn answered(&mut self, call_id: &str, content: String, failed: bool) {
        let tool = match self.open.take() {
            Some(Open::Tool(open)) => open.tool,
            Some(Open::Model(_)) | None => String::new(),
        };
        self.messages.push(Message::Tool {
            call_id: call_id.to_owned(),
            tool,
            content,
            failed,
        });
    }

    fn charge(&mut self, usage: Option<&Usage>, cost_nano: Option<i64>) {
        let totals = &mut self.totals;
        match usage {
            Some(usage) => {
                totals.input_tokens += usage.total_input();
                totals.output_tokens += usage.output;
                totals.cached_tokens += usage.cache_read;
                totals.reasoning_tokens += usage.reasoning;
                totals.cache_write_tokens += usage.cache_write_short + usage.cache_write_long;
                totals.cost_nano += cost_nano.unwrap_or(0);
                totals.unpriced_calls += i32::from(cost_nano.is_none());
            }
            None => totals.unknown_calls += 1,
        }
    }

    /// The status.
    pub fn status(&self) -> RunStatus {
        match self.end.as_ref().map(|end| end.how) {
            None if self.paused_at.is_some() => RunStatus::PausedForApproval,
            None => RunStatus::Running,
            Some(Ok(_)) => RunStatus::Completed,
            Some(Err(_)) => RunStatus::Failed,
        }
    }

    /// What the coworker is told where a turn begins that must be its last.
    pub fn closing(&self) -> Option<Message> {
        let limit = self.limit.as_ref();
        limit.map(|limit| Message::Closing(last_turn(limit)))
    }

    /// What the model call under way may cost at the most, nano-USD; 0 while none is under way.
    pub fn reserved_nano(&self) -> i64 {
        match &self.open {
            Some(Open::Model(call)) if self.end.is_none() => call.reservation.unwrap_or(0),
            Some(Open::Model(_) | Open::Tool(_)) | None => 0,
        }
    }

    /// The run's row, given the log's head and the number of steps.
    pub fn projection(&self, last_seq: i64, head_hash: Vec<u8>, steps: usize) -> Projection {
        let Totals {
            turns,
            tool_calls,
            input_tokens,
            output_tokens,
            cached_tokens,
            reasoning_tokens,
            cache_write_tokens,
            cost_nano,
            unpriced_calls,
            unknown_calls,
            estimated_nano,
        } = self.totals;
        let end = self.end.as_ref();
        Projection {
            status: self.status(),
            outcome: end.and_then(|end| end.how.ok()),
            failure_code: end.and_then(|end| end.how.err()),
            end_of_run_rule: end.and_then(|end| end.rule.clone()),
            reason: end.map(|end| end.reason.clone()),
            summary: self.summary.as_ref().map(|(text, _)| text.clone()),
            summary_author: self.summary.as_ref().map(|(_, author)| *author),
            stop_requested_at: self.stop_requested_at,
            ended_at: end.map(|end| end.at),
            deadline: self.deadline.unwrap_or(Millis(0)),
            last_seq,
            head_hash,
            turn_count: turns,
            tool_call_count: tool_calls,
            step_count: i32::try_from(steps).unwrap_or(i32::MAX),
            input_tokens,
            output_tokens,
            cached_tokens,
            reasoning_tokens,
            cache_write_tokens,
            cost_nano,
            unpriced_calls,
            unknown_calls,
            estimated_nano,
            reserved_nano: self.reserved_nano(),
        }
    }
}
