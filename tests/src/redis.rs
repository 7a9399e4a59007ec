//! A Redis server of one test's own, which the test may kill, freeze and start again.
//!
//! It takes some ten milliseconds to start, so that none is shared.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::process::{self, Signal};

/// How long a server may take to answer after its start.
const START: Duration = Duration::from_secs(20);

/// A Redis server without persistence, as Stint uses it: it carries hints, and may forget everything at any time.
pub struct Redis {
    port: u16,
    dir: TempDir,
    child: Mutex<Option<Child>>,
}

impl Redis {
    /// Makes and starts one. Ends with this value.
    pub fn start() -> Self {
        Self::try_start().expect("Redis starts")
    }

    fn try_start() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("stint-redis-").tempdir()?;
        let mut tries = 3;
        loop {
            let port = process::free_port();
            match launch(&dir, port) {
                Ok(child) => {
                    return Ok(Self {
                        port,
                        dir,
                        child: Mutex::new(Some(child)),
                    });
                }
                Err(_) if tries > 0 => tries -= 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Its URL: the same for all its life.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it (SIGKILL). Returns when it is gone.
    pub fn kill(&self) {
        if let Some(mut child) = self.child().take() {
            child.kill().expect("Redis can be killed");
            child.wait().expect("Redis ends");
        }
    }

    /// Freezes it (SIGSTOP): connections stay open and nothing answers.
    pub fn freeze(&self) {
        self.signal(Signal::Stop);
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        self.signal(Signal::Continue);
    }

    fn signal(&self, signal: Signal) {
        process::send(self.child().as_ref().expect("Redis runs").id(), signal);
    }

    /// Starts it again, empty, on the same port. Returns when it answers.
    pub fn restart(&self) {
        self.kill();
        *self.child() = Some(launch(&self.dir, self.port).expect("Redis starts again"));
    }

    /// Sends one command and returns its answer as Redis wrote it, without the line's end: `+PONG`, `:1`, `$-1`; of a
    /// bulk string only its text. For looking at the server in a test; an error when there is no answer in time.
    pub fn command(&self, words: &[&str]) -> io::Result<String> {
        command(self.port, words, Duration::from_secs(5))
    }

    /// Hears all that is published from now on, on channels whose name fits the pattern.
    ///
    /// # Errors
    /// If the server does not answer.
    pub fn overhear(&self, pattern: &str) -> io::Result<Overheard> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let subscribe = format!(
            "*2\r\n$10\r\nPSUBSCRIBE\r\n${}\r\n{pattern}\r\n",
            pattern.len()
        );
        stream.write_all(subscribe.as_bytes())?;
        let mut confirmed = vec![
            0;
            format!(
                "*3\r\n$10\r\npsubscribe\r\n${}\r\n{pattern}\r\n:1\r\n",
                pattern.len()
            )
            .len()
        ];
        stream.read_exact(&mut confirmed)?;
        stream.set_read_timeout(None)?;
        let heard = Overheard::default();
        let all = heard.0.clone();
        // It ends with the server.
        std::thread::spawn(move || {
            let mut piece = [0; 64 * 1024];
            while let Ok(n @ 1..) = stream.read(&mut piece) {
                let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                all.extend_from_slice(&piece[..n]);
            }
        });
        Ok(heard)
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was published on a server.
#[derive(Clone, Default)]
pub struct Overheard(Arc<Mutex<Vec<u8>>>);

impl Overheard {
    /// All that was heard so far, as it came.
    pub fn text(&self) -> String {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&all).into_owned()
    }

    /// How many messages that is.
    pub fn messages(&self) -> usize {
        self.text().matches("pmessage\r\n").count()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn launch(dir: &TempDir, port: u16) -> Result<Child> {
    let mut child = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--save", "", "--appendonly", "no", "--loglevel", "warning"])
        .arg("--dir")
        .arg(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context(
            "redis-server is not installed: run tests/run once, it installs what the tests need",
        )?;
    let mut ended = None;
    let up = process::wait_until(START, || {
        ended = child.try_wait().ok().flatten();
        let answers = || {
            command(port, &["PING"], Duration::from_secs(1)).is_ok_and(|answer| answer == "+PONG")
        };
        (ended.is_some() || answers()).then_some(())
    });
    if up.is_some() && ended.is_none() {
        return Ok(child);
    }
    child.kill()?;
    child.wait()?;
    bail!("Redis did not start on port {port}: {ended:?}")
}

fn command(port: u16, words: &[&str], limit: Duration) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(limit))?;
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request += &format!("${}\r\n{word}\r\n", word.len());
    }
    stream.write_all(request.as_bytes())?;

    let mut answer = BufReader::new(stream);
    let mut line = String::new();
    answer.read_line(&mut line)?;
    let line = line.trim_end();
    match line
        .strip_prefix('$')
        .and_then(|length| length.parse::<usize>().ok())
    {
        Some(length) => {
            let mut text = vec![0; length];
            answer.read_exact(&mut text)?;
            String::from_utf8(text).map_err(io::Error::other)
        }
        None => Ok(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_can_be_killed_frozen_and_started_again() {
        let redis = Redis::start();
        assert_eq!(redis.command(&["SET", "hint", "run 83"]).unwrap(), "+OK");
        assert_eq!(redis.command(&["GET", "hint"]).unwrap(), "run 83");

        redis.freeze();
        assert!(
            command(redis.port(), &["PING"], Duration::from_millis(200)).is_err(),
            "a frozen server is silent"
        );
        redis.thaw();
        assert_eq!(redis.command(&["PING"]).unwrap(), "+PONG");

        redis.kill();
        assert!(redis.command(&["PING"]).is_err());
        redis.restart();
        assert_eq!(
            redis.command(&["GET", "hint"]).unwrap(),
            "$-1",
            "nothing is kept"
        );
    }
}
