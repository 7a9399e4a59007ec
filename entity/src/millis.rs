//! The one form of time in rows.

use sea_orm::DeriveValueType;
use serde::{Deserialize, Serialize};

/// A moment: UTC, milliseconds since the Unix epoch. Stored as a 64-bit integer.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    DeriveValueType,
)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// This moment, `ms` milliseconds later (earlier if negative); saturates.
    pub fn plus(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment; negative if it is later.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}
