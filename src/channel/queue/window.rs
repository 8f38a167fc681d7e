//! The replay window: what was handed out and not yet acknowledged, and the numbers of it all.
//!
//! Owns numbering, acknowledgement and redelivery. Knows nothing of what still waits.

use super::Bounds;
use crate::{
    channel::{
        RequestId,
        batch::{Batch, Variant},
    },
    snapshot::Position,
    wire::Events,
};
use std::{collections::VecDeque, sync::Arc};

/// What a kept entry costs beside its events' bytes; many small events must not cost more memory
/// than the limit says.
const ENTRY_BYTES: usize = 64;

/// Entries of room that an empty window may keep; an idle channel has no buffers.
const CAPACITY_IDLE: usize = 4;

/// Milliseconds of a tick, the unit in which entries remember their time: 32 bits last 13 years.
const TICK_MS: u64 = 100;

/// Events that were handed out as one frame.
#[derive(Debug)]
pub(super) enum Sent {
    /// A batch as all channels share it.
    Batch(Arc<Batch>, Variant),
    /// An event of no request, which many channels may share.
    Shared(Arc<Events>),
    /// Anything else.
    Own(Box<Own>),
}

/// A frame of this channel's own.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) events: Events,
    /// Up to where everything was told with the last of the events, if it says so.
    pub(super) position: Option<Position>,
    /// The request that ends with the last of the events.
    pub(super) ends: Option<RequestId>,
    /// Changes and resets: what a replay from before them tells anew.
    changes: bool,
}

impl Sent {
    /// Rows, an end, or an event of no request.
    pub(super) fn own(events: Events, ends: Option<RequestId>) -> Self {
        Self::Own(Box::new(Own {
            events,
            position: None,
            ends,
            changes: false,
        }))
    }

    /// Changes or resets; with the last of them everything was told up to `position`, if it says so.
    pub(super) fn changes(events: Events, position: Option<Position>) -> Self {
        Self::Own(Box::new(Own {
            events,
            position,
            ends: None,
            changes: true,
        }))
    }

    pub(super) fn events(&self) -> &Events {
        match self {
            Sent::Batch(batch, variant) => batch.events(*variant),
            Sent::Shared(events) => events,
            Sent::Own(own) => &own.events,
        }
    }

    pub(super) fn position(&self) -> Option<&Position> {
        match self {
            Sent::Batch(batch, variant) => variant.cursor.then_some(&batch.position),
            Sent::Shared(_) => None,
            Sent::Own(own) => own.position.as_ref(),
        }
    }

    fn are_changes(&self) -> bool {
        match self {
            Sent::Batch(..) => true,
            Sent::Shared(_) => false,
            Sent::Own(own) => own.changes,
        }
    }

    fn bytes(&self) -> usize {
        self.events().bytes().len() + ENTRY_BYTES
    }
}

#[derive(Debug)]
struct Entry {
    sent: Sent,
    at_ticks: u32,
}

/// What was handed out, oldest first, numbered without gaps up to `last`.
#[derive(Debug)]
pub(super) struct Window {
    entries: VecDeque<Entry>,
    /// Events in `entries`.
    events: u64,
    bytes: usize,
    /// The number before the channel's first event.
    base: u64,
    /// The number of the last event that was handed out.
    last: u64,
    /// The number up to which the reader said that it has everything.
    acknowledged: u64,
    /// The number up to which events were certainly written to some reader.
    written: u64,
    /// What the present reader was given last.
    reader: u64,
    /// The entry that the present reader gets next; there is none once it has caught up.
    next: usize,
    /// How many of that entry's events it has been given.
    given: usize,
    /// Up to where everything was told before the first entry.
    before: Position,
}

impl Window {
    /// Nothing was handed out yet; the first event will be number `first`.
    pub(super) fn new(first: u64, position: Position) -> Self {
        let base = first - 1;
        Self {
            entries: VecDeque::new(),
            events: 0,
            bytes: 0,
            base,
            last: base,
            acknowledged: base,
            written: base,
            reader: base,
            next: 0,
            given: 0,
            before: position,
        }
    }

    pub(super) fn last(&self) -> u64 {
        self.last
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of the event before the oldest that is kept.
    fn floor(&self) -> u64 {
        self.last - self.events
    }

    /// Numbers a frame and keeps it; `before` is where the channel stood before. Returns the number of
    /// its first event. What no longer fits is forgotten: the ends among it go to `freed`.
    pub(super) fn record(
        &mut self,
        sent: Sent,
        before: &Position,
        now: u64,
        bounds: &Bounds,
        freed: &mut Vec<RequestId>,
    ) -> u64 {
        let first = self.last + 1;
        let count = sent.events().count() as u64;
        if self.entries.is_empty() {
            self.before = before.clone();
        }
        self.last += count;
        self.reader = self.last;
        self.events += count;
        self.bytes += sent.bytes();
        let at_ticks = ticks(now);
        self.entries.push_back(Entry { sent, at_ticks });
        while self.bytes > bounds.replay_bytes_max {
            self.forget_oldest(freed);
        }
        self.next = self.entries.len();
        self.given = 0;
        first
    }

    /// Forgets what is older than the limit, but nothing that a reader is still to get again.
    pub(super) fn expire(
        &mut self,
        now: u64,
        attached: bool,
        bounds: &Bounds,
        freed: &mut Vec<RequestId>,
    ) {
        let oldest = ticks(now.saturating_sub(bounds.replay_ms));
        while let Some(entry) = self.entries.front() {
            if entry.at_ticks >= oldest || (attached && self.next == 0) {
                break;
            }
            self.forget_oldest(freed);
        }
        self.shrink();
    }

    /// Forgets everything. The numbers go on after one that no event has: whoever has not heard of
    /// the loss, because it was told to another reader (a request that was overtaken on its way, and
    /// whose answer nobody takes), is recognised by the number that it has.
    pub(super) fn clear(&mut self, freed: &mut Vec<RequestId>) {
        while !self.entries.is_empty() {
            self.forget_oldest(freed);
        }
        self.last += 1;
        self.acknowledged = self.last;
        self.written = self.last;
        self.reader = self.last;
        self.shrink();
    }

    /// The number of the event that carried this cursor, if it is kept.
    pub(super) fn number_of(&self, cursor: &str) -> Option<u64> {
        let mut number = self.floor();
        for entry in &self.entries {
            number += entry.sent.events().count() as u64;
            if entry
                .sent
                .position()
                .is_some_and(|it| &*it.cursor == cursor)
            {
                return Some(number);
            }
        }
        None
    }

    /// The reader, which names no number, holds this state and is told anew what changed after it: of
    /// what it would get again, only what is not about changes stays. That is numbered anew, after a
    /// number that no event has, as in [`Self::clear`]. Returns the number before it.
    pub(super) fn restart(&mut self, since: &Position, freed: &mut Vec<RequestId>) -> u64 {
        let given = self.given as u64;
        for _ in 0..self.next {
            self.forget_oldest(freed);
        }
        if given > 0 {
            self.cut_oldest(given);
        }
        self.entries.retain(|it| !it.sent.are_changes());
        let sent = || self.entries.iter().map(|it| &it.sent);
        self.events = sent().map(|it| it.events().count() as u64).sum();
        self.bytes = sent().map(Sent::bytes).sum();
        let begin = self.last + 1;
        self.last = begin + self.events;
        self.acknowledged = begin;
        self.written = begin;
        self.reader = begin;
        self.next = 0;
        self.given = 0;
        self.before = since.clone();
        self.shrink();
        begin
    }

    /// The reader has everything up to `sequence`. `false` for a number that was never given out;
    /// one that was acknowledged before changes nothing.
    pub(super) fn acknowledge(&mut self, sequence: u64, freed: &mut Vec<RequestId>) -> bool {
        if sequence < self.base || sequence > self.last {
            return false;
        }
        self.acknowledged = self.acknowledged.max(sequence);
        self.written = self.written.max(sequence);
        // A reader counts what it gets, so what it is to get again stays, even if it has it.
        let forget = match self.caught_up() {
            true => sequence,
            false => sequence.min(self.reader),
        };
        while let Some(entry) = self.entries.front() {
            let has = forget.saturating_sub(self.floor());
            let count = entry.sent.events().count() as u64;
            if has >= count {
                self.forget_oldest(freed);
            } else if has > 0 {
                self.cut_oldest(has);
            } else {
                break;
            }
        }
        self.shrink();
        true
    }

    /// What the reader was given last has been written out.
    pub(super) fn confirm(&mut self) {
        self.written = self.written.max(self.reader);
    }

    /// A new reader that has everything up to `after`, or does not say. Returns the number from which
    /// on it goes on, or `None` if events in between are gone or the number is not ours.
    pub(super) fn resume(
        &mut self,
        after: Option<u64>,
        acknowledges: bool,
        freed: &mut Vec<RequestId>,
    ) -> Option<u64> {
        let from = match after {
            Some(after) => after,
            None if acknowledges => self.acknowledged,
            None => self.written,
        };
        // The reader before this one gets nothing more.
        self.next = self.entries.len();
        self.given = 0;
        self.reader = self.last;
        if from < self.floor() || from > self.last {
            return None;
        }
        if after.is_some() {
            self.acknowledge(from, freed);
        }
        self.next = 0;
        self.reader = self.floor();
        while self.reader < from {
            let all = self.entries[self.next].sent.events().count();
            self.redelivered(all.min((from - self.reader) as usize));
        }
        Some(from)
    }

    /// Up to where everything was told with the event before the next one to redeliver.
    pub(super) fn position(&self) -> &Position {
        let told = self.entries.iter().take(self.next).rev();
        told.filter_map(|entry| entry.sent.position())
            .next()
            .unwrap_or(&self.before)
    }

    /// Whether the present reader has been given everything that was handed out before it came.
    pub(super) fn caught_up(&self) -> bool {
        self.next >= self.entries.len()
    }

    /// What the present reader gets next, with the number of its first event, and then
    /// [`Self::redelivered`] what it took of it.
    pub(super) fn pending(&self) -> Option<(u64, Events)> {
        let mut events = self.entries.get(self.next)?.sent.events().clone();
        events.split_to(self.given);
        Some((self.reader + 1, events))
    }

    /// The reader took the first `count` of the pending events.
    pub(super) fn redelivered(&mut self, count: usize) {
        self.reader += count as u64;
        self.given += count;
        if self.given == self.entries[self.next].sent.events().count() {
            self.next += 1;
            self.given = 0;
        }
    }

    /// The oldest entry as one of this channel's own, so that it can be cut.
    fn oldest_as_own(&mut self) -> &mut Own {
        let sent = &mut self.entries[0].sent;
        if !matches!(sent, Sent::Own(_)) {
            *sent = Sent::Own(Box::new(Own {
                events: sent.events().clone(),
                position: sent.position().cloned(),
                ends: None,
                changes: sent.are_changes(),
            }));
        }
        match sent {
            Sent::Own(own) => own,
            Sent::Batch(..) | Sent::Shared(_) => unreachable!("it was just made the channel's own"),
        }
    }

    fn cut_oldest(&mut self, count: u64) {
        let own = self.oldest_as_own();
        let bytes = own.events.split_to(count as usize).bytes().len();
        if self.next == 0 {
            self.given -= count as usize;
        }
        self.events -= count;
        self.bytes -= bytes;
    }

    fn forget_oldest(&mut self, freed: &mut Vec<RequestId>) {
        let Some(Entry { sent, .. }) = self.entries.pop_front() else {
            return;
        };
        match self.next {
            0 => self.given = 0,
            _ => self.next -= 1,
        }
        self.events -= sent.events().count() as u64;
        self.bytes -= sent.bytes();
        if let Some(position) = sent.position() {
            self.before = position.clone();
        }
        if let Sent::Own(own) = sent {
            freed.extend(own.ends);
        }
    }

    fn shrink(&mut self) {
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        } else if self.entries.capacity() > CAPACITY_IDLE.max(self.entries.len() * 4) {
            self.entries.shrink_to(self.entries.len() * 2);
        }
    }
}

fn ticks(now_ms: u64) -> u32 {
    u32::try_from(now_ms / TICK_MS).unwrap_or(u32::MAX)
}
