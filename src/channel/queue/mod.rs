//! One channel's queue as a pure state machine: no clock, no task, no lock of its own.
//!
//! Owns every rule of what is kept, numbered, delivered, squashed and dropped. Time is passed in (as
//! milliseconds since the hub began), wakers are handed back as [`Effects`].

mod bounds;
mod changes;
mod delivery;
mod effects;
mod lanes;
mod producer;
mod reader;
mod replay;
mod room;
mod squash;
#[cfg(test)]
mod tests;
mod window;

pub(super) use bounds::Bounds;
pub(super) use effects::Effects;
pub(super) use lanes::LaneId;
pub(super) use producer::Offer;
pub(super) use reader::Step;
pub(super) use replay::ReplayId;
pub(super) use room::Room;

use self::{changes::Changes, lanes::Lanes, reader::Reader, replay::Replay, window::Window};
use super::{
    Batch, RequestId,
    batch::{Matching, Variant},
    hub::Mark,
};
use crate::{
    error::{Error, Kind, Result},
    snapshot::{Position, Version},
    wire::{Events, event::Close},
};
use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

/// Everything about one channel that changes.
#[derive(Debug)]
pub(super) struct Queue {
    window: Window,
    changes: Changes,
    lanes: Lanes,
    /// `error` events without a request, and signals.
    asides: Option<Box<Asides>>,
    /// Everything is to be reset first, at this state.
    void: Option<Box<Void>>,
    /// Up to where everything for this channel was handed out.
    sent: Position,
    /// What the reader missed before it came, and how many times there was such a thing.
    replay: Option<Box<Replay>>,
    replays: u32,
    /// Up to which state a replay told what changed.
    replayed: Version,
    /// The reader is to be told where it stands, though nothing happened.
    ping_due: bool,
    /// The state at which the channel joined the feed, or from which the database went on.
    registered: Version,
    /// How often the database had gone back by then.
    epoch: u64,
    /// The newest state that an ended request showed.
    shown: Version,
    /// Requests whose end is in the replay window: their ids are in use still.
    #[expect(
        clippy::box_collection,
        reason = "most channels have none, and are small"
    )]
    delivered: Option<Box<HashSet<RequestId>>>,
    reader: Reader,
    phase: Phase,
    /// A channel of the same name was removed earlier without its reader having been told.
    heir: bool,
}

/// A reset of everything that is told before anything else that waits.
#[derive(Debug)]
struct Void {
    position: Position,
    reason: &'static str,
}

/// Events of no request, oldest first; never empty.
#[derive(Debug, Default)]
struct Asides {
    events: VecDeque<(Aside, Arc<Events>)>,
    /// Bytes of errors.
    errors: usize,
    /// Bytes of signals.
    signals: usize,
    /// Signals were dropped, which the reader is told; none are taken until it has caught up.
    lost: bool,
}

/// What an event of no request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aside {
    Error,
    Signal,
}

impl Asides {
    fn push(&mut self, aside: Aside, event: Arc<Events>) {
        *self.bytes_of(aside) += event.bytes().len();
        self.events.push_back((aside, event));
    }

    fn pop(&mut self) -> Option<Arc<Events>> {
        let (aside, event) = self.events.pop_front()?;
        *self.bytes_of(aside) -= event.bytes().len();
        Some(event)
    }

    fn bytes_of(&mut self, aside: Aside) -> &mut usize {
        match aside {
            Aside::Error => &mut self.errors,
            Aside::Signal => &mut self.signals,
        }
    }
}

/// How a channel's life goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Nothing new comes in; what is there goes out.
    Draining,
    /// Nothing goes in or out. What producers are told.
    Ended(Kind),
}

impl Queue {
    /// A channel that joins the feed at `mark` and numbers its events from `first` on.
    pub(super) fn new(first: u64, mark: Mark, heir: bool, now: u64) -> Self {
        let Mark { epoch, position } = mark;
        Self {
            window: Window::new(first, position.clone()),
            changes: Changes::default(),
            lanes: Lanes::default(),
            asides: None,
            void: None,
            replay: None,
            replays: 0,
            replayed: Version(0),
            ping_due: false,
            registered: position.version,
            epoch,
            // What plain answers showed before the channel came is not known.
            shown: Version(position.version.0 + 1),
            sent: position,
            delivered: None,
            reader: Reader::new(now),
            phase: Phase::Open,
            heir,
        }
    }

    /// The reader may have been shown states up to this one, apart from what the channel carries.
    pub(super) fn has_shown(&mut self, version: Version) {
        self.shown = self.shown.max(version);
    }

    /// Queues a batch; `cursor`: everything up to its end was told to this channel with it.
    pub(super) fn push(
        &mut self,
        batch: &Arc<Batch>,
        epoch: u64,
        cursor: bool,
        now: u64,
        bounds: &Bounds,
        effects: &mut Effects,
    ) {
        let version = batch.position.version;
        if self.phase != Phase::Open || epoch != self.epoch || version < self.registered {
            return;
        }
        let none_wanted = |filter| batch.matching(filter) == Matching::None;
        if self.reader.filter().is_some_and(none_wanted) {
            return;
        }
        // Told by a replay already, or before the channel came; except for what only the feed can know:
        // a resource of that very state may have been read by a catalog that has changed since.
        let replayed = version <= self.replayed || version == self.registered;
        let resets;
        let batch = match replayed {
            true if !batch.says_more_than_the_log() => return,
            true => {
                resets = batch.resets_only();
                &resets
            }
            false => batch,
        };
        let cursor = cursor && !replayed;
        // A replay's view may lie inside the batch as well, and is not known before its end.
        let replay_shows = self.replay.is_some() || self.replayed > batch.start;
        let shows = replay_shows || self.shown > batch.start;
        let variant = Variant {
            transients: shows || self.lanes.may_show_after(batch.start),
            cursor,
        };
        self.arrive(now);
        if self.changes.is_empty() && self.replay.is_none() {
            self.changes.tag = self.changes.tag.max(self.lanes.served());
        }
        let kept = self.changes_bytes(bounds) - self.changes.bytes();
        let bytes_max = self.lanes.leave_to_changes(bounds).saturating_sub(kept);
        self.changes.push(batch, variant, bytes_max);
        self.reader.wake(effects);
        self.room_may_be_free(bounds, effects);
    }

    /// The database went back, and stands at `mark` now. What was handed out stays as it was, since
    /// a reset follows it; what waits of the states that no longer are is not told any more.
    pub(super) fn rewind(
        &mut self,
        mark: &Mark,
        reason: &'static str,
        bounds: &Bounds,
        effects: &mut Effects,
    ) {
        if self.phase != Phase::Open || mark.epoch <= self.epoch {
            return;
        }
        self.epoch = mark.epoch;
        self.registered = mark.position.version;
        self.sent = mark.position.clone();
        self.shown = Version(0);
        self.replayed = Version(0);
        self.changes.clear();
        self.drop_replay(effects);
        let error = Error::new(Kind::DatabaseUnavailable, "the database went back");
        self.lanes.void(&error, bounds, effects);
        self.void = Some(Box::new(Void {
            position: mark.position.clone(),
            reason,
        }));
        self.reader.wake(effects);
    }

    /// The reader has everything up to `sequence`.
    pub(super) fn acknowledge(&mut self, sequence: u64) -> Result<()> {
        let mut freed = Vec::new();
        let ours = self.window.acknowledge(sequence, &mut freed);
        self.free(freed);
        if ours {
            return Ok(());
        }
        Err(Error::new(
            Kind::SequenceInvalid,
            "The channel never gave this number out.",
        ))
    }

    /// Forgets what is too old. A channel that nobody has read for too long ends; whether it did.
    pub(super) fn sweep(&mut self, now: u64, bounds: &Bounds, effects: &mut Effects) -> bool {
        self.expire(now, bounds);
        let idle = self.reader.is_idle(now, bounds);
        if idle {
            self.end(Kind::ChannelEnded, effects);
        }
        idle
    }

    /// Ends the channel at once and without another word to its requests' readers.
    pub(super) fn end(&mut self, kind: Kind, effects: &mut Effects) {
        if matches!(self.phase, Phase::Ended(_)) {
            return;
        }
        self.phase = Phase::Ended(kind);
        self.lose(effects);
        self.asides = None;
        let close = match kind {
            Kind::ShuttingDown => Close::SHUTTING_DOWN,
            _ => Close::ENDED,
        };
        self.reader.close(close, effects);
    }

    /// Lets nothing more in. Running requests are told; the reader gets what is there and what they
    /// still have to say, and is closed then. Without a reader, the channel ends at once.
    pub(super) fn drain(&mut self, effects: &mut Effects) {
        if self.phase != Phase::Open {
            return;
        }
        if !self.reader.is_attached() {
            return self.end(Kind::ShuttingDown, effects);
        }
        self.phase = Phase::Draining;
        if self.replay.is_some() {
            // Half of it helps nobody: without a cursor from it, the reader asks for all of it again.
            self.drop_replay(effects);
            self.changes.clear();
        }
        let running = self.lanes.iter().filter(|it| it.is_running());
        for id in running.map(|it| it.id).collect::<Vec<_>>() {
            self.lanes.fail(id, Kind::ShuttingDown, effects);
        }
        self.reader.wake(effects);
    }

    /// Whether somebody reads it.
    pub(super) fn is_read(&self) -> bool {
        self.reader.is_attached()
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    /// Bytes that wait, bytes that are kept, requests whose end was not yet handed out.
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        let asides = self.asides.as_ref();
        let asides = asides.map_or(0, |it| it.errors + it.signals);
        let replay = self.replay.as_ref().map_or(0, |it| it.bytes());
        let queued = self.changes.bytes() + replay + self.lanes.bytes() + asides;
        (queued, self.window.bytes(), self.lanes.len())
    }

    /// Something is about to be queued: a reader that had nothing to take does not stand still.
    fn arrive(&mut self, now: u64) {
        if !self.is_waiting() {
            self.reader.progressed(now);
        }
    }

    /// To be called after whatever may have made room: what was taken, dropped or squashed, or a row
    /// that needed much room and no longer does.
    fn room_may_be_free(&mut self, bounds: &Bounds, effects: &mut Effects) {
        let changes_bytes = self.changes_bytes(bounds);
        self.lanes.wake_waiting(changes_bytes, bounds, effects);
        self.wake_replay(bounds, effects);
    }

    /// Whether there is something to hand out.
    fn is_waiting(&self) -> bool {
        !self.window.caught_up()
            || self.void.is_some()
            || self.asides.is_some()
            || self.are_changes_waiting()
            || self.lanes.is_waiting()
    }

    /// Whether there are changes that may be handed out: while something is replayed, that only.
    fn are_changes_waiting(&self) -> bool {
        match &self.replay {
            Some(replay) => replay.is_waiting(),
            None => !self.changes.is_empty(),
        }
    }

    /// Drops everything that waits or was handed out, requests included; numbers go on. Returns the
    /// newest state that was among it.
    fn lose(&mut self, effects: &mut Effects) -> Option<Position> {
        let mut freed = Vec::new();
        self.window.clear(&mut freed);
        self.free(freed);
        effects.requests_ended += self.lanes.clear(effects);
        self.void = None;
        self.drop_replay(effects);
        self.changes.clear()
    }

    fn check_open(&self) -> Result<()> {
        match self.phase {
            Phase::Open => Ok(()),
            Phase::Draining => Err(Error::new(
                Kind::ShuttingDown,
                "The server takes nothing new.",
            )),
            Phase::Ended(kind) => Err(Error::new(kind, "The channel was ended.")),
        }
    }

    fn expire(&mut self, now: u64, bounds: &Bounds) {
        let mut freed = Vec::new();
        let attached = self.reader.is_attached();
        self.window.expire(now, attached, bounds, &mut freed);
        self.free(freed);
    }

    fn is_delivered(&self, request: &RequestId) -> bool {
        self.delivered
            .as_ref()
            .is_some_and(|it| it.contains(request))
    }

    fn free(&mut self, freed: Vec<RequestId>) {
        if let Some(delivered) = &mut self.delivered {
            for request in &freed {
                delivered.remove(request);
            }
            self.delivered.take_if(|it| it.is_empty());
        }
    }
}
