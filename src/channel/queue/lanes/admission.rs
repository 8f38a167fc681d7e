//! Who may queue how much: each lane its own part, and of the common room no more than it leaves.

use super::{LaneId, Lanes};
use crate::{
    channel::queue::{Bounds, Effects},
    wire::Events,
};

impl Lanes {
    /// Queues as many of the events as there is room for, and remembers whom to wake for the rest.
    /// Whether that was all.
    pub(in crate::channel::queue) fn offer(
        &mut self,
        id: LaneId,
        events: &mut Events,
        changes_bytes: usize,
        bounds: &Bounds,
    ) -> bool {
        let room = self.room(id, events.bytes_of(1), changes_bytes, bounds);
        let count = events.fitting(room);
        let part = events.split_to(count);
        let served = self.served;
        let Some(lane) = self.get_mut(id) else {
            return false;
        };
        lane.waits_for = 0;
        if !part.is_empty() {
            if lane.rows.is_empty() {
                lane.tag = lane.tag.max(served);
            }
            let before = lane.bytes;
            lane.rows_queued += part.count() as u64;
            lane.bytes += part.bytes().len();
            lane.rows.push_back(part);
            let after = lane.bytes;
            self.count(before, after, bounds);
        }
        if events.is_empty() {
            self.large.take_if(|it| *it == id);
            return true;
        }
        let needs = events.bytes_of(1);
        if let Some(lane) = self.get_mut(id) {
            lane.waits_for = needs;
            let large = lane.bytes == 0 && needs > bounds.lane_bytes;
            if large {
                self.large.get_or_insert(id);
            } else {
                self.large.take_if(|it| *it == id);
            }
        }
        false
    }

    /// The bytes that a lane may queue now, given those of the first event that it has to queue.
    fn room(&self, id: LaneId, first: usize, changes_bytes: usize, bounds: &Bounds) -> usize {
        let Some(lane) = self.get(id) else { return 0 };
        let own = bounds.lane_bytes.saturating_sub(lane.bytes);
        if self.large.is_some_and(|it| it != id) {
            return own;
        }
        let free = bounds
            .rows_common_bytes_max
            .min(bounds.common_bytes_max.saturating_sub(changes_bytes))
            .saturating_sub(self.common_bytes);
        // A lane takes no more of the common room than it leaves, so there is always some for the
        // next one (dynamic thresholds: Choudhury and Hahne, 1998).
        let taken = lane.bytes.saturating_sub(bounds.lane_bytes);
        let room = own + free.saturating_sub(taken) / 2;
        if lane.bytes > 0 || first <= room {
            return room;
        }
        // A row that needs more gets all that is free, and one that no share of the room could hold
        // goes alone.
        let alone = self.common_bytes == 0 && changes_bytes == 0;
        if first <= own + free || alone {
            first
        } else {
            room
        }
    }

    /// Wakes those who have room now for what they wait for.
    pub(in crate::channel::queue) fn wake_waiting(
        &mut self,
        changes_bytes: usize,
        bounds: &Bounds,
        effects: &mut Effects,
    ) {
        for index in 0..self.lanes.len() {
            let lane = &self.lanes[index];
            if lane.waits_for == 0 {
                continue;
            }
            let (id, needs) = (lane.id, lane.waits_for);
            if self.room(id, needs, changes_bytes, bounds) >= needs {
                let lane = &mut self.lanes[index];
                lane.waits_for = 0;
                effects.lanes.extend(lane.waker.take());
            }
        }
    }
}
