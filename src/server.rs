//! Builds the parts, the tower stack around the routes, and drains gracefully.

use crate::{
    config::Config,
    error::{Error, Result},
};
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// The server: everything between a listener and a database.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Connects to the database, installs the change log, and serves until [`Running::shutdown`].
    ///
    /// # Errors
    /// What is wrong with the configuration or the database.
    pub async fn start(config: Config, listener: TcpListener) -> Result<Running> {
        let _ = (config, listener);
        Err(Error::internal("not built yet"))
    }
}

/// A server at work.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells all channels, lets what is being answered end within the configured time, and frees
    /// everything.
    pub async fn shutdown(self) {}
}
