//! Slices of budgets know which take wrote them; what is recorded of a budget is read from the rollups.

use crate::sql::migration;

migration! { up: [SLICES], down: Some(UNDO) }

// Sums over a budget's period read rollups and the few calls that those do not hold yet: no call pays any more for an
// index of its money.
const SLICES: &str = r#"
ALTER TABLE budget_slice ADD COLUMN seq BIGINT NOT NULL DEFAULT 0;
DROP INDEX usage_ledger_coworker_money;
"#;

const UNDO: &str = r#"
CREATE INDEX usage_ledger_coworker_money ON usage_ledger (coworker_id, at) WHERE cost_nano IS NOT NULL OR reserved_nano IS NOT NULL;
ALTER TABLE budget_slice DROP COLUMN seq;
"#;
