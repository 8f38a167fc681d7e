//! Builds the parts, puts the stack around the routes, and ends everything in order.

mod accept;
mod capacity;
mod stack;

use crate::{
    broker::{Broker, Local},
    channel::{self, Hub},
    config::Config,
    error::{Error, Kind, Result},
    feed::{self, FeedHandle, Liveness},
    http::{
        self, Asynchronous, Callers, Channels, Handlers, Page, Profiles, Progress, Readiness,
        Reads, Topics, Writes,
    },
    identity::Verifier,
    postgres::{Connections, Database, changelog::LogState},
    request::Requests,
    signal::Signals,
};
use accept::Acceptor;
use capacity::Capacity;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The server: everything between a listener and a database.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Connects to the database, installs the change log, and serves until [`Running::shutdown`].
    ///
    /// # Errors
    /// What is wrong with the configuration or the database.
    pub async fn start(config: Config, listener: TcpListener) -> Result<Running> {
        Self::start_with(config, listener, |hub| Arc::new(Local::new(hub))).await
    }

    /// As [`Server::start`], with a page at the root.
    ///
    /// # Errors
    /// What is wrong with the configuration or the database.
    pub async fn start_with_page(
        config: Config,
        listener: TcpListener,
        page: Page,
    ) -> Result<Running> {
        let broker = |hub| Arc::new(Local::new(hub)) as Arc<dyn Broker>;
        Self::connect(config, listener, Some(Arc::new(page)), broker).await
    }

    /// As [`Server::start`], with another broker between the feed and the channels of this hub: where
    /// a test does harm to what is announced.
    ///
    /// # Errors
    /// What is wrong with the configuration or the database.
    pub async fn start_with(
        config: Config,
        listener: TcpListener,
        broker: impl FnOnce(Arc<Hub>) -> Arc<dyn Broker>,
    ) -> Result<Running> {
        Self::connect(config, listener, None, broker).await
    }

    async fn connect(
        config: Config,
        listener: TcpListener,
        page: Option<Arc<Page>>,
        broker: impl FnOnce(Arc<Hub>) -> Arc<dyn Broker>,
    ) -> Result<Running> {
        let address = listener.local_addr().map_err(|error| {
            Error::new(Kind::CommandFailed, "the listener has no address").with_source(error)
        })?;
        let database = Database::connect(&config).await?;
        let serving = Self::serve(config, listener, address, database.clone(), page, broker);
        match serving.await {
            Ok(running) => Ok(running),
            Err(error) => {
                database.close().await;
                Err(error)
            }
        }
    }

    async fn serve(
        config: Config,
        listener: TcpListener,
        address: SocketAddr,
        database: Database,
        page: Option<Arc<Page>>,
        broker: impl FnOnce(Arc<Hub>) -> Arc<dyn Broker>,
    ) -> Result<Running> {
        let prepared = feed::prepare(&database, &config).await?;
        database.sign_with(prepared.signer().clone());
        let hub = Hub::new(&config.limits, prepared.position().clone());
        let form = database.catalog().organization_form();
        let verifier = Verifier::new(&config, database.default_role(), form)?;
        let callers = Arc::new(Callers::new(verifier, &config.auth));
        let requests = Requests::new(database.clone(), hub.clone());
        let asynchronous = Arc::new(Asynchronous::new(
            database.clone(),
            requests.clone(),
            stack::request_id_header(&config)?,
            config.limits.url_bytes_max,
        ));
        let signals = Signals::start(&config, &hub, database.clone());
        let channels = Arc::new(Channels::new(
            &config,
            hub.clone(),
            database.clone(),
            callers.clone(),
            asynchronous.clone(),
            prepared.replays().clone(),
            signals.clone(),
        ));
        hub.start_sweeper();
        let feed = prepared.start(hub.clone(), broker(hub.clone()));
        let ending = Arc::new(AtomicBool::new(false));
        let readiness = readiness(database.clone(), ending.clone(), feed.liveness());
        let profiles = Profiles::new(&config.database.schemas);
        let handlers = Handlers {
            reads: Arc::new(Reads::new(
                database.clone(),
                callers.clone(),
                asynchronous,
                profiles.clone(),
                &config.api,
            )),
            writes: Arc::new(Writes::new(
                database.clone(),
                callers.clone(),
                signals.clone(),
                hub.clone(),
                profiles,
                &config.api,
                &config.limits,
            )),
            channels: channels.clone(),
            progress: Arc::new(Progress::new(hub.clone(), callers.clone())),
            topics: Arc::new(Topics::new(hub.clone(), callers.clone(), signals.clone())),
            callers,
            readiness: Arc::new(readiness),
            page,
        };
        let stack = stack::stack(&config, http::routes(&config.limits, &handlers))?;
        let capacity = Capacity::new(&config);
        tracing::info!(%address, connections_max = capacity.most(), "serving");
        let acceptor = Acceptor::new(&config.limits, stack, capacity.clone());
        let stop = CancellationToken::new();
        let drain = Duration::from_millis(config.server.drain_ms);
        let accepting = tokio::spawn(acceptor.run(listener, stop.clone(), drain));
        Ok(Running {
            address,
            drain,
            ending,
            accepting,
            capacity,
            channels,
            requests,
            hub,
            signals,
            feed,
            database,
            stop: stop.drop_guard(),
        })
    }
}

/// Whether the server can do its work: it is not ending, the feed runs, and the database answers.
fn readiness(database: Database, ending: Arc<AtomicBool>, feed: Liveness) -> Readiness {
    Readiness::new(move || {
        let (database, ending, feed) = (database.clone(), ending.clone(), feed.clone());
        async move {
            if ending.load(Relaxed) {
                return Err(Error::new(Kind::ShuttingDown, "The server is going down."));
            }
            if !feed.is_alive() {
                return Err(Error::internal("the feed does not run"));
            }
            database.ping().await
        }
    })
}

/// A server at work. Dropped without [`Running::shutdown`], it stops taking connections and cuts
/// those that are open after the configured time.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    drain: Duration,
    ending: Arc<AtomicBool>,
    accepting: JoinHandle<()>,
    capacity: Capacity,
    channels: Arc<Channels>,
    requests: Requests,
    hub: Arc<Hub>,
    signals: Arc<Signals>,
    feed: FeedHandle,
    database: Database,
    stop: DropGuard,
}

/// What a server holds at this moment, for assertions and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Clients' connections, WebSockets included.
    pub connections: usize,
    /// WebSockets.
    pub sockets: usize,
    /// Asynchronous GETs that run.
    pub requests: usize,
    /// What the channels hold.
    pub channels: channel::Stats,
    /// Connections to the database.
    pub database: Connections,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it holds at this moment.
    pub fn stats(&self) -> Stats {
        Stats {
            connections: self.capacity.open(),
            sockets: self.channels.open_sockets(),
            requests: self.requests.running(),
            channels: self.hub.stats(),
            database: self.database.connections(),
        }
    }

    /// How the change log was when this server last looked after it; `None` if another server of the
    /// database does.
    pub fn change_log(&self) -> Option<LogState> {
        self.feed.change_log()
    }

    /// Tells all channels, lets what is being answered end within the configured time, and frees
    /// everything. From the outside in: first nobody new comes, then readers and requests end, then
    /// what they stand on.
    pub async fn shutdown(self) {
        self.ending.store(true, Relaxed);
        drop(self.stop);
        // Ends requests and closes readers, each after what is queued for it.
        self.hub.shut_down();
        let (accepting, (), ()) = tokio::join!(
            self.accepting,
            self.requests.drain(self.drain),
            self.channels.drain(self.drain),
        );
        if let Err(error) = accepting {
            tracing::error!(%error, "the accept loop did not end well");
        }
        // Whoever is there still has had the time; nothing of a channel outlives the server.
        self.hub.clear();
        self.signals.stop();
        self.feed.stop().await;
        self.database.close().await;
    }
}
