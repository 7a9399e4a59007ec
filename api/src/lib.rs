//! Stint's API: GraphQL over HTTP and WebSocket, its settings, and the one place that wires all of Stint
//! together ([`App::start`]). What the product does is in `domain`.

pub mod auth;
pub mod config;
pub mod demo;
pub mod export;
pub mod files;
pub mod graphql;
pub mod hooks;
pub mod http;
pub mod operation;
pub mod raw;
pub mod telemetry;
#[cfg(test)]
mod testing;
pub mod ws;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use axum::serve::ListenerExt as _;
use domain::bus::Bus;
use domain::executor::Executor;
use domain::key::{Holder, KeyText};
use domain::store::{OpenOptions, Store};
use domain::tool::{Guard, Outside};
use sea_orm::DbBackend;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::{Keys, MakeKey};
use crate::config::Settings;
use crate::graphql::context::Behind;
use crate::http::Gateway;

/// How many connections may wait to be accepted: as many as come back at once after a restart.
const BACKLOG: u32 = 4096;

/// How long clients may take to leave at shutdown, after the worker has let go of its runs.
const FAREWELL: Duration = Duration::from_secs(15);

/// How long the last tasks may take to let go of the store.
const RELEASE: Duration = Duration::from_secs(1);

/// How long the database may take to say that it is there.
const READINESS: Duration = Duration::from_secs(2);

/// A running Stint: an API, a worker, or both.
pub struct App {
    address: SocketAddr,
    store: Store,
    first_key: Option<KeyText>,
    executor: Option<Executor>,
    outside: Arc<Outside>,
    /// Cancelled when no connection is to be accepted any more.
    leaving: CancellationToken,
    /// Cancelled when sockets are to finish and close.
    closing: CancellationToken,
    tasks: TaskTracker,
    server: JoinHandle<std::io::Result<()>>,
}

impl App {
    /// Takes the port, opens the database (and makes a workspace and a key in a new one), starts the worker
    /// and then the API. What fails on the way undoes nothing, because nothing was begun before it.
    ///
    /// # Errors
    /// One sentence for people: the port is taken, the database can't be opened, its schema is newer.
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        let listener = listen(&settings.listen).await?;
        let address = listener.local_addr()?;
        let (works, serves) = (settings.role.works(), settings.role.serves());
        let bus = match &settings.redis_url {
            // Its value stays out of what is said: it may hold a password.
            Some(url) => Bus::redis(url).context(
                "--redis-url (STINT_REDIS_URL, or redis_url in the settings file) can't be used",
            )?,
            None => Bus::local(),
        };
        let options = OpenOptions {
            own: works,
            clock: settings.clock.clone(),
            bus: bus.clone(),
            ..OpenOptions::default()
        };
        let store = Store::open(&settings.database_url, options).await?;
        let first_key = first_key(&store).await?;
        let vault = match settings.vault {
            Some(vault) => vault,
            None => config::vault::embedded(&settings.database_url)?,
        };
        let sweep = settings.worker.reap;
        let guard = Guard::new(settings.tools.exceptions.clone())?;
        let outside = Outside::new(store.clone(), vault.clone(), settings.tools)?;
        let known = settings.worker.providers.iter();
        let known = known.map(|provider| (provider.name.clone(), provider.kind));
        let providers = works.then(|| Arc::new(known.collect()));
        let executor = if works {
            Some(Executor::start(store.clone(), settings.worker, outside.clone()).await?)
        } else {
            None
        };

        let (leaving, closing, tasks) = (
            CancellationToken::new(),
            CancellationToken::new(),
            TaskTracker::new(),
        );
        let until = closing.clone();
        tasks.spawn(async move { bus.keep_connected(until).await });
        // The safety net below the bus: watchers learn of what nobody rang for.
        let (looking, until) = (store.clone(), closing.clone());
        tasks.spawn(domain::run::tail::keep_looking(looking, until));
        tasks.spawn(domain::run::approval::keep_expiring(
            store.clone(),
            sweep,
            closing.clone(),
        ));
        tasks.spawn(domain::store::keep_partitions(
            store.clone(),
            closing.clone(),
        ));
        if works && store.backend() == DbBackend::Sqlite {
            store.write(domain::alert::VoidClaims).await?;
        }
        tasks.spawn(domain::alert::keep_watching(
            store.clone(),
            settings.alerts.watch,
            closing.clone(),
        ));
        tasks.spawn(domain::alert::keep_sending(
            store.clone(),
            vault.clone(),
            guard,
            settings.alerts,
            closing.clone(),
        ));
        tasks.spawn(telemetry::keep_counting(closing.clone()));
        let gateway = Gateway {
            executor: graphql::schema(
                store.clone(),
                vault.clone(),
                outside.clone(),
                providers,
                settings.ui_url,
                Behind {
                    tasks: tasks.clone(),
                    closing: closing.clone(),
                },
            ),
            keys: Arc::new(Keys::new(auth::lookup(store.clone()), settings.key_life)),
            request_id: Box::new(|| domain::clock::fresh_id().simple().to_string()),
            origins: settings.origins,
            patience: settings.patience,
            tasks: tasks.clone(),
            closing: closing.clone(),
            ready: readiness(store.clone(), leaving.clone()),
            figures: figures(store.clone()),
        };
        let router = if serves {
            let downloads = raw::routes(store.clone(), gateway.keys.clone())
                .merge(export::routes(store.clone(), gateway.keys.clone()));
            let more = downloads.merge(hooks::routes(
                store.clone(),
                vault,
                settings.hook_rate,
                tasks.clone(),
                closing.clone(),
            ));
            http::router(Arc::new(gateway), more)
        } else {
            http::operator_router(Arc::new(gateway))
        };
        let listener = listener.tap_io(|connection| {
            // Events are small, and whoever watches waits for each of them.
            let _ = connection.set_nodelay(true);
        });
        let server =
            axum::serve(listener, router).with_graceful_shutdown(leaving.clone().cancelled_owned());
        let server = tokio::spawn(server.into_future());
        Ok(Self {
            address,
            store,
            first_key,
            executor,
            outside,
            leaving,
            closing,
            tasks,
            server,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its database.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The admin key that the first start on a database makes. It is nowhere else.
    pub fn first_key(&self) -> Option<&str> {
        self.first_key.as_ref().map(KeyText::reveal)
    }

    /// Waits until the server ends by itself, which it does only when something is wrong.
    pub async fn failed(&mut self) -> anyhow::Error {
        match (&mut self.server).await {
            Ok(Ok(())) => anyhow!("the server ended"),
            Ok(Err(error)) => anyhow!("the server ended: {error}"),
            Err(error) => anyhow!("the server ended: {error}"),
        }
    }

    /// Ends cleanly: takes no more connections, lets runs finish or hands them back, then lets sockets
    /// finish and closes them. The database is closed when this returns, unless someone holds its store.
    pub async fn stop(self) {
        let Self {
            store,
            executor,
            outside,
            leaving,
            closing,
            tasks,
            server,
            ..
        } = self;
        leaving.cancel();
        if let Some(executor) = executor {
            // Before the sockets, so that watchers see how the runs ended.
            executor.drain().await;
        }
        closing.cancel();
        tasks.close();
        let abort = server.abort_handle();
        let gone = async {
            tasks.wait().await;
            let _ = server.await;
        };
        if tokio::time::timeout(FAREWELL, gone).await.is_err() {
            tracing::warn!("some clients did not leave in time");
            abort.abort();
        }
        // After the last call, of a run or of an administrator.
        outside.close().await;
        let gone = store.gone();
        drop((store, outside));
        // The task of a connection that was served just now may hold the store for a moment more.
        let released = tokio::time::timeout(RELEASE, gone.cancelled_owned());
        if released.await.is_err() {
            tracing::debug!("someone still holds the store");
        }
    }
}

/// Makes the workspace and the admin key of a new database.
async fn first_key(store: &Store) -> anyhow::Result<Option<KeyText>> {
    if domain::key::workspaces(store.read()).await? > 0 {
        return Ok(None);
    }
    let name = "Admin".to_owned();
    let holder = Holder::NewPerson(name.clone());
    let make = MakeKey {
        workspace: None,
        name,
        role: entity::Role::Admin,
        holder,
        only_first: true,
    };
    match store.write(make).await {
        Ok(key) => Ok(key),
        // Another node was first, a moment ago.
        Err(domain::Error::Conflict { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether the server can do its work. That the schema is current and the worker has started is so from
/// the start, or there would be no server to ask.
fn readiness(store: Store, leaving: CancellationToken) -> http::Readiness {
    Box::new(move || {
        let (store, leaving) = (store.clone(), leaving.is_cancelled());
        Box::pin(async move {
            if leaving {
                return Err("The server is stopping.".to_owned());
            }
            match tokio::time::timeout(READINESS, store.ping()).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "not ready");
                    Err("The database does not answer.".to_owned())
                }
                Err(_) => Err("The database does not answer in time.".to_owned()),
            }
        })
    })
}

/// What `/metrics` answers.
fn figures(store: Store) -> http::Figures {
    Box::new(move || {
        let store = store.clone();
        Box::pin(async move { telemetry::render(&store).await })
    })
}

async fn listen(address: &str) -> anyhow::Result<TcpListener> {
    let unusable = || format!("Stint can't listen on {address}");
    let mut found = tokio::net::lookup_host(address)
        .await
        .with_context(unusable)?;
    let at = found
        .next()
        .ok_or_else(|| anyhow!("{}: the host has no address", unusable()))?;
    bind(at).map_err(|error| {
        let why = match error.kind() {
            ErrorKind::AddrInUse => {
                "another program uses this port; choose another with --listen".to_owned()
            }
            ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
            ErrorKind::PermissionDenied => {
                "ports below 1024 need more rights; choose another with --listen".to_owned()
            }
            _ => error.to_string(),
        };
        anyhow!("{}: {why}", unusable())
    })
}

fn bind(at: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if at.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    socket.listen(BACKLOG)
}
