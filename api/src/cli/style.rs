//! The few styles of the terminal; anstream drops them where there is none.

use anstyle::{AnsiColor, Style};

/// An error's first word.
pub(super) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// A warning's first word.
pub(super) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// What matters in a line.
pub(super) const STRONG: Style = Style::new().bold();
/// What explains.
pub(super) const FAINT: Style = Style::new().dimmed();
