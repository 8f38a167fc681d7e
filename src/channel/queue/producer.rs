//! The producing half of the queue: requests and their rows, from the place to the end.

use super::{Aside, Bounds, Effects, LaneId, Phase, Queue};
use crate::{
    channel::{Priority, RequestId, RequestState, RequestStatus},
    error::{Error, Kind, Result},
    snapshot::Version,
    wire::{Events, event},
};
use bytes::Bytes;
use std::{sync::Arc, task::Waker};

/// What became of rows that a producer offered.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::channel) enum Offer {
    /// All are queued.
    Done,
    /// The rest waits for room; to be offered again at this time at the latest.
    Blocked { until: u64 },
    /// The request should end.
    Failed(Kind),
}

impl Queue {
    /// Reserves a request's place.
    pub(in crate::channel) fn open_request(
        &mut self,
        request: RequestId,
        priority: Priority,
        now: u64,
        bounds: &Bounds,
    ) -> Result<LaneId> {
        self.check_open()?;
        if self.is_delivered(&request) {
            self.expire(now, bounds);
        }
        if self.is_delivered(&request) || self.lanes.by_request(&request).is_some() {
            return Err(Error::new(
                Kind::RequestIdInUse,
                "The channel has a request of this id whose end was not yet acknowledged.",
            ));
        }
        Ok(self.lanes.open(request, priority, now))
    }

    /// The request's rows show the state of this version.
    pub(in crate::channel) fn snapshot_taken(&mut self, lane: LaneId, version: Version) {
        self.lanes.snapshot_taken(lane, version);
    }

    /// Queues as many rows as there is room for, and remembers whom to wake for the rest.
    pub(in crate::channel) fn offer(
        &mut self,
        id: LaneId,
        events: &mut Events,
        now: u64,
        bounds: &Bounds,
        waker: &Waker,
        effects: &mut Effects,
    ) -> Offer {
        if let Some(kind) = self.failed(id, bounds, effects) {
            return Offer::Failed(kind);
        }
        self.arrive(now);
        let before = events.count();
        let changes_bytes = self.changes_bytes(bounds);
        let done = self.lanes.offer(id, events, changes_bytes, bounds);
        // Who found no room keeps nobody waiting any more, which the reader has to hear as well.
        if events.count() < before || !done {
            self.reader.wake(effects);
        }
        // A large row that got its room no longer keeps the others from theirs.
        self.room_may_be_free(bounds, effects);
        if done {
            return Offer::Done;
        }
        let opened_at = self.lanes.get(id).map_or(now, |it| it.opened_at);
        let (until, kind) = self.reader.deadline(opened_at, bounds);
        if now >= until {
            self.lanes.fail(id, kind, effects);
            self.reader.wake(effects);
            self.room_may_be_free(bounds, effects);
            return Offer::Failed(kind);
        }
        self.lanes.wait(id, waker);
        Offer::Blocked { until }
    }

    /// Why a request should end, if it should; else remembers whom to wake once it should.
    pub(in crate::channel) fn failure(
        &mut self,
        id: LaneId,
        waker: &Waker,
        bounds: &Bounds,
        effects: &mut Effects,
    ) -> Option<Kind> {
        let failed = self.failed(id, bounds, effects);
        if failed.is_none() {
            self.lanes.wait(id, waker);
        }
        failed
    }

    /// The producer no longer waits for anything.
    pub(in crate::channel) fn leave(&mut self, id: LaneId, bounds: &Bounds, effects: &mut Effects) {
        self.lanes.leave(id);
        self.room_may_be_free(bounds, effects);
    }

    /// Queues a request's end.
    pub(in crate::channel) fn finish(
        &mut self,
        id: LaneId,
        terminal: Bytes,
        now: u64,
        bounds: &Bounds,
        effects: &mut Effects,
    ) {
        let Some(lane) = self.lanes.get(id) else {
            return;
        };
        self.shown = self.shown.max(lane.snapshot().unwrap_or(self.shown));
        self.arrive(now);
        self.lanes.finish(id, Events::one(terminal));
        self.reader.wake(effects);
        self.room_may_be_free(bounds, effects);
    }

    /// Tells a running request to stop.
    pub(in crate::channel) fn cancel(
        &mut self,
        request: &RequestId,
        bounds: &Bounds,
        effects: &mut Effects,
    ) -> bool {
        let lane = self.lanes.by_request(request);
        let Some(id) = lane.filter(|it| it.is_running()).map(|it| it.id) else {
            return false;
        };
        self.lanes.fail(id, Kind::RequestCancelled, effects);
        self.reader.wake(effects);
        self.room_may_be_free(bounds, effects);
        true
    }

    /// How far a request is.
    pub(in crate::channel) fn request(&self, request: &RequestId) -> Option<RequestStatus> {
        if let Some(lane) = self.lanes.by_request(request) {
            return Some(RequestStatus {
                state: match lane.is_running() {
                    true => RequestState::Running,
                    false => RequestState::Finished,
                },
                rows_delivered: lane.rows_delivered(),
                rows_queued: lane.rows_queued() - lane.rows_delivered(),
            });
        }
        self.is_delivered(request).then_some(RequestStatus {
            state: RequestState::Delivered,
            rows_delivered: 0,
            rows_queued: 0,
        })
    }

    /// How many rows of a running request were queued and not dropped.
    pub(in crate::channel) fn rows_told(&self, id: LaneId) -> u64 {
        self.lanes.get(id).map_or(0, |it| it.rows_queued())
    }

    /// Queues an `error` event of no request, unless too many wait.
    pub(in crate::channel) fn error(
        &mut self,
        problem: &[u8],
        now: u64,
        bounds: &Bounds,
        effects: &mut Effects,
    ) -> bool {
        let event = Events::one(event::error(None, problem));
        let bytes = event.bytes().len();
        let waiting = self.asides.as_ref().map_or(0, |it| it.errors);
        if self.phase != Phase::Open || waiting + bytes > bounds.asides_bytes_max {
            return false;
        }
        self.arrive(now);
        let asides = self.asides.get_or_insert_default();
        asides.push(Aside::Error, Arc::new(event));
        self.reader.wake(effects);
        true
    }

    /// Queues an event that is not about the database. Where too many wait, the reader is told once
    /// that some are lost, and gets none until it has caught up.
    pub(in crate::channel) fn tell(
        &mut self,
        event: &Arc<Events>,
        lost: impl FnOnce() -> Events,
        now: u64,
        bounds: &Bounds,
        effects: &mut Effects,
    ) {
        if self.phase != Phase::Open {
            return;
        }
        self.arrive(now);
        let asides = self.asides.get_or_insert_default();
        if asides.lost {
            return;
        }
        if asides.signals + event.bytes().len() > bounds.signals_bytes_max {
            asides.lost = true;
            asides.push(Aside::Error, Arc::new(lost()));
        } else {
            asides.push(Aside::Signal, event.clone());
        }
        self.reader.wake(effects);
    }

    /// Why a request should end. One that is no longer there was ended with everything else.
    ///
    /// The rows of a cancelled request are dropped here, when its producer hears of the cancel and
    /// not before: one that ends without having heard has counted them.
    fn failed(&mut self, id: LaneId, bounds: &Bounds, effects: &mut Effects) -> Option<Kind> {
        let Some(lane) = self.lanes.get(id) else {
            return Some(match self.phase {
                Phase::Open => Kind::RequestCancelled,
                Phase::Draining => Kind::ShuttingDown,
                Phase::Ended(kind) => kind,
            });
        };
        let failed = lane.failed;
        if failed == Some(Kind::RequestCancelled) {
            self.lanes.drop_rows(id, bounds);
            self.room_may_be_free(bounds, effects);
        }
        failed
    }
}
