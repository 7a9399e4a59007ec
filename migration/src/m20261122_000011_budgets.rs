//! Budgets by day and month, and what is reserved of them before a model is called.

use crate::sql::migration;

migration! { up: [BUDGETS], down: Some(UNDO) }

// Only calls that cost money are in the indexes: a ledger without prices pays nothing for them.
const BUDGETS: &str = r#"
ALTER TABLE run ADD COLUMN estimated_nano BIGINT NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN reserved_nano BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_ledger ADD COLUMN reserved_nano BIGINT;
CREATE INDEX usage_ledger_coworker_money ON usage_ledger (coworker_id, at) WHERE cost_nano IS NOT NULL OR reserved_nano IS NOT NULL;
CREATE INDEX run_under_way ON run (workspace_id, coworker_id) WHERE status = 'RUNNING';
ALTER TABLE coworker ADD COLUMN daily_budget_nano BIGINT;
ALTER TABLE coworker ADD COLUMN monthly_budget_nano BIGINT;
ALTER TABLE workspace ADD COLUMN daily_budget_nano BIGINT;
ALTER TABLE workspace ADD COLUMN monthly_budget_nano BIGINT;
CREATE TABLE budget_account (
    scope_id UUID NOT NULL,
    period TEXT NOT NULL,
    workspace_id UUID NOT NULL REFERENCES workspace (id),
    starts_at BIGINT NOT NULL,
    exhausted BIGINT,
    PRIMARY KEY (scope_id, period)
);
CREATE TABLE budget_slice (
    scope_id UUID NOT NULL,
    period TEXT NOT NULL,
    worker_id UUID NOT NULL,
    free_nano BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    PRIMARY KEY (scope_id, period, worker_id)
);
"#;

const UNDO: &str = r#"
DROP TABLE budget_slice;
DROP TABLE budget_account;
ALTER TABLE workspace DROP COLUMN monthly_budget_nano;
ALTER TABLE workspace DROP COLUMN daily_budget_nano;
ALTER TABLE coworker DROP COLUMN monthly_budget_nano;
ALTER TABLE coworker DROP COLUMN daily_budget_nano;
DROP INDEX run_under_way;
DROP INDEX usage_ledger_coworker_money;
ALTER TABLE usage_ledger DROP COLUMN reserved_nano;
ALTER TABLE run DROP COLUMN reserved_nano;
ALTER TABLE run DROP COLUMN estimated_nano;
"#;
