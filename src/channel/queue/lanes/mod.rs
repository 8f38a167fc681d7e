//! The requests of a channel: each a lane with rows that wait and one end, sharing room and service.
//!
//! Owns who may queue how much, and who is served next. Knows nothing of numbers and readers.
//!
//! Service is start-time fair queueing (Goyal, Vin and Cheng, 1996): each lane has a tag that grows by
//! what it was served, more slowly for an urgent one, and the lowest tag is next. A lane that had
//! nothing starts at the tag of the one served last, so that it neither waits for the others nor makes
//! up for the time when it wanted nothing.

mod admission;
mod hold;

use super::{Bounds, Effects, Room, window::Sent};
use crate::{
    channel::{Priority, RequestId},
    error::{Error, Kind},
    snapshot::Version,
    wire::{Events, event, problem},
};
use std::{collections::VecDeque, task::Waker};

/// Names a lane as long as its channel lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::channel) struct LaneId(u32);

#[cfg(test)]
impl LaneId {
    /// The id of the nth lane of a channel.
    pub(in crate::channel::queue) fn nth(number: u32) -> Self {
        Self(number)
    }
}

/// How many bytes one lane is served before the next has its turn.
pub(in crate::channel::queue) const PORTION_BYTES: usize = 16 << 10;

/// How much less a lane is served than one that is more urgent by one step.
const URGENCY_FACTOR: u64 = 3;

/// As urgent as this are the changes.
pub(in crate::channel::queue) const CHANGES_URGENCY: u8 = 1;

/// What a byte costs at this urgency.
pub(in crate::channel::queue) fn cost(urgency: u8) -> u64 {
    URGENCY_FACTOR.pow(urgency.into())
}

#[derive(Debug)]
pub(in crate::channel::queue) struct Lane {
    pub(in crate::channel::queue) id: LaneId,
    pub(in crate::channel::queue) request: RequestId,
    urgency: u8,
    tag: u64,
    rows: VecDeque<Events>,
    bytes: usize,
    /// The end, once the producer gave it.
    terminal: Option<Events>,
    /// Why the producer should stop, once it should.
    pub(in crate::channel::queue) failed: Option<Kind>,
    /// The end of a request whose rows became void, whatever its producer says.
    voided: Option<Box<Events>>,
    /// The state that its rows show, once it is known.
    snapshot: Option<Version>,
    pub(in crate::channel::queue) opened_at: u64,
    rows_queued: u64,
    rows_delivered: u64,
    /// Who waits for room, or to hear that it should stop.
    waker: Option<Waker>,
    /// The bytes for which it waits; 0 if it does not.
    waits_for: usize,
    /// Since when it is passed over for one that is more urgent.
    held_since: Option<u64>,
}

impl Lane {
    pub(in crate::channel::queue) fn is_running(&self) -> bool {
        self.terminal.is_none()
    }

    pub(in crate::channel::queue) fn rows_queued(&self) -> u64 {
        self.rows_queued
    }

    pub(in crate::channel::queue) fn rows_delivered(&self) -> u64 {
        self.rows_delivered
    }

    pub(in crate::channel::queue) fn snapshot(&self) -> Option<Version> {
        self.snapshot
    }

    fn front(&self) -> Option<&Events> {
        self.rows.front().or(self.terminal.as_ref())
    }
}

/// All lanes of a channel. A lane leaves when its end is handed out.
#[derive(Debug, Default)]
pub(in crate::channel::queue) struct Lanes {
    lanes: Vec<Lane>,
    opened: u32,
    /// Rows that wait, in bytes.
    bytes: usize,
    /// How much of that exceeds each lane's own part.
    common_bytes: usize,
    /// The tag of whoever was served last.
    served: u64,
    /// A lane that has nothing queued and waits for more than its own part: until it has that, nobody
    /// else gets a part of the common room.
    large: Option<LaneId>,
}

impl Lanes {
    pub(in crate::channel::queue) fn iter(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter()
    }

    pub(in crate::channel::queue) fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Bytes that wait, ends included.
    pub(in crate::channel::queue) fn bytes(&self) -> usize {
        let ends = self.lanes.iter().filter_map(|lane| lane.terminal.as_ref());
        self.bytes + ends.map(|it| it.bytes().len()).sum::<usize>()
    }

    /// How many bytes the changes may have.
    pub(in crate::channel::queue) fn leave_to_changes(&self, bounds: &Bounds) -> usize {
        let rest = bounds.common_bytes_max.saturating_sub(self.common_bytes);
        match self.large {
            Some(_) => rest.min(bounds.changes_bytes_small),
            None => rest,
        }
    }

    /// Ever opened on this channel.
    pub(in crate::channel::queue) fn opened(&self) -> u32 {
        self.opened
    }

    pub(in crate::channel::queue) fn by_request(&self, request: &RequestId) -> Option<&Lane> {
        self.lanes.iter().find(|lane| lane.request == *request)
    }

    pub(in crate::channel::queue) fn get(&self, id: LaneId) -> Option<&Lane> {
        self.lanes.iter().find(|lane| lane.id == id)
    }

    pub(in crate::channel::queue) fn get_mut(&mut self, id: LaneId) -> Option<&mut Lane> {
        self.lanes.iter_mut().find(|lane| lane.id == id)
    }

    pub(in crate::channel::queue) fn open(
        &mut self,
        request: RequestId,
        priority: Priority,
        now: u64,
    ) -> LaneId {
        self.opened += 1;
        let id = LaneId(self.opened);
        self.lanes.push(Lane {
            id,
            request,
            urgency: priority.urgency(),
            tag: 0,
            rows: VecDeque::new(),
            bytes: 0,
            terminal: None,
            failed: None,
            voided: None,
            snapshot: None,
            opened_at: now,
            rows_queued: 0,
            rows_delivered: 0,
            waker: None,
            waits_for: 0,
            held_since: None,
        });
        id
    }

    /// Whether some request may show a state after `start`.
    pub(in crate::channel::queue) fn may_show_after(&self, start: Version) -> bool {
        let running = self.lanes.iter().filter(|it| it.is_running());
        running
            .map(|it| it.snapshot)
            .any(|it| it.is_none_or(|it| it > start))
    }

    pub(in crate::channel::queue) fn snapshot_taken(&mut self, id: LaneId, version: Version) {
        if let Some(lane) = self.get_mut(id) {
            lane.snapshot = Some(version);
        }
    }

    /// Wakes all who wait for room, because their deadline is another one now.
    pub(in crate::channel::queue) fn wake_all_waiting(&mut self, effects: &mut Effects) {
        let waiting = self.lanes.iter_mut().filter(|it| it.waits_for > 0);
        effects
            .lanes
            .extend(waiting.filter_map(|it| it.waker.take()));
    }

    /// Whom to wake when the lane has room or should stop.
    pub(in crate::channel::queue) fn wait(&mut self, id: LaneId, waker: &Waker) {
        if let Some(lane) = self.get_mut(id) {
            match &mut lane.waker {
                Some(mine) => mine.clone_from(waker),
                none => *none = Some(waker.clone()),
            }
        }
    }

    /// Nobody waits any more.
    pub(in crate::channel::queue) fn leave(&mut self, id: LaneId) {
        self.large.take_if(|it| *it == id);
        if let Some(lane) = self.get_mut(id) {
            lane.waits_for = 0;
            lane.waker = None;
        }
    }

    /// Tells the producer to stop. Rows that wait stay.
    pub(in crate::channel::queue) fn fail(
        &mut self,
        id: LaneId,
        kind: Kind,
        effects: &mut Effects,
    ) {
        self.large.take_if(|it| *it == id);
        if let Some(lane) = self.get_mut(id) {
            lane.failed.get_or_insert(kind);
            lane.waits_for = 0;
            effects.lanes.extend(lane.waker.take());
        }
    }

    /// Drops the rows of a lane that wait.
    pub(in crate::channel::queue) fn drop_rows(&mut self, id: LaneId, bounds: &Bounds) {
        let Some(lane) = self.get_mut(id) else { return };
        let dropped: usize = lane.rows.drain(..).map(|it| it.count()).sum();
        lane.rows = VecDeque::new();
        lane.rows_queued -= dropped as u64;
        let before = std::mem::take(&mut lane.bytes);
        self.count(before, 0, bounds);
    }

    /// What waits shows states that no longer are: rows are dropped, and their requests end with this
    /// error, whether or not they had ended well.
    pub(in crate::channel::queue) fn void(
        &mut self,
        error: &Error,
        bounds: &Bounds,
        effects: &mut Effects,
    ) {
        for id in self.lanes.iter().map(|it| it.id).collect::<Vec<_>>() {
            let lost = self.get(id).is_some_and(|it| !it.rows.is_empty());
            self.drop_rows(id, bounds);
            self.fail(id, error.kind(), effects);
            if let Some(lane) = self.get_mut(id).filter(|_| lost) {
                let request = lane.request.as_str();
                let problem = problem::document(error, Some(request));
                let rows = lane.rows_delivered;
                let end = Events::one(event::error(Some((request, rows)), &problem));
                // The producer of one that still runs may have counted the rows already, and end it
                // well before it hears of this.
                match lane.is_running() {
                    true => lane.voided = Some(Box::new(end)),
                    false => lane.terminal = Some(end),
                }
            }
        }
    }

    /// Queues the end. It needs no room: every lane has its own for that.
    pub(in crate::channel::queue) fn finish(&mut self, id: LaneId, terminal: Events) {
        self.large.take_if(|it| *it == id);
        let served = self.served;
        if let Some(lane) = self.get_mut(id) {
            if lane.rows.is_empty() {
                lane.tag = lane.tag.max(served);
            }
            let voided = lane.voided.take().map(|it| *it);
            lane.terminal.get_or_insert(voided.unwrap_or(terminal));
            lane.waits_for = 0;
            lane.waker = None;
        }
    }

    /// Whether some lane has something to say.
    pub(in crate::channel::queue) fn is_waiting(&self) -> bool {
        self.lanes.iter().any(|it| it.front().is_some())
    }

    /// Whether more than one lane has something to say.
    pub(in crate::channel::queue) fn compete(&self) -> bool {
        self.lanes
            .iter()
            .filter(|it| it.front().is_some())
            .nth(1)
            .is_some()
    }

    /// Takes what is next of this lane and fits, at least one event if `first`. With the end, the
    /// lane is gone.
    pub(in crate::channel::queue) fn take(
        &mut self,
        id: LaneId,
        room: Room,
        first: bool,
        competing: bool,
        bounds: &Bounds,
    ) -> Option<Sent> {
        let index = self.lanes.iter().position(|lane| lane.id == id)?;
        let lane = &mut self.lanes[index];
        let front = lane.front()?;
        let room = match competing {
            true => room.portion(PORTION_BYTES, front),
            false => room,
        };
        let count = room.cuts(front, first);
        if count == 0 {
            return None;
        }
        self.served = lane.tag;
        lane.held_since = None;
        let Some(rows) = lane.rows.front_mut() else {
            let lane = self.lanes.remove(index);
            if self.lanes.is_empty() {
                self.lanes = Vec::new();
            }
            return lane
                .terminal
                .map(|terminal| Sent::own(terminal, Some(lane.request)));
        };
        let events = rows.split_to(count);
        if rows.is_empty() {
            lane.rows.pop_front();
        }
        if lane.rows.is_empty() {
            lane.rows = VecDeque::new();
        }
        let bytes = events.bytes().len();
        lane.rows_delivered += count as u64;
        lane.tag += bytes as u64 * cost(lane.urgency);
        let before = lane.bytes;
        lane.bytes -= bytes;
        let after = lane.bytes;
        self.count(before, after, bounds);
        Some(Sent::own(events, None))
    }

    /// The changes were served.
    pub(in crate::channel::queue) fn serve(&mut self, tag: u64) {
        self.served = tag;
    }

    /// The tag with which a lane starts that had nothing.
    pub(in crate::channel::queue) fn served(&self) -> u64 {
        self.served
    }

    /// Ends all lanes without a word: their producers are told to stop, and hear this when they ask.
    pub(in crate::channel::queue) fn clear(&mut self, effects: &mut Effects) -> usize {
        let lanes = std::mem::take(&mut self.lanes);
        let count = lanes.len();
        effects
            .lanes
            .extend(lanes.into_iter().filter_map(|it| it.waker));
        self.bytes = 0;
        self.common_bytes = 0;
        self.large = None;
        count
    }

    fn count(&mut self, before: usize, after: usize, bounds: &Bounds) {
        let common = |bytes: usize| bytes.saturating_sub(bounds.lane_bytes);
        self.bytes = self.bytes - before + after;
        self.common_bytes = self.common_bytes - common(before) + common(after);
    }
}
