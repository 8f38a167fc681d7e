//! The names of channels that were removed because nobody read them.
//!
//! Who comes back to such a name without saying what it has would otherwise take the new channel for
//! the old one, and never learn that its requests and changes are gone.

use super::ChannelId;
use crate::identity::IdentityKey;
use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
};

/// How many names are remembered; the oldest are forgotten first.
const NAMES_MAX: usize = 1 << 16;

/// Remembered by a keyed hash, since a wrong guess does no harm: its reader is told to fetch again.
#[derive(Debug, Default)]
pub(super) struct Departed {
    hasher: RandomState,
    names: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Departed {
    pub(super) fn add(&mut self, key: &IdentityKey, id: &ChannelId) {
        let name = self.hasher.hash_one((key, id));
        if self.names.insert(name) {
            self.order.push_back(name);
        }
        if self.order.len() > NAMES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.names.remove(&oldest);
        }
    }

    /// Whether there was such a channel.
    pub(super) fn has(&self, key: &IdentityKey, id: &ChannelId) -> bool {
        !self.names.is_empty() && self.names.contains(&self.hasher.hash_one((key, id)))
    }

    /// The name is used again.
    pub(super) fn remove(&mut self, key: &IdentityKey, id: &ChannelId) {
        self.names.remove(&self.hasher.hash_one((key, id)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_remembered_once_and_the_oldest_is_forgotten() {
        let mut departed = Departed::default();
        let key = IdentityKey([1; 32]);
        let id = |number: usize| ChannelId::parse(&format!("c{number}")).unwrap();
        for number in 0..=NAMES_MAX {
            departed.add(&key, &id(number));
        }
        assert!(!departed.has(&key, &id(0)));
        assert!(departed.has(&key, &id(1)));
        departed.remove(&key, &id(1));
        assert!(!departed.has(&key, &id(1)));
        assert!(!departed.has(&IdentityKey([2; 32]), &id(2)));
    }
}
