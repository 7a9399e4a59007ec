//! Terms of coworkers: work that waited when its coworker was taken out of work belongs to a term that is over.

use crate::sql::migration;

migration! { up: [TERMS], down: Some(UNDO) }

const TERMS: &str = r#"
ALTER TABLE coworker ADD COLUMN term BIGINT NOT NULL DEFAULT 0;
ALTER TABLE dispatch ADD COLUMN term BIGINT NOT NULL DEFAULT 0;
CREATE INDEX dispatch_waiting_for ON dispatch (coworker_id, id) WHERE state = 'WAITING';
"#;

const UNDO: &str = r#"
DROP INDEX dispatch_waiting_for;
ALTER TABLE dispatch DROP COLUMN term;
ALTER TABLE coworker DROP COLUMN term;
"#;
