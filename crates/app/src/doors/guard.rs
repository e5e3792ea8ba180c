//! Who may come in over HTTP: only requests that name this machine, from pages that are ours,
//! over a bounded number of connections with a bounded life.
//!
//! Any web page can make a browser post to the loopback device, and a name that resolves to
//! 127.0.0.1 today lets it read the answer too; the names a browser sends tell these apart.

use axum::http::{HeaderMap, Uri, header};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// Names by which a browser on this machine may call us.
const OUR_NAMES: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];
/// Port a browser leaves out.
const HTTP_PORT: u16 = 80;
/// Pause after the system could not hand over a connection, which is mostly a lack of files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Why a request is turned away before anybody looks at what it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stranger {
    /// It names no host, or two.
    NoHost,
    /// It calls us by a name that is not ours.
    Host,
    /// A page that is not ours made it.
    Origin,
}

/// Checks the names in a request against the port we listen on.
pub(super) fn check_names(uri: &Uri, headers: &HeaderMap, port: u16) -> Result<(), Stranger> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(one), None) => one.to_str().map_err(|_| Stranger::Host)?,
        _ => return Err(Stranger::NoHost),
    };
    if !is_ours(host, port) {
        return Err(Stranger::Host);
    }
    // A request line may carry a whole address, which then counts for more than the header.
    if let Some(authority) = uri.authority()
        && !is_ours(authority.as_str(), port)
    {
        return Err(Stranger::Host);
    }
    for origin in headers.get_all(header::ORIGIN) {
        let page = origin.to_str().ok().and_then(|o| o.strip_prefix("http://"));
        if !page.is_some_and(|host| is_ours(host, port)) {
            return Err(Stranger::Origin);
        }
    }
    Ok(())
}

/// Says whether a host with its port is this door.
fn is_ours(host: &str, port: u16) -> bool {
    OUR_NAMES.iter().any(|name| {
        let Some((head, rest)) = host.split_at_checked(name.len()) else { return false };
        head.eq_ignore_ascii_case(name)
            && match rest.strip_prefix(':') {
                Some(digits) => digits == port.to_string(),
                None => rest.is_empty() && port == HTTP_PORT,
            }
    })
}

/// A listener that serves a bounded number of connections, each request in a bounded time.
#[derive(Debug)]
pub(super) struct Bounded {
    listener: TcpListener,
    room: Arc<Semaphore>,
    patience: Duration,
}

impl Bounded {
    pub(super) fn new(listener: TcpListener, connections_max: usize, patience: Duration) -> Self {
        Self { listener, room: Arc::new(Semaphore::new(connections_max)), patience }
    }
}

impl axum::serve::Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let permit = Arc::clone(&self.room).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    return (Connection::new(stream, self.patience, permit), peer);
                }
                Err(e) => {
                    tracing::warn!(error = %e, "failed to accept an HTTP connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when a request takes too long to come, to be answered or to be read,
/// whatever the other side does or leaves undone.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    patience: Duration,
    end: Pin<Box<Sleep>>,
    /// The last thing that happened was a write, so what is read next is a new request.
    wrote: bool,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    fn new(stream: TcpStream, patience: Duration, permit: OwnedSemaphorePermit) -> Self {
        let end = Box::pin(tokio::time::sleep(patience));
        Self { stream, patience, end, wrote: false, _permit: permit }
    }

    /// Starts the time anew where a request follows an answer or an answer a request; single
    /// bytes that drip in do not.
    fn turn(&mut self, wrote: bool) {
        if self.wrote != wrote {
            self.wrote = wrote;
            self.end.as_mut().reset(Instant::now() + self.patience);
        }
    }

    /// Turns waiting into an error when the connection's time is over.
    fn or_over<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if poll.is_pending() && self.end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        poll
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        if poll.is_ready() {
            self.turn(false);
        }
        self.or_over(cx, poll)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        if poll.is_ready() {
            self.turn(true);
        }
        self.or_over(cx, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        self.or_over(cx, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.or_over(cx, poll)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use axum::serve::Listener;
    use tokio::io::AsyncReadExt;

    fn check(host: &[&str], origin: Option<&str>, uri: &str) -> Result<(), Stranger> {
        let mut headers = HeaderMap::new();
        for host in host {
            headers.append(header::HOST, HeaderValue::from_str(host).unwrap());
        }
        if let Some(origin) = origin {
            headers.append(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        check_names(&uri.parse().unwrap(), &headers, 8080)
    }

    #[test]
    fn our_own_names_come_in() {
        for host in ["127.0.0.1:8080", "localhost:8080", "LOCALHOST:8080", "[::1]:8080"] {
            assert_eq!(check(&[host], None, "/"), Ok(()), "{host}");
            assert_eq!(check(&[host], Some(&format!("http://{host}")), "/"), Ok(()), "{host}");
        }
        assert_eq!(check(&["localhost:8080"], None, "http://127.0.0.1:8080/live"), Ok(()));
        assert!(is_ours("localhost", 80) && is_ours("localhost:80", 80));
    }

    #[test]
    fn a_foreign_name_stays_out() {
        let foreign = [
            "example.com",
            "example.com:8080",
            "localhost",
            "localhost:80",
            "localhost:8080.a.com",
            "localhost.:8080",
            "127.0.0.1.example.com:8080",
            "127.0.0.2:8080",
            "localhost:08080",
            "[::1]",
            "::1:8080",
            "",
            "localhost:",
            "a@localhost:8080",
            "é",
        ];
        for host in foreign {
            assert_eq!(check(&[host], None, "/"), Err(Stranger::Host), "{host}");
        }
        assert_eq!(check(&[], None, "/"), Err(Stranger::NoHost));
        let two = ["localhost:8080", "localhost:8080"];
        assert_eq!(check(&two, None, "/"), Err(Stranger::NoHost));
        let other = check(&["localhost:8080"], None, "http://example.com:8080/live");
        assert_eq!(other, Err(Stranger::Host));
    }

    #[test]
    fn a_foreign_page_stays_out() {
        let foreign = [
            "null",
            "http://example.com",
            "http://localhost:3000",
            "https://localhost:8080",
            "localhost:8080",
            "file://",
            "",
        ];
        for origin in foreign {
            let got = check(&["localhost:8080"], Some(origin), "/");
            assert_eq!(got, Err(Stranger::Origin), "{origin}");
        }
    }

    #[tokio::test]
    async fn a_connection_ends_by_itself_and_makes_room() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut bounded = Bounded::new(listener, 1, Duration::from_millis(1));
        let address = bounded.local_addr().unwrap();
        for _ in 0..2 {
            let _idle = TcpStream::connect(address).await.unwrap();
            let (mut connection, _) = bounded.accept().await;
            let end = connection.read_u8().await.unwrap_err();
            assert_eq!(end.kind(), io::ErrorKind::TimedOut);
        }
    }
}
