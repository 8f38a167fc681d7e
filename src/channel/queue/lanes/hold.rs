//! Who is served next, and who waits for somebody more urgent.
//!
//! What a socket has taken cannot be overtaken any more. So a request that was just opened keeps what
//! is less urgent from going out while its query runs still and nothing of it waits, for
//! [`Bounds::hold_ms`] at most. A lane that was passed over for that long gets a portion, so that
//! however many urgent requests follow one another, nobody starves.

use super::{Lane, LaneId, Lanes};
use crate::channel::queue::Bounds;
use std::cmp::Reverse;

impl Lanes {
    /// The lane that is served next: its tag and urgency, by which it competes with the changes.
    pub(in crate::channel::queue) fn next(
        &mut self,
        now: u64,
        bounds: &Bounds,
    ) -> Option<(u64, u8, LaneId)> {
        let holder = self.holder(now, bounds);
        let mut next = None;
        for lane in self.lanes.iter_mut().filter(|it| it.front().is_some()) {
            if let Some((_, tag)) = holder.filter(|it| lane.waits_behind(it.0)) {
                let since = *lane.held_since.get_or_insert(now);
                // It does not make up for the time either, before the rest of what it waits for.
                lane.tag = lane.tag.max(tag);
                if now < since + bounds.hold_ms {
                    continue;
                }
            }
            let candidate = (lane.tag, lane.urgency, lane.id);
            let order = |it: (u64, u8, LaneId)| (it.0, it.1, it.2.0);
            if next.is_none_or(|it| order(candidate) < order(it)) {
                next = Some(candidate);
            }
        }
        next
    }

    /// Whether some lane keeps others waiting.
    pub(in crate::channel::queue) fn holds(&self, now: u64, bounds: &Bounds) -> bool {
        self.holder(now, bounds).is_some()
    }

    /// When a lane that waits behind another is to be looked at again, if there is one.
    pub(in crate::channel::queue) fn held_until(&self, now: u64, bounds: &Bounds) -> Option<u64> {
        let (holder, _) = self.holder(now, bounds)?;
        let held = self.lanes.iter().filter(|it| it.waits_behind(holder));
        let overdue = held.filter_map(|it| it.held_since).min()? + bounds.hold_ms;
        let holding = self.lanes.iter().filter(|it| it.holds(now, bounds));
        let ends = holding.map(|it| it.opened_at + bounds.hold_ms);
        ends.chain([overdue]).min()
    }

    /// The most urgent lane that keeps others waiting: its urgency and tag.
    fn holder(&self, now: u64, bounds: &Bounds) -> Option<(u8, u64)> {
        let holding = self.lanes.iter().filter(|it| it.holds(now, bounds));
        let most = |it: &&Lane| (it.urgency, Reverse(it.tag));
        holding.min_by_key(most).map(|it| (it.urgency, it.tag))
    }
}

impl Lane {
    /// Whether it has nothing to say yet, and may have soon. Not if it waits for room, which others
    /// take up.
    fn holds(&self, now: u64, bounds: &Bounds) -> bool {
        let running = self.is_running() && self.failed.is_none();
        let silent = self.rows.is_empty() && self.waits_for == 0;
        running && silent && now < self.opened_at + bounds.hold_ms
    }

    /// Whether it has something to say and is less urgent than `holder`.
    fn waits_behind(&self, holder: u8) -> bool {
        self.front().is_some() && self.urgency > holder
    }
}
