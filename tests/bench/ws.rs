//! WebSocket with `graphql-transport-ws`, as little as it takes: the server's frames are whole text messages.

use std::net::SocketAddr;

use anyhow::{Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// An open socket.
pub(crate) struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// How much of the buffer was given out.
    read: usize,
}

impl Socket {
    /// Opens a socket and introduces itself.
    pub(crate) async fn open(address: SocketAddr, key: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        // Any sixteen bytes will do; what the server makes of them needs no check here.
        let upgrade = format!(
            "GET /graphql HTTP/1.1\r\nhost: {address}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: c3RpbnQtYmVuY2htYXJrcw==\r\n\
             sec-websocket-protocol: graphql-transport-ws\r\n\r\n"
        );
        stream.write_all(upgrade.as_bytes()).await?;
        let mut buffer = Vec::with_capacity(2048);
        let end = loop {
            if stream.read_buf(&mut buffer).await? == 0 {
                bail!("the server closed the connection");
            }
            if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        if !buffer.starts_with(b"HTTP/1.1 101 ") {
            bail!("{}", String::from_utf8_lossy(&buffer));
        }
        let mut socket = Self {
            stream,
            buffer,
            read: end,
        };
        let init =
            format!(r#"{{"type":"connection_init","payload":{{"authorization":"Bearer {key}"}}}}"#);
        socket.send(&init).await?;
        let ack = socket.next().await?;
        if !ack.contains("connection_ack") {
            bail!("instead of an acknowledgement came {ack}");
        }
        Ok(socket)
    }

    /// Sends a message of the protocol.
    pub(crate) async fn send(&mut self, text: &str) -> Result<()> {
        self.frame(TEXT, text.as_bytes()).await
    }

    /// Sends a frame. Clients must mask; the mask of zeros leaves the bytes as they are.
    async fn frame(&mut self, kind: u8, payload: &[u8]) -> Result<()> {
        let mut frame = vec![0x80 | kind];
        match u16::try_from(payload.len())? {
            length @ 0..126 => frame.push(0x80 | u8::try_from(length)?),
            length => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&length.to_be_bytes());
            }
        }
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(payload);
        Ok(self.stream.write_all(&frame).await?)
    }

    /// The next message of the protocol.
    pub(crate) async fn next(&mut self) -> Result<&str> {
        let (kind, from, to) = loop {
            match self.whole() {
                Some((PING, from, to)) => {
                    let payload = self.buffer[from..to].to_vec();
                    self.read = to;
                    self.frame(PONG, &payload).await?;
                }
                Some((PONG, _, to)) => self.read = to,
                Some(frame) => break frame,
                None => {
                    self.buffer.drain(..self.read);
                    self.read = 0;
                    if self.stream.read_buf(&mut self.buffer).await? == 0 {
                        bail!("the server closed the connection");
                    }
                }
            }
        };
        self.read = to;
        let payload = &self.buffer[from..to];
        match kind {
            TEXT => Ok(std::str::from_utf8(payload)?),
            CLOSE => bail!(
                "the server closed the socket: {}",
                String::from_utf8_lossy(payload)
            ),
            kind => bail!("a frame of kind {kind}"),
        }
    }

    /// The next frame, if it is there as a whole: its kind, and where its payload lies.
    fn whole(&self) -> Option<(u8, usize, usize)> {
        let bytes = &self.buffer[self.read..];
        let (kind, short) = (bytes.first()? & 0x0f, usize::from(*bytes.get(1)?));
        let (head, length) = match short {
            126 => (
                4,
                usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?])),
            ),
            127 => {
                let long = u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?);
                (10, usize::try_from(long).ok()?)
            }
            short => (2, short),
        };
        let from = self.read + head;
        (bytes.len() >= head + length).then_some((kind, from, from + length))
    }
}
