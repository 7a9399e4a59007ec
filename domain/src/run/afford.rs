//! Whether a run may start as far as money goes.

use std::collections::HashSet;

use entity::{DropReason, coworker, dispatch, workspace};

use crate::access::Actor;
use crate::budget::{self, Key, Scope};
use crate::bus::Signal;
use crate::coworker::Config;
use crate::error::Result;
use crate::price::{STANDARD, Table, own_prices, price_of};
use crate::request::desk::Desk;
use crate::request::dropped::{drop_dispatch, see_to};
use crate::request::route::Anew;
use crate::store::Tx;

/// Whether runs of a workspace may start as far as money goes. Where no money is limited, nothing is asked.
pub(super) struct Affords<'a> {
    workspace: &'a workspace::Model,
    exhausted: HashSet<Key>,
    /// Read at the first need.
    prices: Option<Table>,
}

impl<'a> Affords<'a> {
    /// Reads once which budgets are used up of those that the claimed dispatches may need.
    pub(super) async fn read(
        tx: &Tx,
        workspace: &'a workspace::Model,
        coworkers: impl Iterator<Item = &coworker::Model>,
    ) -> Result<Self> {
        let keys: HashSet<Key> = coworkers
            .flat_map(|coworker| budgets(coworker, workspace))
            .collect();
        let keys: Vec<Key> = keys.into_iter().collect();
        let exhausted = if keys.is_empty() {
            HashSet::new()
        } else {
            budget::exhausted(tx, &keys, tx.now().await?).await?
        };
        Ok(Self {
            workspace,
            exhausted,
            prices: None,
        })
    }

    /// Why a run may not start.
    pub(super) async fn refusal(
        &mut self,
        tx: &Tx,
        coworker: &coworker::Model,
        config: &Config,
    ) -> Result<Option<DropReason>> {
        let workspace = self.workspace;
        let mut keys = budgets(coworker, workspace).peekable();
        if keys.peek().is_none() && !config.limits_money() {
            return Ok(None);
        }
        let prices = match &self.prices {
            Some(prices) => prices,
            None => self
                .prices
                .insert(own_prices(tx.conn(), workspace.id).await?),
        };
        if price_of(prices, &config.model.name(), STANDARD, tx.at()).is_none() {
            return Ok(Some(DropReason::UnpricedModel));
        }
        let exhausted = keys.any(|key| self.exhausted.contains(&key));
        Ok(exhausted.then_some(DropReason::BudgetExhausted))
    }
}

/// The budgets that apply to a coworker's runs.
fn budgets(
    coworker: &coworker::Model,
    workspace: &workspace::Model,
) -> impl Iterator<Item = Key> + use<> {
    let own = Key::limited(
        Scope::Coworker(coworker.id),
        coworker.daily_budget_nano,
        coworker.monthly_budget_nano,
    );
    let all = Key::limited(
        Scope::Workspace(workspace.id),
        workspace.daily_budget_nano,
        workspace.monthly_budget_nano,
    );
    own.chain(all).map(|(key, _)| key)
}

/// Drops a dispatch for which there is no money, and sees to its request.
pub(super) async fn drop_unaffordable(
    tx: &Tx,
    desk: &mut Desk,
    row: &dispatch::Model,
    reason: DropReason,
    anew: &Anew<'_>,
) -> Result<()> {
    let stint = Actor::stint(row.workspace_id);
    drop_dispatch(tx, desk, &stint, row.id, reason).await?;
    // Its place in the round was taken by nothing: there may be more behind it.
    tx.signal(Signal::Work);
    see_to(tx, desk, row, reason, None, anew).await
}
