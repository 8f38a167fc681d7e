//! One channel as its users hold it: callers, transports, requests.

use super::{Attach, Attachment, ChannelId, Priority, RequestId, RequestLane};
use crate::{error::Result, identity::Identity, wire::event::Close};
use std::sync::Arc;

/// One consumer's own queue of events.
#[derive(Debug)]
pub struct Channel {}

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestStatus {
    /// Where it stands.
    pub state: RequestState,
    /// Rows that were handed to a reader.
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
    /// Its name.
    pub fn id(&self) -> &ChannelId {
        super::soon()
    }

    /// Whose it is.
    pub fn identity(&self) -> &Arc<Identity> {
        super::soon()
    }

    /// Begins to read the channel. An older attachment is closed (4001). `ChannelEnded` if the
    /// channel was removed meanwhile, `ShuttingDown`.
    pub fn attach(self: &Arc<Self>, _attach: Attach) -> Result<Attachment> {
        super::soon()
    }

    /// The reader has everything up to this number. `SequenceInvalid` for a number that was never
    /// given out.
    pub fn acknowledge(&self, _sequence: u64) -> Result<()> {
        super::soon()
    }

    /// Reserves what a request needs: its id, its place among the identity's, room for its end.
    /// `RequestIdInUse`, `TooManyRequests`, `ChannelEnded`, `ShuttingDown`.
    pub fn open_request(
        self: &Arc<Self>,
        _id: RequestId,
        _priority: Priority,
    ) -> Result<RequestLane> {
        super::soon()
    }

    /// Cancels a request: rows that wait are dropped, and its lane is told. Whether it was running.
    pub fn cancel(&self, _id: &RequestId) -> bool {
        super::soon()
    }

    /// How far a request is; `None` if the id is free.
    pub fn request(&self, _id: &RequestId) -> Option<RequestStatus> {
        super::soon()
    }

    /// Queues an `error` event without a request id, for a command that failed. `false` if too many
    /// of them wait already: the caller should stop reading commands and close.
    pub fn error(&self, _problem: &[u8]) -> bool {
        super::soon()
    }

    /// Closes the present attachment, if there is one; the channel stays.
    pub fn close(&self, _close: Close) {
        super::soon()
    }
}
