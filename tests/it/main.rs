//! The end-to-end tests: through the public API, on SQLite and on PostgreSQL.

mod look;

mod assign;

mod contract;
mod append;
mod drift;
mod held;
mod reply;
mod store;
mod read;
mod limit;
mod note;
mod run;
mod story;
mod stream;
