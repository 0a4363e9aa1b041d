//! One connection, from its first byte to its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, Version};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Interval, Sleep};
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::coarse::{self, Coarse};
use super::{ListenOptions, Peer, PerPeer, Protocol, Tls};

/// Bytes that a caller may have under way on one stream, and on one connection, before the server reads them.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// Largest HTTP/2 frame that callers may send: larger tensors come in fewer pieces than with the default of 16 KiB.
const FRAME_BYTES_MAX: u32 = 64 << 10;
/// All headers of one HTTP/2 request.
const HEADERS_BYTES_MAX: u32 = 32 << 10;
/// Read buffer of one HTTP/1.1 connection, which bounds its headers too. It grows with what arrives: a body that fits is
/// read whole and handed on without a copy.
const READ_BUFFER_BYTES_MAX: usize = 512 << 10;

/// Room in which the first bytes of an encrypted connection are awaited. Larger reads go past it, so that it costs no copy.
const FIRST_BYTES: usize = 64;

/// How long a drain leaves an idle HTTP/1.1 connection open, so that a request that is on its way is answered, with
/// `Connection: close`, and not reset. A second is several round trips between continents; callers that wait longer
/// between requests had not sent one yet, and the drain must not last longer for them.
const LINGER: Duration = Duration::from_secs(1);

/// What the connections of one port share.
pub(super) struct Connections {
    builder: auto::Builder<TokioExecutor>,
    age_max: Option<Duration>,
    age_jitter: Duration,
    age_grace: Duration,
    linger: Duration,
    header_read_timeout: Duration,
    /// Nothing but HTTP/2 is spoken.
    grpc: bool,
    tls: Option<Tls>,
    shutdown: CancellationToken,
    cut: CancellationToken,
}

impl Connections {
    pub(super) fn new(
        options: &ListenOptions,
        tls: Option<Tls>,
        shutdown: CancellationToken,
        cut: CancellationToken,
    ) -> Self {
        Self {
            builder: builder(options),
            age_max: options.connection_age_max,
            age_jitter: options.connection_age_jitter,
            age_grace: options.connection_age_grace,
            // A drain with little time keeps most of it for requests.
            linger: LINGER.min(options.drain_timeout / 4),
            header_read_timeout: options.header_read_timeout,
            grpc: options.protocol == Protocol::Grpc,
            tls,
            shutdown,
            cut,
        }
    }

    /// Serves `stream` until it ends, is asked to end, or is cut.
    pub(super) async fn run<P, B>(&self, stream: TcpStream, address: SocketAddr, service: &P)
    where
        P: PerPeer,
        P::Service: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        <P::Service as Service<Request<Incoming>>>::Future: Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        // Answers are written whole; waiting to fill a packet would only delay them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        if !self.speaks(stream.readable()).await {
            return;
        }
        let Some(tls) = &self.tls else {
            let service = service.for_peer(Peer { address, names: None });
            return self.drive(stream, address, service).await;
        };
        let shaken = tokio::select! {
            biased;
            shaken = tls.accept(stream) => shaken,
            () = self.cut.cancelled() => return,
        };
        let (stream, names) = match shaken {
            Ok(shaken) => shaken,
            Err(error) => return tracing::debug!(%error, peer = %address, "a handshake failed"),
        };
        // What came first may be half of what hyper tells protocols apart by, for which it waits without a limit.
        let mut stream = BufReader::with_capacity(FIRST_BYTES, stream);
        if self.speaks(stream.fill_buf()).await {
            let service = service.for_peer(Peer { address, names });
            self.drive(stream, address, service).await;
        }
    }

    /// Whether a new connection says something in time.
    async fn speaks<T>(&self, something: impl Future<Output = std::io::Result<T>>) -> bool {
        tokio::select! {
            // What has arrived is served, whatever else happened meanwhile.
            biased;
            spoke = tokio::time::timeout(self.header_read_timeout, something) => spoke.is_ok(),
            () = self.drained() => false,
        }
    }

    async fn drive<I, S, B>(&self, io: I, peer: SocketAddr, service: S)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let state = Arc::new(State::default());
        if self.shutdown.is_cancelled() {
            state.closing.store(true, Ordering::Relaxed);
        }
        let seen = Arc::clone(&state);
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let http2 = request.version() == Version::HTTP_2;
            seen.http2.store(http2, Ordering::Relaxed);
            // Clones share state: an `Arc` or two. Readiness needs no wait: no service here limits itself by it.
            let (answer, seen) = (service.clone().call(request), Arc::clone(&seen));
            async move {
                let mut response = answer.await?;
                if !http2 && seen.closing.load(Ordering::Relaxed) {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response)
            }
        });
        let mut connection = pin!(self.builder.serve_connection(TokioIo::new(io), service));
        // Polled when it has something to say and not with each request: asking a token takes a lock that the
        // connections share.
        let mut news = FuturesUnordered::from_iter([News::of(self).next()]);
        loop {
            let told = tokio::select! {
                biased;
                ended = connection.as_mut() => return log_end(ended),
                told = news.next() => told.flatten(),
            };
            match told {
                // The connection looks at its timers when it is polled.
                Some(more) => news.push(more.next()),
                None => break,
            }
        }
        state.closing.store(true, Ordering::Relaxed);
        if self.grpc || state.http2.load(Ordering::Relaxed) {
            // GOAWAY loses nothing: what was sent before it came is served, and what comes after goes elsewhere.
            connection.as_mut().graceful_shutdown();
        }
        tokio::select! {
            biased;
            ended = connection.as_mut() => return log_end(ended),
            () = self.cut.cancelled() => return,
            () = self.drained() => {}
            // An idle caller had this long to send one more request and be told to close.
            () = tokio::time::sleep(self.age_grace) => {}
        }
        // HTTP/1.1 has no GOAWAY: this ends an idle connection at once, and any other after its answer.
        connection.as_mut().graceful_shutdown();
        // What was asked last has as long again. In a drain the port's deadline decides, which may be later.
        let overdue = async {
            tokio::time::sleep(self.age_grace).await;
            if self.shutdown.is_cancelled() {
                std::future::pending().await
            }
        };
        tokio::select! {
            biased;
            ended = connection.as_mut() => log_end(ended),
            () = self.cut.cancelled() => {}
            () = overdue => tracing::debug!(%peer, "an old connection was cut"),
        }
    }

    /// The port closes, and callers whose requests were on their way have had time.
    async fn drained(&self) {
        self.shutdown.cancelled().await;
        tokio::time::sleep(self.linger).await;
    }
}

/// What a connection waits for beside its requests.
struct News {
    shutdown: CancellationToken,
    aged: Option<Pin<Box<Sleep>>>,
    ticks: Interval,
}

impl News {
    fn of(connections: &Connections) -> Self {
        let age = |age| jittered(age, connections.age_jitter, rand::random());
        let mut ticks = tokio::time::interval(coarse::interval(connections.header_read_timeout));
        ticks.reset();
        Self {
            shutdown: connections.shutdown.clone(),
            aged: connections.age_max.map(|max| Box::pin(tokio::time::sleep(age(max)))),
            ticks,
        }
    }

    /// `None` when the connection is asked to end; else it is time to look at its timers.
    async fn next(mut self) -> Option<Self> {
        let aged = async {
            match &mut self.aged {
                Some(aged) => aged.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => None,
            () = aged => None,
            _ = self.ticks.tick() => Some(self),
        }
    }
}

/// What a connection and the requests on it tell each other.
#[derive(Default)]
struct State {
    /// It is old, or the port closes: the next answer says so.
    closing: AtomicBool,
    /// It speaks HTTP/2.
    http2: AtomicBool,
}

/// Callers break connections all the time; that is theirs to notice.
fn log_end(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(error, "a connection ended early");
    }
}

/// `age` and up to `jitter` more, by `random`.
fn jittered(age: Duration, jitter: Duration, random: u32) -> Duration {
    age.saturating_add(jitter.mul_f64(f64::from(random) / f64::from(u32::MAX)))
}

fn builder(options: &ListenOptions) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(Coarse).header_read_timeout(options.header_read_timeout).max_buf_size(READ_BUFFER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(options.keep_alive_interval)
        .keep_alive_timeout(options.keep_alive_timeout)
        .max_concurrent_streams(options.streams_max)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_header_list_size(HEADERS_BYTES_MAX);
    match options.protocol {
        Protocol::Http => builder,
        Protocol::Grpc => builder.http2_only(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_grows_by_up_to_the_jitter() {
        let (age, jitter) = (Duration::from_secs(100), Duration::from_secs(10));
        assert_eq!(jittered(age, jitter, 0), age);
        assert_eq!(jittered(age, jitter, u32::MAX), Duration::from_secs(110));
        assert_eq!(jittered(age, Duration::ZERO, u32::MAX), age);
    }
}
