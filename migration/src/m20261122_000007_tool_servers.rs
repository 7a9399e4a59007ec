//! Servers of tools, their actions with the definitions that are pinned, and the secrets that they are reached with.

use crate::sql::migration;

migration! { up: [SECRETS, SERVERS], down: Some(GONE) }

const SECRETS: &str = r#"
CREATE TABLE secret (
    id UUID PRIMARY KEY NOT NULL,
    workspace_id UUID NOT NULL REFERENCES workspace (id),
    name TEXT NOT NULL,
    sealed BYTES NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX secret_name ON secret (workspace_id, name);
"#;

const SERVERS: &str = r#"
CREATE TABLE tool_server (
    id UUID PRIMARY KEY NOT NULL,
    workspace_id UUID NOT NULL REFERENCES workspace (id),
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    declaration TEXT NOT NULL,
    version INTEGER NOT NULL,
    ok_at BIGINT,
    failed_at BIGINT,
    error TEXT,
    health_since BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX tool_server_name ON tool_server (workspace_id, name);
CREATE TABLE tool_action (
    id UUID PRIMARY KEY NOT NULL,
    workspace_id UUID NOT NULL,
    server_id UUID NOT NULL REFERENCES tool_server (id),
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    parameters TEXT NOT NULL,
    digest BYTES NOT NULL,
    state TEXT NOT NULL,
    seen_description TEXT,
    seen_parameters TEXT,
    seen_digest BYTES,
    seen_effect TEXT,
    seen_destructive BOOLEAN,
    seen_at BIGINT,
    hinted_effect TEXT NOT NULL,
    effect TEXT,
    destructive BOOLEAN NOT NULL,
    enabled BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX tool_action_name ON tool_action (server_id, name);
CREATE INDEX tool_action_workspace ON tool_action (workspace_id);
"#;

const GONE: &str = r#"
DROP TABLE tool_action;
DROP TABLE tool_server;
DROP TABLE secret;
"#;
