//! Runs by their end: boards that fell behind look at what has ended since.

use crate::sql::migration;

migration! { up: [ENDED], down: Some(UNDO) }

const ENDED: &str = r#"
CREATE INDEX run_ended ON run (ended_at);
"#;

const UNDO: &str = r#"
DROP INDEX run_ended;
"#;
