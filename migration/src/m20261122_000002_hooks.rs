//! Webhook endpoints, their secrets, and what was delivered to them.

use crate::sql::migration;

migration! { up: [HOOKS], down: None }

const HOOKS: &str = r#"
CREATE TABLE webhook_endpoint (
    id UUID PRIMARY KEY NOT NULL,
    workspace_id UUID NOT NULL REFERENCES workspace (id),
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    mapping TEXT,
    enabled BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX webhook_endpoint_workspace ON webhook_endpoint (workspace_id, created_at);
CREATE TABLE webhook_secret (
    id UUID PRIMARY KEY NOT NULL,
    workspace_id UUID NOT NULL,
    endpoint_id UUID NOT NULL REFERENCES webhook_endpoint (id),
    sealed BYTES NOT NULL,
    created_at BIGINT NOT NULL,
    ends_at BIGINT
);
CREATE INDEX webhook_secret_endpoint ON webhook_secret (endpoint_id, created_at);
CREATE TABLE webhook_delivery (
    id UUID PRIMARY KEY NOT NULL,
    workspace_id UUID NOT NULL,
    endpoint_id UUID NOT NULL REFERENCES webhook_endpoint (id),
    event_id TEXT,
    event_type TEXT,
    subject TEXT,
    message_id TEXT,
    verified BOOLEAN NOT NULL,
    outcome TEXT NOT NULL,
    refusal TEXT,
    reason TEXT,
    request_id UUID,
    payload TEXT,
    size BIGINT NOT NULL,
    received_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX webhook_delivery_once ON webhook_delivery (endpoint_id, event_id) WHERE outcome NOT IN ('DUPLICATE', 'REFUSED');
CREATE INDEX webhook_delivery_endpoint ON webhook_delivery (endpoint_id, received_at, id);
CREATE INDEX webhook_delivery_request ON webhook_delivery (request_id, received_at, id) WHERE request_id IS NOT NULL;
CREATE TABLE webhook_subject (
    endpoint_id UUID NOT NULL REFERENCES webhook_endpoint (id),
    subject TEXT NOT NULL,
    workspace_id UUID NOT NULL,
    request_id UUID,
    status TEXT,
    status_at BIGINT,
    priority TEXT,
    priority_at BIGINT,
    PRIMARY KEY (endpoint_id, subject)
);
"#;
