//! The reading half of the queue: who reads, from where, and until when.

use super::{Bounds, Effects, Phase, Queue, Room, Void, squash::GAP};
use crate::{
    channel::{Attach, Frames, Opened, Since, batch::Filter, hub::Mark},
    error::{Kind, Result},
    snapshot::Position,
    wire::event::Close,
};
use std::task::Waker;

/// What a reader gets.
#[derive(Debug)]
pub(in crate::channel) enum Step {
    Events(Frames),
    Close(Close),
    /// Nothing waits, and everything up to here was sent.
    Ping(Position),
    /// Nothing yet; its waker is remembered. To be asked again at this time at the latest, where
    /// something waits for what is more urgent.
    Wait {
        until: Option<u64>,
    },
}

/// Who reads the channel.
#[derive(Debug)]
pub(super) struct Reader {
    /// Counts the attachments; only the latest one reads.
    generation: u64,
    attached: bool,
    filter: Option<Filter>,
    waker: Option<Waker>,
    close_waker: Option<Waker>,
    closing: Option<Box<Close>>,
    /// When something was last taken, or could have been for the first time.
    progress_at: u64,
    detached_at: u64,
}

impl Reader {
    pub(super) fn new(now: u64) -> Self {
        Self {
            generation: 0,
            attached: false,
            filter: None,
            waker: None,
            close_waker: None,
            closing: None,
            progress_at: now,
            detached_at: now,
        }
    }

    pub(super) fn is_attached(&self) -> bool {
        self.attached
    }

    pub(super) fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    pub(super) fn progressed(&mut self, now: u64) {
        self.progress_at = self.progress_at.max(now);
    }

    pub(super) fn wake(&mut self, effects: &mut Effects) {
        if self.waker.is_some() {
            effects.reader = self.waker.take();
        }
    }

    pub(super) fn close(&mut self, close: Close, effects: &mut Effects) {
        if self.attached {
            self.closing.get_or_insert_with(|| Box::new(close));
            self.wake(effects);
            effects.closer = self.close_waker.take();
        }
    }

    /// Until when a request that waits for room may wait, and what it is told then. The clock runs
    /// from the last time that anything of the whole channel was taken, or that nobody read it.
    pub(super) fn deadline(&self, opened_at: u64, bounds: &Bounds) -> (u64, Kind) {
        if self.attached {
            (self.progress_at + bounds.stall_ms, Kind::RequestStalled)
        } else {
            let since = self.detached_at.max(opened_at);
            (since + bounds.grace_ms, Kind::RequestUnread)
        }
    }

    pub(super) fn is_idle(&self, now: u64, bounds: &Bounds) -> bool {
        !self.attached && now >= self.detached_at + bounds.idle_ms
    }
}

impl Queue {
    /// A new reader; an older one is closed. `current` is the feed's position as far as it was told
    /// to this channel's group. Returns the reader's generation and where it begins.
    ///
    /// `resumed` is false if, and only if, events between what the reader had and what it will get
    /// are gone. A channel that is read for the first time has lost nothing, so its reader is told
    /// `resumed:true`, and keeps the requests that were made before it came. A reader that was here
    /// in an earlier life of the channel is recognised by its `after`, whose number this life never
    /// gave out, or, without `after`, by the channel's having been removed for idleness; then
    /// everything is reset, or, if it says at which state it was, what it missed is
    /// replayed. (That the server itself was restarted meanwhile, a reader without `after` sees by the
    /// number in `open`.)
    pub(in crate::channel) fn attach(
        &mut self,
        attach: Attach,
        current: &Mark,
        now: u64,
        bounds: &Bounds,
        effects: &mut Effects,
    ) -> Result<(u64, Opened)> {
        self.check_open()?;
        self.reader.close(Close::REPLACED, effects);
        self.reader = Reader {
            generation: self.reader.generation + 1,
            attached: true,
            filter: attach.resources.map(Filter::new),
            ..Reader::new(now)
        };
        self.lanes.wake_all_waiting(effects);

        let mut freed = Vec::new();
        self.window.expire(now, false, bounds, &mut freed);
        // Who names a cursor that this channel sent has everything that it sent before.
        let named = match (&attach.since, attach.after) {
            (Some(Since::State(since)), None) => self.window.number_of(&since.cursor),
            _ => None,
        };
        let from = self
            .window
            .resume(attach.after.or(named), attach.acknowledges, &mut freed);
        self.free(freed);
        // An `after` that can be honoured beats a `since`.
        let honoured = attach.after.is_some() && from.is_some();
        let since = attach.since.filter(|_| !honoured);
        let orphaned = std::mem::take(&mut self.heir) && attach.after.is_none();
        let resumed = from.is_some() && !(orphaned && self.lanes.opened() == 0);
        if !resumed {
            let lost = self.lose(effects);
            self.current(current);
            self.ping_due = false;
            let newest = lost.filter(|it| it.version > self.sent.version);
            self.void = Some(Box::new(Void {
                position: newest.unwrap_or_else(|| self.sent.clone()),
                reason: GAP,
            }));
        } else if orphaned {
            // Requests of this life must live on, so the earlier life's are not ended by `resumed`;
            // that its changes are gone is said all the same.
            self.void = Some(Box::new(Void {
                position: self.sent.clone(),
                reason: GAP,
            }));
        }
        let mut sequence = from.filter(|_| resumed).unwrap_or(self.window.last());
        match since {
            Some(Since::State(state)) => sequence = self.begin_replay(state, now, effects),
            Some(Since::Unknown(reason)) => {
                self.drop_replay(effects);
                let sent = self.sent.clone();
                sequence = self.restart_window(&sent);
                self.current(current);
                self.void = Some(Box::new(Void {
                    position: self.sent.clone(),
                    reason,
                }));
            }
            None => {}
        }
        let position = if !self.window.caught_up() {
            self.window.position().clone()
        } else {
            self.current(current).clone()
        };
        let opened = Opened {
            sequence,
            resumed,
            position,
            ping_seconds: bounds.ping_ms.div_ceil(1000),
        };
        Ok((self.reader.generation, opened))
    }

    /// The reader went away.
    pub(in crate::channel) fn detach(&mut self, generation: u64, now: u64, effects: &mut Effects) {
        if generation != self.reader.generation || !self.reader.attached {
            return;
        }
        self.reader = Reader {
            generation,
            ..Reader::new(now)
        };
        self.lanes.wake_all_waiting(effects);
        if self.phase == Phase::Draining {
            self.end(Kind::ShuttingDown, effects);
        }
    }

    /// Closes the present reader.
    pub(in crate::channel) fn close(&mut self, close: Close, effects: &mut Effects) {
        self.reader.close(close, effects);
    }

    /// What the reader gets next. That it asks says that it has written what it got before.
    pub(in crate::channel) fn read(
        &mut self,
        generation: u64,
        room: Room,
        now: u64,
        bounds: &Bounds,
        waker: &Waker,
        effects: &mut Effects,
    ) -> Step {
        if let Some(close) = self.closing(generation) {
            return Step::Close(close);
        }
        self.window.confirm();
        let frames = self.take(room, now, bounds, effects);
        // Also if there are none: a batch of which the reader wants nothing is gone as well.
        self.room_may_be_free(bounds, effects);
        if let Some(frames) = frames {
            self.reader.progress_at = now;
            return Step::Events(frames);
        }
        if std::mem::take(&mut self.ping_due) && self.phase == Phase::Open {
            return Step::Ping(self.sent.clone());
        }
        if self.phase == Phase::Draining && !self.lanes.iter().any(|it| it.is_running()) {
            return Step::Close(Close::SHUTTING_DOWN);
        }
        remember(&mut self.reader.waker, waker);
        let until = self.lanes.held_until(now, bounds);
        // What waits by our own will is no standstill of the reader's.
        self.reader.progressed(until.unwrap_or(0));
        Step::Wait { until }
    }

    /// The reader's close, if it has to go; else remembers whom to wake then.
    pub(in crate::channel) fn closed(&mut self, generation: u64, waker: &Waker) -> Option<Close> {
        let closing = self.closing(generation);
        if closing.is_none() {
            remember(&mut self.reader.close_waker, waker);
        }
        closing
    }

    /// Part of what the reader got went out.
    pub(in crate::channel) fn progressed(&mut self, generation: u64, now: u64) {
        if generation == self.reader.generation {
            self.reader.progressed(now);
        }
    }

    /// What a `ping` says, if nothing waits.
    pub(in crate::channel) fn ping(&mut self, generation: u64, current: &Mark) -> Option<Position> {
        let told = !self.is_waiting() && self.replay.is_none();
        let quiet = generation == self.reader.generation && told;
        quiet.then(|| self.current(current).clone())
    }

    fn closing(&self, generation: u64) -> Option<Close> {
        if generation != self.reader.generation {
            return Some(match self.phase {
                Phase::Ended(Kind::ShuttingDown) => Close::SHUTTING_DOWN,
                Phase::Ended(_) => Close::ENDED,
                _ => Close::REPLACED,
            });
        }
        self.reader.closing.as_deref().cloned()
    }

    /// Up to where everything was handed out, which is the feed's position if no change waits.
    fn current(&mut self, feed: &Mark) -> &Position {
        let told = self.changes.is_empty() && self.replay.is_none();
        if told && feed.epoch == self.epoch {
            self.raise(feed.position.clone());
        }
        &self.sent
    }

    pub(super) fn raise(&mut self, position: Position) {
        if position.version >= self.sent.version {
            self.sent = position;
        }
    }
}

fn remember(slot: &mut Option<Waker>, waker: &Waker) {
    match slot {
        Some(mine) => mine.clone_from(waker),
        none => *none = Some(waker.clone()),
    }
}
