//! The changes that wait: whole batches, shared with all other channels, or squashed into one.
//!
//! Owns their bytes and their order. Knows nothing of numbers and requests.

use super::{Room, squash::Squashed, window::Sent};
use crate::{
    channel::batch::{Batch, Filter, Matching, Variant},
    snapshot::{Position, Version},
    wire::Events,
};
use std::{collections::VecDeque, sync::Arc};

/// Batches of room that an empty queue may keep; an idle channel has no buffers.
const CAPACITY_IDLE: usize = 4;

/// Changes that were not yet handed out, oldest first: what is being handed out, then either batches
/// or, once they outgrew their room, what they were squashed to.
#[derive(Debug, Default)]
pub(super) struct Changes {
    sending: Option<Box<Sending>>,
    squashed: Option<Box<Squashed>>,
    batches: VecDeque<(Arc<Batch>, Variant)>,
    bytes: usize,
    /// Where it stands in the order of service, see [`super::lanes`].
    pub(super) tag: u64,
}

/// What a reader gets of the changes.
#[derive(Debug)]
pub(super) enum Taken {
    /// Events.
    Sent(Sent),
    /// A batch of which the reader wants nothing; everything is told up to here, if it says so.
    Skipped(Option<Position>),
    /// There is nothing, or nothing that fits.
    Nothing,
}

/// A batch of which the first part was handed out. It is neither squashed nor dropped any more.
#[derive(Debug)]
struct Sending {
    events: Events,
    position: Option<Position>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.sending.is_none() && self.squashed.is_none() && self.batches.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Queues a batch; beyond `bytes_max` all that wait are squashed, and if that is not enough,
    /// replaced by resets.
    pub(super) fn push(&mut self, batch: &Arc<Batch>, variant: Variant, bytes_max: usize) {
        let bytes = batch.events(variant).bytes().len();
        if bytes == 0 {
            return;
        }
        if self.squashed.is_none() && self.bytes + bytes <= bytes_max {
            self.batches.push_back((batch.clone(), variant));
            self.bytes += bytes;
            return;
        }
        let sending = self.sending_bytes();
        let mut squashed = self
            .squashed
            .take()
            .unwrap_or_else(|| Box::new(Squashed::new(batch.position.clone())));
        for (earlier, variant) in std::mem::take(&mut self.batches) {
            squashed.add(&earlier, variant);
        }
        squashed.add(batch, variant);
        squashed.shrink(bytes_max.saturating_sub(sending));
        self.bytes = sending + squashed.bytes();
        self.squashed = Some(squashed);
    }

    /// Takes what is next and fits, at least one event if `first`.
    pub(super) fn take(&mut self, room: Room, first: bool, filter: Option<&Filter>) -> Taken {
        if self.sending.is_none() {
            if let Some(squashed) = self.squashed.take() {
                self.bytes -= squashed.bytes();
                self.begin(squashed.encode(filter));
            } else if let Some((batch, variant)) = self.batches.front().cloned() {
                let shared = batch.events(variant);
                let all = filter.is_none_or(|it| batch.matching(it) == Matching::All);
                if all && room.fitting(shared) == 0 && !first {
                    return Taken::Nothing;
                }
                self.pop(shared.bytes().len());
                if all && room.cuts(shared, first) == shared.count() {
                    return Taken::Sent(Sent::Batch(batch, variant));
                }
                let events = match filter {
                    Some(filter) if !all => batch.filtered(variant, filter),
                    _ => shared.clone(),
                };
                let position = variant.cursor.then(|| batch.position.clone());
                self.begin((events, position));
            }
        }
        self.take_part(room, first)
    }

    /// Drops everything that waits; returns the newest state that was among it.
    pub(super) fn clear(&mut self) -> Option<Position> {
        let squashed = self.squashed.take().map(|it| it.position().clone());
        let newest = self.batches.back().map(|(batch, _)| batch.position.clone());
        let sending = self.sending.take().and_then(|it| it.position);
        self.batches = VecDeque::new();
        self.bytes = 0;
        newest.or(squashed).or(sending)
    }

    /// Drops what says nothing beyond this state, except resets for reasons that no log tells: of
    /// a batch that has some, its resets stay, without a cursor.
    pub(super) fn forget(&mut self, told: Version) {
        self.squashed.take_if(|it| it.is_over_at(told));
        if let Some(squashed) = &mut self.squashed {
            squashed.forget(told);
        }
        self.batches
            .retain(|(batch, _)| batch.position.version > told || batch.says_more_than_the_log());
        for (batch, variant) in &mut self.batches {
            if batch.position.version <= told {
                *batch = batch.resets_only();
                variant.cursor = false;
            }
        }
        let batches = self.batches.iter();
        let waiting: usize = batches
            .map(|(batch, variant)| batch.events(*variant).bytes().len())
            .sum();
        let squashed = self.squashed.as_ref().map_or(0, |it| it.bytes());
        self.bytes = self.sending_bytes() + squashed + waiting;
    }

    /// Drops everything that waits, since a replay says it, except resets for reasons that no log
    /// tells.
    pub(super) fn restart(&mut self) {
        self.sending = None;
        self.squashed.take_if(|it| !it.keep_beyond_log());
        self.forget(Version(u64::MAX));
    }

    fn sending_bytes(&self) -> usize {
        self.sending
            .as_ref()
            .map_or(0, |it| it.events.bytes().len())
    }

    fn begin(&mut self, (events, position): (Events, Option<Position>)) {
        self.bytes += events.bytes().len();
        self.sending = Some(Box::new(Sending { events, position }));
    }

    fn take_part(&mut self, room: Room, first: bool) -> Taken {
        let Some(mut sending) = self.sending.take() else {
            return Taken::Nothing;
        };
        if sending.events.is_empty() {
            return Taken::Skipped(sending.position);
        }
        let count = room.cuts(&sending.events, first);
        let events = sending.events.split_to(count);
        self.bytes -= events.bytes().len();
        let mut position = None;
        if sending.events.is_empty() {
            position = sending.position;
        } else {
            self.sending = Some(sending);
        }
        if events.is_empty() {
            return Taken::Nothing;
        }
        Taken::Sent(Sent::changes(events, position))
    }

    fn pop(&mut self, bytes: usize) {
        self.batches.pop_front();
        self.bytes -= bytes;
        if self.batches.capacity() > CAPACITY_IDLE.max(self.batches.len() * 4) {
            self.batches.shrink_to(self.batches.len() * 2);
        }
    }
}
