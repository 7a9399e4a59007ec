//! From draft to version.

use entity::{
    CoworkerId, CoworkerState, CoworkerVersionId, coworker, coworker_version,
    coworker_version_skill, skill_version, workspace,
};
use sea_orm::sea_query::LockType;
use sea_orm::{EntityTrait, QuerySelect};
use uuid::Uuid;

use super::config::Config;
use super::history::numbered;
use super::lint::{Finding, Rule, Severity, Subject, lint, refuses};
use super::query::world;
use super::write::{lock, save};
use crate::access::{Action, Actor};
use crate::budget::{Budget, Scope, clear_marks, lock_marks};
use crate::clock::fresh_id;
use crate::error::{Error, Result};
use crate::idempotency::{Once, once};
use crate::model::KnownProviders;
use crate::skill::query::{newest, pinned};
use crate::store::{Command, Needs, Tx, insert_all};
use crate::text::check_text;

/// Publishing in spite of findings that are errors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Force {
    /// Whether errors shall not refuse it.
    pub force: bool,
    /// Why, 1 to 1,000 characters; kept with the version. Required if it is forced.
    pub reason: Option<String>,
}

/// What became of a publication.
#[derive(Clone, Debug)]
pub enum Published {
    /// It is in force; with the coworker as it is now and what the lint found nevertheless.
    Done(Box<coworker::Model>, Vec<Finding>),
    /// The lint found errors, and nothing was changed.
    Refused(Vec<Finding>),
}

/// Publishes a coworker's draft as its next version, with the newest version of each of its skills. If
/// that is the published version already, none is made, but an unpublished coworker takes work again.
#[derive(Clone, Debug)]
pub struct PublishCoworker {
    /// Who asks.
    pub actor: Actor,
    /// The coworker.
    pub coworker: CoworkerId,
    /// Whether errors are overridden.
    pub force: Force,
    /// The caller's key.
    pub idempotency_key: Option<String>,
    /// The providers of models that this process has, for the lint.
    pub providers: KnownProviders,
}

impl Command for PublishCoworker {
    type Output = Published;

    async fn run(&self, tx: &Tx) -> Result<Published> {
        let Self {
            actor,
            coworker,
            force,
            idempotency_key,
            providers,
        } = self;
        actor.authorize(Action::CoworkerPublish)?;
        force.check()?;
        // Locked before the key is looked for: a second call at the same time finds what the first made.
        let row = lock(tx, actor, *coworker).await?;
        let once = once(
            tx,
            actor,
            "coworkerPublish",
            idempotency_key.as_deref(),
            &(coworker, force.force, &force.reason),
        )
        .await?;
        if let Some(made) = once.made() {
            return Published::again(tx, row, made).await;
        }
        let config = Config::from_row(&row.draft)?;
        config.check()?;
        let newest = newest(tx.conn(), row.workspace_id, &config.skills).await?;
        let skills = config.skills.iter().enumerate();
        let skills = skills.filter_map(|(place, handle)| Some((place, newest.get(handle)?)));
        let next = Next {
            text: row.draft.clone(),
            skills: skills
                .map(|(place, skill)| (place, skill.clone()))
                .collect(),
            config,
            restored_from: None,
            providers: providers.clone(),
        };
        let published = next.publish(tx, actor, row, force).await?;
        published.remember(tx, &once).await?;
        Ok(published)
    }

    fn repeatable(&self) -> bool {
        // Each forced publication makes a version, so that it is kept who forced it and why.
        !self.force.force || self.idempotency_key.is_some()
    }

    fn needs(&self) -> Needs {
        one_at_a_time()
    }
}

/// Brings an earlier version back: publishes its configuration, with the skills as it pinned them, as a
/// new version. The version that it replaces stays in the history as it was. A draft without changes of
/// its own follows; one that was edited since stays.
#[derive(Clone, Debug)]
pub struct RollbackCoworker {
    /// Who asks.
    pub actor: Actor,
    /// The coworker.
    pub coworker: CoworkerId,
    /// The number of the version to bring back.
    pub version: i32,
    /// Whether errors are overridden.
    pub force: Force,
    /// The caller's key.
    pub idempotency_key: Option<String>,
    /// The providers of models that this process has, for the lint.
    pub providers: KnownProviders,
}

impl Command for RollbackCoworker {
    type Output = Published;

    async fn run(&self, tx: &Tx) -> Result<Published> {
        let Self {
            actor,
            coworker,
            version,
            force,
            idempotency_key,
            providers,
        } = self;
        actor.authorize(Action::CoworkerPublish)?;
        force.check()?;
        let mut row = lock(tx, actor, *coworker).await?;
        let once = once(
            tx,
            actor,
            "coworkerRollback",
            idempotency_key.as_deref(),
            &(coworker, version, force.force, &force.reason),
        )
        .await?;
        if let Some(made) = once.made() {
            return Published::again(tx, row, made).await;
        }
        let old = numbered(tx.conn(), &row, *version).await?;
        if row.version_id == Some(old.id) && row.state == CoworkerState::Published {
            let message = format!("version {version} is in force already; name an earlier one");
            return Err(Error::invalid("version", "CONFLICT", message));
        }
        let config = Config::from_row(&old.config)?;
        // What an earlier release let through need not be what this one can run.
        config.check()?;
        if row.version_id.is_some()
            && current(tx, &row)
                .await?
                .is_some_and(|v| v.config == row.draft)
        {
            row.draft.clone_from(&old.config);
        }
        let next = Next {
            skills: pinned(tx.conn(), old.id).await?,
            text: old.config,
            config,
            restored_from: Some(old.version),
            providers: providers.clone(),
        };
        let published = next.publish(tx, actor, row, force).await?;
        published.remember(tx, &once).await?;
        Ok(published)
    }

    fn repeatable(&self) -> bool {
        self.idempotency_key.is_some()
    }

    fn needs(&self) -> Needs {
        one_at_a_time()
    }
}

/// It locks the workspace's row after its coworker's: see [`Next::publish`].
fn one_at_a_time() -> Needs {
    Needs::ALONE
}

/// What shall be in force.
struct Next {
    /// The configuration as rows hold it.
    text: String,
    config: Config,
    /// Each with its place in the configuration.
    skills: Vec<(usize, skill_version::Model)>,
    restored_from: Option<i32>,
    providers: KnownProviders,
}

impl Next {
    async fn publish(
        self,
        tx: &Tx,
        actor: &Actor,
        mut row: coworker::Model,
        force: &Force,
    ) -> Result<Published> {
        let changed = self.restored_from.is_some() || self.differs(tx, &row).await?;
        if !changed && row.state == CoworkerState::Published {
            return Ok(Published::Done(Box::new(row), Vec::new()));
        }
        let Budget {
            daily_nano,
            monthly_nano,
        } = self.config.budget;
        let rebudgeted =
            (row.daily_budget_nano, row.monthly_budget_nano) != (daily_nano, monthly_nano);
        if rebudgeted {
            // Before the workspace: the order of locks is the same everywhere.
            lock_marks(tx, row.workspace_id, Scope::Coworker(row.id)).await?;
        }
        // Of two that collide and are published at the same instant, one must see the other: whoever publishes in
        // this workspace waits here for who came before, and reads the others only then.
        let lock = workspace::Entity::find_by_id(row.workspace_id).lock(LockType::NoKeyUpdate);
        lock.one(tx.conn()).await?;
        let mut world = world(tx.conn(), &row, &self.config, &[], tx.at()).await?;
        let named = |(place, skill): &(usize, skill_version::Model)| {
            Some((self.config.skills.get(*place)?.clone(), skill.body.clone()))
        };
        world.skills = self.skills.iter().filter_map(named).collect();
        world.providers.clone_from(&self.providers);
        let subject = Subject {
            handle: &row.handle,
            is_triage: row.is_triage,
            config: &self.config,
        };
        let findings = lint(&subject, &world);
        let forced = refuses(&findings);
        if forced && !force.force {
            return Ok(Published::Refused(findings));
        }
        // No reason makes a budget hold that can't be kept: nothing of it would start.
        if findings
            .iter()
            .any(|finding| finding.rule == Rule::UnpricedModel)
        {
            return Ok(Published::Refused(findings));
        }
        if changed || forced {
            let version = coworker_version::Model {
                id: CoworkerVersionId(fresh_id()),
                workspace_id: row.workspace_id,
                coworker_id: row.id,
                version: row.version + 1,
                config: self.text,
                published_by_kind: actor.principal.kind(),
                published_by_id: actor.principal.id(),
                published_at: tx.at(),
                restored_from: self.restored_from,
                forced_reason: force.reason.clone().filter(|_| forced),
                findings: serde_json::to_string(&findings).map_err(Error::internal)?,
            };
            let pins = self.skills.iter();
            let pins = pins.map(|(place, skill)| coworker_version_skill::Model {
                coworker_version_id: version.id,
                position: i32::try_from(*place).unwrap_or(i32::MAX),
                skill_version_id: skill.id,
            });
            let pins: Vec<_> = pins.collect();
            row.version = version.version;
            row.version_id = Some(version.id);
            insert_all(tx.writing().await?, vec![version], None).await?;
            insert_all(tx.writing().await?, pins, None).await?;
        }
        row.state = CoworkerState::Published;
        if rebudgeted {
            clear_marks(tx, Scope::Coworker(row.id)).await?;
            (row.daily_budget_nano, row.monthly_budget_nano) = (daily_nano, monthly_nano);
        }
        let row = save(tx, row).await?;
        Ok(Published::Done(Box::new(row), findings))
    }

    /// Whether new runs would read something else than they do.
    async fn differs(&self, tx: &Tx, row: &coworker::Model) -> Result<bool> {
        let Some(current) = current(tx, row).await? else {
            return Ok(true);
        };
        let pinned = pinned(tx.conn(), current.id).await?;
        let ids = |(_, skill): &(usize, skill_version::Model)| skill.id;
        Ok(current.config != self.text || pinned.iter().map(ids).ne(self.skills.iter().map(ids)))
    }
}

async fn current(tx: &Tx, row: &coworker::Model) -> Result<Option<coworker_version::Model>> {
    let Some(id) = row.version_id else {
        return Ok(None);
    };
    let found = coworker_version::Entity::find_by_id(id).one(tx.conn());
    Ok(found.await?)
}

impl Published {
    /// The coworker; or, where findings refused it, an error that names them all.
    ///
    /// # Errors
    /// [`Error::Conflict`] with the code `LINT`.
    pub fn done(self) -> Result<coworker::Model> {
        match self {
            Self::Done(row, _) => Ok(*row),
            Self::Refused(findings) => {
                let errors = findings.iter().filter(|f| f.severity == Severity::Error);
                let told: Vec<String> = errors
                    .map(|f| format!("{}: {} {}", f.place, f.message, f.remedy))
                    .collect();
                Err(Error::conflict("LINT", told.join(" ")))
            }
        }
    }

    /// What the same call answers again: the coworker as it is now, and what was found then.
    async fn again(tx: &Tx, row: coworker::Model, made: Uuid) -> Result<Self> {
        let version = coworker_version::Entity::find_by_id(CoworkerVersionId(made));
        let findings = match version.one(tx.conn()).await? {
            Some(version) => serde_json::from_str(&version.findings).map_err(Error::internal)?,
            None => Vec::new(),
        };
        Ok(Self::Done(Box::new(row), findings))
    }

    /// What is remembered of it: the version that keeps the findings, or the coworker where there were none.
    async fn remember(&self, tx: &Tx, once: &Once) -> Result<()> {
        match self {
            Self::Done(row, findings) => {
                let keeps = row.version_id.filter(|_| !findings.is_empty());
                once.remember(tx, keeps.map_or(row.id.0, |version| version.0))
                    .await
            }
            // Nothing was made: the same call may succeed once the findings are put right.
            Self::Refused(_) => Ok(()),
        }
    }
}

impl Force {
    fn check(&self) -> Result<()> {
        match (self.force, &self.reason) {
            (true, None) => Err(Error::invalid(
                "reason",
                "REQUIRED",
                "to force it takes a reason, which is kept with the version; give one",
            )),
            (_, Some(reason)) => check_text("reason", reason, 1_000),
            (false, None) => Ok(()),
        }
    }
}
