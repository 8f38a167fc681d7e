//! The accept loop: from a listener to connections of HTTP/1.1 and HTTP/2, each with its limits.
//!
//! Owns the tasks of connections until they end or are taken over. Knows nothing of routes.

use super::{
    capacity::{Capacity, Room},
    stack::{Body, Stack},
};
use crate::{
    config::Limits,
    error::{Error, Kind},
    http::{ClientStream, Connection, of_error},
};
use http::{HeaderValue, Request, Response, header::CONNECTION};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use socket2::{SockRef, TcpKeepalive};
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

/// How long to wait after an accept that failed: mostly for want of open files, which takes a while.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a connection may idle between requests. It is also what the head of a later request may
/// take, since hyper has one clock for both; the first one has its own limit.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// How long a connection that is refused may take to hear it.
const REFUSAL: Duration = Duration::from_secs(5);
/// When an idle connection is probed first, and between probes: a peer that is gone for good is
/// noticed within two minutes even where nothing is written.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);
/// Concurrent streams of one connection of HTTP/2.
const STREAMS_MAX: u32 = 256;
/// How often a connection of HTTP/2 is asked whether it lives, and how long it may take to say so.
const HTTP2_PING: Duration = Duration::from_secs(20);
const HTTP2_PONG: Duration = Duration::from_secs(10);
/// Bytes of answers that one stream of HTTP/2 buffers.
const SEND_BYTES: usize = 128 << 10;

/// Takes connections and serves them.
#[derive(Clone)]
pub(super) struct Acceptor {
    stack: Stack,
    http: Arc<auto::Builder<TokioExecutor>>,
    capacity: Capacity,
    head_timeout: Duration,
    stall: Duration,
    user_timeout: Duration,
    /// The tasks of connections. Those that are taken over end here and go on elsewhere.
    tasks: TaskTracker,
    cut: CancellationToken,
}

impl Acceptor {
    pub(super) fn new(limits: &Limits, stack: Stack, capacity: Capacity) -> Self {
        let head_timeout = Duration::from_millis(limits.request_head_timeout_ms);
        Self {
            stack,
            http: Arc::new(http(limits, head_timeout.max(KEEP_ALIVE))),
            capacity,
            head_timeout,
            stall: Duration::from_millis(limits.write_stall_ms),
            user_timeout: Duration::from_millis(limits.ping_ms * 2),
            tasks: TaskTracker::new(),
            cut: CancellationToken::new(),
        }
    }

    /// Takes connections until `stop`; then lets those that are idle go and the others end what they
    /// answer, for `patience` at most, and cuts the rest.
    pub(super) async fn run(
        self,
        listener: TcpListener,
        stop: CancellationToken,
        patience: Duration,
    ) {
        let graceful = GracefulShutdown::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = listener.accept() => match accepted {
                    Ok((tcp, peer)) => self.admit(tcp, peer, &graceful),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        // Whoever connects from now on is refused by the system, and tries another server.
        drop(listener);
        self.tasks.close();
        let ended = async {
            graceful.shutdown().await;
            self.tasks.wait().await;
        };
        if tokio::time::timeout(patience, ended).await.is_err() {
            tracing::warn!(connections = self.tasks.len(), "cut while being answered");
            self.cut.cancel();
            self.tasks.wait().await;
        }
    }

    fn admit(&self, tcp: TcpStream, peer: SocketAddr, graceful: &GracefulShutdown) {
        match self.capacity.take() {
            Room::Served(permit) => self.serve(tcp, Connection::new(peer, permit), graceful),
            Room::Refused(permit) => {
                tracing::debug!(%peer, most = self.capacity.most(), "too many connections");
                self.spawn(async move {
                    refuse(tcp).await;
                    drop(permit);
                });
            }
            Room::Closed => tracing::debug!(%peer, "far too many connections"),
        }
    }

    fn serve(&self, tcp: TcpStream, connection: Connection, graceful: &GracefulShutdown) {
        self.tune(&tcp);
        let stream = ClientStream::new(tcp, connection.clone(), self.stall);
        let silence = silence(connection.clone(), self.head_timeout);
        let stack = self.stack.clone();
        let service = tower::service_fn(move |mut request: Request<Incoming>| {
            connection.mark_asked();
            request.extensions_mut().insert(connection.clone());
            stack.clone().oneshot(request)
        });
        let served = self
            .http
            .serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service))
            .into_owned();
        let served = graceful.watch(served);
        self.spawn(async move {
            tokio::select! {
                served = served => if let Err(error) = served {
                    tracing::debug!(error, "a connection ended badly");
                },
                () = silence => {}
            }
        });
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let cut = self.cut.clone();
        self.tasks.spawn(async move {
            cut.run_until_cancelled(work).await;
        });
    }

    /// Options of the socket that neither std nor tokio sets. Without them the server still works, so
    /// a system that refuses one is not asked again.
    fn tune(&self, tcp: &TcpStream) {
        let socket = SockRef::from(tcp);
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE_AFTER)
            .with_interval(KEEPALIVE_EVERY);
        let tuned = tcp
            // An answer goes out when it is written, not when the one before was acknowledged.
            .set_nodelay(true)
            .and_then(|()| socket.set_tcp_keepalive(&keepalive));
        // A peer that acknowledges nothing is gone.
        #[cfg(target_os = "linux")]
        let tuned = tuned.and_then(|()| socket.set_tcp_user_timeout(Some(self.user_timeout)));
        if let Err(error) = tuned {
            tracing::debug!(%error, "a connection keeps the system's options");
        }
    }
}

fn http(limits: &Limits, idle: Duration) -> auto::Builder<TokioExecutor> {
    // What is moderately too long is answered with a problem document; only what is far too long is
    // cut off by hyper, with an empty answer.
    let head_bytes = (2 * (limits.header_bytes_max + limits.url_bytes_max)).max(64 << 10);
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .max_buf_size(head_bytes)
        .half_close(false);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(HTTP2_PING)
        .keep_alive_timeout(HTTP2_PONG)
        .max_send_buf_size(SEND_BYTES)
        .max_header_list_size(u32::try_from(head_bytes).unwrap_or(u32::MAX));
    http
}

/// Resolves for a client that connects and has sent no whole head in time. Until it has sent enough
/// to tell which HTTP it speaks, no time-out of hyper's runs at all.
async fn silence(connection: Connection, patience: Duration) {
    tokio::time::sleep(patience).await;
    if connection.has_asked() {
        std::future::pending().await
    }
}

/// Answers the first request with a 503 and closes.
async fn refuse(tcp: TcpStream) {
    let service = hyper::service::service_fn(async |_: Request<Incoming>| {
        let error = Error::new(
            Kind::TooManyConnections,
            "The server takes no more connections at the moment.",
        );
        let mut response: Response<Body> =
            of_error(&error, None).map(|it| it.map_err(Into::into).boxed_unsync());
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
        Ok::<_, Infallible>(response)
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    let served = http
        .timer(TokioTimer::new())
        .header_read_timeout(REFUSAL)
        .keep_alive(false)
        .serve_connection(TokioIo::new(tcp), service);
    let _ = tokio::time::timeout(REFUSAL, served).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Config, server::stack};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use warp::{Filter, Reply};

    /// Serves these routes and returns what one connection gets for requests sent one by one.
    async fn ask(
        routes: impl Filter<Extract = (http::Response<&'static str>,), Error = std::convert::Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
        paths: &[&str],
    ) -> Vec<String> {
        let config = Config::default();
        let routes = routes.map(Reply::into_response).boxed();
        let stack = stack::stack(&config, routes).unwrap();
        let acceptor = Acceptor::new(&config.limits, stack, Capacity::new(&config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let patience = Duration::from_secs(5);
        let running = tokio::spawn(acceptor.run(listener, stop.clone(), patience));
        let mut client = TcpStream::connect(address).await.unwrap();
        let mut answers = Vec::new();
        for path in paths {
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
            client.write_all(request.as_bytes()).await.unwrap();
            let mut answer = vec![0; 4096];
            let read = client.read(&mut answer).await.unwrap();
            answers.push(String::from_utf8_lossy(&answer[..read]).into_owned());
        }
        stop.cancel();
        running.await.unwrap();
        answers
    }

    #[tokio::test]
    async fn a_panic_costs_its_caller_a_500_and_nobody_the_connection() {
        let routes = warp::path::full().map(|path: warp::path::FullPath| {
            assert_ne!(path.as_str(), "/boom", "a secret of the handler");
            http::Response::new("fine")
        });
        let answers = ask(routes, &["/", "/boom", "/"]).await;
        assert!(answers[0].starts_with("HTTP/1.1 200 "));
        assert!(answers[1].starts_with("HTTP/1.1 500 "), "{}", answers[1]);
        assert!(answers[1].contains("application/problem+json"));
        assert!(!answers[1].contains("secret"));
        assert!(answers[2].starts_with("HTTP/1.1 200 "));
    }
}
