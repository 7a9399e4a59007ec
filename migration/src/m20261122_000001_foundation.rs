//! Requests, coworkers, dispatches, runs, the log and its projections.

use crate::sql::migration;

migration! { up: [TENANCY, DESK, RUNS, APPEND_ONLY], down: None }

const TENANCY: &str = r#"
CREATE TABLE workspace (
    id UUID PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    last_run_number BIGINT NOT NULL,
    last_started_at BIGINT NOT NULL,
    last_request_number BIGINT NOT NULL,
    hop_budget INTEGER NOT NULL,
    cursor_key BYTES NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE TABLE person (
    id UUID PRIMARY KEY NOT NULL,
    workspace_id UUID NOT NULL REFERENCES workspace (id),
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX person_workspace ON person (workspace_id);
CREATE TABLE api_key (
    id UUID PRIMARY KEY NOT NULL,
    workspace_id UUID NOT NULL REFERENCES workspace (id),
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    principal_kind TEXT NOT NULL,
    person_id UUID REFERENCES person (id),
    secret_hash BYTES NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);
CREATE INDEX api_key_workspace ON api_key (workspace_id, created_at);
CREATE TABLE idempotency_key (
    workspace_id UUID NOT NULL REFERENCES workspace (id),
    key TEXT NOT NULL,
    input_hash BYTES NOT NULL,
    made_id UUID NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, key)
);
CREATE INDEX idempotency_key_age ON idempotency_key (created_at);
"#;

const DESK: &str = r#"
CREATE TABLE coworker (
    id UUID PRIMARY KEY NOT NULL,
    workspace_id UUID NOT NULL REFERENCES workspace (id),
    handle TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    is_triage BOOLEAN NOT NULL,
    version INTEGER NOT NULL,
    version_id UUID,
    draft TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX coworker_handle ON coworker (workspace_id, handle);
CREATE UNIQUE INDEX coworker_one_triage ON coworker (workspace_id) WHERE is_triage;
CREATE TABLE coworker_version (
    id UUID PRIMARY KEY NOT NULL,
    workspace_id UUID NOT NULL REFERENCES workspace (id),
    coworker_id UUID NOT NULL REFERENCES coworker (id),
    version INTEGER NOT NULL,
    config TEXT NOT NULL,
    published_by_kind TEXT NOT NULL,
    published_by_id UUID NOT NULL,
    published_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX coworker_version_number ON coworker_version (coworker_id, version);
CREATE TABLE request (
    id UUID PRIMARY KEY NOT NULL,
    workspace_id UUID NOT NULL REFERENCES workspace (id),
    number BIGINT NOT NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    status TEXT NOT NULL,
    priority TEXT NOT NULL,
    source TEXT NOT NULL,
    requester_kind TEXT NOT NULL,
    requester_id UUID NOT NULL,
    assignee_kind TEXT,
    assignee_id UUID,
    assignment_epoch BIGINT NOT NULL,
    labels TEXT NOT NULL,
    hop_count INTEGER NOT NULL,
    needs_person BOOLEAN NOT NULL,
    last_seq BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    resolved_at BIGINT
postgres:) WITH (fillfactor = 70);
sqlite:);
CREATE UNIQUE INDEX request_number ON request (workspace_id, number);
CREATE INDEX request_created ON request (workspace_id, created_at, id);
CREATE INDEX request_assignee ON request (assignee_id, created_at, id);
CREATE INDEX request_requester ON request (requester_id, created_at, id);
CREATE TABLE request_event (
    request_id UUID NOT NULL,
    seq BIGINT NOT NULL,
    workspace_id UUID NOT NULL,
    kind TEXT NOT NULL,
    at BIGINT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id UUID NOT NULL,
    run_id UUID,
    data TEXT NOT NULL,
    PRIMARY KEY (request_id, seq)
sqlite:) WITHOUT ROWID;
postgres:);
CREATE TABLE note (
    id UUID PRIMARY KEY NOT NULL,
    workspace_id UUID NOT NULL,
    request_id UUID NOT NULL REFERENCES request (id),
    author_kind TEXT NOT NULL,
    author_id UUID NOT NULL,
    run_id UUID,
    visibility TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX note_request ON note (request_id, created_at, id);
CREATE TABLE assignment (
    id UUID PRIMARY KEY NOT NULL,
    workspace_id UUID NOT NULL,
    request_id UUID NOT NULL REFERENCES request (id),
    epoch BIGINT NOT NULL,
    assignee_kind TEXT,
    assignee_id UUID,
    assigned_by_kind TEXT NOT NULL,
    assigned_by_id UUID NOT NULL,
    run_id UUID,
    reason TEXT,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX assignment_epoch ON assignment (request_id, epoch);
CREATE TABLE dispatch (
    id UUID PRIMARY KEY NOT NULL,
    workspace_id UUID NOT NULL,
    request_id UUID NOT NULL REFERENCES request (id),
    coworker_id UUID NOT NULL REFERENCES coworker (id),
    trigger TEXT NOT NULL,
    assignment_epoch BIGINT,
    source_run_id UUID,
    state TEXT NOT NULL,
    run_id UUID,
    drop_reason TEXT,
    created_at BIGINT NOT NULL,
    decided_at BIGINT
postgres:) WITH (fillfactor = 70);
sqlite:);
CREATE INDEX dispatch_waiting ON dispatch (id) WHERE state = 'WAITING';
CREATE INDEX dispatch_request ON dispatch (request_id, id);
"#;

// Run ids are UUIDv7, so a range of ids is a range of time: on PostgreSQL the log is partitioned
// by it, and whole months can be archived or dropped.
const RUNS: &str = r#"
CREATE TABLE run (
    id UUID PRIMARY KEY NOT NULL,
    workspace_id UUID NOT NULL REFERENCES workspace (id),
    number BIGINT NOT NULL,
    request_id UUID NOT NULL REFERENCES request (id),
    coworker_id UUID NOT NULL REFERENCES coworker (id),
    coworker_version_id UUID NOT NULL REFERENCES coworker_version (id),
    dispatch_id UUID NOT NULL,
    trigger TEXT NOT NULL,
    assignment_epoch BIGINT,
    model TEXT NOT NULL,
    status TEXT NOT NULL,
    outcome TEXT,
    failure_code TEXT,
    end_of_run_rule TEXT,
    reason TEXT,
    summary TEXT,
    summary_author TEXT,
    stop_requested_at BIGINT,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    deadline BIGINT NOT NULL,
    attempt INTEGER NOT NULL,
    idle_attempts INTEGER NOT NULL,
    lease_owner UUID,
    lease_epoch BIGINT NOT NULL,
    lease_until BIGINT,
    last_seq BIGINT NOT NULL,
    head_hash BYTES NOT NULL,
    turn_count INTEGER NOT NULL,
    tool_call_count INTEGER NOT NULL,
    step_count INTEGER NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    cost_nano BIGINT NOT NULL,
    unpriced_calls INTEGER NOT NULL,
    unknown_calls INTEGER NOT NULL
postgres:) WITH (fillfactor = 50);
sqlite:);
CREATE UNIQUE INDEX run_number ON run (workspace_id, number);
CREATE UNIQUE INDEX run_one_active ON run (request_id, coworker_id) WHERE status IN ('RUNNING', 'PAUSED_FOR_APPROVAL');
CREATE INDEX run_running ON run (id) WHERE status = 'RUNNING';
CREATE INDEX run_coworker ON run (coworker_id, number);
CREATE INDEX run_request ON run (request_id, number);
CREATE INDEX run_started ON run (workspace_id, started_at);
CREATE TABLE run_event (
    run_id UUID NOT NULL,
    seq BIGINT NOT NULL,
    event_id UUID NOT NULL,
    kind TEXT NOT NULL,
    at BIGINT NOT NULL,
    body TEXT NOT NULL,
    hash BYTES NOT NULL,
    PRIMARY KEY (run_id, seq)
postgres:) PARTITION BY RANGE (run_id);
sqlite:);
postgres:CREATE TABLE run_event_default PARTITION OF run_event DEFAULT;
CREATE TABLE run_step (
    run_id UUID NOT NULL,
    idx INTEGER NOT NULL,
    kind TEXT NOT NULL,
    title TEXT NOT NULL,
    call_id TEXT,
    failed BOOLEAN NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    first_seq BIGINT NOT NULL,
    last_seq BIGINT NOT NULL,
    PRIMARY KEY (run_id, idx)
sqlite:) WITHOUT ROWID;
postgres:);
CREATE TABLE usage_ledger (
    run_id UUID NOT NULL,
    seq BIGINT NOT NULL,
    workspace_id UUID NOT NULL,
    coworker_id UUID NOT NULL,
    model TEXT NOT NULL,
    at BIGINT NOT NULL,
    known BOOLEAN NOT NULL,
    input_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL,
    cache_write_short_tokens BIGINT NOT NULL,
    cache_write_long_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    price_id UUID,
    cost_nano BIGINT,
    rolled_up BOOLEAN NOT NULL,
    PRIMARY KEY (run_id, seq)
sqlite:) WITHOUT ROWID;
postgres:);
CREATE INDEX usage_ledger_fresh ON usage_ledger (workspace_id, at) WHERE NOT rolled_up;
CREATE TABLE prompt_part (
    workspace_id UUID NOT NULL,
    digest BYTES NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (workspace_id, digest)
sqlite:) WITHOUT ROWID;
postgres:);
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
CREATE UNIQUE INDEX model_price_effective ON model_price (workspace_id, model, effective_from);
"#;

// The log and the timeline are append-only for everyone, whatever the code above the database does. A row's
// trigger is inherited by every partition; that of TRUNCATE is not, and is made with each of them.
const APPEND_ONLY: &str = r#"
sqlite:CREATE TRIGGER run_event_no_update BEFORE UPDATE ON run_event BEGIN SELECT RAISE(ABORT, 'run_event is append-only'); END;
sqlite:CREATE TRIGGER run_event_no_delete BEFORE DELETE ON run_event BEGIN SELECT RAISE(ABORT, 'run_event is append-only'); END;
sqlite:CREATE TRIGGER request_event_no_update BEFORE UPDATE ON request_event BEGIN SELECT RAISE(ABORT, 'request_event is append-only'); END;
sqlite:CREATE TRIGGER request_event_no_delete BEFORE DELETE ON request_event BEGIN SELECT RAISE(ABORT, 'request_event is append-only'); END;
postgres:CREATE FUNCTION stint_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$;
postgres:CREATE TRIGGER run_event_append_only BEFORE UPDATE OR DELETE ON run_event FOR EACH ROW EXECUTE FUNCTION stint_append_only();
postgres:CREATE TRIGGER run_event_no_truncate BEFORE TRUNCATE ON run_event FOR EACH STATEMENT EXECUTE FUNCTION stint_append_only();
postgres:CREATE TRIGGER append_only_too BEFORE TRUNCATE ON run_event_default FOR EACH STATEMENT EXECUTE FUNCTION stint_append_only();
postgres:CREATE TRIGGER request_event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON request_event FOR EACH STATEMENT EXECUTE FUNCTION stint_append_only();
"#;
