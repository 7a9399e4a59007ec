//! Coworkers as files: coworkers, skills, tool servers and prices as YAML, one object a file.
//!
//! - [`form`], [`price`] and [`value`] are the format; [`form::schema`] is its JSON Schema, published as `stint.schema.json`.
//! - [`read`] reads a folder and says what is wrong with file, line and column; [`place`] finds the place of
//!   what the product itself refuses, and [`reach`] and [`playbook`] read tool servers and playbooks so that their faults keep theirs.
//! - [`state`] is what the database holds, [`plan`] what is to be done about it (pure), [`print`] shows it.
//! - [`apply`] does it, in one transaction; [`export`] writes the files of what is there.
//!
//! Deliberately absent: deleting. What no file names stays as it is. And secrets: files name them, the API sets them.

pub mod apply;
pub mod export;
pub mod form;
pub mod place;
pub mod plan;
pub mod playbook;
pub mod price;
pub mod print;
mod reach;
pub mod read;
pub mod state;
pub mod value;

/// The published JSON Schema of the files; a test holds it to the code.
pub const SCHEMA: &str = include_str!("stint.schema.json");
