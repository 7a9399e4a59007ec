//! The benchmarks: the real `stint serve`, loaded through its public API on the machine that it runs on.
//!
//! `tests/bench/run` builds what is needed and runs this program, which prints one Markdown table. Four
//! programs fill it:
//! - [`runs`]: five-step runs, 50 in flight, each from `requestCreate` until its end;
//! - [`watch`]: the events of one run on their way to one watcher and to 1,000;
//! - [`start`]: how long a start takes, and what an idle server costs;
//! - [`trend`]: cost by the week over many runs.
//!
//! The load comes from the same cores as the server's, so its clients are as cheap as they can be: one
//! thread, and no more of HTTP and WebSocket than they need.

mod api;
mod database;
mod http;
mod machine;
mod runs;
mod server;
mod start;
mod stats;
mod table;
mod trend;
mod watch;
mod ws;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::database::Kind;
use crate::table::Table;

/// What to measure, and for how long.
pub(crate) struct Options {
    /// The binary.
    pub(crate) stint: PathBuf,
    /// How the binary was built: the folder's name.
    pub(crate) profile: String,
    /// A short look instead of a measurement.
    pub(crate) quick: bool,
    /// The databases, SQLite first.
    pub(crate) databases: Vec<Kind>,
    programs: Vec<Program>,
    /// How many runs the trends are over.
    pub(crate) runs: u64,
    /// A database that is there, and an API key for it: trends are asked of it, and nothing is written.
    pub(crate) there: Option<(String, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Program {
    Runs,
    Watch,
    Start,
    Trend,
}

impl Options {
    fn read(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            stint: PathBuf::from("target/release/stint"),
            profile: String::new(),
            quick: false,
            databases: Vec::new(),
            programs: Vec::new(),
            runs: 1_000_000,
            there: None,
        };
        while let Some(arg) = args.next() {
            match arg.as_str() {
                // What cargo adds.
                "--bench" => {}
                "--quick" => options.quick = true,
                "--stint" => {
                    options.stint = args.next().context("--stint names the binary")?.into()
                }
                "--sqlite" => options.databases.push(Kind::Sqlite),
                "--postgres" => options.databases.push(Kind::Postgres),
                "runs" => options.programs.push(Program::Runs),
                "watch" => options.programs.push(Program::Watch),
                "start" => options.programs.push(Program::Start),
                "trend" => options.programs.push(Program::Trend),
                "--runs" => {
                    let runs = args.next().and_then(|runs| runs.parse().ok());
                    options.runs = runs.context("--runs says how many")?;
                }
                "--there" => {
                    let url = args.next().context("--there names a database")?;
                    let key = std::env::var("STINT_KEY")
                        .context("--there wants an API key of that database in STINT_KEY")?;
                    options.there = Some((url, key));
                    options.programs = vec![Program::Trend];
                }
                other => bail!("unknown: {other}; see tests/bench/run --help"),
            }
        }
        if let Some((url, _)) = &options.there {
            options.databases = vec![Kind::of(url)];
        }
        if options.databases.is_empty() {
            options.databases = vec![Kind::Sqlite, Kind::Postgres];
        }
        if options.programs.is_empty() {
            options.programs = vec![
                Program::Runs,
                Program::Watch,
                Program::Start,
                Program::Trend,
            ];
        }
        options.stint = options.stint.canonicalize().with_context(|| {
            format!(
                "{} is not there; tests/bench/run builds it",
                options.stint.display()
            )
        })?;
        let folder = options.stint.parent().and_then(|folder| folder.file_name());
        options.profile = folder.unwrap_or_default().to_string_lossy().into_owned();
        Ok(options)
    }

    /// `long`, or `short` for a quick look.
    pub(crate) fn time(&self, long: u64, short: u64) -> Duration {
        Duration::from_secs(if self.quick { short } else { long })
    }
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().all(|arg| arg == "--bench" || arg == "--list") {
        // `cargo bench`, or a test runner that asks what there is.
        say("These benchmarks are run by tests/bench/run.");
        return Ok(());
    }
    let options = Options::read(args.into_iter())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    let table = local.block_on(&runtime, measure(&options))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{table}")?;
    Ok(())
}

async fn measure(options: &Options) -> Result<Table> {
    let mut table = Table::new(options)?;
    for kind in options.databases.iter().copied() {
        for program in &options.programs {
            match program {
                Program::Runs => runs::measure(options, kind, &mut table).await?,
                Program::Watch => watch::measure(options, kind, &mut table).await?,
                Program::Start => start::measure(options, kind, &mut table)?,
                Program::Trend => trend::measure(options, kind, &mut table).await?,
            }
        }
    }
    Ok(table)
}

/// Tells whoever waits what is going on. The table alone goes to standard output.
pub(crate) fn say(text: &str) {
    // Nobody may be listening.
    writeln!(std::io::stderr(), "{text}").ok();
}
