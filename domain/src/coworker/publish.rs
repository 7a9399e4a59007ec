//! From draft to version, and out of work again.

use entity::{
    CoworkerId, CoworkerState, CoworkerVersionId, DropReason, coworker, coworker_version,
    coworker_version_skill, dispatch, request, skill_version,
};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::config::Config;
use super::history::numbered;
use super::lint::{Finding, Severity, Subject, lint, refuses};
use super::query::world;
use super::write::{lock, save};
use crate::access::{Action, Actor};
use crate::clock::fresh_id;
use crate::error::{Error, Result};
use crate::idempotency::{Once, once};
use crate::request::assign::drop_dispatch;
use crate::request::desk::Desk;
use crate::request::query::is_waiting;
use crate::request::route::without_triage;
use crate::request::update::check_text;
use crate::skill::query::{newest, pinned};
use crate::store::{Command, Tx, insert_all};

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
}

impl Command for PublishCoworker {
    type Output = Published;

    async fn run(&self, tx: &Tx) -> Result<Published> {
        let Self {
            actor,
            coworker,
            force,
            idempotency_key,
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
        if once.made().is_some() {
            return Ok(Published::Done(Box::new(row), Vec::new()));
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
        };
        let published = next.publish(tx, actor, row, force).await?;
        published.remember(tx, &once).await?;
        Ok(published)
    }

    fn repeatable(&self) -> bool {
        // Each forced publication makes a version, so that it is kept who forced it and why.
        !self.force.force || self.idempotency_key.is_some()
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
        if once.made().is_some() {
            return Ok(Published::Done(Box::new(row), Vec::new()));
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
        };
        let published = next.publish(tx, actor, row, force).await?;
        published.remember(tx, &once).await?;
        Ok(published)
    }

    fn repeatable(&self) -> bool {
        self.idempotency_key.is_some()
    }
}

/// What shall be in force.
struct Next {
    /// The configuration as rows hold it.
    text: String,
    config: Config,
    /// Each with its place in the configuration.
    skills: Vec<(usize, skill_version::Model)>,
    restored_from: Option<i32>,
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
        let mut world = world(tx.conn(), &row, &[]).await?;
        let named = |(place, skill): &(usize, skill_version::Model)| {
            Some((self.config.skills.get(*place)?.clone(), skill.body.clone()))
        };
        world.skills = self.skills.iter().filter_map(named).collect();
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

    async fn remember(&self, tx: &Tx, once: &Once) -> Result<()> {
        match self {
            Self::Done(row, _) => match row.version_id {
                Some(version) => once.remember(tx, version.0).await,
                None => Ok(()),
            },
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

/// Takes a coworker out of work: runs under way finish, waiting dispatches are dropped.
#[derive(Clone, Debug)]
pub struct UnpublishCoworker {
    /// Who asks.
    pub actor: Actor,
    /// The coworker.
    pub coworker: CoworkerId,
}

impl Command for UnpublishCoworker {
    type Output = coworker::Model;

    async fn run(&self, tx: &Tx) -> Result<coworker::Model> {
        let Self { actor, coworker } = self;
        actor.authorize(Action::CoworkerPublish)?;
        let mut row = lock(tx, actor, *coworker).await?;
        match row.state {
            CoworkerState::Draft => {
                return Err(Error::conflict(
                    "NOT_PUBLISHED",
                    "the coworker was never published; there is nothing to take out of work",
                ));
            }
            CoworkerState::Unpublished => return Ok(row),
            CoworkerState::Published => {}
        }
        row.state = CoworkerState::Unpublished;
        drop_waiting(tx, actor, row.id).await?;
        save(tx, row).await
    }

    fn repeatable(&self) -> bool {
        true
    }
}

async fn drop_waiting(tx: &Tx, actor: &Actor, coworker: CoworkerId) -> Result<()> {
    tx.settle_all().await?;
    let waiting = dispatch::Entity::find()
        .filter(dispatch::Column::CoworkerId.eq(coworker))
        .filter(is_waiting())
        .all(tx.conn())
        .await?;
    let requests = request::Entity::find()
        .filter(request::Column::Id.is_in(waiting.iter().map(|d| d.request_id)))
        .order_by_asc(request::Column::Id)
        .lock(LockType::NoKeyUpdate)
        .all(tx.conn())
        .await?;
    let mut desks: Vec<Desk> = requests.into_iter().map(Desk::of).collect();
    for row in waiting {
        if let Some(desk) = desks
            .iter_mut()
            .find(|desk| desk.request.id == row.request_id)
        {
            drop_dispatch(tx, desk, actor, row.id, DropReason::NotPublished).await?;
            without_triage(tx, desk, &row).await?;
        }
    }
    desks.into_iter().for_each(|desk| drop(desk.save(tx)));
    Ok(())
}
