//! Days made anew, with weeks, and by the rules of which release; ended runs that are to be folded, on PostgreSQL.

use crate::sql::migration;

migration! { up: [WEEKS], down: Some(UNDO) }

// No release: days that there are have no weeks beside them, and are not used until they are made anew.
//
// The index's expression: an order by `ended_at + 0` has no other index, whatever the planner holds for cheap. It would go
// through ended runs by their time, most of which are folded.
const WEEKS: &str = r#"
ALTER TABLE rollup_state ADD COLUMN zone_release TEXT NOT NULL DEFAULT '';
postgres:DROP INDEX run_fresh;
postgres:CREATE INDEX run_fresh ON run (workspace_id, (ended_at + 0)) WHERE ended_at IS NOT NULL AND NOT rolled_up;
"#;

const UNDO: &str = r#"
postgres:DROP INDEX run_fresh;
postgres:CREATE INDEX run_fresh ON run (workspace_id, ended_at) WHERE ended_at IS NOT NULL AND NOT rolled_up;
DELETE FROM usage_rollup WHERE grain = 'WEEK';
ALTER TABLE rollup_state DROP COLUMN zone_release;
"#;
