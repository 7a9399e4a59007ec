//! Exports for analysts' own tools: tables in three formats, downloaded or written by the command line.

mod download;
mod format;

pub use download::{bytes, routes, span, table_named};
pub use format::{Format, Writer};
