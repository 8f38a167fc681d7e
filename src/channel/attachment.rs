//! The reader's side of a channel: what a transport takes events from.

use crate::{
    snapshot::Position,
    wire::{Events, event::Close},
};
use bytes::Bytes;
use std::sync::Arc;

/// How a reader wants to begin.
#[derive(Debug, Clone, Default)]
pub struct Attach {
    /// The number of the last event that it has; what it has is thereby acknowledged.
    pub after: Option<u64>,
    /// The resources whose changes it wants; `None`: all.
    pub resources: Option<Vec<Arc<str>>>,
    /// Whether the transport can acknowledge (WebSocket by `ack`, long-poll by `after`). Without
    /// `after`, such a reader begins at the oldest event not yet acknowledged, any other at the
    /// oldest not yet written.
    pub acknowledges: bool,
}

/// Where a reader begins: what the `open` event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The number of the last event before the next one.
    pub sequence: u64,
    /// Whether nothing is missing between what the reader had and what it will get.
    pub resumed: bool,
    /// Up to where everything for this channel was sent before.
    pub position: Position,
    /// How often a quiet reader gets a `ping`.
    pub ping_seconds: u64,
}

/// Some events of one source, numbered from `first_sequence` on.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The events, each a line.
    pub events: Events,
    /// The number of the first of them.
    pub first_sequence: u64,
}

impl Frame {
    /// The lines, one after the other.
    pub fn bytes(&self) -> &Bytes {
        self.events.bytes()
    }

    /// The number of the last event.
    pub fn last_sequence(&self) -> u64 {
        self.first_sequence + self.events.count() as u64 - 1
    }

    /// Each event with its number.
    pub fn numbered(&self) -> impl Iterator<Item = (u64, &[u8])> {
        (self.first_sequence..).zip(self.events.iter())
    }
}

/// One or more frames; mostly one, which needs no allocation.
#[derive(Debug, Clone)]
pub enum Frames {
    /// One.
    One(Frame),
    /// Several.
    Many(Vec<Frame>),
}

impl std::ops::Deref for Frames {
    type Target = [Frame];

    fn deref(&self) -> &[Frame] {
        match self {
            Frames::One(frame) => std::slice::from_ref(frame),
            Frames::Many(frames) => frames,
        }
    }
}

/// What a reader gets.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// Events, numbered and kept in the replay window.
    Events(Frames),
    /// Nothing was waiting for the time between pings; everything up to here was sent.
    Ping(Position),
    /// The end; nothing follows.
    Close(Close),
}

/// A reader of a channel. Dropping it leaves the channel to the next one.
#[derive(Debug)]
pub struct Attachment {}

impl Attachment {
    /// What the `open` event says.
    pub fn opened(&self) -> &Opened {
        super::soon()
    }

    /// The `open` event, to be written first.
    pub fn open_event(&self) -> Bytes {
        super::soon()
    }

    /// Waits for something to say: at least one event, and as many as have together at most
    /// `bytes_max` bytes. Cancel-safe. Calling it again says that what the last call returned was
    /// written.
    pub async fn next(&mut self, _bytes_max: usize) -> Delivery {
        super::soon()
    }

    /// As [`Attachment::next`], with at most so many events.
    pub async fn next_some(&mut self, _bytes_max: usize, _events_max: usize) -> Delivery {
        super::soon()
    }

    /// Resolves when the attachment is closed from elsewhere (replaced, revoked, the channel ended):
    /// for a writer that is stuck beside it. Not for a shutdown, which lets readers drain.
    pub async fn closed(&self) -> Close {
        super::soon()
    }

    /// A part of what `next` returned went out: the reader does not stand still.
    pub fn progressed(&self) {
        super::soon()
    }

    /// The channel that it reads.
    pub fn channel(&self) -> &Arc<super::Channel> {
        super::soon()
    }
}
