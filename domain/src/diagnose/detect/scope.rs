//! What a coworker takes on, and what it passes on.

use entity::{ActorKind, FailureCode, Outcome, Trigger};

use super::most;
use crate::diagnose::history::{History, Undone, Worked};
use crate::diagnose::text::{Topic, non_goals, topics, words};
use crate::diagnose::{Found, WINDOW};
use crate::run::event::Event;
use crate::text::cut;

/// The most characters of a text of the configuration that evidence quotes.
const QUOTED: usize = 80;

/// What its configuration says is not its own, and the run's request is about.
fn foreign<'a>(run: &Worked, topics: &'a [Topic]) -> Option<&'a Topic> {
    let words = words(&run.title, &run.description);
    topics.iter().find(|topic| topic.is_of(&words))
}

/// It does work that it shouldn't.
pub(in crate::diagnose) fn outside_goal(history: &History) -> Found {
    let mut found = Found::default();
    let mut places = Vec::new();
    for run in &history.runs {
        let config = history.config_of(run);
        let did = matches!(run.run.outcome, Some(Outcome::Resolved | Outcome::Replied));
        let topics = topics(config);
        if let Some(topic) = foreign(run, &topics).filter(|_| did) {
            let text = cut(&topic.text, QUOTED);
            found.add(
                run,
                None,
                run.ended_at,
                format!(
                    "It dealt with \"{}\", though its configuration says that this is not its own: \"{text}\".",
                    cut(&run.title, QUOTED)
                ),
            );
            places.push(topic.place.clone());
            continue;
        }
        let must_not = non_goals(config);
        for (seq, at, event) in &run.events {
            let Event::ToolRequested(call) = event else {
                continue;
            };
            if let Some(topic) = must_not.iter().find(|topic| topic.names(&call.tool)) {
                let text = cut(&topic.text, QUOTED);
                found.add(
                    run,
                    Some(*seq),
                    *at,
                    format!("It called {}, though it must not: \"{text}\".", call.tool),
                );
                places.push(topic.place.clone());
                break;
            }
        }
    }
    let place = most(places.into_iter()).map_or_else(|| "goal.nonGoals".into(), |(place, _)| place);
    found.advise(
        place,
        "Say in goal.nonGoals what it must not do, in the words in which people ask for it; name in goal.outOfScope who takes such requests; and take away the tools that it does not need.",
    )
}

/// It reassigns when it shouldn't.
pub(in crate::diagnose) fn reassigns_wrongly(history: &History) -> Found {
    let mut found = Found::default();
    let own = history.coworker.id;
    for run in &history.runs {
        if run.run.outcome != Some(Outcome::HandedOff) {
            continue;
        }
        let handoff = run.events.iter().rev().find_map(|(seq, at, event)| {
            let Event::Reassigned(change) = event else {
                return None;
            };
            Some((*seq, *at, change))
        });
        let Some((seq, at, change)) = handoff else {
            continue;
        };
        let to = change.after.as_ref();
        let returned = run.after.iter().find_map(|undone| match undone {
            Undone::Assigned {
                at: when,
                epoch,
                // A coworker that gives it back may have done its part.
                by: ActorKind::Person | ActorKind::Workflow | ActorKind::System,
                to: Some((ActorKind::Coworker, id)),
                ..
            } if *id == own.0 && *epoch > change.epoch && *when <= at.plus(WINDOW) => {
                Some("it was given back")
            }
            Undone::Run {
                at: when,
                coworker,
                trigger: Trigger::Handoff,
                outcome: Some(Outcome::Declined),
                ..
            } if to.is_some_and(|to| to.id == coworker.0) && *when >= at => {
                Some("whoever got it declined")
            }
            Undone::Status { .. } | Undone::Assigned { .. } | Undone::Run { .. } => None,
        });
        if let Some(returned) = returned {
            let name = to.map_or_else(|| "nobody".into(), |to| format!("@{}", to.name));
            found.add(
                run,
                Some(seq),
                at,
                format!(
                    "It handed \"{}\" to {name}, and {returned}.",
                    cut(&run.title, QUOTED)
                ),
            );
        }
    }
    found.advise(
        "identity.scope",
        "Say in identity.scope, in the words of such requests, that they are its own; and make the rules of goal.outOfScope narrower.",
    )
}

/// It doesn't reassign when it should.
pub(in crate::diagnose) fn fails_to_reassign(history: &History) -> Found {
    let mut found = Found::default();
    let mut targets = Vec::new();
    let own = history.coworker.id;
    for run in &history.runs {
        let kept = match run.run.outcome {
            Some(
                Outcome::Resolved | Outcome::Replied | Outcome::AwaitingReply | Outcome::Declined,
            ) => true,
            Some(Outcome::HandedOff | Outcome::Superseded | Outcome::Blocked) => false,
            // A failed run; one that a person stopped says nothing.
            None => run.run.failure_code != Some(FailureCode::Stopped),
        };
        if !kept || run.run.assignment_epoch.is_none() {
            continue;
        }
        let moved = run.later().find_map(|undone| match undone {
            Undone::Assigned {
                at,
                epoch,
                by: ActorKind::Person,
                to: Some((ActorKind::Coworker, id)),
                ..
            } if *id != own.0 && Some(*epoch) > run.run.assignment_epoch => Some(*at),
            Undone::Assigned { .. } | Undone::Status { .. } | Undone::Run { .. } => None,
        });
        let topics = topics(history.config_of(run));
        let routed =
            foreign(run, &topics).and_then(|topic| Some((topic, topic.route_to.as_ref()?)));
        let title = cut(&run.title, QUOTED);
        if let Some(at) = moved {
            found.add(
                run,
                None,
                at,
                format!("It kept \"{title}\", and a person gave it to another coworker."),
            );
        } else if let Some((_, to)) = routed.filter(|_| run.run.outcome == Some(Outcome::Declined))
        {
            found.add(
                run,
                None,
                run.ended_at,
                format!("It declined \"{title}\" instead of handing it to @{to}."),
            );
        } else {
            continue;
        }
        targets.extend(routed.map(|(topic, _)| topic.place.clone()));
    }
    let place =
        most(targets.into_iter()).map_or_else(|| "goal.outOfScope".into(), |(place, _)| place);
    found.advise(
        place,
        "Add a rule to goal.outOfScope that describes such requests and names who takes them (routeTo); enable the tool reassign; and say in identity.outOfScope that they are not its own.",
    )
}
