//! What runs used, what it cost, and how the workforce did.

mod cost;
mod query;
mod series;
mod span;
mod subscription;
mod totals;
mod usage;

pub use cost::{Cost, Recorded};
pub use query::{MetricQuery, MetricsFilter};
pub use span::{Metrics, TimeRangeInput};
pub use subscription::MetricSubscription;
pub use usage::{Usage, UsageComponent};
