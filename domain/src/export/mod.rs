//! What leaves Stint for analysts' own tools: tables of figures, of runs and of model calls, page by page.
//!
//! A table is what its columns say; the formats (CSV, JSON lines, Parquet) are the API's. Rows are read in pages by their
//! key, so that an export of any length needs little memory; what it exports has ended and never changes.

mod calls;
mod figures;
mod pages;
mod runs;
mod table;

pub use pages::{Export, SETTLED};
pub use table::{Cell, Column, Kind, Table};
