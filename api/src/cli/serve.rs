//! `stint serve`.

use std::time::Instant;

use api::App;
use api::config::{self, CommonFlags, Role, ServerFlags, Settings};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{print, say, style};

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    server: ServerFlags,
    #[command(flatten)]
    common: CommonFlags,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let begun = Instant::now();
    let (common, settings) = config::server(&args.common, &args.server)?;
    let usual = "info,sea_orm_migration=warn,sqlx=warn";
    let spans = super::log_and_trace(&common, usual, settings.otlp_endpoint.as_deref())?;
    // From here on, so that whoever read the banner can stop it cleanly.
    let mut stop = Stop::listen()?;
    let app = tokio::select! {
        app = App::start(settings.clone()) => app?,
        () = stop.asked() => std::process::exit(130),
    };
    if let Some(key) = app.first_key() {
        say(format_args!(
            "First start: this admin key is shown only now."
        ));
        print(&format!("{key}\n"))?;
    }
    banner(&app, &settings, begun);
    let ended = until_stopped(app, stop).await;
    if let Some(spans) = spans {
        spans.finish();
    }
    ended
}

/// What asks a server to end: SIGINT and SIGTERM.
pub(super) struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    pub(super) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn banner(app: &App, settings: &Settings, begun: Instant) {
    let (strong, faint) = (style::STRONG, style::FAINT);
    say(format_args!(
        "{strong}Stint {}{strong:#}",
        env!("CARGO_PKG_VERSION")
    ));
    let address = app.address();
    match settings.role {
        Role::All | Role::Api => say(format_args!(
            "  API       {strong}http://{address}/graphql{strong:#}"
        )),
        Role::Worker => say(format_args!("  Health    http://{address}/readyz")),
    }
    say(format_args!(
        "  Database  {}",
        domain::store::describe(&settings.database_url)
    ));
    match settings.role {
        Role::All | Role::Worker => say(format_args!(
            "  Worker    {} runs at once",
            settings.worker.slots
        )),
        Role::Api => say(format_args!(
            "  Worker    {faint}none in this process{faint:#}"
        )),
    }
    if let Some(collector) = &settings.otlp_endpoint {
        say(format_args!("  Spans     {collector}"));
    }
    say(format_args!(
        "{faint}Ready after {} ms. Ctrl-C stops it.{faint:#}",
        begun.elapsed().as_millis()
    ));
}

/// Serves until SIGINT or SIGTERM, then ends cleanly; a second signal ends it at once.
pub(super) async fn until_stopped(mut app: App, mut stop: Stop) -> anyhow::Result<()> {
    tokio::select! {
        () = stop.asked() => {}
        failed = app.failed() => return Err(failed),
    }
    say(format_args!(
        "Stopping: runs are finished or handed back. Once more stops at once."
    ));
    tokio::select! {
        () = app.stop() => Ok(()),
        () = stop.asked() => std::process::exit(130),
    }
}
