//! The table: one row for each thing measured, one column for each database.

use std::fmt;

use anyhow::Result;

use crate::database::Kind;
use crate::{Options, machine, say};

/// What was measured, as Markdown.
pub(crate) struct Table {
    machine: String,
    columns: Vec<Kind>,
    rows: Vec<(String, Vec<Option<String>>)>,
}

impl Table {
    /// An empty one, with the machine, the build and the date.
    pub(crate) fn new(options: &Options) -> Result<Self> {
        let version = machine::said(&options.stint.to_string_lossy(), &["--version"]);
        let commit = machine::said("git", &["describe", "--always", "--dirty"]);
        let date = machine::said("date", &["+%F"]);
        let look = if options.quick { ", a quick look" } else { "" };
        Ok(Self {
            machine: format!(
                "{}; shared by the server, its database and the load. {version} ({commit}, {}), {date}{look}.",
                machine::describe()?,
                options.profile
            ),
            columns: options.databases.clone(),
            rows: Vec::new(),
        })
    }

    /// Fills in one cell.
    pub(crate) fn put(&mut self, row: &str, kind: Kind, cell: String) {
        say(&format!("{kind}: {row}: {cell}"));
        let Some(column) = self.columns.iter().position(|column| *column == kind) else {
            return;
        };
        let at = self
            .rows
            .iter()
            .position(|(name, _)| name == row)
            .unwrap_or_else(|| {
                self.rows
                    .push((row.to_owned(), vec![None; self.columns.len()]));
                self.rows.len() - 1
            });
        self.rows[at].1[column] = Some(cell);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.machine)?;
        write!(f, "| |")?;
        for kind in &self.columns {
            write!(f, " {kind} |")?;
        }
        write!(f, "\n|---|{}", "---|".repeat(self.columns.len()))?;
        for (name, cells) in &self.rows {
            write!(f, "\n| {name} |")?;
            for cell in cells {
                write!(f, " {} |", cell.as_deref().unwrap_or("–"))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        })
    }
}
