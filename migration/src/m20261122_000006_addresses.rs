//! Webhook endpoints get an address of its own beside their id, and deliveries can be swept by their age.

use crate::sql::migration;

migration! { up: [ADDRESSES, SWEPT], down: Some(UNDO) }

// Addresses that senders were given already stay as they are.
const ADDRESSES: &str = r#"
ALTER TABLE webhook_endpoint ADD COLUMN address TEXT NOT NULL DEFAULT '';
sqlite:UPDATE webhook_endpoint SET address = 'whe_' || lower(hex(id));
postgres:UPDATE webhook_endpoint SET address = 'whe_' || replace(id::text, '-', '');
CREATE UNIQUE INDEX webhook_endpoint_address ON webhook_endpoint (address);
"#;

const SWEPT: &str = r#"
CREATE INDEX webhook_delivery_spent ON webhook_delivery (received_at) WHERE outcome IN ('DUPLICATE', 'REFUSED');
CREATE INDEX webhook_delivery_read ON webhook_delivery (received_at) WHERE payload IS NOT NULL AND outcome IN ('REQUEST_UPDATED', 'RECORDED', 'IGNORED');
"#;

const UNDO: &str = r#"
DROP INDEX webhook_delivery_read;
DROP INDEX webhook_delivery_spent;
DROP INDEX webhook_endpoint_address;
ALTER TABLE webhook_endpoint DROP COLUMN address;
"#;
