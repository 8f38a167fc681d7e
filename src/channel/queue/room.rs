//! How much a reader takes at once.

use crate::wire::Events;

/// What is left of it.
#[derive(Debug, Clone, Copy)]
pub(in crate::channel) struct Room {
    /// Bytes.
    pub(in crate::channel) bytes: usize,
    /// Events.
    pub(in crate::channel) events: usize,
}

impl Room {
    /// How many of the events fit.
    pub(super) fn fitting(self, events: &Events) -> usize {
        events.fitting(self.bytes).min(self.events)
    }

    /// How many of the events are taken: those that fit, and at least one if it is the first of all,
    /// since a large event has to go as well.
    pub(super) fn cuts(self, events: &Events, first: bool) -> usize {
        self.fitting(events).max(usize::from(first))
    }

    /// No more than so many bytes of it, but enough for the first of the events if that fits at all.
    pub(super) fn portion(self, bytes_max: usize, events: &Events) -> Self {
        let bytes = bytes_max.max(events.bytes_of(1)).min(self.bytes);
        Self { bytes, ..self }
    }

    pub(super) fn spend(&mut self, events: &Events) {
        self.bytes = self.bytes.saturating_sub(events.bytes().len());
        self.events = self.events.saturating_sub(events.count());
    }

    pub(super) fn is_spent(self) -> bool {
        self.bytes == 0 || self.events == 0
    }
}
