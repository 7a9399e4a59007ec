//! Sums of whole numbers that are whole numbers, on PostgreSQL.

use crate::sql::migration;

migration! { up: [SUM], down: Some(UNDO) }

// PostgreSQL sums BIGINT as NUMERIC. This one fails where a sum has no place in a BIGINT, as a cast of that would.
const SUM: &str = r#"
postgres:CREATE AGGREGATE whole_sum(BIGINT) (SFUNC = int8pl, STYPE = BIGINT, COMBINEFUNC = int8pl, INITCOND = '0', PARALLEL = SAFE);
"#;

const UNDO: &str = r#"
postgres:DROP AGGREGATE whole_sum(BIGINT);
"#;
