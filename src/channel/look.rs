//! Plain answers that are read for an identity that is online: what they show, its channels may have to
//! take back.
//!
//! Owns how long such a state counts. Knows nothing of what is read.

use super::{
    Group,
    sync::{AtomicU64, AtomicUsize},
};
use crate::snapshot::Version;
use std::sync::{Arc, atomic::Ordering::SeqCst};

/// What an identity was shown by plain answers.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// Answers whose state is not known yet.
    looking: AtomicUsize,
    /// The newest state of those that were given.
    newest: AtomicU64,
}

impl Shown {
    /// Whether one of them may show a state after `start`.
    pub(super) fn may_be_after(&self, start: Version) -> bool {
        self.looking.load(SeqCst) > 0 || self.newest.load(SeqCst) > start.0
    }
}

/// A plain answer that is being read. Begun before its snapshot is taken, so that no batch falls
/// between the two.
#[derive(Debug)]
pub struct Look(Option<Arc<Group>>);

impl Look {
    pub(super) fn new(group: Option<Arc<Group>>) -> Self {
        if let Some(group) = &group {
            group.shown.looking.fetch_add(1, SeqCst);
        }
        Self(group)
    }

    /// The answer shows this state. Without, it showed nothing.
    pub fn showed(self, version: Version) {
        if let Some(group) = &self.0 {
            group.shown.newest.fetch_max(version.0, SeqCst);
        }
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        if let Some(group) = &self.0 {
            group.shown.looking.fetch_sub(1, SeqCst);
        }
    }
}
