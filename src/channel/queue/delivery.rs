//! What the reader gets next, of all that waits for it.
//!
//! Chooses between what is told again, signals, resets, rows and changes, within the room of one
//! delivery. Knows nothing of who reads.

use super::{
    Bounds, Effects, Queue, Room,
    changes::Taken,
    lanes::{CHANGES_URGENCY, PORTION_BYTES, cost},
    window::Sent,
};
use crate::{
    channel::{Frame, Frames},
    wire::{Events, event},
};
use bytes::BytesMut;

enum Again {
    Frame(Frame),
    NoRoom,
    CaughtUp,
}

impl Queue {
    /// The next frames, no more than there is room for; nothing if nothing waits.
    pub(super) fn take(
        &mut self,
        mut room: Room,
        now: u64,
        bounds: &Bounds,
        effects: &mut Effects,
    ) -> Option<Frames> {
        let mut frames: Option<Frames> = None;
        let mut most_urgent = None;
        let mut freed = Vec::new();
        loop {
            let first = frames.is_none();
            if !first && room.is_spent() {
                break;
            }
            let frame = match self.again(room, first) {
                Again::Frame(frame) => frame,
                Again::NoRoom => break,
                Again::CaughtUp => {
                    let Some(sent) = self.next(room, &mut most_urgent, first, now, bounds) else {
                        break;
                    };
                    let events = sent.events().clone();
                    let position = sent.position().cloned();
                    if let Sent::Own(own) = &sent
                        && let Some(request) = &own.ends
                    {
                        self.delivered
                            .get_or_insert_default()
                            .insert(request.clone());
                        effects.requests_ended += 1;
                    }
                    let first_sequence = self
                        .window
                        .record(sent, &self.sent, now, bounds, &mut freed);
                    if let Some(position) = position {
                        self.raise(position);
                    }
                    self.end_replay();
                    Frame {
                        events,
                        first_sequence,
                    }
                }
            };
            room.spend(&frame.events);
            match &mut frames {
                None => frames = Some(Frames::One(frame)),
                Some(frames) => frames.push(frame),
            }
        }
        self.free(freed);
        frames
    }

    /// What was handed out before and has to be told again.
    fn again(&mut self, room: Room, first: bool) -> Again {
        let Some((first_sequence, mut events)) = self.window.pending() else {
            return Again::CaughtUp;
        };
        let count = room.cuts(&events, first);
        if count == 0 {
            return Again::NoRoom;
        }
        let events = events.split_to(count);
        self.window.redelivered(count);
        Again::Frame(Frame {
            events,
            first_sequence,
        })
    }

    /// What is handed out next of all that waits. Rows that are less urgent than others of the same
    /// delivery (`most_urgent`) go with the next one, since readers unpack a delivery as a whole.
    fn next(
        &mut self,
        room: Room,
        most_urgent: &mut Option<u8>,
        first: bool,
        now: u64,
        bounds: &Bounds,
    ) -> Option<Sent> {
        // Before a reset too: what an earlier signal announced may have been confirmed by what is void.
        if let Some(asides) = &mut self.asides {
            if room.cuts(&asides.events.front()?.1, first) == 0 {
                return None;
            }
            let event = asides.pop()?;
            self.asides.take_if(|it| it.events.is_empty());
            return Some(Sent::Shared(event));
        }
        if let Some(void) = self.void.take() {
            let mut out = BytesMut::new();
            event::reset(&mut out, None, void.reason, &[], &void.position);
            return Some(Sent::changes(Events::one(out), None));
        }
        loop {
            let lane = self.lanes.next(now, bounds);
            let tag = self.changes.tag;
            let changes_first = lane.is_none_or(|lane| (tag, CHANGES_URGENCY) <= (lane.0, lane.1));
            let waiting = self.are_changes_waiting();
            if !waiting || !changes_first {
                let competing = waiting || self.lanes.compete() || self.lanes.holds(now, bounds);
                let (_, urgency, lane) = lane?;
                if most_urgent.is_some_and(|it| it < urgency) {
                    return None;
                }
                *most_urgent = Some(urgency);
                return self.lanes.take(lane, room, first, competing, bounds);
            }
            let portion = match lane {
                Some(_) => PORTION_BYTES.min(room.bytes),
                None => room.bytes,
            };
            let room = Room {
                bytes: portion,
                ..room
            };
            self.lanes.serve(tag);
            if let Some(replay) = &mut self.replay {
                let sent = replay.take(room, first)?;
                let bytes = sent.events().bytes().len() as u64;
                self.changes.tag += bytes * cost(CHANGES_URGENCY);
                return Some(sent);
            }
            match self.changes.take(room, first, self.reader.filter()) {
                Taken::Sent(sent) => {
                    let bytes = sent.events().bytes().len() as u64;
                    self.changes.tag += bytes * cost(CHANGES_URGENCY);
                    return Some(sent);
                }
                Taken::Skipped(position) => {
                    if let Some(position) = position {
                        self.raise(position);
                    }
                }
                Taken::Nothing => return None,
            }
        }
    }
}
