//! The pools of connections, and each identity's share of the one for streams.
//!
//! A slow reader blocks the connection that its rows come from, so streams have a pool of their own,
//! of which no identity holds more than its share. Knows nothing of SQL.

use super::connection::{Address, Connection};
use crate::{
    error::{Error, Kind, Result},
    identity::IdentityKey,
};
use deadpool::{
    Runtime,
    managed::{self, Metrics, Object, PoolError, QueueMode, RecycleError, TimeoutType, Timeouts},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a stream waits for the earlier ones of the same identity, each of which ends within its
/// reader's stall time at the latest once the reader stands still.
const SHARE_WAIT: Duration = Duration::from_secs(600);

/// A connection that goes back to its pool when it is dropped.
pub(super) type Pooled = Object<Manager>;

/// Opens connections for a pool.
#[derive(Debug)]
pub(super) struct Manager(Address);

impl managed::Manager for Manager {
    type Type = Connection;
    type Error = Error;

    async fn create(&self) -> Result<Connection> {
        self.0.open().await
    }

    /// A connection that PostgreSQL has ended (a restart, an administrator) is found out here and
    /// replaced. One that breaks later, before anything ran on it, is noticed by the session.
    async fn recycle(
        &self,
        connection: &mut Connection,
        _: &Metrics,
    ) -> managed::RecycleResult<Error> {
        if connection.is_closed() {
            return Err(RecycleError::message("PostgreSQL ended the connection"));
        }
        Ok(())
    }
}

/// A bounded number of connections.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    inner: managed::Pool<Manager>,
    acquire_timeout: Duration,
}

impl Pool {
    pub(super) fn new(address: Address, size: usize, acquire_timeout: Duration) -> Result<Self> {
        let inner = managed::Pool::builder(Manager(address))
            .max_size(size)
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts {
                wait: Some(acquire_timeout),
                // `Address::open` has its own limit.
                create: None,
                recycle: None,
            })
            // The connection used last has its caches warm; the others may rest.
            .queue_mode(QueueMode::Lifo)
            .build()
            .map_err(|error| Error::internal("a pool cannot be built").with_source(error))?;
        Ok(Self {
            inner,
            acquire_timeout,
        })
    }

    /// A free connection, or a new one.
    ///
    /// # Errors
    /// `Overloaded` if none becomes free in time, `DatabaseUnavailable`, `ShuttingDown`.
    pub(super) async fn get(&self) -> Result<Pooled> {
        self.inner.get().await.map_err(|error| match error {
            PoolError::Backend(error) => error,
            PoolError::Timeout(TimeoutType::Wait) => Error::new(
                Kind::Overloaded,
                format!(
                    "No database connection became free within {} ms.",
                    self.acquire_timeout.as_millis()
                ),
            ),
            PoolError::Closed => Error::new(Kind::ShuttingDown, "The server is shutting down."),
            other => Error::new(Kind::DatabaseUnavailable, "no connection to PostgreSQL")
                .with_source(other),
        })
    }

    /// No more connections are given out; those that are free are ended.
    pub(super) fn close(&self) {
        self.inner.close();
    }

    /// Connections in use, and connections open.
    pub(super) fn status(&self) -> (usize, usize) {
        let status = self.inner.status();
        (status.size.saturating_sub(status.available), status.size)
    }
}

/// Who holds how much of the stream pool.
#[derive(Debug)]
pub(super) struct Shares {
    each: usize,
    // A std lock: held for a look-up, never across an await.
    holders: Mutex<HashMap<IdentityKey, Weak<Semaphore>>>,
}

/// The right of one identity to one connection of the stream pool; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Share {
    _permit: OwnedSemaphorePermit,
}

impl Shares {
    /// Shares of `percent` of `connections`, at least one connection.
    pub(super) fn new(connections: usize, percent: u32) -> Self {
        let each = connections * percent.min(100) as usize / 100;
        Self {
            each: each.max(1),
            holders: Mutex::default(),
        }
    }

    /// Waits until the identity holds less than its share. In the order in which it was asked for.
    ///
    /// # Errors
    /// `Overloaded` after ten minutes.
    pub(super) async fn take(&self, identity: IdentityKey) -> Result<Share> {
        let semaphore = self.semaphore(identity);
        match tokio::time::timeout(SHARE_WAIT, semaphore.acquire_owned()).await {
            Ok(permit) => Ok(Share {
                _permit: permit.map_err(|_| Error::internal("a share's semaphore was closed"))?,
            }),
            Err(_) => Err(Error::new(
                Kind::Overloaded,
                "The earlier requests of this identity still hold its database connections.",
            )),
        }
    }

    fn semaphore(&self, identity: IdentityKey) -> Arc<Semaphore> {
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(semaphore) = holders.get(&identity).and_then(Weak::upgrade) {
            return semaphore;
        }
        // Whoever is gone leaves an empty entry; they are swept out before the map grows.
        if holders.len() == holders.capacity() {
            holders.retain(|_, semaphore| semaphore.strong_count() > 0);
        }
        let semaphore = Arc::new(Semaphore::new(self.each));
        holders.insert(identity, Arc::downgrade(&semaphore));
        semaphore
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn nobody_takes_more_than_a_share() {
        let shares = Shares::new(8, 25);
        let (one, two) = (IdentityKey([1; 32]), IdentityKey([2; 32]));
        let first = shares.take(one).await.unwrap();
        let _second = shares.take(one).await.unwrap();
        assert!(shares.take(one).now_or_never().is_none());
        let _other = shares
            .take(two)
            .now_or_never()
            .expect("another's share")
            .unwrap();
        drop(first);
        assert!(shares.take(one).now_or_never().is_some());
    }

    #[tokio::test]
    async fn identities_that_are_gone_leave_no_trace() {
        let shares = Shares::new(1, 25);
        for number in 0..10_000u32 {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&number.to_be_bytes());
            drop(shares.take(IdentityKey(key)).await.unwrap());
        }
        assert!(shares.holders.lock().unwrap().len() < 64);
    }
}
