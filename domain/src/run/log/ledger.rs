//! What a log says of the calls of models: the rows of the ledger.

use entity::{run, run_event, usage_ledger};

use super::Log;
use crate::error::{Error, Result};
use crate::model::Usage;
use crate::model::tokens::Components;
use crate::price;
use crate::run::envelope;
use crate::run::event::Event;
use crate::run::state::Open;

impl Log {
    /// The ledger as the log's rows say it, from the first on.
    ///
    /// # Errors
    /// [`Error::Internal`] for a line that can't be read.
    pub(in crate::run) fn ledger(
        run: run::Model,
        rows: &[run_event::Model],
    ) -> Result<Vec<usage_ledger::Model>> {
        let (mut log, mut ledger) = (Self::empty(run, None), Vec::new());
        for row in rows {
            let event = envelope::event(row).map_err(Error::internal)?;
            ledger.extend(log.ledger_row(row, &event));
            log.fold(row, &event);
        }
        Ok(ledger)
    }

    /// The ledger's row of an event that is not folded in yet.
    pub(super) fn ledger_row(
        &self,
        row: &run_event::Model,
        event: &Event,
    ) -> Option<usage_ledger::Model> {
        let (model, usage, price_id, cost_nano, reserved_nano, tier) = match event {
            Event::ModelCompleted(e) => {
                let tier = e.service_tier.as_ref();
                (&e.model, e.usage, e.price, e.cost_nano, e.reservation, tier)
            }
            Event::ModelFailed(e) => (&e.model, e.usage, e.price, e.cost_nano, e.reservation, None),
            _ => return None,
        };
        let Usage {
            input,
            cache_read,
            cache_write_short,
            cache_write_long,
            output,
            reasoning,
        } = usage.unwrap_or_default();
        let components = match (&self.state.open, usage) {
            (Some(Open::Model(asked)), Some(usage)) => asked.estimate.scaled(usage.total_input()),
            _ => Components::default(),
        };
        Some(usage_ledger::Model {
            run_id: row.run_id,
            seq: row.seq,
            workspace_id: self.run.workspace_id,
            coworker_id: self.run.coworker_id,
            model: model.clone(),
            service_tier: price::service_tier(tier.map(String::as_str)).into(),
            at: row.at,
            known: usage.is_some(),
            input_tokens: input,
            cache_read_tokens: cache_read,
            cache_write_short_tokens: cache_write_short,
            cache_write_long_tokens: cache_write_long,
            output_tokens: output,
            reasoning_tokens: reasoning,
            price_id,
            cost_nano,
            reserved_nano,
            // A map of texts and numbers always has a JSON form.
            components: serde_json::to_string(&components).unwrap_or_default(),
            rolled_up: false,
        })
    }
}
