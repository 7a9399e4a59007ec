//! The terminal that the story is told on, or the pipe.

use std::io::{self, IsTerminal as _, Stdout, Write as _};

use anstream::{AutoStream, ColorChoice};

/// Columns where there is no terminal to ask.
const USUAL: u16 = 100;
/// The most columns that read well.
const WIDEST: u16 = 120;

/// Goes to the line's begin and empties it.
const ERASE: &str = "\r\x1b[2K";

/// Where the story is told. Styles are dropped where the reader is no terminal or wants none.
pub struct Screen {
    /// Nothing is shown without it.
    out: Option<AutoStream<Stdout>>,
    /// Whether a line may be drawn that is replaced later.
    live: bool,
    drawn: bool,
}

impl Screen {
    /// The standard output.
    pub fn stdout() -> Self {
        let stdout = io::stdout();
        let styled = match AutoStream::choice(&stdout) {
            ColorChoice::Never => false,
            ColorChoice::Auto | ColorChoice::AlwaysAnsi | ColorChoice::Always => true,
        };
        let live = stdout.is_terminal() && styled;
        Self {
            out: Some(AutoStream::auto(stdout)),
            live,
            drawn: false,
        }
    }

    /// Shows nothing.
    pub fn none() -> Self {
        Self {
            out: None,
            live: false,
            drawn: false,
        }
    }

    /// The columns to use.
    pub fn width(&self) -> u16 {
        // The table knows its terminal; without one it knows nothing.
        let known = comfy_table::Table::new().width();
        known
            .filter(|width| *width > 0)
            .unwrap_or(USUAL)
            .min(WIDEST)
    }

    /// Shows text to stay.
    ///
    /// # Errors
    /// What the output said.
    pub fn show(&mut self, text: &str) -> io::Result<()> {
        let erase = if std::mem::take(&mut self.drawn) {
            ERASE
        } else {
            ""
        };
        match &mut self.out {
            Some(out) if !text.is_empty() || !erase.is_empty() => {
                out.write_all(format!("{erase}{text}").as_bytes())?;
                out.flush()
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether [`Screen::glimpse`] shows anything.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Shows a line until the next call; only on a terminal.
    ///
    /// # Errors
    /// What the output said.
    pub fn glimpse(&mut self, line: &str) -> io::Result<()> {
        if self.live
            && let Some(out) = &mut self.out
        {
            self.drawn = true;
            out.write_all(format!("{ERASE}{line}").as_bytes())?;
            out.flush()?;
        }
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.show("");
    }
}
