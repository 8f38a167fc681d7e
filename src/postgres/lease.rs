//! A connection while somebody uses it, and what becomes of one that is dropped in the middle.
//!
//! Dropping a lease whose statement still runs cancels the statement in PostgreSQL and gives up the
//! connection: a cancel request may arrive late, and would then hit whatever runs there next.

use super::{
    connection::Connection,
    pool::{Pooled, Share},
};
use deadpool::managed::Object;
use std::{ops::Deref, time::Duration};
use tokio::runtime::Handle;
use tokio_postgres::NoTls;
use tokio_util::task::TaskTracker;

/// How long telling PostgreSQL to cancel may take. It takes some 2 ms.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection in use.
#[derive(Debug)]
pub(super) struct Lease {
    connection: Option<Pooled>,
    share: Option<Share>,
    busy: bool,
    /// Owns the tasks that cancel; there are never more of them than connections, since each holds
    /// its own until it ends.
    tasks: TaskTracker,
}

impl Lease {
    pub(super) fn new(connection: Pooled, share: Option<Share>, tasks: TaskTracker) -> Self {
        Self {
            connection: Some(connection),
            share,
            busy: false,
            tasks,
        }
    }

    /// From here to [`Lease::idle`] the connection is in a transaction or a statement runs.
    pub(super) fn busy(&mut self) {
        self.busy = true;
    }

    /// Everything that was sent has been answered, or ends by itself at once, and no transaction is
    /// open behind it: the next one may use the connection.
    pub(super) fn idle(&mut self) {
        self.busy = false;
    }
}

impl Deref for Lease {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
            .as_ref()
            .expect("a lease has its connection until it is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        if !self.busy || connection.is_closed() {
            return;
        }
        let share = self.share.take();
        let cancel = async move {
            let token = connection.cancel_token();
            match tokio::time::timeout(CANCEL_TIMEOUT, token.cancel_query(NoTls)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a statement could not be cancelled"),
                Err(_) => tracing::debug!("cancelling a statement took too long"),
            }
            drop(Object::take(connection));
            drop(share);
        };
        // Without a runtime the process is ending, and the socket with it.
        if Handle::try_current().is_ok() {
            self.tasks.spawn(cancel);
        }
    }
}
