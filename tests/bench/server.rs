//! The server under load: the real binary, as an operator starts it.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tests::process::{self, Signal};

use crate::database::Database;
use crate::{Options, machine};

/// How long a start may take.
const LIMIT: Duration = Duration::from_secs(30);

/// A running `stint serve`. Killed with this value.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    /// Where its output goes: read by nobody, so that reading costs nothing.
    logs: TempDir,
    /// From before the process was made until it said that it is ready.
    pub(crate) took: Duration,
}

impl Server {
    /// Starts one, and waits until it is ready.
    pub(crate) fn start(options: &Options, database: &Database) -> Result<Self> {
        let logs = tempfile::tempdir_in(process::shared_dir()?)?;
        let address = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
        let mut command = Command::new(&options.stint);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("STINT_") {
                command.env_remove(name);
            }
        }
        command
            .args([
                "serve",
                "--database-url",
                &database.url(),
                "--listen",
                &address.to_string(),
            ])
            .stdin(Stdio::null())
            .stdout(File::create(logs.path().join("stdout"))?)
            .stderr(File::create(logs.path().join("stderr"))?);
        let begun = Instant::now();
        let child = command.spawn()?;
        let mut server = Self {
            child,
            address,
            logs,
            took: Duration::ZERO,
        };
        while !is_ready(address) {
            if server.child.try_wait()?.is_some() || begun.elapsed() > LIMIT {
                bail!("stint does not start: {}", server.output("stderr")?);
            }
            std::thread::sleep(Duration::from_micros(250));
        }
        server.took = begun.elapsed();
        Ok(server)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The admin key that its first start on a database printed.
    pub(crate) fn first_key(&self) -> Result<String> {
        let mut key = None;
        process::wait_until(LIMIT, || {
            let text = self.output("stdout").unwrap_or_default();
            key = text
                .lines()
                .find(|line| line.starts_with("stint_"))
                .map(str::to_owned);
            key.is_some().then_some(())
        });
        key.context("the first start prints a key")
    }

    /// The time that it has spent on the cores so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        machine::cpu(self.child.id())
    }

    /// Its resident memory, in MB.
    pub(crate) fn resident(&self) -> Result<f64> {
        machine::resident(self.child.id())
    }

    /// Ends it as a service manager does.
    pub(crate) fn stop(mut self) -> Result<()> {
        // One that has only just become ready may not listen to signals yet.
        std::thread::sleep(Duration::from_millis(100));
        process::send(self.child.id(), Signal::Terminate);
        let status = self.child.wait()?;
        if !status.success() {
            bail!("stint ended with {status}: {}", self.output("stderr")?);
        }
        Ok(())
    }

    fn output(&self, name: &str) -> Result<String> {
        let path: PathBuf = self.logs.path().join(name);
        Ok(std::fs::read_to_string(path)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Asks once. The port takes connections before the server is ready, and then this waits for the answer.
fn is_ready(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: stint\r\nconnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer.starts_with(b"HTTP/1.1 200 "))
    };
    ask().unwrap_or(false)
}
