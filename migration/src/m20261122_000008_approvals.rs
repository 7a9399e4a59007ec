//! Approvals: calls that a person must look at before they are made.

use crate::sql::migration;

migration! { up: [APPROVALS], down: Some(UNDO) }

const APPROVALS: &str = r#"
CREATE TABLE approval (
    id UUID PRIMARY KEY NOT NULL,
    workspace_id UUID NOT NULL REFERENCES workspace (id),
    run_id UUID NOT NULL REFERENCES run (id),
    request_id UUID NOT NULL REFERENCES request (id),
    coworker_id UUID NOT NULL REFERENCES coworker (id),
    call_id TEXT NOT NULL,
    tool TEXT NOT NULL,
    arguments TEXT NOT NULL,
    schema_hash TEXT NOT NULL,
    digest TEXT NOT NULL,
    state TEXT NOT NULL,
    requested_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    decided_by_kind TEXT,
    decided_by_id UUID,
    decided_at BIGINT,
    reason TEXT,
    used_at BIGINT
);
CREATE UNIQUE INDEX approval_call ON approval (run_id, call_id);
CREATE INDEX approval_pending ON approval (expires_at) WHERE state = 'PENDING';
CREATE INDEX approval_requested ON approval (workspace_id, requested_at, id);
"#;

const UNDO: &str = r#"
DROP TABLE approval;
"#;
