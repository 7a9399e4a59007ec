//! Ended runs by workspace: on SQLite, which does not know how many rows there are and else goes by the start of all runs.

use crate::sql::migration;

migration! { up: [ENDED], down: Some(UNDO) }

const ENDED: &str = r#"
sqlite:DROP INDEX run_ended;
sqlite:CREATE INDEX run_ended ON run (workspace_id, ended_at);
"#;

const UNDO: &str = r#"
sqlite:DROP INDEX run_ended;
sqlite:CREATE INDEX run_ended ON run (ended_at);
"#;
