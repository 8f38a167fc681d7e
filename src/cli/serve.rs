//! `rowcast serve`: a database of one's own. And what `serve` and `dev` share: the listener, the
//! signals that end them, and the wait in between.

use super::{ConnectionArguments, Outcome, flag, terminal};
use clap::Args;
use rowcast::{
    config::Config,
    error::{Error, Kind, Result},
    http::Page,
    server::Server,
};
use std::net::SocketAddr;
use tokio::{
    net::{TcpListener, TcpSocket, lookup_host},
    signal::unix::{Signal, SignalKind, signal},
};

const HELP: &str = "\
The secret of tokens is taken from ROWCAST_JWT_SECRET or the settings' file,
never from a flag, which other users of the machine could see.

  export DATABASE_URL=postgres://app:password@localhost/app
  export ROWCAST_JWT_SECRET=$(openssl rand -base64 32)
  rowcast serve --listen 0.0.0.0:8080

SIGTERM and ctrl-c end it: what is being answered may end first, and channels
are told to come back.";

/// Connections that the system keeps for us while we are busy; beyond, clients try again.
const BACKLOG: u32 = 4_096;

/// What to serve, and where.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Serve {
    #[command(flatten)]
    connection: ConnectionArguments,
    /// Address and port to listen on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
}

impl Serve {
    pub(super) async fn run(self) -> Result<Outcome> {
        let listen = flag("--listen", "server.listen", self.listen.as_ref());
        let config = self.connection.load(listen)?;
        config.jwt_secret()?;
        terminal::log(&config.server.log)?;
        let mut stop = Stop::install()?;
        let listener = bind(&config.server.listen).await?;
        // The server logs where it listens.
        serve(config, listener, None, &mut stop, |_| ()).await
    }
}

/// Serves until a signal ends it; `ready` is told once the server answers, and where.
pub(super) async fn serve(
    config: Config,
    listener: TcpListener,
    page: Option<Page>,
    stop: &mut Stop,
    ready: impl FnOnce(SocketAddr),
) -> Result<Outcome> {
    raise_open_files();
    let start = async {
        match page {
            Some(page) => Server::start_with_page(config, listener, page).await,
            None => Server::start(config, listener).await,
        }
    };
    let running = tokio::select! {
        running = start => running?,
        outcome = stop.wait() => return Ok(outcome),
    };
    ready(running.address());
    let outcome = stop.wait().await;
    tracing::info!("shutting down; a second signal does not wait for what is being answered");
    tokio::select! {
        () = running.shutdown() => {}
        _ = stop.wait() => tracing::warn!("ended without waiting"),
    }
    Ok(outcome)
}

/// Listens on an address or a name; of a name's addresses, on the first that works.
///
/// # Errors
/// [`Kind::CommandFailed`], with what to do where the port is taken.
pub(super) async fn bind(listen: &str) -> Result<TcpListener> {
    let failed = |error: std::io::Error| {
        let refused = Error::new(Kind::CommandFailed, format!("cannot listen on {listen}"));
        let refused = match error.kind() {
            std::io::ErrorKind::AddrInUse => refused.with_hint(
                "another program listens there; choose another port with --listen \
                 (127.0.0.1:0 takes any that is free)",
            ),
            std::io::ErrorKind::PermissionDenied => {
                refused.with_hint("ports below 1024 are the system's; choose another with --listen")
            }
            _ => refused,
        };
        refused.with_source(error)
    };
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    for address in lookup_host(listen).await.map_err(failed)? {
        match listen_on(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

fn listen_on(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restart must not wait for the old connections' last minutes.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Every connection is an open file; the soft limit is often 1,024 where many more are allowed.
fn raise_open_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::debug!(%error, soft, hard, "the limit of open files stays as it is");
    }
}

/// The signals that end a server.
pub(super) struct Stop {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Stop {
    /// From here on, these signals no longer kill the program.
    pub(super) fn install() -> Result<Self> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                Error::new(Kind::CommandFailed, "signals cannot be listened for").with_source(error)
            })
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the next of them, and tells how the program is to end: a supervisor that asks for
    /// the end by SIGTERM gets a 0, as does a terminal that was closed.
    pub(super) async fn wait(&mut self) -> Outcome {
        tokio::select! {
            _ = self.interrupt.recv() => Outcome::Interrupted,
            _ = self.terminate.recv() => Outcome::Done,
            _ = self.hang_up.recv() => Outcome::Done,
        }
    }
}
