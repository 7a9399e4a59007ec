//! The story as it happens: follows the request's timeline, and each run on it to its end.

use std::time::{Duration, Instant};

use domain::access::Actor;
use domain::request::query::{is_waiting, visible_dispatches};
use domain::run::log::Logged;
use domain::run::tail::{self, Tail};
use domain::run::{envelope, query};
use domain::store::Store;
use entity::{RequestEventKind, RequestId, RunId, dispatch, run};
use sea_orm::{ColumnTrait, PaginatorTrait, QueryFilter};

use super::screen::Screen;
use super::teller::Teller;

/// How often the clock of what is under way moves on, on a terminal.
const TICK: Duration = Duration::from_millis(100);

const SPINNER: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

/// Tells what happens on a request until nobody works on it any more and nothing waits.
///
/// # Errors
/// What the database said, or the output.
pub async fn follow(
    store: &Store,
    watcher: &Actor,
    request: RequestId,
    teller: &mut Teller,
    screen: &mut Screen,
) -> anyhow::Result<()> {
    let mut timeline = tail::timeline(store, watcher, request, 0).await?;
    let mut told = 0;
    loop {
        let entry = timeline.next().await?;
        match entry.kind {
            RequestEventKind::RunStarted => {
                if let Some(run) = entry.run_id {
                    follow_run(store, watcher, run, teller, screen).await?;
                    told += 1;
                }
            }
            // These may have been the last ones.
            RequestEventKind::DispatchDropped
            | RequestEventKind::LeftToPeople
            | RequestEventKind::Escalated => {}
            // The runs tell these themselves.
            RequestEventKind::RequestCreated
            | RequestEventKind::NotePosted
            | RequestEventKind::StatusChanged
            | RequestEventKind::Assigned
            | RequestEventKind::ApprovalDecided
            | RequestEventKind::RunEnded => continue,
        }
        if is_over(store, watcher, request, told).await? {
            return Ok(());
        }
    }
}

/// Whether nothing waits, and all runs are told. First what waits, then the runs: a dispatch that stops
/// waiting in between is a run by then.
async fn is_over(
    store: &Store,
    watcher: &Actor,
    request: RequestId,
    told: u64,
) -> domain::Result<bool> {
    let waiting = visible_dispatches(watcher)
        .filter(dispatch::Column::RequestId.eq(request))
        .filter(is_waiting())
        .count(store.read())
        .await?;
    let runs = query::visible(watcher).filter(run::Column::RequestId.eq(request));
    Ok(waiting == 0 && runs.count(store.read()).await? == told)
}

async fn follow_run(
    store: &Store,
    watcher: &Actor,
    run: RunId,
    teller: &mut Teller,
    screen: &mut Screen,
) -> anyhow::Result<()> {
    let number = query::get(store.read(), watcher, run).await?.number;
    let mut events = tail::events(store, watcher, run, 0).await?;
    while let Some(logged) = next(&mut events, teller, screen).await? {
        let event = envelope::event(&logged.event)?;
        screen.show(&teller.tell(number, logged.event.at, &event))?;
    }
    Ok(())
}

/// The next event; until it comes, a terminal shows what is under way and for how long.
async fn next(
    events: &mut Tail,
    teller: &Teller,
    screen: &mut Screen,
) -> anyhow::Result<Option<std::sync::Arc<Logged>>> {
    let coming = events.next();
    let Some(doing) = teller.glimpse().filter(|_| screen.is_live()) else {
        return Ok(coming.await?);
    };
    tokio::pin!(coming);
    let (since, mut tick) = (Instant::now(), tokio::time::interval(TICK));
    let mut spinner = SPINNER.iter().cycle();
    loop {
        tokio::select! {
            item = &mut coming => return Ok(item?),
            _ = tick.tick() => {
                let sign = spinner.next().unwrap_or(&' ');
                let seconds = since.elapsed().as_secs_f32();
                screen.glimpse(&format!("{doing}{sign} {seconds:.1} s"))?;
            }
        }
    }
}
