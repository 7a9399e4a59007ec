//! HTTP/1.1, as little as it takes: one kept connection, one request at a time.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A kept connection.
pub(crate) struct Http {
    stream: TcpStream,
    /// What a request begins with, up to the length of its body.
    head: String,
    buffer: Vec<u8>,
}

impl Http {
    /// Connects to a server for requests with this key.
    pub(crate) async fn connect(address: SocketAddr, key: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let head = format!(
            "POST /graphql HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\
             accept: application/graphql-response+json\r\ncontent-type: application/json\r\ncontent-length: "
        );
        Ok(Self {
            stream,
            head,
            buffer: Vec::with_capacity(4096),
        })
    }

    /// Sends one GraphQL request and returns the body of the answer, which must have the status 200.
    pub(crate) async fn post(&mut self, body: &str) -> Result<&[u8]> {
        self.buffer.clear();
        self.buffer.extend_from_slice(self.head.as_bytes());
        self.buffer
            .extend_from_slice(body.len().to_string().as_bytes());
        self.buffer.extend_from_slice(b"\r\n\r\n");
        self.buffer.extend_from_slice(body.as_bytes());
        self.stream.write_all(&self.buffer).await?;
        self.buffer.clear();
        let (start, length) = loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server closed the connection");
            }
            if let Some(found) = head_of(&self.buffer)? {
                break found;
            }
        };
        while self.buffer.len() < start + length {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server closed the connection");
            }
        }
        let answer = &self.buffer[start..start + length];
        if !self.buffer.starts_with(b"HTTP/1.1 200 ") {
            bail!("{}", String::from_utf8_lossy(&self.buffer));
        }
        Ok(answer)
    }
}

/// Where the body begins and how long it is, once the head is complete.
fn head_of(bytes: &[u8]) -> Result<Option<(usize, usize)>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end])?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    Ok(Some((
        end + 4,
        length.context("an answer without its length")?,
    )))
}
