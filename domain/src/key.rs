//! Workspaces, people and API keys.
//!
//! A key reads `stint_<id>_<secret>`: the id finds the row, the secret is 256 random bits of which
//! only the SHA-256 is stored. Random bits need no slow hash.

pub mod query;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entity::{
    ActorKind, ApiKeyId, Millis, PersonId, Role, WorkspaceId, api_key, person, workspace,
};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, Select};
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::access::{Action, Actor, Principal, Standing};
use crate::clock::{fresh_id, random_id};
use crate::error::{Error, Result};
use crate::idempotency::once;
use crate::secret::is_same;
use crate::store::{Command, Needs, Store, Tx, insert_all};
use crate::text::check_text;

/// Runs on one request that may follow each other without a person.
const HOP_BUDGET: i32 = 12;

/// The text of a key, shown once.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText(String);

impl KeyText {
    /// The text that goes into `Authorization: Bearer`.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for KeyText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyText(…)")
    }
}

/// Finds out who holds a key.
///
/// # Errors
/// [`Error::Forbidden`] for a key that is malformed, unknown, expired or revoked: callers learn no
/// more than that. [`Error::Unavailable`] if the database does not answer.
pub async fn authenticate(store: &Store, text: &str) -> Result<(api_key::Model, Actor)> {
    let refused = || Error::Forbidden {
        message: "the API key is not valid".into(),
    };
    let (id, secret) = parse(text).ok_or_else(refused)?;
    let row = api_key::Entity::find_by_id(id)
        .one(store.read())
        .await?
        .ok_or_else(refused)?;
    let same = is_same(&Sha256::digest(secret), &row.secret_hash);
    if !same || !is_valid(&row, store.now()) {
        return Err(refused());
    }
    let actor = actor(&row);
    Ok((row, actor))
}

/// Whether a key is neither revoked nor expired.
pub fn is_valid(key: &api_key::Model, now: Millis) -> bool {
    key.revoked_at.is_none() && key.expires_at.is_none_or(|end| now < end)
}

/// Who acts with this key.
pub fn actor(key: &api_key::Model) -> Actor {
    let principal = match (key.principal_kind, key.person_id) {
        (ActorKind::Person, Some(person)) => Principal::Person(person),
        (ActorKind::Workflow, _) => Principal::Workflow(key.id),
        (ActorKind::System | ActorKind::Coworker | ActorKind::Person, _) => {
            Principal::System(key.id)
        }
    };
    Actor {
        workspace: key.workspace_id,
        principal,
        standing: Standing::Role(key.role),
    }
}

fn parse(text: &str) -> Option<(ApiKeyId, Vec<u8>)> {
    let (id, secret) = text.strip_prefix("stint_")?.split_at_checked(32)?;
    let id = Uuid::try_parse(id).ok()?;
    let secret = URL_SAFE_NO_PAD.decode(secret.strip_prefix('_')?).ok()?;
    (secret.len() == 32).then_some((ApiKeyId(id), secret))
}

/// 32 random bytes, from two random UUIDs: 244 bits of them are random.
fn random_bytes() -> Vec<u8> {
    let seed = [
        random_id().into_bytes(),
        random_id().into_bytes(),
        random_id().into_bytes(),
    ]
    .concat();
    Sha256::digest(seed).to_vec()
}

/// For whom a new key acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A new person of this name.
    NewPerson(String),
    /// A person who is there already.
    Person(PersonId),
    /// A workflow of this name.
    Workflow(String),
    /// An outside system of this name.
    System(String),
}

/// Makes an API key.
#[derive(Clone, Debug)]
pub struct CreateKey {
    /// Who asks.
    pub actor: Actor,
    /// What it is called in lists, 1 to 100 characters.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// For whom it acts.
    pub holder: Holder,
    /// When it ends by itself.
    pub expires: Option<Expiry>,
    /// The caller's key.
    pub idempotency_key: Option<String>,
}

/// When a key ends. Kept as it was asked for: the same call a moment later is the same call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Expiry {
    /// At this moment.
    At(Millis),
    /// This many milliseconds after the key was made.
    After(i64),
}

impl Command for CreateKey {
    /// The row, and the text; none if an earlier call with the same idempotency key showed it.
    type Output = (api_key::Model, Option<KeyText>);

    async fn run(&self, tx: &Tx) -> Result<Self::Output> {
        let Self {
            actor,
            name,
            role,
            holder,
            expires,
            idempotency_key,
        } = self;
        actor.authorize(Action::KeyManage)?;
        check_text("name", name, 100)?;
        let now = tx.at();
        let expires_at = expires.map(|expiry| match expiry {
            Expiry::At(at) => at,
            Expiry::After(ms) => now.plus(ms),
        });
        if expires_at.is_some_and(|end| end <= now) {
            return Err(Error::invalid(
                "expiresAt",
                "INVALID",
                "expiresAt lies in the past; name a later moment",
            ));
        }
        let input = (name, role, format!("{holder:?}"), expires);
        let once = once(
            tx,
            actor,
            "apiKeyCreate",
            idempotency_key.as_deref(),
            &input,
        )
        .await?;
        if let Some(made) = once.made() {
            let row = api_key::Entity::find_by_id(ApiKeyId(made))
                .one(tx.conn())
                .await?;
            return Ok((row.ok_or(Error::NotFound { what: "ApiKey" })?, None));
        }
        let (principal_kind, person_id) = match holder {
            Holder::NewPerson(name) => (
                ActorKind::Person,
                Some(add_person(tx, actor.workspace, name).await?),
            ),
            Holder::Person(id) => {
                let found = person::Entity::find_by_id(*id)
                    .filter(person::Column::WorkspaceId.eq(actor.workspace));
                found
                    .one(tx.conn())
                    .await?
                    .ok_or(Error::NotFound { what: "Person" })?;
                (ActorKind::Person, Some(*id))
            }
            Holder::Workflow(_) => (ActorKind::Workflow, None),
            Holder::System(_) => (ActorKind::System, None),
        };
        let secret = random_bytes();
        let row = api_key::Model {
            id: ApiKeyId(random_id()),
            workspace_id: actor.workspace,
            name: name.trim().to_owned(),
            role: *role,
            principal_kind,
            person_id,
            secret_hash: Sha256::digest(&secret).to_vec(),
            created_at: now,
            expires_at,
            revoked_at: None,
        };
        insert_all(tx.writing().await?, vec![row.clone()], None).await?;
        once.remember(tx, row.id.0).await?;
        let text = format!(
            "stint_{}_{}",
            row.id.0.simple(),
            URL_SAFE_NO_PAD.encode(secret)
        );
        Ok((row, Some(KeyText(text))))
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}

async fn add_person(tx: &Tx, workspace_id: WorkspaceId, name: &str) -> Result<PersonId> {
    check_text("name", name, 100)?;
    let row = person::Model {
        id: PersonId(fresh_id()),
        workspace_id,
        name: name.trim().to_owned(),
        created_at: tx.at(),
    };
    insert_all(tx.writing().await?, vec![row.clone()], None).await?;
    Ok(row.id)
}

/// Revokes a key for good.
#[derive(Clone, Debug)]
pub struct RevokeKey {
    /// Who asks.
    pub actor: Actor,
    /// The key.
    pub key: ApiKeyId,
}

impl Command for RevokeKey {
    type Output = api_key::Model;

    async fn run(&self, tx: &Tx) -> Result<api_key::Model> {
        self.actor.authorize(Action::KeyManage)?;
        let sql = "UPDATE api_key SET revoked_at = ? WHERE id = ? AND workspace_id = ? AND revoked_at IS NULL";
        let values = [tx.at().into(), self.key.into(), self.actor.workspace.into()];
        tx.writing().await?.execute_raw(tx.sql(sql, values)).await?;
        let found = visible(&self.actor)
            .filter(api_key::Column::Id.eq(self.key))
            .one(tx.conn())
            .await?;
        found.ok_or(Error::NotFound { what: "ApiKey" })
    }

    fn repeatable(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}

/// The keys that the actor may see, newest first.
pub fn visible(actor: &Actor) -> Select<api_key::Entity> {
    let keys = api_key::Entity::find()
        .filter(api_key::Column::WorkspaceId.eq(actor.workspace))
        .order_by_desc(api_key::Column::CreatedAt);
    if actor.may(Action::KeyManage) {
        keys
    } else {
        keys.filter(crate::request::query::nothing())
    }
}

/// Finds the workspace of this name, or makes it.
#[derive(Clone, Debug)]
pub struct EnsureWorkspace {
    /// Its name, 1 to 100 characters.
    pub name: String,
}

impl Command for EnsureWorkspace {
    /// The workspace, and whether it was made.
    type Output = (workspace::Model, bool);

    async fn run(&self, tx: &Tx) -> Result<Self::Output> {
        check_text("workspace", &self.name, 100)?;
        let found = workspace::Entity::find()
            .filter(workspace::Column::Name.eq(&self.name))
            .one(tx.conn())
            .await?;
        if let Some(found) = found {
            return Ok((found, false));
        }
        let row = workspace::Model {
            id: WorkspaceId(fresh_id()),
            name: self.name.clone(),
            last_run_number: 0,
            last_started_at: Millis(0),
            last_request_number: 0,
            hop_budget: HOP_BUDGET,
            escalation_kind: None,
            escalation_id: None,
            daily_budget_nano: None,
            monthly_budget_nano: None,
            cursor_key: random_bytes(),
            created_at: tx.at(),
        };
        insert_all(tx.writing().await?, vec![row.clone()], None).await?;
        Ok((row, true))
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}

/// How many workspaces there are: none before the first start.
///
/// # Errors
/// What the database said.
pub async fn workspaces<C: ConnectionTrait>(conn: &C) -> Result<u64> {
    use sea_orm::PaginatorTrait;
    Ok(workspace::Entity::find().count(conn).await?)
}
