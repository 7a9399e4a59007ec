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

use anyhow::Context as _;
use domain::access::Actor;
use domain::coworker::config::{Goal, Identity, Limits};
use domain::coworker::tools::ToolServer;
use domain::coworker::{Config, CreateCoworker, Force, PublishCoworker};
use domain::key::{CreateKey, Holder};
use domain::model::ModelConfig;
use domain::price::SetPrice;
use domain::request::CreateRequest;
use domain::store::Store;
use entity::{Millis, ModelPriceId, Priority, Role, coworker, model_price, request};
use serde::Deserialize;

/// The name of who has the problem.
pub const REQUESTER: &str = "Maya Chen";

const TITLE: &str = "Network is very slow since this morning";
const DESCRIPTION: &str = "Since about nine everything that runs in our cloud crawls: the ERP needs half a minute per \
                           page. I am in the Lisbon office, on Wi-Fi. Restarting did not help.";

/// The coworkers' files, in the order of their appearance; the last one is not needed in the story.
const FILES: [&str; 4] = [
    include_str!("coworkers/triage.yaml"),
    include_str!("coworkers/hardware-specialist.yaml"),
    include_str!("coworkers/aws-engineer.yaml"),
    include_str!("coworkers/access-manager.yaml"),
];

/// A dollar, in nano-USD.
const DOLLAR: i64 = 1_000_000_000;

/// A coworker's file: its name and its configuration.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    name: String,
    handle: String,
    is_triage: bool,
    identity: Identity,
    soul: String,
    goal: Goal,
    #[serde(default)]
    tools: Vec<ToolServer>,
    model: ModelConfig,
    limits: Limits,
}

impl File {
    fn read(text: &str) -> anyhow::Result<Self> {
        serde_saphyr::from_str(text).context("a coworker of the demo can't be read")
    }

    fn command(self, actor: &Actor) -> CreateCoworker {
        let Self {
            name,
            handle,
            is_triage,
            identity,
            soul,
            goal,
            tools,
            model,
            limits,
        } = self;
        let config = Config {
            identity,
            soul,
            goal,
            skills: Vec::new(),
            tools,
            model,
            limits,
        };
        CreateCoworker {
            actor: actor.clone(),
            handle,
            name,
            is_triage,
            config,
            idempotency_key: None,
        }
    }
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
    store.write(price(actor)).await?;
    // All are made before the first is published: they route to each other.
    let mut made = Vec::with_capacity(FILES.len());
    for file in FILES {
        made.push(store.write(File::read(file)?.command(actor)).await?.id);
    }
    let mut coworkers = Vec::with_capacity(FILES.len());
    for coworker in made {
        let publish = PublishCoworker {
            actor: actor.clone(),
            coworker,
            force: Force::default(),
            idempotency_key: None,
        };
        coworkers.push(store.write(publish).await?.done()?);
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

/// The scripted model costs nothing; with a price one sees what a real model would do to the bill.
fn price(actor: &Actor) -> SetPrice {
    let price = model_price::Model {
        id: ModelPriceId(uuid::Uuid::nil()),
        workspace_id: actor.workspace,
        model: domain::model::scripted::PROVIDER.to_owned(),
        effective_from: Millis(0),
        input: 3 * DOLLAR,
        cache_read: 3 * DOLLAR / 10,
        cache_write_short: 375 * DOLLAR / 100,
        cache_write_long: 6 * DOLLAR,
        output: 15 * DOLLAR,
        source: "illustrative price of the demo".to_owned(),
        created_at: Millis(0),
    };
    SetPrice {
        actor: actor.clone(),
        price,
        idempotency_key: None,
    }
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
    };
    store.write(create).await
}

#[cfg(test)]
mod tests {
    use domain::coworker::lint::{Peer, Subject, World, lint};

    use super::*;

    #[test]
    fn the_coworkers_of_the_demo_are_sound() {
        let actor = Actor::stint(entity::WorkspaceId(uuid::Uuid::nil()));
        let made = FILES.map(|file| File::read(file).expect("a coworker").command(&actor));
        for create in &made {
            if let Err(error) = create.config.check() {
                panic!("{}: {error}", create.handle);
            }
        }
        assert_eq!(made.iter().filter(|create| create.is_triage).count(), 1);
        let handles: Vec<&str> = made.iter().map(|create| create.handle.as_str()).collect();
        assert_eq!(
            handles,
            [
                "triage",
                "hardware-specialist",
                "aws-engineer",
                "access-manager"
            ]
        );
    }

    #[test]
    fn the_lint_finds_nothing_in_the_coworkers_of_the_demo() {
        let actor = Actor::stint(entity::WorkspaceId(uuid::Uuid::nil()));
        let made = FILES.map(|file| File::read(file).expect("a coworker").command(&actor));
        for create in &made {
            let others = made.iter().filter(|other| other.handle != create.handle);
            let peer = |other: &CreateCoworker| Peer {
                handle: other.handle.clone(),
                is_triage: other.is_triage,
                identity: Some(other.config.identity.clone()),
            };
            let world = World {
                peers: others.map(peer).collect(),
                ..World::default()
            };
            let subject = Subject {
                handle: &create.handle,
                is_triage: create.is_triage,
                config: &create.config,
            };
            assert_eq!(lint(&subject, &world), [], "{}", create.handle);
        }
    }
}
