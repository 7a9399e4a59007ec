//! Prices in full: other names of a model, tiers by the prompt's length, service tiers, rates that are not offered.

use crate::sql::migration;

migration! { up: [PRICES], down: Some(UNDO) }

// SQLite can't drop a NOT NULL, so the table is made anew on both.
const PRICES: &str = r#"
DROP INDEX model_price_effective;
ALTER TABLE model_price RENAME TO model_price_before;
CREATE TABLE model_price (
    id UUID PRIMARY KEY NOT NULL,
    workspace_id UUID NOT NULL REFERENCES workspace (id),
    model TEXT NOT NULL,
    aliases TEXT NOT NULL,
    service_tier TEXT NOT NULL,
    prompt_over BIGINT NOT NULL,
    effective_from BIGINT NOT NULL,
    input BIGINT NOT NULL,
    cache_read BIGINT,
    cache_write_short BIGINT,
    cache_write_long BIGINT,
    output BIGINT NOT NULL,
    source TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
INSERT INTO model_price SELECT id, workspace_id, model, '[]', 'standard', 0, effective_from, input, cache_read, cache_write_short,
    cache_write_long, output, source, created_at FROM model_price_before;
DROP TABLE model_price_before;
CREATE UNIQUE INDEX model_price_effective ON model_price (workspace_id, model, service_tier, effective_from, prompt_over);
ALTER TABLE usage_ledger ADD COLUMN service_tier TEXT NOT NULL DEFAULT 'standard';
ALTER TABLE usage_ledger ADD COLUMN components TEXT NOT NULL DEFAULT '{}';
"#;

const UNDO: &str = r#"
ALTER TABLE usage_ledger DROP COLUMN components;
ALTER TABLE usage_ledger DROP COLUMN service_tier;
DELETE FROM model_price WHERE service_tier <> 'standard' OR prompt_over <> 0;
DROP INDEX model_price_effective;
ALTER TABLE model_price RENAME TO model_price_after;
CREATE TABLE model_price (
    id UUID PRIMARY KEY NOT NULL,
    workspace_id UUID NOT NULL REFERENCES workspace (id),
    model TEXT NOT NULL,
    effective_from BIGINT NOT NULL,
    input BIGINT NOT NULL,
    cache_read BIGINT NOT NULL,
    cache_write_short BIGINT NOT NULL,
    cache_write_long BIGINT NOT NULL,
    output BIGINT NOT NULL,
    source TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
INSERT INTO model_price SELECT id, workspace_id, model, effective_from, input, COALESCE(cache_read, input), COALESCE(cache_write_short, input),
    COALESCE(cache_write_long, input), output, source, created_at FROM model_price_after;
DROP TABLE model_price_after;
CREATE UNIQUE INDEX model_price_effective ON model_price (workspace_id, model, effective_from);
"#;
