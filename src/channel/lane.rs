//! The producer's side of one request: rows in, exactly one end.

use super::RequestId;
use crate::{
    error::{Error, Result},
    snapshot::Version,
    wire::Events,
};
use bytes::Bytes;

/// A request's place on its channel. Dropping it unfinished ends the request with an internal error.
#[derive(Debug)]
pub struct RequestLane {}

impl RequestLane {
    /// Which request.
    pub fn request_id(&self) -> &RequestId {
        super::soon()
    }

    /// The request's rows are those of the state of this version. To be called before the first row.
    pub fn snapshot_taken(&self, _version: Version) {
        super::soon()
    }

    /// Queues `row` events, waiting for room. Dropped while it waits, the rows not yet queued are
    /// lost, so only a request that ends anyway drops it. `RequestCancelled`, `RequestStalled`,
    /// `RequestUnread`, `ChannelEnded`, `ShuttingDown`: the request should end.
    pub async fn rows(&mut self, _events: Events) -> Result<()> {
        super::soon()
    }

    /// Resolves when the request should end without having asked for it: it was cancelled, or the
    /// channel or the server ends. The error says which.
    pub async fn cancelled(&self) -> Error {
        super::soon()
    }

    /// How many rows the reader will have got before the end: those queued, less those that a cancel
    /// dropped. For the `rows` of the terminal event.
    pub fn rows_told(&self) -> u64 {
        super::soon()
    }

    /// Ends the request with this event, `done` or `error`. Never blocks: its room was reserved.
    pub fn finish(self, _terminal: Bytes) {
        super::soon()
    }

    /// Ends the request with an `error` event that carries this error.
    pub fn fail(self, _error: &Error) {
        super::soon()
    }
}
