//! The demo: the slow-network story on real parts. Four coworkers, one request, the scripted model; all
//! else is the product itself.
//!
//! - [`install`] makes the coworkers, the model's price and the requester in a workspace.
//! - [`submit`] makes the request that starts the story.
//! - [`story::follow`] tells what happens, as it happens; [`teller`] has the words, [`screen`] the terminal.
//! - [`report`] reads the runs when the story is over, checks that it ended as told, and [`table`] shows
//!   them.

pub mod faces;
pub mod query;
pub mod report;
pub mod screen;
pub mod story;
pub mod table;
pub mod teller;
pub mod text;

use domain::access::Actor;
use domain::coworker::Force;
use domain::key::{CreateKey, Holder};
use domain::request::CreateRequest;
use domain::store::Store;
use entity::{Priority, Role, coworker, request};

use crate::files;
use crate::files::apply::Apply;
use crate::files::plan::plan;
use crate::files::read::{Problems, Source};
use crate::files::state::State;

/// The name of who has the problem.
pub const REQUESTER: &str = "Maya Chen";

const TITLE: &str = "Network is very slow since this morning";
const DESCRIPTION: &str = "Since about nine everything that runs in our cloud crawls: the ERP needs half a minute per \
                           page. I am in the Lisbon office, on Wi-Fi. Restarting did not help.";

/// The handles of the coworkers in the order of their appearance; the last one is not needed in the story.
const CAST: [&str; 4] = [
    "triage",
    "hardware-specialist",
    "aws-engineer",
    "access-manager",
];

/// The files, such as `stint apply` reads. The scripted model costs nothing; with a price one sees what a
/// real model would do to the bill.
const FILES: [(&str, &str); 5] = [
    ("triage.yaml", include_str!("coworkers/triage.yaml")),
    (
        "hardware-specialist.yaml",
        include_str!("coworkers/hardware-specialist.yaml"),
    ),
    (
        "aws-engineer.yaml",
        include_str!("coworkers/aws-engineer.yaml"),
    ),
    (
        "access-manager.yaml",
        include_str!("coworkers/access-manager.yaml"),
    ),
    ("prices.yaml", include_str!("prices.yaml")),
];

fn sources() -> Result<Vec<Source>, Problems> {
    let texts = FILES.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
    files::read::parse(texts.into())
}

/// Who plays in the story.
#[derive(Clone, Debug)]
pub struct Cast {
    /// The coworkers, published, in the order of their appearance.
    pub coworkers: Vec<coworker::Model>,
    /// The employee who makes the request, with no more rights than that takes.
    pub requester: Actor,
}

/// Makes and publishes the demo's coworkers, sets a price for the scripted model, and makes the employee
/// who has the problem. `actor` needs the rights of an admin; the workspace must have no Triage coworker.
///
/// # Errors
/// What a command refused with, or what the database said.
pub async fn install(store: &Store, actor: &Actor) -> anyhow::Result<Cast> {
    let sources = sources()?;
    let plan = plan(&sources, &State::load(store.read(), actor).await?)?;
    let apply = Apply {
        actor: actor.clone(),
        sources: sources.into(),
        plan: plan.into(),
        force: Force::default(),
    };
    store.write(apply).await?;
    let mut coworkers = Vec::with_capacity(CAST.len());
    for handle in CAST {
        coworkers.push(domain::coworker::query::by_handle(store.read(), actor, handle).await?);
    }
    let key = CreateKey {
        actor: actor.clone(),
        name: REQUESTER.to_owned(),
        role: Role::Requester,
        holder: Holder::NewPerson(REQUESTER.to_owned()),
        expires: None,
        idempotency_key: None,
    };
    let (key, _) = store.write(key).await?;
    Ok(Cast {
        coworkers,
        requester: domain::key::actor(&key),
    })
}

/// Makes the request that starts the story, as the employee.
///
/// # Errors
/// What the command refused with, or what the database said.
pub async fn submit(store: &Store, requester: &Actor) -> domain::Result<request::Model> {
    let create = CreateRequest {
        actor: requester.clone(),
        title: TITLE.to_owned(),
        description: DESCRIPTION.to_owned(),
        priority: Priority::Normal,
        labels: Vec::new(),
        assignee: None,
        idempotency_key: None,
        ahead: None,
    };
    create.submit(store).await
}

#[cfg(test)]
mod tests {
    use domain::coworker::lint::{Peer, Subject, World, lint};

    use super::*;
    use crate::files::form::{Coworker, Object};

    /// The coworkers of the files; reading them checks them.
    fn coworkers() -> Vec<Coworker> {
        let sources = sources().unwrap_or_else(|problems| panic!("{problems}"));
        let coworkers = sources
            .into_iter()
            .filter_map(|source| match source.object {
                Object::Coworker(coworker) => Some(*coworker),
                Object::Skill(_) | Object::ToolServer(_) | Object::Prices(_) => None,
            });
        coworkers.collect()
    }

    #[test]
    fn the_coworkers_of_the_demo_are_sound() {
        let made = coworkers();
        let handles: Vec<&str> = made.iter().map(|one| one.handle.as_str()).collect();
        assert_eq!(handles, CAST);
        let triage: Vec<bool> = made.iter().map(|one| one.is_triage).collect();
        assert_eq!(triage, [true, false, false, false]);
    }

    #[test]
    fn the_lint_finds_nothing_in_the_coworkers_of_the_demo() {
        let made = coworkers();
        for one in &made {
            let others = made.iter().filter(|other| other.handle != one.handle);
            let peer = |other: &Coworker| Peer {
                handle: other.handle.clone(),
                is_triage: other.is_triage,
                identity: Some(other.identity.clone()),
            };
            let world = World {
                peers: others.map(peer).collect(),
                ..World::default()
            };
            let subject = Subject {
                handle: &one.handle,
                is_triage: one.is_triage,
                config: &one.config(),
            };
            assert_eq!(lint(&subject, &world), [], "{}", one.handle);
        }
    }
}
