//! The producer's side of one request: rows in, exactly one end.
//!
//! Owns the waiting: for room, and for word that the request should stop.

use super::{
    Channel, RequestId,
    queue::{LaneId, Offer},
    time::Timer,
};
use crate::{
    error::{Error, Kind, Result},
    snapshot::Version,
    wire::{Events, event, problem},
};
use bytes::Bytes;
use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

/// A request's place on its channel. Dropping it unfinished ends the request with an internal error.
#[derive(Debug)]
pub struct RequestLane {
    channel: Arc<Channel>,
    id: LaneId,
    request: RequestId,
    finished: bool,
}

impl RequestLane {
    pub(super) fn new(channel: Arc<Channel>, id: LaneId, request: RequestId) -> Self {
        Self {
            channel,
            id,
            request,
            finished: false,
        }
    }

    /// Which request.
    pub fn request_id(&self) -> &RequestId {
        &self.request
    }

    /// The channel that it is on.
    pub fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// The request's rows are those of the state of this version. To be called before the first row:
    /// until then the channel is told of every row that comes and goes.
    pub fn snapshot_taken(&self, version: Version) {
        self.channel
            .with(|queue, _| queue.snapshot_taken(self.id, version));
    }

    /// Queues `row` events, waiting for room. Dropped while it waits, the rows not yet queued are
    /// lost, so only a request that ends anyway drops it. `RequestCancelled`, `RequestStalled`,
    /// `RequestUnread`, `ChannelEnded`, `ShuttingDown`: the request should end.
    pub async fn rows(&mut self, mut events: Events) -> Result<()> {
        let waiting = Waiting(self);
        let mut timer = Timer::default();
        let outcome = poll_fn(|context| waiting.offer(&mut events, &mut timer, context)).await;
        outcome.map_err(error)
    }

    /// Resolves when the request should end without having asked for it: it was cancelled, or the
    /// channel or the server ends. The error says which.
    pub async fn cancelled(&self) -> Error {
        let waiting = Waiting(self);
        let kind = poll_fn(|context| waiting.failure(context)).await;
        error(kind)
    }

    /// How many rows the reader will have got before the end: those queued, less those that a cancel
    /// dropped once it was heard of. For the `rows` of the terminal event.
    pub fn rows_told(&self) -> u64 {
        self.channel.with(|queue, _| queue.rows_told(self.id))
    }

    /// Ends the request with this event, `done` or `error`. Never blocks: its room was reserved.
    pub fn finish(mut self, terminal: Bytes) {
        self.end(terminal);
    }

    /// Ends the request with an `error` event that carries this error.
    pub fn fail(mut self, error: &Error) {
        self.end_with(error);
    }

    fn end_with(&mut self, error: &Error) {
        let request = self.request.as_str();
        let problem = problem::document(error, Some(request));
        let terminal = event::error(Some((request, self.rows_told())), &problem);
        self.end(terminal);
    }

    fn end(&mut self, terminal: Bytes) {
        self.finished = true;
        let now = self.channel.now();
        let bounds = &self.channel.group().shared().bounds;
        self.channel.with(|queue, effects| {
            queue.finish(self.id, terminal, now, bounds, effects);
        });
    }
}

impl Drop for RequestLane {
    fn drop(&mut self) {
        if !self.finished {
            self.end_with(&Error::internal("a request was dropped before its end"));
        }
    }
}

/// A producer that waits. Dropping it withdraws what it waits for, so that nobody is held up by it.
struct Waiting<'a>(&'a RequestLane);

impl Waiting<'_> {
    fn offer(
        &self,
        events: &mut Events,
        timer: &mut Timer,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Kind>> {
        let RequestLane { channel, id, .. } = self.0;
        let shared = channel.group().shared();
        loop {
            let now = channel.now();
            let offer = channel.with(|queue, effects| {
                queue.offer(*id, events, now, &shared.bounds, context.waker(), effects)
            });
            match offer {
                Offer::Done => return Poll::Ready(Ok(())),
                Offer::Failed(kind) => return Poll::Ready(Err(kind)),
                Offer::Blocked { until } => {
                    if timer.poll(&shared.clock, now, until, context).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    fn failure(&self, context: &mut Context<'_>) -> Poll<Kind> {
        let RequestLane { channel, id, .. } = self.0;
        let bounds = &channel.group().shared().bounds;
        let waker = context.waker();
        let failure = channel.with(|queue, effects| queue.failure(*id, waker, bounds, effects));
        match failure {
            Some(kind) => Poll::Ready(kind),
            None => Poll::Pending,
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let RequestLane { channel, id, .. } = self.0;
        let bounds = &channel.group().shared().bounds;
        channel.with(|queue, effects| queue.leave(*id, bounds, effects));
    }
}

pub(super) fn error(kind: Kind) -> Error {
    let detail = match kind {
        Kind::RequestCancelled => "The request was cancelled, or its reader lost events.",
        Kind::RequestStalled => "The channel's reader took nothing for too long.",
        Kind::RequestUnread => "Nobody read the channel for too long.",
        Kind::ChannelEnded => "The channel was ended.",
        Kind::ShuttingDown => "The server is going down.",
        _ => "The request should end.",
    };
    Error::new(kind, detail)
}
