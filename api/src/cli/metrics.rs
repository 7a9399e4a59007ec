//! `stint metrics`.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::pin::pin;

use anyhow::{Context as _, bail};
use api::config::CommonFlags;
use api::export::{self, Format, Writer};
use clap::{Subcommand, ValueEnum};
use domain::export::Export;
use domain::metric::rollup::zone_of;
use domain::metric::zone::Zone;
use futures_util::TryStreamExt as _;

use super::say;

/// What is said of an export that can't go on.
const BROKEN: &str = "the export broke off: what was written is not whole";

#[derive(Subcommand)]
pub(super) enum Command {
    /// Write figures, runs or model calls for other tools
    ///
    /// To standard output, or to a file with --out. Columns: see the README, "Exports".
    Export(Box<ExportArgs>),
}

/// What is exported.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Of {
    /// Sums by interval, coworker, model, source, trigger and outcome
    Metrics,
    /// A row for each run that ended
    Runs,
    /// A row for each model call that ended
    Calls,
}

/// How long the intervals of figures are.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Every {
    Hour,
    Day,
    Week,
    Month,
}

#[derive(clap::Args)]
pub(super) struct ExportArgs {
    /// What to write
    #[arg(long, value_name = "TABLE", default_value = "metrics")]
    of: Of,
    /// How to write it
    #[arg(long, value_name = "FORMAT", default_value = "csv")]
    format: Format,
    /// From when on: an instant (2026-05-20T00:00:00Z) or a duration back from now (-P30D)
    #[arg(
        long,
        value_name = "TIME",
        default_value = "-P30D",
        allow_hyphen_values = true
    )]
    start: String,
    /// Up to when, without it; PT0S is now [default: a minute ago, of which all is there]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    end: Option<String>,
    /// How long the intervals of metrics are
    #[arg(long, value_name = "INTERVAL", default_value = "day")]
    interval: Every,
    /// Where days, weeks and months begin: an IANA time zone [default: the workspace's reporting time zone]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// The file to write; nothing is left of it if the export fails
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Which workspace, if there are several
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,
    #[command(flatten)]
    common: CommonFlags,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Export(args) => export(*args).await,
    }
}

async fn export(args: ExportArgs) -> anyhow::Result<()> {
    if args.format == Format::Parquet && args.out.is_none() && std::io::stdout().is_terminal() {
        bail!("Parquet is no text; name a file with --out, or send it to another program");
    }
    let (store, actor) = super::open(&args.common, args.workspace.as_deref()).await?;
    let (of, interval) = (word(args.of), word(args.interval));
    let table = export::table_named(&of, &interval)?.context("there is no such table")?;
    let span = export::span(Some(&args.start), args.end.as_deref(), store.now())?;
    let zone = match &args.time_zone {
        Some(name) => Zone::parse(name, "--time-zone")?,
        None => zone_of(store.read(), actor.workspace).await?,
    };
    let export = Export::begin(&store, &actor, table, span, zone).await?;
    let mut bytes = pin!(export::bytes(export, Writer::new(args.format, table)));
    match &args.out {
        None => {
            let mut out = std::io::stdout().lock();
            while let Some(chunk) = bytes.try_next().await.context(BROKEN)? {
                out.write_all(&chunk)?;
            }
            out.flush()?;
        }
        Some(path) => {
            // Whole, or not at all: under its name only when all of it is there.
            let mut part = path.clone().into_os_string();
            part.push(format!(".{}.part", std::process::id()));
            let part = PathBuf::from(part);
            let unwritable = || format!("{} can't be written", path.display());
            let mut file = std::fs::File::create_new(&part).with_context(unwritable)?;
            let mut size = 0;
            let written = async {
                while let Some(chunk) = bytes.try_next().await.context(BROKEN)? {
                    size += chunk.len();
                    file.write_all(&chunk).with_context(unwritable)?;
                }
                file.sync_all().with_context(unwritable)?;
                std::fs::rename(&part, path).with_context(unwritable)
            };
            if let Err(error) = written.await {
                drop(std::fs::remove_file(&part));
                return Err(error);
            }
            say(format_args!(
                "{} KiB in {}",
                size.div_ceil(1024),
                path.display()
            ));
        }
    }
    Ok(())
}

/// The word that the command line has for a value.
fn word(value: impl ValueEnum) -> String {
    value
        .to_possible_value()
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default()
}
