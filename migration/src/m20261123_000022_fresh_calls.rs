//! Model calls that are to be folded, on PostgreSQL.

use crate::sql::migration;

migration! { up: [FRESH], down: Some(UNDO) }

// As those of ended runs: an order by `at + 0` has no other index, whatever the planner holds for cheap. It would go through all
// calls by their time, most of which are folded.
//
// Made before the old one goes: a node of an earlier release can read meanwhile.
const FRESH: &str = r#"
postgres:CREATE INDEX usage_ledger_folds ON usage_ledger (workspace_id, (at + 0)) WHERE NOT rolled_up;
postgres:DROP INDEX usage_ledger_fresh;
postgres:ALTER INDEX usage_ledger_folds RENAME TO usage_ledger_fresh;
"#;

const UNDO: &str = r#"
postgres:DROP INDEX usage_ledger_fresh;
postgres:CREATE INDEX usage_ledger_fresh ON usage_ledger (workspace_id, at) WHERE NOT rolled_up;
"#;
