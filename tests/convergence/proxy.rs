//! A network that misbehaves: a TCP proxy that delays, writes byte by byte, stands still, cuts in
//! mid-frame, and leaves connections half open. Between clients and server it also lets somebody
//! rewrite what the server sends. Knows nothing of what it carries.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
    task::AbortHandle,
};

/// Where a proxy's connections go.
#[derive(Debug, Clone)]
pub(super) enum Upstream {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// How bytes pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    At,
    /// Each piece waits for so long.
    Delayed(Duration),
    /// Pieces are written byte by byte, their beginnings at least.
    Trickling,
    /// Nothing passes.
    Frozen,
}

/// How connections are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Both ends are closed properly.
    Closed,
    /// Both ends are reset.
    Reset,
    /// The next piece passes in part, then both ends are reset.
    MidFrame,
    /// Nothing passes any more, and neither end is told.
    HalfOpen,
}

/// Rewrites what the server sends on one connection.
pub(super) trait Rewrite: Send {
    /// What is to be sent instead of these bytes, which are the next of the connection.
    fn rewrite(&mut self, bytes: &[u8]) -> Vec<u8>;
}

/// Makes a [`Rewrite`] for each connection.
pub(super) type Rewriter = Arc<dyn Fn() -> Box<dyn Rewrite> + Send + Sync>;

#[derive(Debug, Clone, Copy)]
struct Orders {
    pace: Pace,
    /// How often connections were cut; those from before the last time are gone.
    cuts: u64,
    how: Cut,
}

/// A running proxy; dropping it cuts all its connections.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    orders: watch::Sender<Orders>,
    upstream: Arc<Mutex<Upstream>>,
    bytes: Arc<AtomicU64>,
    accepting: AbortHandle,
}

/// For how long a connection that is half open stays.
const HALF_OPEN: Duration = Duration::from_secs(30);

/// Of a piece, so many bytes are written one by one.
const TRICKLE_BYTES: usize = 96;

impl Proxy {
    pub(super) async fn start(upstream: Upstream, rewriter: Option<Rewriter>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (orders, watched) = watch::channel(Orders {
            pace: Pace::At,
            cuts: 0,
            how: Cut::Closed,
        });
        let upstream = Arc::new(Mutex::new(upstream));
        let bytes = Arc::<AtomicU64>::default();
        let (target, counter) = (upstream.clone(), bytes.clone());
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let connection = Connection {
                    client,
                    upstream: target.lock().unwrap().clone(),
                    orders: watched.clone(),
                    rewriter: rewriter.clone(),
                    bytes: counter.clone(),
                };
                connections.spawn(connection.run());
                while connections.try_join_next().is_some() {}
            }
        });
        Self {
            address,
            orders,
            upstream,
            bytes,
            accepting: accepting.abort_handle(),
        }
    }

    /// Where connections go from now on.
    pub(super) fn lead_to(&self, upstream: Upstream) {
        *self.upstream.lock().unwrap() = upstream;
    }

    pub(super) fn pace(&self, pace: Pace) {
        self.orders.send_modify(|it| it.pace = pace);
    }

    pub(super) fn cut(&self, how: Cut) {
        self.orders.send_modify(|it| {
            it.cuts += 1;
            it.how = how;
        });
    }

    /// How many bytes have passed.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

struct Connection {
    client: TcpStream,
    upstream: Upstream,
    orders: watch::Receiver<Orders>,
    rewriter: Option<Rewriter>,
    bytes: Arc<AtomicU64>,
}

/// One end; both directions use it at once.
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    async fn connect(upstream: &Upstream) -> io::Result<Self> {
        Ok(match upstream {
            Upstream::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Self::Tcp(stream)
            }
            Upstream::Unix(path) => Self::Unix(UnixStream::connect(path).await?),
        })
    }

    async fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match self {
                Self::Tcp(stream) => {
                    stream.readable().await?;
                    stream.try_read(into)
                }
                Self::Unix(stream) => {
                    stream.readable().await?;
                    stream.try_read(into)
                }
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }

    async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = match self {
                Self::Tcp(stream) => {
                    stream.writable().await?;
                    stream.try_write(bytes)
                }
                Self::Unix(stream) => {
                    stream.writable().await?;
                    stream.try_write(bytes)
                }
            };
            match written {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => bytes = &bytes[written?..],
            }
        }
        Ok(())
    }

    /// Closing sends RST instead of FIN from now on (SO_LINGER of 0).
    fn reset(&self) {
        if let Self::Tcp(stream) = self {
            let _ = stream.set_zero_linger();
        }
    }
}

impl Connection {
    async fn run(self) {
        let _ = self.client.set_nodelay(true);
        let client = Socket::Tcp(self.client);
        let Ok(server) = Socket::connect(&self.upstream).await else {
            return client.reset();
        };
        let born = self.orders.borrow().cuts;
        let direction = |orders: &watch::Receiver<Orders>| Direction {
            orders: orders.clone(),
            born,
            bytes: self.bytes.clone(),
        };
        let rewrite = self.rewriter.as_ref().map(|make| make());
        let how = tokio::select! {
            how = direction(&self.orders).pump(&client, &server, None) => how,
            how = direction(&self.orders).pump(&server, &client, rewrite) => how,
        };
        match how {
            Cut::Closed => {}
            Cut::Reset | Cut::MidFrame => {
                client.reset();
                server.reset();
            }
            Cut::HalfOpen => tokio::time::sleep(HALF_OPEN).await,
        }
    }
}

/// One direction of a connection.
struct Direction {
    orders: watch::Receiver<Orders>,
    born: u64,
    bytes: Arc<AtomicU64>,
}

impl Direction {
    /// Passes bytes on until the connection is to end, and says how.
    async fn pump(
        mut self,
        from: &Socket,
        to: &Socket,
        mut rewrite: Option<Box<dyn Rewrite>>,
    ) -> Cut {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let orders = *self.orders.borrow_and_update();
            let is_cut = orders.cuts != self.born;
            if is_cut && orders.how != Cut::MidFrame {
                return orders.how;
            }
            if orders.pace == Pace::Frozen && !is_cut {
                if self.orders.changed().await.is_err() {
                    return Cut::Reset;
                }
                continue;
            }
            let count = tokio::select! {
                changed = self.orders.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return Cut::Reset,
                },
                read = from.read(&mut buffer) => match read {
                    Ok(0) => return Cut::Closed,
                    Ok(count) => count,
                    Err(_) => return Cut::Reset,
                },
            };
            self.bytes.fetch_add(count as u64, Ordering::Relaxed);
            let piece = match &mut rewrite {
                Some(rewrite) => rewrite.rewrite(&buffer[..count]),
                None => buffer[..count].to_vec(),
            };
            if is_cut {
                let _ = to.write(&piece[..piece.len() / 2]).await;
                return Cut::Reset;
            }
            let passed = tokio::select! {
                passed = pass(to, &piece, orders.pace) => passed,
                how = cut(&mut self.orders, self.born) => return how,
            };
            if passed.is_err() {
                return Cut::Reset;
            }
        }
    }
}

/// Resolves when this connection is to be cut.
async fn cut(orders: &mut watch::Receiver<Orders>, born: u64) -> Cut {
    let orders = orders.wait_for(|it| it.cuts != born).await;
    orders.map_or(Cut::Reset, |it| it.how)
}

async fn pass(to: &Socket, piece: &[u8], pace: Pace) -> io::Result<()> {
    let mut rest = piece;
    match pace {
        Pace::At | Pace::Frozen => {}
        Pace::Delayed(by) => tokio::time::sleep(by).await,
        Pace::Trickling => {
            let (slow, after) = piece.split_at(piece.len().min(TRICKLE_BYTES));
            for byte in slow {
                to.write(std::slice::from_ref(byte)).await?;
                tokio::task::yield_now().await;
            }
            rest = after;
        }
    }
    to.write(rest).await
}
