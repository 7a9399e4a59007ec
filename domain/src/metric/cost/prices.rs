//! The ledger's rows that share a price, and what they come to, line by line.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use entity::{Millis, ModelPriceId, WorkspaceId, model_price, usage_ledger};
use sea_orm::sea_query::{Expr, ExprTrait, SelectStatement};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter};

use super::{Cost, CostLine, LinePrice, Pricing, TokenKind};
use crate::error::Result;
use crate::metric::query::whole;
use crate::price::{self, Rates, Table, own_prices};

/// The sums of calls that share a price.
#[derive(Debug, FromQueryResult)]
pub(super) struct Group {
    model: String,
    service_tier: String,
    price_id: Option<ModelPriceId>,
    known: bool,
    /// Whether the calls were recorded with a cost.
    priced: bool,
    /// Of the lengths of prompt at which prices of this moment change, the one that the calls are past.
    past: i64,
    calls: i64,
    input: i64,
    cache_read: i64,
    cache_write_short: i64,
    cache_write_long: i64,
    output: i64,
    cost: i64,
}

/// The prices that costs are calculated with.
pub(super) struct Prices {
    workspace: WorkspaceId,
    /// The workspace's own, and the moment; none: each call's own.
    current: Option<(Table, Millis)>,
    /// The lengths of prompt at which one of them changes, longest first.
    lengths: Vec<i64>,
}

impl Prices {
    pub async fn of<C: ConnectionTrait>(
        db: &C,
        workspace: WorkspaceId,
        pricing: Pricing,
    ) -> Result<Self> {
        let current = match pricing {
            Pricing::AtRun => None,
            Pricing::Current(now) => Some((own_prices(db, workspace).await?, now)),
        };
        let lengths = current.as_ref().map(|(own, now)| lengths(own, *now));
        Ok(Self {
            workspace,
            current,
            lengths: lengths.unwrap_or_default(),
        })
    }

    /// Makes a statement over rows of the ledger sum up those that share a price, as [`Group`] reads them.
    pub fn sum_up(&self, select: &mut SelectStatement) {
        use usage_ledger::Column as L;
        let summed = |column: L| whole(column.into_expr().sum());
        for (column, name) in [
            (L::Model.into_expr(), "model"),
            (L::ServiceTier.into_expr(), "service_tier"),
            (L::PriceId.into_expr(), "price_id"),
            (L::Known.into_expr(), "known"),
            (L::CostNano.into_expr().is_not_null(), "priced"),
            (past(&self.lengths), "past"),
        ] {
            select.expr_as(column.clone(), name).add_group_by([column]);
        }
        select
            .expr_as(L::Seq.into_expr().count(), "calls")
            .expr_as(summed(L::InputTokens), "input")
            .expr_as(summed(L::CacheReadTokens), "cache_read")
            .expr_as(summed(L::CacheWriteShortTokens), "cache_write_short")
            .expr_as(summed(L::CacheWriteLongTokens), "cache_write_long")
            .expr_as(summed(L::OutputTokens), "output")
            .expr_as(summed(L::CostNano), "cost")
            .order_by_expr(L::Model.into_expr(), sea_orm::Order::Asc);
    }

    /// What such sums cost, those of one key together.
    pub async fn add_up<C: ConnectionTrait, K: Ord>(
        &self,
        db: &C,
        groups: Vec<(K, Group)>,
    ) -> Result<BTreeMap<K, Cost>> {
        let recorded = match self.current {
            None => self.recorded(db, &groups).await?,
            Some(_) => HashMap::new(),
        };
        let mut costs: BTreeMap<K, Cost> = BTreeMap::new();
        for (key, group) in groups {
            let row = match &self.current {
                None => group.price_id.filter(|_| group.priced).and_then(|id| {
                    let row = recorded.get(&id).or_else(|| price::by_id(id));
                    row.cloned()
                }),
                Some((own, now)) => {
                    let card = price::price_of(own, &group.model, &group.service_tier, *now);
                    card.and_then(|card| card.row(group.past + 1).cloned())
                }
            };
            let recorded = self.current.is_none().then_some(group.cost);
            costs.entry(key).or_default().add(&group, row, recorded);
        }
        Ok(costs)
    }

    /// The workspace's own prices at which calls were recorded.
    async fn recorded<C: ConnectionTrait, K>(
        &self,
        db: &C,
        groups: &[(K, Group)],
    ) -> Result<HashMap<ModelPriceId, model_price::Model>> {
        let ids: BTreeSet<_> = groups
            .iter()
            .filter_map(|(_, group)| group.price_id)
            .collect();
        let rows = model_price::Entity::find()
            .filter(model_price::Column::WorkspaceId.eq(self.workspace))
            .filter(model_price::Column::Id.is_in(ids))
            .all(db)
            .await?;
        Ok(rows.into_iter().map(|row| (row.id, row)).collect())
    }
}

/// The lengths of prompt at which a price in force changes, longest first.
fn lengths(own: &Table, now: Millis) -> Vec<i64> {
    let rows = own.rows().iter().chain(price::shipped().rows());
    let tiers = rows.filter(|row| row.effective_from <= now && row.prompt_over > 0);
    let lengths: BTreeSet<i64> = tiers.map(|row| row.prompt_over).collect();
    lengths.into_iter().rev().collect()
}

/// Of these lengths, longest first, the one that a call's prompt is past; 0 if it is past none.
fn past(lengths: &[i64]) -> Expr {
    // Numbers as literals: what is grouped by must be the same text as what is selected.
    let prompt = "(usage_ledger.input_tokens + usage_ledger.cache_read_tokens \
                  + usage_ledger.cache_write_short_tokens + usage_ledger.cache_write_long_tokens)";
    let cases = lengths
        .iter()
        .map(|length| format!("WHEN {prompt} > {length} THEN {length} "));
    let cases: String = cases.collect();
    Expr::cust(match lengths {
        [] => "CAST(0 AS BIGINT)".to_owned(),
        _ => format!("CAST(CASE {cases}ELSE 0 END AS BIGINT)"),
    })
}

impl Cost {
    /// Adds what calls that share a price cost: `recorded`, or what its lines come to.
    fn add(&mut self, group: &Group, row: Option<model_price::Model>, recorded: Option<i64>) {
        if !group.known {
            self.unknown_calls += group.calls;
            return;
        }
        let rates = row.as_ref().map(Rates::from);
        let kinds = [
            (
                TokenKind::Input,
                group.input,
                rates.map(|rates| rates.input),
            ),
            (
                TokenKind::CacheRead,
                group.cache_read,
                rates.and_then(|rates| rates.cache_read),
            ),
            (
                TokenKind::CacheWriteShort,
                group.cache_write_short,
                rates.and_then(|rates| rates.cache_write_short),
            ),
            (
                TokenKind::CacheWriteLong,
                group.cache_write_long,
                rates.and_then(|rates| rates.cache_write_long),
            ),
            (
                TokenKind::Output,
                group.output,
                rates.map(|rates| rates.output),
            ),
        ];
        let used = || kinds.iter().filter(|(_, tokens, _)| *tokens != 0);
        // One kind without a rate, and nobody knows what the calls cost.
        let row = row.filter(|_| used().all(|(.., unit)| unit.is_some()));
        let mut sum = 0;
        for (kind, tokens, unit) in used().copied() {
            let price = row.as_ref().zip(unit).map(|(row, unit)| {
                let amount = price::line(tokens, unit);
                sum += amount;
                LinePrice {
                    unit,
                    effective_from: row.effective_from,
                    amount,
                }
            });
            self.lines.push(CostLine {
                model: group.model.clone(),
                kind,
                tokens,
                price,
            });
        }
        match row {
            Some(_) => self.amount += recorded.unwrap_or(sum),
            None => self.unpriced_calls += group.calls,
        }
    }
}
