//! Skills: procedures in words that coworkers share. Each change makes a version; publishing a coworker
//! pins the newest version of each of its skills, and its runs read exactly these.

pub mod query;
pub mod write;

pub use write::{CreateSkill, UpdateSkill};
