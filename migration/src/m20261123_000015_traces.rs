//! Traces: a dispatch keeps the context of whoever made it.

use crate::sql::migration;

migration! { up: [TRACES], down: Some(UNDO) }

const TRACES: &str = r#"
ALTER TABLE dispatch ADD COLUMN trace TEXT;
"#;

const UNDO: &str = r#"
ALTER TABLE dispatch DROP COLUMN trace;
"#;
