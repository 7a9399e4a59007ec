//! Doing what a plan says: all of it in one transaction, or nothing.

use std::sync::Arc;

use domain::access::Actor;
use domain::coworker::lint::{Finding, Severity};
use domain::coworker::write::{Change, lock_all};
use domain::coworker::{
    Config, CreateCoworker, Force, PublishCoworker, Published, UnpublishCoworker, UpdateCoworker,
    drop_waiting, query as coworkers,
};
use domain::error::{Error, Result};
use domain::price::SetPrice;
use domain::skill::{CreateSkill, UpdateSkill};
use domain::store::{Command, Needs, Store, Tx};
use domain::tool::server::{CreateServer, UpdateServer};
use entity::{CoworkerId, coworker};

use super::plan::{CoworkerStep, Plan, PriceStep, ServerStep, SkillStep, Then, Write, plan};
use super::reach;
use super::read::{Problem, Problems, Source, field};
use super::state::State;

/// The code by which a trial says that it went well.
const TRIED: &str = "TRIED";

/// Makes a workspace what files say. Every change goes through the command that people use, so that its
/// checks, the lint and the permissions hold.
#[derive(Clone, Debug)]
pub struct Apply {
    /// Who asks.
    pub actor: Actor,
    /// The files.
    pub sources: Arc<[Source]>,
    /// What is to be done, as it was shown.
    pub plan: Arc<Plan>,
    /// Whether errors of the lint are overridden.
    pub force: Force,
}

/// What was done.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// What the lint thinks of what was published nevertheless.
    pub doubts: Vec<Problem>,
    /// Who was taken out of work.
    unpublished: Vec<coworker::Model>,
}

impl Apply {
    /// Does everything, in one write; then drops what waits for whom it took out of work, as `coworkerUnpublish` does.
    ///
    /// # Errors
    /// What refused it; then nothing was done.
    pub async fn submit(self, store: &Store) -> Result<Applied> {
        let actor = self.actor.clone();
        let applied = store.write(self).await?;
        for row in &applied.unpublished {
            drop_waiting(store, &actor, row).await;
        }
        Ok(applied)
    }

    /// Does everything and takes it back, so that whatever would refuse it is known beforehand.
    ///
    /// # Errors
    /// What would refuse it, with the places in the files.
    pub async fn try_out(&self, store: &Store) -> Result<()> {
        match store.write(Trial(self.clone())).await {
            Err(Error::Conflict { code: TRIED, .. }) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Does it and refuses itself at the end.
struct Trial(Apply);

impl Command for Trial {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<()> {
        self.0.run(tx).await?;
        Err(Error::conflict(TRIED, "it was only tried out"))
    }

    fn needs(&self) -> Needs {
        self.0.needs()
    }
}

impl Command for Apply {
    type Output = Applied;

    async fn run(&self, tx: &Tx) -> Result<Applied> {
        // All coworkers before anything else, for each publication locks the workspace behind them.
        let there = self.plan.coworkers.iter();
        let there = there.filter_map(|step| step.before.as_ref().map(|(id, _)| *id));
        lock_all(tx, &self.actor, there).await?;
        let state = State::load(tx.conn(), &self.actor).await?;
        let now = plan(&self.sources, &state).map_err(refused)?;
        if now != *self.plan {
            let message = "the workspace was changed since the changes were shown, and nothing was done; run it again";
            return Err(Error::conflict("CHANGED", message));
        }
        for step in &self.plan.skills {
            let done = self.skill(tx, step).await;
            done.map_err(|error| self.placed(step.source, error, |field| field.to_owned()))?;
        }
        for step in &self.plan.servers {
            let done = self.server(tx, step).await;
            let path = |field: &str| match field {
                "kind" => "reach.type".to_owned(),
                "name" => field.to_owned(),
                field => reach::path(&step.server.reach, field),
            };
            done.map_err(|error| self.placed(step.source, error, path))?;
        }
        for step in &self.plan.prices {
            let path = |field: &str| format!("prices[{}].{field}", step.index);
            let done = self.price(tx, step).await;
            done.map_err(|error| self.placed(step.source, error, path))?;
        }
        // All are written before the first is published: they route to each other.
        let mut written = Vec::with_capacity(self.plan.coworkers.len());
        for step in &self.plan.coworkers {
            let id = self.write(tx, step).await;
            written.push(
                id.map_err(|error| self.placed(step.source, error, |field| field.to_owned()))?,
            );
        }
        let (mut problems, mut published) = (Vec::new(), Vec::new());
        let mut applied = Applied::default();
        for (step, id) in self.plan.coworkers.iter().zip(written) {
            match step.then {
                Then::Nothing => {}
                Then::Unpublish => {
                    let actor = self.actor.clone();
                    let unpublish = UnpublishCoworker {
                        actor,
                        coworker: id,
                    };
                    applied.unpublished.push(unpublish.run(tx).await?);
                }
                Then::Publish => match self.publish(tx, id).await? {
                    Published::Done(row, _) => published.push((step.source, row)),
                    Published::Refused(findings) => {
                        let errors = findings
                            .iter()
                            .filter(|finding| finding.severity == Severity::Error);
                        problems
                            .extend(errors.filter_map(|finding| self.found(step.source, finding)));
                    }
                },
            }
        }
        if !problems.is_empty() {
            return Err(Error::conflict("LINT", Problems(problems).to_string()));
        }
        // Looked at only now: while they were published, some routed to others that were not yet.
        for (source, row) in published {
            let findings = coworkers::findings(tx.conn(), &self.actor, &row, tx.at(), None).await?;
            applied.doubts.extend(
                findings
                    .iter()
                    .filter_map(|finding| self.found(source, finding)),
            );
        }
        Ok(applied)
    }

    fn needs(&self) -> Needs {
        // As each of the publications in it.
        Needs::ALONE
    }
}

impl Apply {
    async fn skill(&self, tx: &Tx, step: &SkillStep) -> Result<()> {
        let (actor, skill) = (self.actor.clone(), step.skill.clone());
        match step.before {
            None => {
                let create = CreateSkill {
                    actor,
                    handle: skill.handle,
                    name: skill.name,
                    text: skill.text,
                    idempotency_key: None,
                };
                create.run(tx).await?;
            }
            Some((id, _)) => {
                let update = UpdateSkill {
                    actor,
                    skill: id,
                    name: Some(skill.name),
                    text: Some(skill.text),
                    idempotency_key: None,
                };
                update.run(tx).await?;
            }
        }
        Ok(())
    }

    async fn server(&self, tx: &Tx, step: &ServerStep) -> Result<()> {
        let (actor, server) = (self.actor.clone(), step.server.clone());
        let done = match step.before {
            None => {
                let create = CreateServer {
                    actor,
                    name: server.name,
                    declaration: server.reach,
                    idempotency_key: None,
                };
                create.run(tx).await
            }
            Some((id, _)) => {
                let update = UpdateServer {
                    actor,
                    server: id,
                    declaration: server.reach,
                };
                update.run(tx).await
            }
        };
        done.map(drop)
    }

    async fn price(&self, tx: &Tx, step: &PriceStep) -> Result<()> {
        let set = SetPrice {
            actor: self.actor.clone(),
            price: step.price.clone().into(),
            idempotency_key: None,
        };
        set.run(tx).await.map(drop)
    }

    async fn write(&self, tx: &Tx, step: &CoworkerStep) -> Result<CoworkerId> {
        let (actor, wanted) = (self.actor.clone(), &step.coworker);
        let Some((id, _)) = step.before else {
            let create = CreateCoworker {
                actor,
                handle: wanted.handle.clone(),
                name: wanted.name.clone(),
                is_triage: wanted.is_triage,
                config: wanted.config(),
                idempotency_key: None,
            };
            return Ok(create.run(tx).await?.id);
        };
        let change = match step.write {
            Write::Nothing => return Ok(id),
            Write::Name => Change::default(),
            Write::All => whole(wanted.config()),
        };
        let update = UpdateCoworker {
            actor,
            coworker: id,
            name: Some(wanted.name.clone()),
            is_triage: Some(wanted.is_triage),
            change,
        };
        update.run(tx).await?;
        Ok(id)
    }

    async fn publish(&self, tx: &Tx, coworker: CoworkerId) -> Result<Published> {
        let publish = PublishCoworker {
            actor: self.actor.clone(),
            coworker,
            force: self.force.clone(),
            idempotency_key: None,
            // What the server has that executes the runs is not known here.
            providers: None,
        };
        publish.run(tx).await
    }

    /// A finding with its place in the file.
    fn found(&self, source: usize, finding: &Finding) -> Option<Problem> {
        let source = self.sources.get(source)?;
        let message = format!("{}: {} {}", finding.place, finding.message, finding.remedy);
        Some(source.problem(&finding.place, message))
    }

    /// An error with the place in the file of what it is about.
    fn placed(&self, source: usize, error: Error, path: impl Fn(&str) -> String) -> Error {
        let Some(source) = self.sources.get(source) else {
            return error;
        };
        let place = path(field(&error));
        match error {
            Error::Invalid {
                field,
                code,
                message,
            } => Error::invalid(field, code, source.problem(&place, message).to_string()),
            Error::Conflict { code, message } => {
                Error::conflict(code, source.problem(&place, message).to_string())
            }
            Error::NotFound { .. }
            | Error::Forbidden { .. }
            | Error::Unavailable { .. }
            | Error::CommitUnknown
            | Error::Internal { .. } => error,
        }
    }
}

/// A change that replaces the whole draft.
fn whole(config: Config) -> Change {
    let Config {
        identity,
        soul,
        goal,
        skills,
        tools,
        model,
        limits,
        budget,
    } = config;
    Change {
        identity: Some(identity),
        soul: Some(soul),
        goal: Some(goal),
        model: Some(model),
        skills: Some(skills),
        tools: Some(tools),
        limits: Some(limits),
        budget: Some(budget),
    }
}

fn refused(problems: Problems) -> Error {
    Error::conflict("FILES", problems.to_string())
}
