//! What goes wrong with a coworker: the eight symptoms that people report, each with a detector over its runs' logs and over
//! what people did afterwards.
//!
//! A detector is a pure function from the [`History`] of a coworker to evidence. [`diagnose`] reads that history, and says
//! how much of it is affected, where in the configuration to look, and what to change.

mod climb;
mod detect;
mod history;
mod look;
mod read;
mod symptom;
mod text;
mod weigh;

pub use climb::Slope;
pub use history::{History, MOST, Undone, Worked};
pub use look::{Diagnoses, Undecided, diagnose};
pub use symptom::{Confidence, Symptom, Threshold};
pub use weigh::{Diagnosis, Evidence, Found, SHOWN};

/// How long after a run a person's correction still speaks of it, milliseconds: 24 hours.
pub const WINDOW: i64 = 24 * 3_600_000;
