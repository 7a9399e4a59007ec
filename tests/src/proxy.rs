//! A man in the middle of PostgreSQL: lets a connection die at the one moment that matters, when COMMIT was sent and
//! its reply was not received.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

use crate::client::PATIENCE;

/// What becomes of a connection that sends COMMIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The server commits, and the connection dies before its reply arrives.
    ReplyLost,
    /// The connection dies before the server has received COMMIT: nothing stands.
    NeverSent,
    /// The connection dies, and COMMIT reaches the server only with [`Proxy::release`]: meanwhile its transaction
    /// holds its locks, and its outcome is open.
    Late,
}

/// Forwards connections to a PostgreSQL server. Ends with the runtime that it was made in.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// What the next COMMITs meet: the last one first.
    fates: Mutex<Vec<Option<Fate>>>,
    /// How many COMMITs met a fate.
    struck: watch::Sender<usize>,
    /// How many new connections are still to be turned away once a fate has struck.
    refuse: AtomicUsize,
    /// Rises when all connections are cut.
    cuts: watch::Sender<usize>,
    release: Notify,
}

impl Proxy {
    /// Starts one in front of the server that `url` names.
    pub async fn start(url: &str) -> Self {
        let server = host(url).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let forward = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *forward.struck.borrow() > 0 && forward.refused() {
                    continue;
                }
                let server = TcpStream::connect(&server).await;
                let server = server.expect("the server is there");
                tokio::spawn(pass(client, server, Arc::clone(&forward)));
            }
        });
        Self { address, shared }
    }

    /// The URL of the same database through the proxy.
    pub fn url(&self, url: &str) -> String {
        url.replace(host(url), &self.address.to_string())
    }

    /// Lets the next COMMITs meet these fates, one each, in this order.
    pub fn strike(&self, fates: &[Fate]) {
        self.strike_after(0, fates);
    }

    /// Lets so many COMMITs pass, and the ones after them meet these fates.
    pub fn strike_after(&self, pass: usize, fates: &[Fate]) {
        let later = fates.iter().rev().copied().map(Some);
        let all = later.chain(std::iter::repeat_n(None, pass));
        self.shared.fates().splice(0..0, all);
    }

    /// Makes a fate cut all connections, and turns the next ones away that come after it: the server seems to be gone
    /// for a while.
    pub fn turn_away(&self, connections: usize) {
        self.shared.refuse.store(connections, Ordering::SeqCst);
    }

    /// How many connections are still to be turned away.
    pub fn to_turn_away(&self) -> usize {
        self.shared.refuse.load(Ordering::SeqCst)
    }

    /// How many COMMITs have met a fate.
    pub fn struck(&self) -> usize {
        *self.shared.struck.borrow()
    }

    /// Waits until so many COMMITs have met a fate.
    pub async fn until_struck(&self, times: usize) {
        let mut struck = self.shared.struck.subscribe();
        let struck = tokio::time::timeout(PATIENCE, struck.wait_for(|struck| *struck >= times));
        struck
            .await
            .expect("something is committed")
            .expect("the proxy is there");
    }

    /// Sends the COMMIT on that met [`Fate::Late`].
    pub fn release(&self) {
        self.shared.release.notify_one();
    }
}

impl Shared {
    fn fates(&self) -> std::sync::MutexGuard<'_, Vec<Option<Fate>>> {
        self.fates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self) -> bool {
        let less = |left: usize| left.checked_sub(1);
        self.refuse
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
            .is_ok()
    }
}

fn host(url: &str) -> &str {
    let (_, rest) = url.split_once('@').expect("a URL with a user");
    rest.split('/').next().expect("a host")
}

/// Passes everything on, both ways, until one side ends or a COMMIT meets its fate.
async fn pass(client: TcpStream, server: TcpStream, shared: Arc<Shared>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers = async { tokio::io::copy(&mut from_server, &mut to_client).await };
    let mut cuts = shared.cuts.subscribe();
    let fate = tokio::select! {
        biased;
        fate = questions(&mut from_client, &mut to_server, &shared) => fate,
        _ = cuts.changed() => None,
        _ = answers => None,
    };
    let Some((fate, commit)) = fate else {
        return;
    };
    // The client's side ends here, in the middle of its COMMIT.
    if fate != Fate::ReplyLost {
        drop((from_client, to_client));
        if fate == Fate::NeverSent {
            return;
        }
        shared.release.notified().await;
        commit_at(&mut to_server, &mut from_server, &commit).await;
        return;
    }
    commit_at(&mut to_server, &mut from_server, &commit).await;
    drop((from_client, to_client));
}

/// Sends COMMIT and waits for the server's word that it is done.
async fn commit_at(to_server: &mut OwnedWriteHalf, from_server: &mut OwnedReadHalf, commit: &[u8]) {
    to_server
        .write_all(commit)
        .await
        .expect("the server is there");
    loop {
        // A message is its type, its length without the type, and so much.
        let Ok(kind) = from_server.read_u8().await else {
            return;
        };
        let Ok(length) = from_server.read_u32().await else {
            return;
        };
        let mut rest = vec![0; (length as usize).saturating_sub(4)];
        if from_server.read_exact(&mut rest).await.is_err() || kind == b'Z' {
            return;
        }
    }
}

/// Passes the client's messages on, up to a COMMIT that meets a fate.
async fn questions(
    client: &mut OwnedReadHalf,
    server: &mut OwnedWriteHalf,
    shared: &Shared,
) -> Option<(Fate, Vec<u8>)> {
    const PROTOCOL_3: u32 = 196_608;
    // What comes before the start-up message, and that message itself, have no type.
    loop {
        let length = client.read_u32().await.ok()?;
        let mut rest = vec![0; (length as usize).checked_sub(4)?];
        client.read_exact(&mut rest).await.ok()?;
        server.write_all(&length.to_be_bytes()).await.ok()?;
        server.write_all(&rest).await.ok()?;
        if rest.get(..4)? == PROTOCOL_3.to_be_bytes() {
            break;
        }
    }
    loop {
        let mut head = [0; 5];
        client.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let mut message = head.to_vec();
        message.resize(length + 1, 0);
        client.read_exact(&mut message[5..]).await.ok()?;
        if head[0] == b'Q' && message[5..].starts_with(b"COMMIT") {
            let fate = shared.fates().pop().flatten();
            if let Some(fate) = fate {
                shared.struck.send_modify(|struck| *struck += 1);
                if shared.refuse.load(Ordering::SeqCst) > 0 {
                    shared.cuts.send_modify(|cuts| *cuts += 1);
                }
                return Some((fate, message));
            }
        }
        server.write_all(&message).await.ok()?;
    }
}
