//! How many connections the server takes, and what becomes of those beyond.

use crate::config::Config;
use nix::sys::resource::{Resource, getrlimit};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Open files that are not clients' connections: logs, listeners, timers, and room to breathe.
const OTHER_FILES: usize = 64;
/// Of this many connections beyond the limit at once each is told so; more are closed without a word.
const REFUSALS: usize = 32;
/// Where the system does not say.
const OPEN_FILES_UNKNOWN: u64 = 1_024;

/// Room for connections.
#[derive(Debug, Clone)]
pub(super) struct Capacity {
    most: usize,
    connections: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
}

/// What a new connection gets. Dropping it gives the room back.
#[derive(Debug)]
pub(super) enum Room {
    /// To be served.
    Served(OwnedSemaphorePermit),
    /// To be told that there is no room.
    Refused(OwnedSemaphorePermit),
    /// To be closed.
    Closed,
}

impl Capacity {
    /// As configured, or as many as the open-files limit leaves room for.
    pub(super) fn new(config: &Config) -> Self {
        let most = match config.limits.connections_max {
            0 => from_open_files(config),
            most => most,
        };
        Self {
            most,
            connections: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))),
            refusals: Arc::new(Semaphore::new(REFUSALS)),
        }
    }

    /// The most connections that are served at once.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// The connections that are open now and were not refused.
    pub(super) fn open(&self) -> usize {
        self.most - self.connections.available_permits()
    }

    /// Room for one more.
    pub(super) fn take(&self) -> Room {
        if let Ok(permit) = self.connections.clone().try_acquire_owned() {
            return Room::Served(permit);
        }
        match self.refusals.clone().try_acquire_owned() {
            Ok(permit) => Room::Refused(permit),
            Err(_) => Room::Closed,
        }
    }
}

fn from_open_files(config: &Config) -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(OPEN_FILES_UNKNOWN, |it| it.0);
    let database = config.database.connections_max + config.database.stream_connections_max;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    limit
        .saturating_sub(OTHER_FILES + REFUSALS + database)
        .clamp(1, Semaphore::MAX_PERMITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_limit_some_are_told_and_the_rest_is_closed() {
        let mut config = Config::default();
        config.limits.connections_max = 2;
        let capacity = Capacity::new(&config);
        let rooms: Vec<_> = (0..2 + REFUSALS + 1).map(|_| capacity.take()).collect();
        assert!(matches!(rooms[1], Room::Served(_)));
        assert!(matches!(rooms[2], Room::Refused(_)));
        assert!(matches!(rooms.last(), Some(Room::Closed)));
        assert_eq!(capacity.open(), 2);
        drop(rooms);
        assert_eq!(capacity.open(), 0);
        assert!(matches!(capacity.take(), Room::Served(_)));
    }

    #[test]
    fn without_a_setting_the_open_files_limit_decides() {
        let capacity = Capacity::new(&Config::default());
        assert!(capacity.most() > 0);
        assert_eq!(capacity.open(), 0);
    }
}
