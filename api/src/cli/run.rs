//! `stint run`.

use std::collections::HashSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::pin::pin;

use anyhow::{Context as _, anyhow, ensure};
use api::config::CommonFlags;
use api::raw::{PartLine, refers_to};
use domain::error::Error;
use domain::run::rebuild::verify as verify_log;
use domain::run::{envelope, query};
use futures_util::TryStreamExt as _;
use sha2::{Digest as _, Sha256};

use super::print;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Print a run's raw log, as JSON lines
    ///
    /// The log is the truth of a run: steps, summary, tokens and cost can be rebuilt from it. The parts of
    /// the prompts that it refers to come first, a line each.
    Export(ExportArgs),
    /// Check an exported log: its order, its chain of hashes, and that it has an end
    Verify(VerifyArgs),
}

#[derive(clap::Args)]
pub(super) struct ExportArgs {
    /// The run's number, as in Run-83
    number: i64,
    /// The workspace, by name [default: the only one]
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,
    #[command(flatten)]
    common: CommonFlags,
}

#[derive(clap::Args)]
pub(super) struct VerifyArgs {
    /// The file with the log; - for stdin
    file: PathBuf,
    /// Accept a log without an end, such as one of a run that goes on
    #[arg(long)]
    partial: bool,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Export(args) => export(args).await,
        Command::Verify(args) => verify(&args),
    }
}

async fn export(args: ExportArgs) -> anyhow::Result<()> {
    let (store, actor) = super::open(&args.common, args.workspace.as_deref()).await?;
    let run = query::by_number(store.read(), &actor, args.number).await;
    let run = run.map_err(|error| match error {
        Error::NotFound { .. } => anyhow!("there is no run with the number {}", args.number),
        other => other.into(),
    })?;
    let parts = api::raw::part_lines(&store, &run).await?;
    let mut out = std::io::stdout().lock();
    out.write_all(parts.as_bytes())?;
    let mut lines = pin!(api::raw::lines(store, run));
    while let Some(bytes) = lines.try_next().await? {
        out.write_all(&bytes)?;
    }
    Ok(out.flush()?)
}

fn verify(args: &VerifyArgs) -> anyhow::Result<()> {
    let name = args.file.display();
    let unreadable = || format!("the file {name} can't be read");
    let text = if args.file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(&args.file)
    };
    let text = text.with_context(unreadable)?;
    let unsound = || format!("the log {name} is not sound");
    let (parts, log) = split(&text).with_context(unsound)?;
    let found = verify_log(log.iter().copied(), args.partial).with_context(unsound)?;
    if !parts.is_empty() {
        complete(&parts, &log).with_context(unsound)?;
    }
    let hash = envelope::hex(&found.head_hash);
    let end = if found.state.end.is_some() {
        ""
    } else {
        ", and the run has not ended"
    };
    print(&format!(
        "Run-{} is sound: {} events, the last one's hash is {hash}{end}.\n",
        found.number, found.events
    ))
}

/// Divides the parts of prompts, by their digests, from the log that follows them.
fn split(text: &str) -> anyhow::Result<(HashSet<String>, Vec<&str>)> {
    let mut lines = text.lines().peekable();
    let mut parts = HashSet::new();
    while let Some(line) = lines.next_if(|line| line.starts_with(r#"{"prompt_part":"#)) {
        let n = parts.len() + 1;
        let part: PartLine =
            serde_json::from_str(line).with_context(|| format!("prompt part {n} can't be read"))?;
        let digest = envelope::hex(&Sha256::digest(&part.text));
        ensure!(
            digest == part.prompt_part,
            "prompt part {n} was changed: its digest is {digest}, not {}",
            part.prompt_part
        );
        parts.insert(digest);
    }
    Ok((parts, lines.collect()))
}

/// Checks that each part that the log refers to is there.
fn complete(parts: &HashSet<String>, log: &[&str]) -> anyhow::Result<()> {
    for (n, line) in log.iter().enumerate() {
        for digest in refers_to(line)? {
            ensure!(
                parts.contains(&digest),
                "event {} refers to the prompt part {digest}, which is missing",
                n + 1
            );
        }
    }
    Ok(())
}
