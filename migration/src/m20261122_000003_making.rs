//! The library of skills, what versions pin of it, and how each version came to be published.

use crate::sql::migration;

migration! { up: [SKILLS, VERSIONS, IMMUTABLE], down: None }

const SKILLS: &str = r#"
CREATE TABLE skill (
    id UUID PRIMARY KEY NOT NULL,
    workspace_id UUID NOT NULL REFERENCES workspace (id),
    handle TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    version_id UUID NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX skill_handle ON skill (workspace_id, handle);
CREATE TABLE skill_version (
    id UUID PRIMARY KEY NOT NULL,
    workspace_id UUID NOT NULL REFERENCES workspace (id),
    skill_id UUID NOT NULL REFERENCES skill (id),
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    created_by_kind TEXT NOT NULL,
    created_by_id UUID NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX skill_version_number ON skill_version (skill_id, version);
CREATE TABLE coworker_version_skill (
    coworker_version_id UUID NOT NULL REFERENCES coworker_version (id),
    position INTEGER NOT NULL,
    skill_version_id UUID NOT NULL REFERENCES skill_version (id),
    PRIMARY KEY (coworker_version_id, position)
sqlite:) WITHOUT ROWID;
postgres:);
CREATE INDEX coworker_version_skill_used ON coworker_version_skill (skill_version_id);
"#;

const VERSIONS: &str = r#"
ALTER TABLE coworker_version ADD COLUMN restored_from INTEGER;
ALTER TABLE coworker_version ADD COLUMN forced_reason TEXT;
ALTER TABLE coworker_version ADD COLUMN findings TEXT NOT NULL DEFAULT '[]';
"#;

// What runs pin never changes, whatever the code above the database does.
const IMMUTABLE: &str = r#"
sqlite:CREATE TRIGGER coworker_version_no_update BEFORE UPDATE ON coworker_version BEGIN SELECT RAISE(ABORT, 'coworker_version is append-only'); END;
sqlite:CREATE TRIGGER coworker_version_no_delete BEFORE DELETE ON coworker_version BEGIN SELECT RAISE(ABORT, 'coworker_version is append-only'); END;
sqlite:CREATE TRIGGER coworker_version_skill_no_update BEFORE UPDATE ON coworker_version_skill BEGIN SELECT RAISE(ABORT, 'coworker_version_skill is append-only'); END;
sqlite:CREATE TRIGGER coworker_version_skill_no_delete BEFORE DELETE ON coworker_version_skill BEGIN SELECT RAISE(ABORT, 'coworker_version_skill is append-only'); END;
sqlite:CREATE TRIGGER skill_version_no_update BEFORE UPDATE ON skill_version BEGIN SELECT RAISE(ABORT, 'skill_version is append-only'); END;
sqlite:CREATE TRIGGER skill_version_no_delete BEFORE DELETE ON skill_version BEGIN SELECT RAISE(ABORT, 'skill_version is append-only'); END;
postgres:CREATE TRIGGER coworker_version_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON coworker_version FOR EACH STATEMENT EXECUTE FUNCTION stint_append_only();
postgres:CREATE TRIGGER coworker_version_skill_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON coworker_version_skill FOR EACH STATEMENT EXECUTE FUNCTION stint_append_only();
postgres:CREATE TRIGGER skill_version_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON skill_version FOR EACH STATEMENT EXECUTE FUNCTION stint_append_only();
"#;
