//! One accept loop for every port: HTTP, gRPC and admin.
//!
//! Owns sockets and the life of connections: how many, how old, how long they may take to say something, and how they
//! end. It must not know what is served over them.
//!
//! gRPC is served here too, and not by `tonic::transport::Server`: that runs the same hyper connection, but boxes each
//! request's body and passes each request through a stack of layers, knows no connection age with jitter that ends by
//! GOAWAY and a deadline, and would need its own TLS beside that of HTTP. Here a port is a listener and a service, and
//! 12,000 echoes for 16 callers took 2.4 s of CPU against 2.9 s (three runs each in turn, development build).

mod coarse;
mod connection;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::unconstrained;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use super::tls::{PeerNames, Tls};
use connection::Connections;

/// Connections that the kernel keeps until they are accepted, as tokio asks it to.
const BACKLOG_MAX: usize = 1024;

/// What a port speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, and HTTP/2 by ALPN or prior knowledge.
    Http,
    /// HTTP/2 by ALPN or prior knowledge.
    Grpc,
}

/// How connections are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenOptions {
    /// What is spoken.
    pub protocol: Protocol,
    /// Connections at one time; more wait in the kernel's backlog until one ends.
    pub connections_max: usize,
    /// A connection of this age is asked to end (`Connection: close`, GOAWAY), so that load spreads over new replicas;
    /// `None` asks none.
    pub connection_age_max: Option<Duration>,
    /// Up to this much is added to each connection's age, at random, so that connections made together do not end
    /// together.
    pub connection_age_jitter: Duration,
    /// How long a connection that was asked to end for its age may take to do so; what was asked last within this has as
    /// long again.
    pub connection_age_grace: Duration,
    /// How long a new connection may be silent, and how long a request's headers may take (idle time included, and up to
    /// a quarter more).
    pub header_read_timeout: Duration,
    /// HTTP/2 pings after this long without a frame; `None` never pings.
    pub keep_alive_interval: Option<Duration>,
    /// A connection whose ping is not answered within this ends.
    pub keep_alive_timeout: Duration,
    /// HTTP/2 requests of one connection at one time.
    pub streams_max: u32,
    /// How long open connections may take to finish once shutdown starts.
    pub drain_timeout: Duration,
}

impl ListenOptions {
    /// The defaults for a port of `protocol`.
    #[must_use]
    pub const fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            connections_max: 8192,
            connection_age_max: Some(Duration::from_secs(10 * 60)),
            connection_age_jitter: Duration::from_secs(60),
            connection_age_grace: Duration::from_secs(60),
            header_read_timeout: Duration::from_secs(60),
            keep_alive_interval: Some(Duration::from_secs(60)),
            keep_alive_timeout: Duration::from_secs(20),
            streams_max: 1024,
            drain_timeout: Duration::from_secs(30),
        }
    }
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Where it is.
    pub address: SocketAddr,
    /// What its certificate says of it, where it showed one.
    pub names: Option<Arc<PeerNames>>,
}

/// What serves a port, once it is known who is at the other end of a connection.
pub trait PerPeer {
    /// Serves the requests of one connection.
    type Service;

    /// The service of a connection with `peer`.
    fn for_peer(&self, peer: Peer) -> Self::Service;
}

/// How a port ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were still open at the drain deadline, and were cut.
    pub cut: usize,
}

/// A bound port.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    options: ListenOptions,
    tls: Option<Tls>,
}

impl Listener {
    /// Binds `address`; port 0 takes any free one.
    pub async fn bind(address: SocketAddr, options: ListenOptions) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address, options, tls: None })
    }

    /// Speaks TLS, where there is `tls`.
    #[must_use]
    pub fn with_tls(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    /// Where it is bound.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`; then stops accepting, asks every connection to end, and waits for them until the
    /// drain deadline. The service is cloned for each request.
    pub async fn serve<P, B>(self, service: P, shutdown: CancellationToken) -> Drained
    where
        P: PerPeer + Clone + Send + Sync + 'static,
        P::Service: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        <P::Service as Service<Request<Incoming>>>::Future: Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Self { socket, options, tls, .. } = self;
        let permits = Arc::new(Semaphore::new(options.connections_max.min(Semaphore::MAX_PERMITS)));
        let cut = CancellationToken::new();
        let connections = Arc::new(Connections::new(&options, tls, shutdown.clone(), cut.clone()));
        let tasks = TaskTracker::new();
        let start = |(stream, peer, permit)| {
            let (connections, service) = (Arc::clone(&connections), service.clone());
            tasks.spawn(async move {
                connections.run(stream, peer, &service).await;
                drop::<OwnedSemaphorePermit>(permit);
            });
        };
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                accepted = accept(&socket, &permits) => start(accepted),
            }
        }
        // To their callers these are connected, and may have sent a request.
        for _ in 0..BACKLOG_MAX {
            // Tokio's budget of one poll is far smaller than the backlog.
            let Some(accepted) = unconstrained(accept(&socket, &permits)).now_or_never() else { break };
            start(accepted);
        }
        drop(socket);
        tasks.close();
        if tokio::time::timeout(options.drain_timeout, tasks.wait()).await.is_ok() {
            return Drained { cut: 0 };
        }
        let open = tasks.len();
        tracing::warn!(connections = open, "connections were cut at the drain deadline");
        cut.cancel();
        tasks.wait().await;
        Drained { cut: open }
    }
}

/// The next connection, once there is room for it.
async fn accept(socket: &TcpListener, permits: &Arc<Semaphore>) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let permit = Arc::clone(permits).acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => return (stream, peer, permit),
            // The caller went away between the kernel's accept and ours.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                // Most likely out of file descriptors: going on at once would only burn the processor.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
