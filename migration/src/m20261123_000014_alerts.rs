//! Alerts: endpoints that are told of what happens, their secrets, and the log of what was sent to them.

use crate::sql::migration;

migration! { up: [ALERTS], down: Some(UNDO) }

// What waits is found by endpoint, so that a slow one keeps none of the others waiting.
const ALERTS: &str = r#"
CREATE TABLE alert_endpoint (
    id UUID PRIMARY KEY NOT NULL,
    workspace_id UUID NOT NULL REFERENCES workspace (id),
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    kinds TEXT NOT NULL,
    coworkers TEXT NOT NULL,
    labels TEXT NOT NULL,
    budget_percent INTEGER NOT NULL,
    climb_percent INTEGER NOT NULL,
    enabled BOOLEAN NOT NULL,
    disabled TEXT,
    disabled_at BIGINT,
    failing_since BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX alert_endpoint_workspace ON alert_endpoint (workspace_id, created_at);
CREATE TABLE alert_secret (
    id UUID PRIMARY KEY NOT NULL,
    workspace_id UUID NOT NULL,
    endpoint_id UUID NOT NULL REFERENCES alert_endpoint (id),
    sealed BYTES NOT NULL,
    created_at BIGINT NOT NULL,
    ends_at BIGINT
);
CREATE INDEX alert_secret_endpoint ON alert_secret (endpoint_id, created_at);
CREATE TABLE alert_delivery (
    id UUID PRIMARY KEY NOT NULL,
    workspace_id UUID NOT NULL,
    endpoint_id UUID NOT NULL REFERENCES alert_endpoint (id),
    kind TEXT NOT NULL,
    fact TEXT NOT NULL,
    run_id UUID,
    request_id UUID,
    coworker_id UUID,
    body TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    round INTEGER NOT NULL,
    due_at BIGINT NOT NULL,
    claims BIGINT NOT NULL,
    lease_until BIGINT,
    created_at BIGINT NOT NULL,
    settled_at BIGINT
);
CREATE UNIQUE INDEX alert_delivery_once ON alert_delivery (endpoint_id, fact);
CREATE INDEX alert_delivery_due ON alert_delivery (endpoint_id, due_at) WHERE state = 'WAITING';
CREATE INDEX alert_delivery_endpoint ON alert_delivery (endpoint_id, created_at, id);
CREATE INDEX alert_delivery_settled ON alert_delivery (created_at) WHERE state <> 'WAITING';
CREATE TABLE alert_attempt (
    delivery_id UUID NOT NULL REFERENCES alert_delivery (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    at BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    status INTEGER,
    error TEXT,
    response TEXT,
    PRIMARY KEY (delivery_id, number)
);
"#;

const UNDO: &str = r#"
DROP TABLE alert_attempt;
DROP TABLE alert_delivery;
DROP TABLE alert_secret;
DROP TABLE alert_endpoint;
"#;
