//! Rollups of what was used and what it cost, and how far they are.

use crate::sql::migration;

migration! { up: [ROLLUPS], down: Some(UNDO) }

// The ledger's index by time holds every row: a span may begin and end within a quarter of an hour.
const ROLLUPS: &str = r#"
CREATE TABLE usage_rollup (
    workspace_id UUID NOT NULL,
    cube TEXT NOT NULL,
    grain TEXT NOT NULL,
    generation BIGINT NOT NULL,
    bucket BIGINT NOT NULL,
    coworker_id UUID NOT NULL,
    model TEXT NOT NULL,
    source TEXT NOT NULL,
    "trigger" TEXT NOT NULL,
    outcome TEXT NOT NULL,
    runs BIGINT NOT NULL,
    completed BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    turns BIGINT NOT NULL,
    tool_calls BIGINT NOT NULL,
    calls BIGINT NOT NULL,
    unpriced_calls BIGINT NOT NULL,
    unknown_calls BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    cost_nano BIGINT NOT NULL,
    cost_input_nano BIGINT NOT NULL,
    cost_cache_read_nano BIGINT NOT NULL,
    cost_cache_write_nano BIGINT NOT NULL,
    estimated_nano BIGINT NOT NULL,
    part_identity BIGINT NOT NULL,
    part_soul BIGINT NOT NULL,
    part_goal BIGINT NOT NULL,
    part_instructions BIGINT NOT NULL,
    part_skills BIGINT NOT NULL,
    part_tools BIGINT NOT NULL,
    part_request BIGINT NOT NULL,
    part_notes BIGINT NOT NULL,
    part_history BIGINT NOT NULL,
    part_results BIGINT NOT NULL,
    durations BYTES,
    PRIMARY KEY (workspace_id, cube, grain, generation, bucket, coworker_id, model, source, "trigger", outcome)
sqlite:) WITHOUT ROWID;
postgres:);
CREATE TABLE rollup_state (
    workspace_id UUID PRIMARY KEY NOT NULL REFERENCES workspace (id),
    zone TEXT NOT NULL,
    generation BIGINT NOT NULL,
    days_from BIGINT NOT NULL,
    hours_until BIGINT NOT NULL
);
ALTER TABLE run ADD COLUMN rolled_up BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX run_fresh ON run (workspace_id, ended_at) WHERE ended_at IS NOT NULL AND NOT rolled_up;
CREATE INDEX usage_ledger_at ON usage_ledger (workspace_id, at);
"#;

const UNDO: &str = r#"
DROP INDEX usage_ledger_at;
DROP INDEX run_fresh;
ALTER TABLE run DROP COLUMN rolled_up;
DROP TABLE rollup_state;
DROP TABLE usage_rollup;
"#;
