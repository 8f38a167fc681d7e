//! Writes that signals have announced, until it is known whether they were committed.

use super::organization::Seat;
use crate::{
    error::{Error, Kind, Result},
    identity::UserId,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

/// Announced writes that an organization may have open at once.
const OPEN_MAX: usize = 10_000;

/// The announced writes of one organization.
#[derive(Debug, Default)]
pub(super) struct Announced {
    open: HashMap<(UserId, Arc<str>), Open>,
}

#[derive(Debug)]
struct Open {
    deadline: Instant,
    /// Who got a signal that announced it.
    receivers: HashSet<Seat>,
}

impl Announced {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Remembers who heard of the write. A later signal of the same write does not give it more time.
    ///
    /// # Errors
    /// `TooManySignals` where too many writes are announced and open.
    pub(super) fn add(
        &mut self,
        user: &UserId,
        action: &Arc<str>,
        deadline: Instant,
        receivers: impl Iterator<Item = Seat>,
    ) -> Result<()> {
        let key = (user.clone(), action.clone());
        if self.open.len() >= OPEN_MAX && !self.open.contains_key(&key) {
            return Err(Error::new(
                Kind::TooManySignals,
                "The organization has announced too many writes that were not made yet.",
            ));
        }
        let open = self.open.entry(key).or_insert_with(|| Open {
            deadline,
            receivers: HashSet::new(),
        });
        open.receivers.extend(receivers);
        Ok(())
    }

    /// Forgets a write; returns who heard of it.
    pub(super) fn remove(&mut self, user: &UserId, action: &Arc<str>) -> Option<HashSet<Seat>> {
        let key = (user.clone(), action.clone());
        self.open.remove(&key).map(|it| it.receivers)
    }

    /// The writes whose time is over.
    pub(super) fn due(&self, now: Instant) -> Vec<(UserId, Arc<str>)> {
        let due = self.open.iter().filter(|(_, it)| it.deadline <= now);
        due.map(|(key, _)| key.clone()).collect()
    }
}
