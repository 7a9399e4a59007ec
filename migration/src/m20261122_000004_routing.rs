//! Who gets a request that coworkers passed on too often.

use crate::sql::migration;

migration! { up: [ESCALATION], down: Some(UNDO) }

const ESCALATION: &str = r#"
ALTER TABLE workspace ADD COLUMN escalation_kind TEXT;
ALTER TABLE workspace ADD COLUMN escalation_id UUID;
"#;

const UNDO: &str = r#"
ALTER TABLE workspace DROP COLUMN escalation_id;
ALTER TABLE workspace DROP COLUMN escalation_kind;
"#;
