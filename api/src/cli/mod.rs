//! The command line: what can be said, and how it answers.
//!
//! Results go to stdout, everything about them (banners, hints, errors, logs) to stderr. An error is one
//! sentence, `error: …`, and the exit code 1; what clap refuses has the code 2. Nothing is left half-done.

mod costs;
mod demo;
mod files;
mod key;
mod metrics;
mod model;
mod prices;
mod rebuild;
mod run;
mod serve;
mod style;
mod top;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use api::config::{self, Common, CommonFlags, LogFormat};
use api::telemetry::Spans;
use clap::{Parser, Subcommand};
use domain::access::{Actor, Principal, Standing};
use domain::store::{OpenOptions, Store, embedded_file};
use domain::telemetry::trace::TARGET;
use domain::tool::{KEEP, keep};
use entity::{WorkspaceId, workspace};
use sea_orm::EntityTrait as _;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

/// AI coworkers that work on requests, behind one GraphQL API.
///
/// Try it: `stint demo` shows a story of four runs, live, without a key or a server.
/// Run it: `stint serve` starts the API and the worker on a local database.
#[derive(Parser)]
#[command(
    name = "stint",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show a request that four runs resolve, live, on a fresh database with a scripted model
    Demo(demo::Args),
    /// Serve the API and execute runs
    ///
    /// The first start makes the database, a workspace in it, and an admin key, which is printed to stdout
    /// this once. SIGINT and SIGTERM end it cleanly: runs are finished or handed back, streams are closed.
    Serve(Box<serve::Args>),
    /// Bring a database's schema up to date, and say what was done
    Migrate(MigrateArgs),
    /// Make a workspace what YAML files say: coworkers, skills, prices
    ///
    /// Shows what would change, asks, and then changes all of it or nothing. What no file names stays as it
    /// is. A second time there is nothing to change.
    Apply(files::ApplyArgs),
    /// Write a workspace's coworkers, skills and prices as YAML files
    Export(files::ExportArgs),
    /// Print the GraphQL schema, as SDL
    Schema,
    /// Make API keys
    #[command(subcommand)]
    Key(key::Command),
    /// Show runs, queue and cost live, in the terminal
    Top(top::Args),
    /// Show what coworkers cost, week by week
    Costs(costs::Args),
    /// Write what analysts need for other tools
    #[command(subcommand)]
    Metrics(metrics::Command),
    /// Check the providers of models
    #[command(subcommand)]
    Model(model::Command),
    /// Import what models cost
    #[command(subcommand)]
    Prices(prices::Command),
    /// Compare every run with its log, and make the rollups of what was used anew
    ///
    /// Nothing is changed where a run differs from its log; the runs that do are named. With --check nothing is
    /// changed at all, and rows of the rollups that are not what was folded into them are named, too.
    Rebuild(rebuild::Args),
    /// Export and check the logs of runs
    #[command(subcommand)]
    Run(run::Command),
    /// Start a program and end it with the process that asked for it: how serve starts MCP servers
    #[command(name = KEEP, hide = true)]
    Keep(KeepArgs),
}

/// How a command prints what it found.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Format {
    /// A table for people
    #[default]
    Text,
    /// One JSON object
    Json,
}

#[derive(clap::Args)]
struct KeepArgs {
    parent: u32,
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

#[derive(clap::Args)]
struct MigrateArgs {
    #[command(flatten)]
    common: CommonFlags,
}

/// Reads the arguments and does what they say.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    // No more of Stint than it needs: it stays as long as the program.
    if let Command::Keep(KeepArgs { parent, command }) = cli.command {
        return ExitCode::from(keep(parent, &command));
    }
    match start(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has enough: `stint schema | head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Not `{:?}`: that would print a backtrace where RUST_BACKTRACE is set.
            let style = style::ERROR;
            let _ = writeln!(anstream::stderr(), "{style}error:{style:#} {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(command: Command) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no thread can be started")?;
    runtime.block_on(async {
        match command {
            Command::Demo(args) => demo::run(args).await,
            Command::Serve(args) => serve::run(*args).await,
            Command::Migrate(args) => migrate(args).await,
            Command::Apply(args) => files::apply(args).await,
            Command::Export(args) => files::export(args).await,
            Command::Schema => print(&api::graphql::sdl()),
            Command::Key(command) => key::run(command).await,
            Command::Top(args) => top::run(args).await,
            Command::Costs(args) => costs::run(args).await,
            Command::Metrics(command) => metrics::run(command).await,
            Command::Model(command) => model::run(command).await,
            Command::Prices(command) => prices::run(command).await,
            Command::Rebuild(args) => rebuild::run(args).await,
            Command::Run(command) => run::run(command).await,
            Command::Keep(_) => bail!("{KEEP} needs no runtime"),
        }
    })
}

async fn migrate(args: MigrateArgs) -> anyhow::Result<()> {
    let common = config::common(&args.common)?;
    log(&common, "warn")?;
    let applied = domain::store::migrate(&common.database_url).await?;
    let mut text: String = applied
        .iter()
        .map(|name| format!("applied {name}\n"))
        .collect();
    if applied.is_empty() {
        text = "The schema is up to date.\n".to_owned();
    }
    print(&text)
}

/// Writes results to stdout.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Says something about the work to stderr; nobody has to read it.
fn say(text: std::fmt::Arguments<'_>) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Starts logging to stderr.
fn log(common: &Common, usual: &str) -> anyhow::Result<()> {
    log_and_trace(common, usual, None).map(drop)
}

/// Starts logging to stderr, and sending spans to a collector.
fn log_and_trace(
    common: &Common,
    usual: &str,
    collector: Option<&str>,
) -> anyhow::Result<Option<Spans>> {
    let wanted = common.log.as_deref().unwrap_or(usual);
    let filter = EnvFilter::try_new(wanted).with_context(|| {
        format!("--log (STINT_LOG, or log in the settings file) can't be {wanted:?}")
    })?;
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(ansi);
    let lines = match common.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let spans = collector.map(Spans::to).transpose()?;
    // Spans are for the collector alone, lines for people alone.
    let collected = spans.as_ref().map(|spans| {
        tracing_opentelemetry::layer()
            .with_tracer(spans.tracer.clone())
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(|what| what.target() == TARGET))
    });
    tracing_subscriber::registry()
        .with(lines.with_filter(filter).with_filter(filter_fn(may_say)))
        .with(collected)
        .init();
    Ok(spans)
}

/// What of the log is written, whatever was asked for. The SDK of MCP logs whole messages, before secrets are taken out of
/// them; Stint says what is worth knowing of them itself.
fn may_say(what: &Metadata<'_>) -> bool {
    let sdk = what.target() == "rmcp" || what.target().starts_with("rmcp::");
    what.target() != TARGET && (!sdk || *what.level() == Level::ERROR)
}

/// Opens a database that is there; commands beside a server share it with it.
async fn open(common: &CommonFlags, workspace: Option<&str>) -> anyhow::Result<(Store, Actor)> {
    open_as(common, workspace, false).await
}

/// As [`open`]; `own`: no other process may have an embedded database open meanwhile.
async fn open_as(
    common: &CommonFlags,
    workspace: Option<&str>,
    own: bool,
) -> anyhow::Result<(Store, Actor)> {
    let common = config::common(common)?;
    log(&common, "warn")?;
    if let Some(file) = embedded_file(&common.database_url)
        && !file.exists()
    {
        bail!(
            "there is no database {}; start stint serve once, or name another one with --database-url",
            file.display()
        );
    }
    let options = OpenOptions {
        migrate: false,
        own,
        ..OpenOptions::default()
    };
    let store = Store::open(&common.database_url, options).await?;
    // Who can reach the database may do anything, and what they do says that it was done here.
    let actor = Actor {
        workspace: self::workspace(&store, workspace).await?,
        principal: Principal::Operator,
        standing: Standing::Stint,
    };
    Ok((store, actor))
}

/// The workspace of this name, or the only one.
async fn workspace(store: &Store, name: Option<&str>) -> anyhow::Result<WorkspaceId> {
    let known = workspace::Entity::find().all(store.read()).await?;
    let names = known
        .iter()
        .map(|one| one.name.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    match (name, known.as_slice()) {
        (None, [only]) => Ok(only.id),
        (None, []) => bail!("the database has no workspace yet; stint serve makes one"),
        (None, _) => bail!("there are several workspaces ({names}); name one with --workspace"),
        (Some(name), all) => match all.iter().find(|one| one.name == name) {
            Some(found) => Ok(found.id),
            None => bail!("there is no workspace {name:?}; there is {names}"),
        },
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
