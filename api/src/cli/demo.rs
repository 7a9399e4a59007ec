//! `stint demo`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use api::App;
use api::auth::MakeKey;
use api::config::{self, CommonFlags, ServerFlags, Settings};
use api::demo::report::Report;
use api::demo::screen::Screen;
use api::demo::teller::Teller;
use api::demo::{self, query, story, table};
use clap::ValueEnum;
use domain::access::Actor;
use domain::executor::Executor;
use domain::key::Holder;
use domain::store::{OpenOptions, Store};
use domain::tool::Outside;
use entity::Role;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{say, style};

/// The story takes some twenty seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long runs may go on when the demo is stopped. What it made is thrown away anyway.
const GRACE: Duration = Duration::from_millis(500);

#[derive(clap::Args)]
pub(super) struct Args {
    /// Keep the API up on what the demo made, and print queries to try
    #[arg(long)]
    serve: bool,
    /// Where to listen with --serve; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT", env = "STINT_LISTEN")]
    listen: Option<String>,
    /// How to show the runs; json shows only them, as data, when the story is over
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// What to log, as for serve
    #[arg(long, value_name = "LEVEL", env = "STINT_LOG", hide = true)]
    log: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// The story as it happens, then a table
    Text,
    /// One JSON object
    Json,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    // Dropped last: whatever happens, the folder goes.
    let folder = Folder::make()?;
    let mut signals = Signals::listen()?;
    let (common, mut settings) = settings(&args, &folder)?;
    super::log(&common, "warn")?;
    settings.worker.grace = GRACE;
    // The worker notices at its next renewal that it has nothing left.
    settings.worker.renew = GRACE;
    let stage = Stage::open(settings, args.serve).await?;
    let played = tokio::select! {
        played = play(&stage, args.format) => Some(played),
        () = signals.next() => None,
    };
    match (played, stage) {
        (Some(Ok(report)), Stage::Served { app, key, .. }) => {
            let told = invite(&app, &key, &report, &folder, args.format);
            serve(app, told, &mut signals, &folder).await
        }
        (played, stage) => {
            stage.close().await;
            match played {
                Some(played) => played.map(drop),
                None => {
                    drop(folder);
                    say(format_args!("\nStopped before the end of the story."));
                    // As a shell expects it from what was interrupted.
                    std::process::exit(130)
                }
            }
        }
    }
}

/// Plays the story and shows it.
async fn play(stage: &Stage, format: Format) -> anyhow::Result<Report> {
    let mut screen = match format {
        Format::Text => Screen::stdout(),
        Format::Json => Screen::none(),
    };
    let (store, admin) = (stage.store(), stage.admin().await?);
    let cast = demo::install(store, &admin).await?;
    let mut teller = Teller::new(screen.width().into(), &cast.coworkers);
    let request = demo::submit(store, &cast.requester).await?;
    screen.show(&teller.card(&request, demo::REQUESTER))?;
    let told = story::follow(store, &admin, request.id, &mut teller, &mut screen);
    let told = tokio::time::timeout(PATIENCE, told).await;
    let report = Report::read(store, &admin, &cast, request.id).await?;
    match told {
        Ok(told) => told?,
        Err(_) => bail!(
            "the story did not end within {} minutes; REQ-{} is {} after {} runs",
            PATIENCE.as_secs() / 60,
            report.request.number,
            report.request.status.as_str(),
            report.runs.len()
        ),
    }
    match format {
        Format::Text => {
            let table = table::render(&report, screen.width());
            screen.show(&format!("\n{}\n\n{table}", report.sentence()))?;
            let (strong, faint) = (style::STRONG, style::FAINT);
            screen.show(&format!(
                "\n{faint}Played by the scripted model: it needs no key, and its price is an illustration.{faint:#}\n\
                 Next: {strong}stint demo --serve{strong:#} to ask about it, {strong}stint serve{strong:#} to begin with your own.\n"
            ))?;
        }
        Format::Json => super::print(&format!("{:#}\n", report.json()))?,
    }
    report.check()?;
    Ok(report)
}

/// Says where the API is and what to ask it.
fn invite(
    app: &App,
    key: &str,
    report: &Report,
    folder: &Folder,
    format: Format,
) -> anyhow::Result<()> {
    let (strong, faint) = (style::STRONG, style::FAINT);
    let address = app.address();
    let mut text = format!(
        "\n{strong}The API is up, and a worker with it{strong:#}\n  \
         API        {strong}http://{address}/graphql{strong:#}\n  \
         Admin key  {strong}{key}{strong:#}\n  \
         Database   {}  {faint}removed at the end{faint:#}\n",
        folder.path().display()
    );
    // The third run is the one that finds the fault.
    let run = report.runs.get(2).map_or(1, |run| run.number);
    for query in query::all(address, key, report.request.number, run) {
        text += &format!("\n{faint}# {}{faint:#}\n{}\n", query.about, query.command);
    }
    text += &format!("\n{faint}Ctrl-C stops it.{faint:#}\n");
    match format {
        Format::Text => super::print(&text),
        // Only the data is for stdout.
        Format::Json => Ok(write!(anstream::stderr(), "{text}")?),
    }
}

/// Serves until it is stopped; a second signal stops at once.
async fn serve(
    mut app: App,
    told: anyhow::Result<()>,
    signals: &mut Signals,
    folder: &Folder,
) -> anyhow::Result<()> {
    if told.is_ok() {
        tokio::select! {
            () = signals.next() => {}
            failed = app.failed() => return Err(failed),
        }
        say(format_args!("Stopping. Once more stops at once."));
    }
    tokio::select! {
        () = app.stop() => told,
        () = signals.next() => {
            folder.remove();
            std::process::exit(130)
        }
    }
}

fn settings(args: &Args, folder: &Folder) -> anyhow::Result<(config::Common, Settings)> {
    let database = folder.path().join("stint.db");
    let common = CommonFlags {
        database_url: Some(format!("sqlite://{}", database.display())),
        log: args.log.clone(),
        ..CommonFlags::default()
    };
    let server = ServerFlags {
        listen: args.listen.clone(),
        ..ServerFlags::default()
    };
    config::server(&common, &server)
}

/// What the story is played on: a whole server, or a store and a worker without a port.
enum Stage {
    Served {
        app: App,
        key: String,
    },
    Alone {
        store: Store,
        executor: Executor,
        key: String,
    },
}

impl Stage {
    async fn open(settings: Settings, serve: bool) -> anyhow::Result<Self> {
        if serve {
            let app = App::start(settings).await?;
            let key = app
                .first_key()
                .context("the demo's database is not new")?
                .to_owned();
            return Ok(Self::Served { app, key });
        }
        let store = Store::open(&settings.database_url, OpenOptions::default()).await?;
        let name = "Admin".to_owned();
        let holder = Holder::NewPerson(name.clone());
        let make = MakeKey {
            workspace: None,
            name,
            role: Role::Admin,
            holder,
            only_first: true,
        };
        let key = store
            .write(make)
            .await?
            .context("the demo's database is not new")?;
        let vault = settings.vault.unwrap_or_default();
        let outside = Outside::new(store.clone(), vault, settings.tools)?;
        let executor = Executor::start(store.clone(), settings.worker, outside).await?;
        Ok(Self::Alone {
            store,
            executor,
            key: key.reveal().to_owned(),
        })
    }

    fn store(&self) -> &Store {
        match self {
            Self::Served { app, .. } => app.store(),
            Self::Alone { store, .. } => store,
        }
    }

    async fn admin(&self) -> anyhow::Result<Actor> {
        let (Self::Served { key, .. } | Self::Alone { key, .. }) = self;
        let (_, actor) = domain::key::authenticate(self.store(), key).await?;
        Ok(actor)
    }

    async fn close(self) {
        match self {
            Self::Served { app, .. } => app.stop().await,
            Self::Alone { executor, .. } => executor.drain().await,
        }
    }
}

/// A new folder for the database, removed with all that is in it.
struct Folder(PathBuf);

impl Folder {
    fn make() -> anyhow::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let name = format!("stint-demo-{}", domain::clock::random_id().simple());
        let path = std::env::temp_dir().join(name);
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.with_context(|| format!("the demo's folder {} can't be made", path.display()))?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn remove(&self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.remove();
    }
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let (interrupt, terminate) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        );
        Ok(Self {
            interrupt,
            terminate,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
