//! `stint apply` and `stint export`.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use api::config::CommonFlags;
use api::files::apply::Apply;
use api::files::plan::plan;
use api::files::read::{Source, read};
use api::files::state::State;
use api::files::{export, form, print as shown};
use domain::coworker::Force;

use super::{print, say, style};

#[derive(clap::Args)]
pub(super) struct ApplyArgs {
    /// A folder with YAML files, or one file
    #[arg(short = 'f', long = "files", value_name = "DIR")]
    files: PathBuf,
    /// Apply without asking, as scripts do
    #[arg(long, short = 'y', conflicts_with = "dry_run")]
    yes: bool,
    /// Show what would change and whether it would be refused, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Publish in spite of errors that the lint finds, for this reason, which is kept with the version
    #[arg(long, value_name = "TEXT")]
    force_reason: Option<String>,
    /// The workspace, by name [default: the only one]
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,
    #[command(flatten)]
    common: CommonFlags,
}

#[derive(clap::Args)]
pub(super) struct ExportArgs {
    /// The folder to write to
    #[arg(short = 'o', long, value_name = "DIR", default_value = "stint-files")]
    output: PathBuf,
    /// Replace files that say something else
    #[arg(long)]
    overwrite: bool,
    /// Print the JSON Schema of the files instead, for editors
    #[arg(long, conflicts_with_all = ["output", "overwrite", "workspace"])]
    schema: bool,
    /// The workspace, by name [default: the only one]
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,
    #[command(flatten)]
    common: CommonFlags,
}

pub(super) async fn apply(args: ApplyArgs) -> anyhow::Result<()> {
    // The files first: what is wrong with them needs no database.
    let sources: Arc<[Source]> = read(&args.files)?.into();
    let (store, actor) = super::open(&args.common, args.workspace.as_deref()).await?;
    let state = State::load(store.read(), &actor).await?;
    let plan = Arc::new(plan(&sources, &state)?);
    if plan.is_empty() {
        let same = shown::objects(plan.same);
        return print(&format!("Nothing to change: {same} as the files say.\n"));
    }
    print(&shown::changes(&plan, &sources)?)?;
    let summary = shown::summary(&plan);
    let apply = Apply {
        actor,
        sources,
        plan,
        force: Force {
            force: args.force_reason.is_some(),
            reason: args.force_reason,
        },
    };
    apply.try_out(&store).await?;
    let strong = style::STRONG;
    if args.dry_run {
        return print(&format!(
            "{strong}{summary}{strong:#}; nothing was changed.\n"
        ));
    }
    if !args.yes && !confirmed(&summary)? {
        say(format_args!("Nothing was changed."));
        return Ok(());
    }
    for doubt in apply.submit(&store).await?.doubts {
        let warning = style::WARNING;
        say(format_args!("{warning}warning:{warning:#} {doubt}"));
    }
    print(&format!("{strong}Applied:{strong:#} {summary}.\n"))
}

/// Asks on the terminal.
pub(super) fn confirmed(summary: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!(
            "there is no terminal to ask on, and nothing was changed: add --yes to apply it, or --dry-run to only look"
        );
    }
    let strong = style::STRONG;
    let mut err = anstream::stderr();
    write!(err, "{strong}{summary}{strong:#}. Apply? [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

pub(super) async fn export(args: ExportArgs) -> anyhow::Result<()> {
    if args.schema {
        return print(&form::schema());
    }
    let (store, actor) = super::open(&args.common, args.workspace.as_deref()).await?;
    let state = State::load(store.read(), &actor).await?;
    let files = export::files(&state)?;
    let written = export::write(&args.output, &files, args.overwrite)?;
    for handle in export::with_drafts(&state) {
        say(format_args!(
            "{handle} has a draft that is not published; its file says what is in force."
        ));
    }
    let (all, folder) = (files.len(), args.output.display());
    print(&format!(
        "{folder}: {all} files, {written} of them written.\n"
    ))
}
