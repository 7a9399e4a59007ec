//! The rows themselves: model calls and ended runs that no rollup holds yet, or that lie at the rim of a span.

use std::collections::{HashMap, HashSet};

use entity::{
    CoworkerId, Millis, ModelPriceId, Outcome, RequestSource, RunId, RunStatus, Trigger,
    WorkspaceId, model_price, request, run, usage_ledger,
};
use sea_orm::sea_query::{Expr, ExprTrait as _, IntoCondition as _, Order, SelectStatement};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, JoinType,
    QueryFilter, QueryOrder as _, QuerySelect, QueryTrait as _, RelationDef, Select,
};

use super::group::{Dimension, Group};
use crate::error::Result;
use crate::price::{self, Rates};

/// A run that ended, as its own row tells.
#[derive(Clone, Debug, FromQueryResult)]
pub struct Done {
    /// The run.
    pub id: RunId,
    /// The coworker.
    pub coworker_id: CoworkerId,
    /// The model.
    pub model: String,
    /// What started it.
    pub trigger: Trigger,
    /// How it ended; none: it failed.
    pub outcome: Option<Outcome>,
    /// Whether it completed or failed.
    pub status: RunStatus,
    /// When it started.
    pub started_at: Millis,
    /// When it ended.
    pub ended_at: Millis,
    /// Model turns.
    pub turn_count: i32,
    /// Tool calls.
    pub tool_call_count: i32,
}

/// A run that ended.
#[derive(Clone, Debug, FromQueryResult)]
pub struct Ended {
    /// Its own row.
    #[sea_orm(nested)]
    pub run: Done,
    /// Where the request came from.
    pub source: RequestSource,
}

/// A model call.
#[derive(Clone, Debug, FromQueryResult)]
pub struct Called {
    /// The ledger's row.
    #[sea_orm(nested)]
    pub call: usage_ledger::Model,
    /// Where the request came from.
    pub source: RequestSource,
    /// What started the run.
    pub trigger: Trigger,
    /// How the run ended; none: it goes on, or failed.
    pub outcome: Option<Outcome>,
}

impl Ended {
    /// The group that it is counted in.
    pub(super) fn group(&self, by: &[Dimension]) -> Group {
        let Self { run, source } = self;
        let group = Group::of_call(by, run.coworker_id, &run.model);
        group.with(by, *source, run.trigger, run.outcome)
    }
}

impl Called {
    /// The group that it is counted in.
    pub(super) fn group(&self, by: &[Dimension]) -> Group {
        let group = Group::of_call(by, self.call.coworker_id, &self.call.model);
        group.with(by, self.source, self.trigger, self.outcome)
    }
}

/// The ended runs of a workspace, to be filtered further.
pub fn ended(workspace: WorkspaceId) -> Select<run::Entity> {
    done(workspace)
        .column(request::Column::Source)
        .join(JoinType::InnerJoin, of_request())
}

/// As [`ended`], without their requests.
pub fn done(workspace: WorkspaceId) -> Select<run::Entity> {
    run::Entity::find()
        .select_only()
        .columns([
            run::Column::Id,
            run::Column::CoworkerId,
            run::Column::Model,
            run::Column::Trigger,
            run::Column::Outcome,
            run::Column::Status,
            run::Column::StartedAt,
            run::Column::EndedAt,
            run::Column::TurnCount,
            run::Column::ToolCallCount,
        ])
        .filter(run::Column::WorkspaceId.eq(workspace))
        .filter(run::Column::EndedAt.is_not_null())
}

/// Model calls, to be filtered further.
pub fn called() -> Select<usage_ledger::Entity> {
    let of_run = usage_ledger::Entity::belongs_to(run::Entity)
        .from(usage_ledger::Column::RunId)
        .to(run::Column::Id);
    usage_ledger::Entity::find()
        .join(JoinType::InnerJoin, of_run.into())
        .join(JoinType::InnerJoin, of_request())
        .columns([run::Column::Trigger, run::Column::Outcome])
        .column(request::Column::Source)
}

fn of_request() -> RelationDef {
    run::Entity::belongs_to(request::Entity)
        .from(run::Column::RequestId)
        .to(request::Column::Id)
        .into()
}

/// Those that no rollup holds: as SQL has it in the indexes of such rows, not as a value that is bound.
pub fn of_ledger() -> Condition {
    Expr::cust("NOT usage_ledger.rolled_up").into_condition()
}

/// See [`of_ledger`].
pub fn of_runs() -> Condition {
    Expr::cust("NOT run.rolled_up").into_condition()
}

/// When rows happened that no rollup holds: as the index of such rows has it and no other, on PostgreSQL. It would else go through
/// all that happened, most of it folded.
pub fn fresh_at(backend: DbBackend, at: impl ColumnTrait) -> Expr {
    let at = at.into_expr();
    match backend {
        DbBackend::Sqlite => at,
        _ => at.add(Expr::cust("0")),
    }
}

/// The ended runs of a workspace that no rollup holds, the oldest first.
pub fn oldest(backend: DbBackend, workspace: WorkspaceId) -> Select<run::Entity> {
    let oldest = ended(workspace).filter(of_runs());
    oldest.order_by(fresh_at(backend, run::Column::EndedAt), Order::Asc)
}

/// When the oldest run of a workspace ended that no rollup holds: nothing else is read to tell that there is none.
pub fn oldest_run(backend: DbBackend, workspace: WorkspaceId) -> SelectStatement {
    let ends = run::Entity::find().select_only();
    ends.column(run::Column::EndedAt)
        .filter(run::Column::WorkspaceId.eq(workspace))
        .filter(run::Column::EndedAt.is_not_null())
        .filter(of_runs())
        .order_by(fresh_at(backend, run::Column::EndedAt), Order::Asc)
        .limit(1)
        .into_query()
}

/// As [`oldest_run`], of calls.
pub fn oldest_call(backend: DbBackend, workspace: WorkspaceId) -> SelectStatement {
    let calls = usage_ledger::Entity::find().select_only();
    calls
        .column(usage_ledger::Column::At)
        .filter(usage_ledger::Column::WorkspaceId.eq(workspace))
        .filter(of_ledger())
        .order_by(fresh_at(backend, usage_ledger::Column::At), Order::Asc)
        .limit(1)
        .into_query()
}

/// Whether any call or run of a workspace may have ended at a moment or later.
pub fn is_any_since(backend: DbBackend, workspace: WorkspaceId, at: Millis) -> Expr {
    let calls = usage_ledger::Entity::find()
        .filter(usage_ledger::Column::WorkspaceId.eq(workspace))
        .filter(usage_ledger::Column::At.gte(at));
    let runs = run::Entity::find().filter(run::Column::EndedAt.gte(at));
    let runs = match backend {
        DbBackend::Sqlite => runs.filter(run::Column::WorkspaceId.eq(workspace)),
        // Of any workspace: ended runs are in the order of time there, and most often there is none.
        _ => runs,
    };
    let one = |mut rows: SelectStatement| {
        Expr::exists(rows.clear_selects().expr(Expr::val(1)).to_owned())
    };
    one(calls.into_query()).or(one(runs.into_query()))
}

/// What calls were priced at.
#[derive(Default)]
pub struct CallRates {
    /// The workspaces' own; those that Stint ships are always known.
    own: HashMap<ModelPriceId, Rates>,
}

impl CallRates {
    /// Those of some calls.
    ///
    /// # Errors
    /// What the database said.
    pub async fn of_calls<C: ConnectionTrait>(
        conn: &C,
        calls: impl IntoIterator<Item = &usage_ledger::Model>,
    ) -> Result<Self> {
        let ids = calls.into_iter().filter_map(|call| call.price_id);
        Self::of(conn, ids.collect()).await
    }

    /// Those of calls that are yet to be read.
    ///
    /// # Errors
    /// What the database said.
    pub async fn of_selected<C: ConnectionTrait>(
        conn: &C,
        calls: &Select<usage_ledger::Entity>,
    ) -> Result<Self> {
        use usage_ledger::Column::PriceId;
        let ids = calls.clone().filter(PriceId.is_not_null());
        let ids = ids.select_only().column(PriceId).distinct();
        let ids: Vec<ModelPriceId> = ids.into_tuple().all(conn).await?;
        Self::of(conn, ids.into_iter().collect()).await
    }

    async fn of<C: ConnectionTrait>(conn: &C, mut ids: HashSet<ModelPriceId>) -> Result<Self> {
        ids.retain(|id| price::by_id(*id).is_none());
        if ids.is_empty() {
            return Ok(Self::default());
        }
        let rows = model_price::Entity::find().filter(model_price::Column::Id.is_in(ids));
        let rows = rows.all(conn).await?;
        Ok(Self {
            own: rows.iter().map(|row| (row.id, Rates::from(row))).collect(),
        })
    }

    /// What a call was priced at; none: it had no price.
    pub fn rates(&self, call: &usage_ledger::Model) -> Option<Rates> {
        let id = call.price_id?;
        let own = self.own.get(&id).copied();
        own.or_else(|| price::by_id(id).map(Rates::from))
    }
}
