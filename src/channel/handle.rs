//! One channel as its users hold it: callers, transports, requests.
//!
//! Owns the lock around the queue. Nothing here waits, and nobody is woken while the lock is held.

use super::{
    Attach, Attachment, Batch, ChannelId, Group, Priority, ReplayLane, RequestId, RequestLane,
    Since,
    hub::Mark,
    queue::{Effects, Queue},
    sync::{Mutex, lock},
};
use crate::{
    error::{Error, Kind, Result},
    identity::Identity,
    wire::{
        Events,
        event::{self, Close},
        problem,
    },
};
use std::sync::{Arc, atomic::Ordering::Relaxed};

/// One consumer's own queue of events.
#[derive(Debug)]
pub struct Channel {
    id: ChannelId,
    group: Arc<Group>,
    queue: Mutex<Queue>,
}

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestStatus {
    /// Where it stands.
    pub state: RequestState,
    /// Rows that were handed to a reader; 0 again once the end was.
    pub rows_delivered: u64,
    /// Rows that wait for a reader.
    pub rows_queued: u64,
}

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestState {
    /// It reads rows.
    Running,
    /// It has ended, and its end waits for a reader.
    Finished,
    /// Its end was handed to a reader and not yet acknowledged.
    Delivered,
}

impl Channel {
    pub(super) fn new(
        id: ChannelId,
        group: Arc<Group>,
        first: u64,
        mark: Mark,
        heir: bool,
    ) -> Self {
        let shared = group.shared();
        shared.channels.fetch_add(1, Relaxed);
        let now = shared.clock.now();
        Self {
            id,
            queue: Mutex::new(Queue::new(first, mark, heir, now)),
            group,
        }
    }

    /// Its name.
    pub fn id(&self) -> &ChannelId {
        &self.id
    }

    /// Whose it is.
    pub fn identity(&self) -> &Arc<Identity> {
        self.group.identity()
    }

    /// Begins to read the channel. An older attachment is closed (4001). `ChannelEnded` if the
    /// channel was removed meanwhile: open it again. `ShuttingDown`.
    pub fn attach(self: &Arc<Self>, attach: Attach) -> Result<Attachment> {
        // Read before the queue is locked: what is settled by now is queued or was handed out.
        let current = self.group.position();
        let now = self.now();
        let bounds = &self.group.shared().bounds;
        let lingers_ms = attach.lingers_ms;
        let resources = attach.resources.clone();
        let since = attach.since.clone();
        let (attached, replay) = self.with(|queue, effects| {
            let earlier = queue.replay();
            let attached = queue.attach(attach, &current, now, bounds, effects);
            (attached, queue.replay().filter(|it| Some(*it) != earlier))
        });
        let (generation, opened) = attached?;
        let replay = match (replay, since) {
            (Some(id), Some(Since::State(since))) => {
                Some(ReplayLane::new(self.clone(), id, since, resources))
            }
            _ => None,
        };
        if let Some(watch) = self.group.shared().watch() {
            watch.attached(self);
        }
        Ok(Attachment::new(
            self.clone(),
            generation,
            opened,
            replay,
            lingers_ms,
        ))
    }

    /// The reader has everything up to this number. `SequenceInvalid` for a number that was never
    /// given out.
    pub fn acknowledge(&self, sequence: u64) -> Result<()> {
        self.with(|queue, _| queue.acknowledge(sequence))
    }

    /// Reserves what a request needs: its id, its place among the identity's, room for its end. The
    /// place is free again when the end has been handed to a reader, so that who never reads cannot
    /// pile up ends.
    /// `RequestIdInUse`, `TooManyRequests`, `ChannelEnded`, `ShuttingDown`.
    pub fn open_request(
        self: &Arc<Self>,
        id: RequestId,
        priority: Priority,
    ) -> Result<RequestLane> {
        let now = self.now();
        let bounds = &self.group.shared().bounds;
        self.group.begin_request()?;
        let opened = self.with(|queue, _| queue.open_request(id.clone(), priority, now, bounds));
        match opened {
            Ok(lane) => Ok(RequestLane::new(self.clone(), lane, id)),
            Err(error) => {
                self.group.end_requests(1);
                Err(error)
            }
        }
    }

    /// Cancels a request: rows that wait are dropped, and its lane is told. Whether it was running.
    pub fn cancel(&self, id: &RequestId) -> bool {
        let bounds = &self.group.shared().bounds;
        self.with(|queue, effects| queue.cancel(id, bounds, effects))
    }

    /// How far a request is; `None` if the id is free.
    pub fn request(&self, id: &RequestId) -> Option<RequestStatus> {
        self.with(|queue, _| queue.request(id))
    }

    /// Queues an `error` event without a request id, for a command that failed. `false` if too many
    /// of them wait already: the caller should stop reading commands and close.
    pub fn error(&self, problem: &[u8]) -> bool {
        let now = self.now();
        let bounds = &self.group.shared().bounds;
        self.with(|queue, effects| queue.error(problem, now, bounds, effects))
    }

    /// Queues an event that is not about the database: a signal, or who is present. Where too many
    /// wait, the reader is told that some are lost.
    pub fn tell(&self, event: &Arc<Events>) {
        let now = self.now();
        let bounds = &self.group.shared().bounds;
        self.with(|queue, effects| queue.tell(event, signals_lost, now, bounds, effects));
    }

    /// Closes the present attachment, if there is one; the channel stays.
    pub fn close(&self, close: Close) {
        self.with(|queue, effects| queue.close(close, effects));
    }

    pub(super) fn push(&self, batch: &Arc<Batch>, epoch: u64, cursor: bool) {
        let now = self.now();
        let bounds = &self.group.shared().bounds;
        let shown = self.group.shown.may_be_after(batch.start);
        self.with(|queue, effects| {
            if shown {
                queue.has_shown(batch.position.version);
            }
            queue.push(batch, epoch, cursor, now, bounds, effects);
        });
    }

    pub(super) fn rewind(&self, mark: &Mark, reason: &'static str) {
        let bounds = &self.group.shared().bounds;
        self.with(|queue, effects| queue.rewind(mark, reason, bounds, effects));
    }

    pub(super) fn has_ended(&self) -> bool {
        lock(&self.queue).has_ended()
    }

    pub(super) fn end(&self, kind: Kind) {
        self.with(|queue, effects| queue.end(kind, effects));
        self.has_gone();
    }

    pub(super) fn drain(&self) {
        self.with(|queue, effects| queue.drain(effects));
    }

    pub(super) fn sweep(&self) -> bool {
        let now = self.now();
        let bounds = &self.group.shared().bounds;
        let swept = self.with(|queue, effects| queue.sweep(now, bounds, effects));
        if swept {
            self.has_gone();
        }
        swept
    }

    fn has_gone(&self) {
        if let Some(watch) = self.group.shared().watch() {
            watch.ended(self);
        }
    }

    /// Bytes that wait, and bytes that are kept.
    pub(super) fn bytes(&self) -> (usize, usize) {
        let (queued, kept, _) = lock(&self.queue).sizes();
        (queued, kept)
    }

    pub(super) fn group(&self) -> &Arc<Group> {
        &self.group
    }

    pub(super) fn now(&self) -> u64 {
        self.group.shared().clock.now()
    }

    /// Does something to the queue, and then, with the lock released, what follows from it.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Queue, &mut Effects) -> T) -> T {
        let mut effects = Effects::default();
        let result = act(&mut lock(&self.queue), &mut effects);
        self.group.end_requests(effects.requests_ended);
        effects.wake();
        result
    }
}

fn signals_lost() -> Events {
    let error = Error::new(
        Kind::SignalsLost,
        "More signals came than the channel holds for its reader.",
    );
    Events::one(event::error(None, &problem::document(&error, None)))
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.group.shared().channels.fetch_sub(1, Relaxed);
    }
}
