//! The producer's side of a replay: what a reader missed, in pieces, and one end.
//!
//! Owns the waiting for room. Knows nothing of where the changes come from.

use super::{
    Batch, Channel,
    lane::error,
    queue::{Offer, ReplayId},
    time::Timer,
};
use crate::{error::Result, identity::Identity, snapshot::Position, wire::Events};
use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

/// Why everything is reset when a replay was given up without another reason.
const GIVEN_UP: &str = "unreadable";

/// A replay's place on its channel. Nothing that happens after it is told before it has ended.
/// Dropping it unfinished resets everything that the reader holds.
#[derive(Debug)]
pub struct ReplayLane {
    channel: Arc<Channel>,
    id: ReplayId,
    since: Position,
    resources: Option<Vec<Arc<str>>>,
    ended: bool,
}

impl ReplayLane {
    pub(super) fn new(
        channel: Arc<Channel>,
        id: ReplayId,
        since: Position,
        resources: Option<Vec<Arc<str>>>,
    ) -> Self {
        Self {
            channel,
            id,
            since,
            resources,
            ended: false,
        }
    }

    /// Who is told.
    pub fn identity(&self) -> &Arc<Identity> {
        self.channel.identity()
    }

    /// The state that the reader holds, as its own cursor says.
    pub fn since(&self) -> &Position {
        &self.since
    }

    /// Whether the reader wants this resource.
    pub fn wants(&self, resource: &Arc<str>) -> bool {
        let wanted = self.resources.as_ref();
        wanted.is_none_or(|them| them.contains(resource))
    }

    /// Queues changes, waiting for room.
    ///
    /// # Errors
    /// `RequestCancelled`, `RequestStalled`, `RequestUnread`, `ChannelEnded`, `ShuttingDown`: the
    /// replay should end.
    pub async fn send(&self, mut events: Events) -> Result<()> {
        let mut timer = Timer::default();
        let outcome = poll_fn(|context| self.offer(&mut events, &mut timer, context)).await;
        outcome.map_err(error)
    }

    /// Whether nobody wants it any more: the channel has ended, or another replay has begun.
    ///
    /// # Errors
    /// As [`ReplayLane::send`].
    pub fn check(&self) -> Result<()> {
        let failure = self.channel.with(|queue, _| queue.replay_failure(self.id));
        failure.map_or(Ok(()), |kind| Err(error(kind)))
    }

    /// Ends the replay with these last events, all that led to the batch's state having been told
    /// before: never waits, so there should be few of them.
    pub fn finish(mut self, last: &Batch) {
        self.ended = true;
        let (events, told) = last.encoded(true);
        let end = (last.position.clone(), told);
        let now = self.channel.now();
        self.channel
            .with(|queue, effects| queue.finish_replay(self.id, events, end, now, effects));
    }

    /// Ends the replay: everything that the reader holds is void, for this reason, a word of the
    /// protocol's.
    pub fn void(mut self, reason: &'static str) {
        self.give_up(reason);
    }

    fn give_up(&mut self, reason: &'static str) {
        self.ended = true;
        // Read before the queue is locked: what is settled by now is queued or was handed out.
        let current = self.channel.group().position();
        self.channel
            .with(|queue, effects| queue.void_replay(self.id, &current, reason, effects));
    }

    fn offer(
        &self,
        events: &mut Events,
        timer: &mut Timer,
        context: &mut Context<'_>,
    ) -> Poll<std::result::Result<(), crate::error::Kind>> {
        let shared = self.channel.group().shared();
        loop {
            let now = self.channel.now();
            let waker = context.waker();
            let offer = self.channel.with(|queue, effects| {
                queue.offer_replay(self.id, events, now, &shared.bounds, waker, effects)
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
}

impl Drop for ReplayLane {
    fn drop(&mut self) {
        if !self.ended {
            self.give_up(GIVEN_UP);
        }
    }
}
