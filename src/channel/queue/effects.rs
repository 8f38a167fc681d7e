//! What remains to be done once a channel's lock is released.

use std::task::Waker;

/// Whom to wake, and what to give back. Carried out after the lock is released, so that whoever wakes
/// finds it free.
#[derive(Debug, Default)]
#[must_use = "whoever waits has to be woken"]
pub(in crate::channel) struct Effects {
    /// The reader: there is something to say.
    pub(super) reader: Option<Waker>,
    /// Who waits for the reader's end.
    pub(super) closer: Option<Waker>,
    /// Producers.
    pub(super) lanes: Vec<Waker>,
    /// Requests that no longer count among the identity's open ones.
    pub(in crate::channel) requests_ended: usize,
}

impl Effects {
    pub(in crate::channel) fn wake(self) {
        let readers = self.reader.into_iter().chain(self.closer);
        readers.chain(self.lanes).for_each(Waker::wake);
    }
}
