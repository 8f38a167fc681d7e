//! The reader's side of a channel: what a transport takes events from.
//!
//! Owns the waiting, and the time between pings. Knows nothing of what is next.

use super::{
    Channel, ReplayLane,
    queue::{Queue, Room, Step},
    time::Timer,
};
use crate::{
    snapshot::Position,
    wire::{
        Events,
        event::{self, Close},
    },
};
use bytes::Bytes;
use std::{
    future::poll_fn,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
    time::Duration,
};

/// How a reader wants to begin.
#[derive(Debug, Clone, Default)]
pub struct Attach {
    /// The number of the last event that it has; what it has is thereby acknowledged.
    pub after: Option<u64>,
    /// The resources whose changes it wants; `None`: all.
    pub resources: Option<Vec<Arc<str>>>,
    /// The state that it holds, where `after` does not say what it has: it is told what it missed.
    pub since: Option<Since>,
    /// Whether the transport can acknowledge (WebSocket by `ack`, long-poll by `after`). Without
    /// `after`, such a reader begins at the oldest event not yet acknowledged, any other at the
    /// oldest not yet written.
    pub acknowledges: bool,
    /// For how long after its end the reader still counts as present: a long-poll comes back.
    pub lingers_ms: u32,
}

/// The state that a reader says it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// One of this database.
    State(Position),
    /// What it holds is void, for this reason, a word of the protocol's.
    Unknown(&'static str),
}

/// Where a reader begins: what the `open` event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The number of the last event before the next one.
    pub sequence: u64,
    /// Whether nothing is missing between what the reader had and what it will get.
    pub resumed: bool,
    /// Up to where everything for this channel was sent before. With a replay ahead, the reader's own
    /// state, since nothing was sent beyond that.
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

impl Frames {
    pub(super) fn push(&mut self, frame: Frame) {
        match self {
            Frames::Many(frames) => frames.push(frame),
            Frames::One(_) => {
                let several = Frames::Many(Vec::with_capacity(4));
                if let Frames::One(one) = std::mem::replace(self, several) {
                    self.push(one);
                }
                self.push(frame);
            }
        }
    }
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
pub struct Attachment {
    channel: Arc<Channel>,
    generation: u64,
    opened: Opened,
    replay: Option<Box<ReplayLane>>,
    /// When the reader gets a `ping` if it hears nothing else.
    ping_at: u64,
    timer: Timer,
    /// In milliseconds; small, since most of what is attached is idle.
    lingers_ms: u32,
}

impl Attachment {
    pub(super) fn new(
        channel: Arc<Channel>,
        generation: u64,
        opened: Opened,
        replay: Option<ReplayLane>,
        lingers_ms: u32,
    ) -> Self {
        let shared = channel.group().shared();
        shared.attachments.fetch_add(1, Relaxed);
        shared.attached.notify_one();
        Self {
            ping_at: shared.clock.now() + shared.bounds.ping_ms,
            channel,
            generation,
            opened,
            replay: replay.map(Box::new),
            timer: Timer::default(),
            lingers_ms,
        }
    }

    /// What the `open` event says.
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Where to tell what the reader missed, if it asked for that. Whoever takes it does so; nothing
    /// that happens meanwhile is told before.
    pub fn take_replay(&mut self) -> Option<ReplayLane> {
        self.replay.take().map(|it| *it)
    }

    /// The `open` event, to be written first.
    pub fn open_event(&self) -> Bytes {
        event::Open {
            channel_id: self.channel.id().as_str(),
            sequence: self.opened.sequence,
            resumed: self.opened.resumed,
            position: &self.opened.position,
            ping_seconds: self.opened.ping_seconds,
        }
        .encode()
    }

    /// Waits for something to say: at least one event, and as many as have together at most
    /// `bytes_max` bytes. Cancel-safe. Calling it again says that what the last call returned was
    /// written.
    pub async fn next(&mut self, bytes_max: usize) -> Delivery {
        self.next_some(bytes_max, usize::MAX).await
    }

    /// As [`Attachment::next`], with at most so many events.
    pub async fn next_some(&mut self, bytes_max: usize, events_max: usize) -> Delivery {
        let room = Room {
            bytes: bytes_max,
            events: events_max,
        };
        poll_fn(|context| self.poll(room, context)).await
    }

    /// Resolves when the attachment is closed from elsewhere (replaced, revoked, the channel ended):
    /// for a writer that is stuck beside it. Not for a shutdown, which lets readers drain.
    pub async fn closed(&self) -> Close {
        poll_fn(|context| {
            let closed = |queue: &mut Queue| queue.closed(self.generation, context.waker());
            match self.channel.with(|queue, _| closed(queue)) {
                Some(close) => Poll::Ready(close),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// A part of what `next` returned went out: the reader does not stand still.
    pub fn progressed(&self) {
        let now = self.channel.now();
        self.channel
            .with(|queue, _| queue.progressed(self.generation, now));
    }

    /// The channel that it reads.
    pub fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    fn poll(&mut self, room: Room, context: &mut Context<'_>) -> Poll<Delivery> {
        loop {
            if let Some(delivery) = ready!(self.poll_once(room, context)) {
                return Poll::Ready(delivery);
            }
        }
    }

    /// Ready with `None`: something may be there now.
    fn poll_once(&mut self, room: Room, context: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let shared = self.channel.group().shared();
        let now = shared.clock.now();
        let step = self.channel.with(|queue, effects| {
            let waker = context.waker();
            queue.read(self.generation, room, now, &shared.bounds, waker, effects)
        });
        match step {
            Step::Events(frames) => {
                self.ping_at = now + shared.bounds.ping_ms;
                return Poll::Ready(Some(Delivery::Events(frames)));
            }
            Step::Close(close) => return Poll::Ready(Some(Delivery::Close(close))),
            Step::Ping(position) => {
                self.ping_at = now + shared.bounds.ping_ms;
                return Poll::Ready(Some(Delivery::Ping(position)));
            }
            Step::Wait { until: Some(until) } if until < self.ping_at => {
                return self
                    .timer
                    .poll(&shared.clock, now, until, context)
                    .map(|()| None);
            }
            Step::Wait { .. } => {}
        }
        ready!(self.timer.poll(&shared.clock, now, self.ping_at, context));
        self.ping_at = now + shared.bounds.ping_ms;
        // Read before the queue is locked: what is settled by now is queued or was handed out.
        let current = self.channel.group().position();
        let ping = |queue: &mut Queue| queue.ping(self.generation, &current);
        match self.channel.with(|queue, _| ping(queue)) {
            Some(position) => Poll::Ready(Some(Delivery::Ping(position))),
            // Something arrived just now, or waits still for what is more urgent.
            None => Poll::Ready(None),
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let shared = self.channel.group().shared();
        let now = shared.clock.now();
        let is_read = self.channel.with(|queue, effects| {
            queue.detach(self.generation, now, effects);
            queue.is_read()
        });
        if !is_read && let Some(watch) = shared.watch() {
            let lingers = Duration::from_millis(self.lingers_ms.into());
            watch.detached(&self.channel, lingers);
        }
        shared.attachments.fetch_sub(1, Relaxed);
    }
}
