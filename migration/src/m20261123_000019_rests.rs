//! Alert endpoints that asked to be left alone for a while.

use crate::sql::migration;

migration! { up: [RESTS], down: Some(UNDO) }

const RESTS: &str = r#"
ALTER TABLE alert_endpoint ADD COLUMN rests_until BIGINT;
"#;

const UNDO: &str = r#"
ALTER TABLE alert_endpoint DROP COLUMN rests_until;
"#;
