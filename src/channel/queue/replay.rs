//! A replay: what a reader missed, told before anything that happened since it came.
//!
//! Owns what waits of it, and what follows from its beginning and its end: until everything of it was
//! handed out, the changes that happen meanwhile wait behind it, and no event carries a cursor but
//! the replay's own last one. Knows nothing of where the changes come from.

use super::{Bounds, Effects, Offer, Phase, Queue, Room, Void, window::Sent};
use crate::{channel::hub::Mark, error::Kind, snapshot::Position, wire::Events};
use std::{collections::VecDeque, task::Waker};

/// Names a replay as long as its channel lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::channel) struct ReplayId(u32);

/// A replay that was not handed out whole yet.
#[derive(Debug)]
pub(super) struct Replay {
    id: ReplayId,
    opened_at: u64,
    /// What waits, oldest first.
    events: VecDeque<Events>,
    bytes: usize,
    end: Option<End>,
    waker: Option<Waker>,
}

/// How a replay ends.
#[derive(Debug)]
struct End {
    /// The state that it leads to.
    position: Position,
    /// Whether the last event says so.
    told: bool,
}

impl Replay {
    pub(super) fn is_waiting(&self) -> bool {
        !self.events.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes what is next and fits, at least one event if `first`.
    pub(super) fn take(&mut self, room: Room, first: bool) -> Option<Sent> {
        let front = self.events.front_mut()?;
        let count = room.cuts(front, first);
        if count == 0 {
            return None;
        }
        let events = front.split_to(count);
        if front.is_empty() {
            self.events.pop_front();
        }
        self.bytes -= events.bytes().len();
        let end = self
            .end
            .as_ref()
            .filter(|it| it.told && self.events.is_empty());
        let position = end.map(|it| it.position.clone());
        Some(Sent::changes(events, position))
    }
}

impl Queue {
    /// A reader has come that holds the state `since`: what it missed will be told first. Changes
    /// that wait already, or were handed out and may not have come, are part of that. Returns the
    /// number of the last event before those that it gets.
    pub(super) fn begin_replay(&mut self, since: Position, now: u64, effects: &mut Effects) -> u64 {
        self.drop_replay(effects);
        self.changes.restart();
        self.void = None;
        let begin = self.restart_window(&since);
        self.sent = since;
        self.replays += 1;
        self.replay = Some(Box::new(Replay {
            id: ReplayId(self.replays),
            opened_at: now,
            events: VecDeque::new(),
            bytes: 0,
            end: None,
            waker: None,
        }));
        begin
    }

    /// What was handed out of changes is not told again: the reader holds this state.
    pub(super) fn restart_window(&mut self, since: &Position) -> u64 {
        let mut freed = Vec::new();
        let begin = self.window.restart(since, &mut freed);
        self.free(freed);
        begin
    }

    /// The replay that was begun last.
    pub(in crate::channel) fn replay(&self) -> Option<ReplayId> {
        self.replay.as_ref().map(|it| it.id)
    }

    /// The replay will not go on; its producer hears of that when it asks.
    pub(super) fn drop_replay(&mut self, effects: &mut Effects) {
        if let Some(replay) = self.replay.take() {
            effects.lanes.extend(replay.waker);
        }
    }

    /// Queues as much of a replay as there is room for, and remembers whom to wake for the rest.
    pub(in crate::channel) fn offer_replay(
        &mut self,
        id: ReplayId,
        events: &mut Events,
        now: u64,
        bounds: &Bounds,
        waker: &Waker,
        effects: &mut Effects,
    ) -> Offer {
        if let Some(kind) = self.replay_failure(id) {
            return Offer::Failed(kind);
        }
        self.arrive(now);
        let Some(replay) = &mut self.replay else {
            return Offer::Failed(Kind::RequestCancelled);
        };
        let room = bounds.replay_queue_bytes.saturating_sub(replay.bytes);
        // An event that no room could hold goes alone.
        let count = events.fitting(room).max(usize::from(replay.bytes == 0));
        let part = events.split_to(count);
        if !part.is_empty() {
            replay.bytes += part.bytes().len();
            replay.events.push_back(part);
            self.reader.wake(effects);
        }
        if events.is_empty() {
            return Offer::Done;
        }
        let (until, kind) = self.reader.deadline(replay.opened_at, bounds);
        if now >= until {
            return Offer::Failed(kind);
        }
        replay.waker = Some(waker.clone());
        Offer::Blocked { until }
    }

    /// Why a replay should stop, if it should.
    pub(in crate::channel) fn replay_failure(&self, id: ReplayId) -> Option<Kind> {
        match self.phase {
            Phase::Draining => Some(Kind::ShuttingDown),
            Phase::Ended(kind) => Some(kind),
            Phase::Open => (self.replay() != Some(id)).then_some(Kind::RequestCancelled),
        }
    }

    /// The replay leads to `position`; `events` are the last of it, for which there is always room.
    /// `told`: the last of them carries the cursor.
    pub(in crate::channel) fn finish_replay(
        &mut self,
        id: ReplayId,
        events: Events,
        (position, told): (Position, bool),
        now: u64,
        effects: &mut Effects,
    ) {
        if self.replay_failure(id).is_some() {
            return;
        }
        self.arrive(now);
        self.changes.forget(position.version);
        self.replayed = self.replayed.max(position.version);
        if let Some(replay) = &mut self.replay {
            if !events.is_empty() {
                replay.bytes += events.bytes().len();
                replay.events.push_back(events);
            }
            replay.end = Some(End { position, told });
        }
        self.end_replay();
        self.reader.wake(effects);
    }

    /// The replay failed: everything that the reader holds is void.
    pub(in crate::channel) fn void_replay(
        &mut self,
        id: ReplayId,
        current: &Mark,
        reason: &'static str,
        effects: &mut Effects,
    ) {
        if self.replay_failure(id).is_some() || current.epoch != self.epoch {
            return;
        }
        self.drop_replay(effects);
        self.raise(current.position.clone());
        self.void = Some(Box::new(Void {
            position: self.sent.clone(),
            reason,
        }));
        self.ping_due = true;
        self.reader.wake(effects);
    }

    /// Goes on live once everything of the replay was handed out.
    pub(super) fn end_replay(&mut self) {
        let over = |it: &mut Box<Replay>| it.end.is_some() && it.events.is_empty();
        let Some(End { position, told }) = self.replay.take_if(over).and_then(|it| it.end) else {
            return;
        };
        if self.changes.is_empty() {
            self.changes.tag = self.changes.tag.max(self.lanes.served());
        }
        self.raise(position);
        // Where no event could carry the cursor, the reader learns by a ping that it is up to date.
        self.ping_due = !told;
    }

    /// Wakes who waits for room, if there is some.
    pub(super) fn wake_replay(&mut self, bounds: &Bounds, effects: &mut Effects) {
        if let Some(replay) = &mut self.replay
            && replay.bytes < bounds.replay_queue_bytes
        {
            effects.lanes.extend(replay.waker.take());
        }
    }

    /// Bytes of changes that wait, and of room that is kept for a replay.
    pub(super) fn changes_bytes(&self, bounds: &Bounds) -> usize {
        let kept = self
            .replay
            .as_ref()
            .map_or(0, |it| it.bytes.max(bounds.replay_queue_bytes));
        self.changes.bytes() + kept
    }
}
