//! What the database holds of what files can say.

use std::collections::{BTreeMap, HashMap};

use domain::access::{Action, Actor};
use domain::coworker::Config;
use domain::error::{Error, Result};
use domain::tool::server::{Declaration, query as servers};
use domain::{coworker::query as coworkers, skill::query as skills};
use entity::{
    CoworkerId, CoworkerState, CoworkerVersionId, SkillId, SkillVersionId, ToolServerId, coworker,
    coworker_version, coworker_version_skill, model_price, skill, skill_version, tool_server,
};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::price::{Price, PriceTier};
use super::value::Moment;

/// The most coworkers, and the most skills, that are looked at.
const MOST: u64 = 1_000;
/// The most prices that are looked at.
const MOST_PRICES: u64 = 10_000;

/// A price's model, service tier and moment.
pub type PriceKey = (String, String, Moment);

/// What a workspace holds of what files can say.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Coworkers, by handle.
    pub coworkers: BTreeMap<String, Coworker>,
    /// Skills, by handle.
    pub skills: BTreeMap<String, Skill>,
    /// Servers of tools, by name; none for those who may not see them.
    pub servers: BTreeMap<String, Server>,
    /// Prices.
    pub prices: BTreeMap<PriceKey, Price>,
}

/// A coworker as it is.
#[derive(Clone, Debug)]
pub struct Coworker {
    /// Its id.
    pub id: CoworkerId,
    /// The name to show.
    pub name: String,
    /// Whether it is the Triage coworker.
    pub is_triage: bool,
    /// Whether it takes work.
    pub state: CoworkerState,
    /// What is edited.
    pub draft: Config,
    /// What its new runs read; none if it was never published.
    pub in_force: Option<Config>,
    /// The versions of skills that its new runs read, in their order.
    pub pins: Vec<SkillVersionId>,
}

impl Coworker {
    /// What a file says of it: what is in force, or the draft if it takes no work.
    pub fn says(&self) -> &Config {
        match (&self.in_force, self.state) {
            (Some(config), CoworkerState::Published) => config,
            (
                Some(_) | None,
                CoworkerState::Draft | CoworkerState::Unpublished | CoworkerState::Published,
            ) => &self.draft,
        }
    }

    /// Whether it takes work.
    pub fn is_published(&self) -> bool {
        match self.state {
            CoworkerState::Published => true,
            CoworkerState::Draft | CoworkerState::Unpublished => false,
        }
    }
}

/// A skill as it is.
#[derive(Clone, Debug)]
pub struct Skill {
    /// Its id.
    pub id: SkillId,
    /// Its newest version.
    pub version: SkillVersionId,
    /// The name to show.
    pub name: String,
    /// The text.
    pub text: String,
}

/// A server of tools as it is.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its id.
    pub id: ToolServerId,
    /// How its tools are reached.
    pub reach: Declaration,
}

impl State {
    /// Reads it.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without [`Action::CoworkerRead`]; [`Error::Conflict`] if the workspace holds more
    /// than is looked at; what the database said.
    pub async fn load<C: ConnectionTrait>(db: &C, actor: &Actor) -> Result<Self> {
        actor.authorize(Action::CoworkerRead)?;
        Ok(Self {
            coworkers: load_coworkers(db, actor).await?,
            skills: load_skills(db, actor).await?,
            servers: load_servers(db, actor).await?,
            prices: load_prices(db, actor).await?,
        })
    }
}

async fn load_coworkers<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
) -> Result<BTreeMap<String, Coworker>> {
    let rows = coworkers::visible(actor)
        .order_by_asc(coworker::Column::Handle)
        .limit(MOST + 1);
    let rows = bounded(rows.all(db).await?, MOST, "coworkers")?;
    let versions = coworkers::visible_versions(actor)
        .filter(coworker_version::Column::Id.is_in(rows.iter().filter_map(|row| row.version_id)))
        .all(db)
        .await?;
    let pins = coworker_version_skill::Entity::find()
        .filter(
            coworker_version_skill::Column::CoworkerVersionId
                .is_in(versions.iter().map(|version| version.id)),
        )
        .order_by_asc(coworker_version_skill::Column::Position)
        .all(db)
        .await?;
    let mut pinned: HashMap<CoworkerVersionId, Vec<SkillVersionId>> = HashMap::new();
    for pin in pins {
        pinned
            .entry(pin.coworker_version_id)
            .or_default()
            .push(pin.skill_version_id);
    }
    let versions: HashMap<_, _> = versions
        .into_iter()
        .map(|version| (version.id, version))
        .collect();
    let kept = rows.into_iter().map(|row| -> Result<_> {
        let version = row.version_id.and_then(|id| versions.get(&id));
        let coworker = Coworker {
            id: row.id,
            name: row.name,
            is_triage: row.is_triage,
            state: row.state,
            draft: Config::from_row(&row.draft)?,
            in_force: version
                .map(|version| Config::from_row(&version.config))
                .transpose()?,
            pins: row
                .version_id
                .and_then(|id| pinned.remove(&id))
                .unwrap_or_default(),
        };
        Ok((row.handle, coworker))
    });
    kept.collect()
}

async fn load_skills<C: ConnectionTrait>(db: &C, actor: &Actor) -> Result<BTreeMap<String, Skill>> {
    let rows = skills::visible(actor)
        .order_by_asc(skill::Column::Handle)
        .limit(MOST + 1);
    let rows = bounded(rows.all(db).await?, MOST, "skills")?;
    let versions = skills::visible_versions(actor)
        .filter(skill_version::Column::Id.is_in(rows.iter().map(|row| row.version_id)))
        .all(db)
        .await?;
    let mut texts: HashMap<_, _> = versions
        .into_iter()
        .map(|version| (version.id, version.body))
        .collect();
    let kept = rows.into_iter().map(|row| -> Result<_> {
        let text = texts.remove(&row.version_id);
        let skill = Skill {
            id: row.id,
            version: row.version_id,
            name: row.name,
            text: text.ok_or_else(|| Error::internal("a skill's newest version is gone"))?,
        };
        Ok((row.handle, skill))
    });
    kept.collect()
}

async fn load_servers<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
) -> Result<BTreeMap<String, Server>> {
    let rows = servers::visible(actor)
        .order_by_asc(tool_server::Column::Name)
        .limit(domain::tool::server::MOST);
    let kept = rows.all(db).await?.into_iter().map(|row| -> Result<_> {
        let server = Server {
            id: row.id,
            reach: Declaration::from_row(&row.declaration)?,
        };
        Ok((row.name, server))
    });
    kept.collect()
}

async fn load_prices<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
) -> Result<BTreeMap<PriceKey, Price>> {
    let rows = model_price::Entity::find()
        .filter(model_price::Column::WorkspaceId.eq(actor.workspace))
        .order_by_asc(model_price::Column::Model)
        .order_by_asc(model_price::Column::EffectiveFrom)
        .order_by_asc(model_price::Column::PromptOver)
        .limit(MOST_PRICES + 1);
    let rows = bounded(rows.all(db).await?, MOST_PRICES, "prices")?;
    let mut prices: BTreeMap<PriceKey, Price> = BTreeMap::new();
    for row in rows {
        let key = (
            row.model.clone(),
            row.service_tier.clone(),
            Moment(row.effective_from),
        );
        match prices.get_mut(&key) {
            Some(price) => price.tiers.push(PriceTier::of(&row)),
            None => {
                prices.insert(key, Price::of(&row));
            }
        }
    }
    Ok(prices)
}

fn bounded<T>(rows: Vec<T>, most: u64, what: &str) -> Result<Vec<T>> {
    if rows.len() as u64 > most {
        let message =
            format!("the workspace has more than {most} {what}: too many for files; use the API");
        return Err(Error::conflict("TOO_MANY", message));
    }
    Ok(rows)
}
