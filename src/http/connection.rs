//! What the accept loop tells handlers of the connection, and they tell it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use tokio::sync::OwnedSemaphorePermit;

/// One client's connection: an extension of every request that comes on it.
#[derive(Debug, Clone)]
pub struct Connection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    peer: SocketAddr,
    asked: AtomicBool,
    streams: AtomicBool,
    /// The connection's place among those that the server takes: also that of a WebSocket, which
    /// goes on when the connection of HTTP has ended.
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    /// A connection from `peer` that has asked for nothing yet.
    pub fn new(peer: SocketAddr, permit: OwnedSemaphorePermit) -> Self {
        Self(Arc::new(Inner {
            peer,
            asked: AtomicBool::new(false),
            streams: AtomicBool::new(false),
            _permit: permit,
        }))
    }

    /// The client's address.
    pub fn peer(&self) -> SocketAddr {
        self.0.peer
    }

    /// A whole request head has come.
    pub fn mark_asked(&self) {
        self.0.asked.store(true, Relaxed);
    }

    /// Whether a whole request head has ever come.
    pub fn has_asked(&self) -> bool {
        self.0.asked.load(Relaxed)
    }

    /// Its answer is a channel: what is not yet sent should wait with us, in order of urgency, and
    /// not in the kernel.
    pub fn mark_streams(&self) {
        self.0.streams.store(true, Relaxed);
    }

    /// Whether it carries a channel.
    pub fn streams(&self) -> bool {
        self.0.streams.load(Relaxed)
    }
}
