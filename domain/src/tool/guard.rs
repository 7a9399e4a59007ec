//! What calls out of Stint may reach: public addresses, and what the operator excepted.
//!
//! A name is resolved, its addresses are filtered, and the connection is made to one of those that were filtered, so that
//! no second look-up can answer otherwise. Redirects are not followed and proxies are not used: they would lead around it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use crate::error::{Error, Result};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(30);

/// A host and port that calls may reach though its address is not public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    host: String,
    port: u16,
}

impl Exception {
    /// Reads `HOST:PORT`; an IPv6 address stands in brackets.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.trim().rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        // As an address would spell it: lower case, numbers in their usual form.
        let url = Url::parse(&format!("http://{host}/")).ok()?;
        let plain = url.path() == "/" && url.username().is_empty() && url.port().is_none();
        let host = url.host_str().filter(|_| plain)?.to_owned();
        Some(Self { host, port })
    }
}

/// The way out for tools and alerts.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Reaches public addresses only.
    public: Client,
    /// For the exceptions.
    excepted: Client,
    exceptions: Arc<[Exception]>,
}

impl Guard {
    /// A guard with these exceptions.
    ///
    /// # Errors
    /// [`Error::Internal`] if there is no TLS.
    pub fn new(exceptions: Vec<Exception>) -> Result<Self> {
        let client = || {
            Client::builder()
                .no_proxy()
                .redirect(Policy::none())
                .connect_timeout(CONNECT)
                .pool_idle_timeout(IDLE)
                .pool_max_idle_per_host(8)
                .user_agent(concat!("stint/", env!("CARGO_PKG_VERSION")))
        };
        Ok(Self {
            public: client()
                .dns_resolver(Arc::new(Public))
                .build()
                .map_err(Error::internal)?,
            excepted: client().build().map_err(Error::internal)?,
            exceptions: exceptions.into(),
        })
    }

    /// The client for this address.
    ///
    /// # Errors
    /// A sentence that says why it may not be called.
    pub fn client(&self, url: &Url) -> Result<&Client, String> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!(
                "{}: is no address of HTTP; it begins with https:// or http://",
                url.scheme()
            ));
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err("the address names no host".into());
        };
        let excepted = self
            .exceptions
            .iter()
            .any(|exception| exception.host == host && exception.port == port);
        if excepted {
            return Ok(&self.excepted);
        }
        // A name is looked at when it is resolved; a number never is.
        let number = host.trim_start_matches('[').trim_end_matches(']');
        match number.parse::<IpAddr>() {
            Ok(ip) if !is_public(ip) => Err(private(&format!("{host}:{port}"))),
            Ok(_) | Err(_) => Ok(&self.public),
        }
    }
}

fn private(host: &str) -> String {
    format!(
        "{host} is no public address; an operator may except it with --allow-private-host HOST:PORT"
    )
}

/// Resolves names to public addresses only.
struct Public;

impl Resolve for Public {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|at| is_public(at.ip())).collect();
            if public.is_empty() {
                return Err(private(name.as_str()).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether an address belongs to the public internet. Of IPv6 only what is given out to the public is (2000::/3), without
/// the ways in which it holds other addresses: 6to4, Teredo, and, being outside of it, mapped ones and NAT64.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 31, 196)
            | (192, 52, 193)
            | (192, 88, 99)
            | (192, 168, _)
            | (192, 175, 48)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    )
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    (0x2000..=0x3fff).contains(&a)
        && !matches!(
            (a, b),
            (0x2001, 0..=0x1ff | 0xdb8) | (0x2002, _) | (0x3fff, 0..=0xfff)
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for ip in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fec0::1",
            "5f00::1",
        ] {
            assert!(!is_public(ip.parse().expect(ip)), "{ip}");
        }
        for ip in [
            "8.8.8.8",
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00:1450:4001::1",
        ] {
            assert!(is_public(ip.parse().expect(ip)), "{ip}");
        }
    }

    fn refused(guard: &Guard, url: &str) -> bool {
        guard.client(&Url::parse(url).expect(url)).is_err()
    }

    #[tokio::test]
    async fn numbers_are_refused_however_they_are_written() {
        let guard = Guard::new(Vec::new()).expect("a guard");
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://[::1]/",
            "http://[::ffff:169.254.169.254]/",
            "http://169.254.169.254/latest/meta-data/",
            "http://[fd00:ec2::254]/",
            "http://0/",
            "file:///etc/passwd",
            "gopher://example.com/",
        ] {
            assert!(refused(&guard, url), "{url}");
        }
        assert!(!refused(&guard, "https://1.1.1.1/"));
        // A name is looked at when it is resolved.
        for url in ["http://localhost:9/", "http://localhost.:9/"] {
            let client = guard.client(&Url::parse(url).expect(url)).expect("a name");
            let err = client.get(url).send().await.expect_err(url);
            // Not every machine knows the name with the dot.
            if url.contains("localhost.") && format!("{err:?}").contains("dns error") {
                continue;
            }
            assert!(
                format!("{err:?}").contains("is no public address"),
                "{err:?}"
            );
        }
    }

    #[test]
    fn an_exception_is_one_host_and_one_port() {
        let exceptions = ["Desk.internal:8443", "127.0.0.1:9000", "[::1]:9000"]
            .map(|text| Exception::parse(text).expect(text));
        let guard = Guard::new(exceptions.to_vec()).expect("a guard");
        for (url, allowed) in [
            ("http://127.0.0.1:9000/a", true),
            ("http://2130706433:9000/a", true),
            ("http://127.0.0.1:9001/a", false),
            ("http://127.0.0.2:9000/a", false),
            ("http://[::1]:9000/a", true),
            ("https://desk.internal:8443/", true),
        ] {
            assert_eq!(!refused(&guard, url), allowed, "{url}");
        }
        for text in [
            "",
            "desk",
            "desk:",
            "desk:0",
            "desk:70000",
            "a/b:80",
            "u@h:80",
            ":80",
        ] {
            assert_eq!(Exception::parse(text), None, "{text}");
        }
    }
}
