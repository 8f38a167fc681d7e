//! One asynchronous GET: query → rows → channel → exactly one terminal event.
//!
//! The only place that joins PostgreSQL with a channel. Knows neither HTTP nor transports.

use crate::{
    catalog::Resource,
    channel::{ChannelId, Hub, Look, Priority, RequestId, RequestLane},
    error::{Error, Result},
    identity::Identity,
    postgres::{Database, KEYS_MAX, RowBuffer, RowStream},
    query::Query,
    snapshot::Position,
    wire::{
        Events, answer,
        event::{Done, ROW_SUFFIX, row_prefix},
    },
};
use bytes::{Bytes, BytesMut};
use std::{error::Error as _, sync::Arc, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Starts asynchronous GETs and owns their tasks.
#[derive(Debug, Clone)]
pub struct Requests {
    database: Database,
    hub: Arc<Hub>,
    tasks: TaskTracker,
    cut: CancellationToken,
}

impl Requests {
    /// A plain answer is about to be read for this identity.
    pub fn look(&self, identity: &Identity) -> Look {
        self.hub.look(identity)
    }

    /// Requests to this database, answered on channels of this hub.
    pub fn new(database: Database, hub: Arc<Hub>) -> Self {
        Self {
            database,
            hub,
            tasks: TaskTracker::new(),
            cut: CancellationToken::new(),
        }
    }

    /// Reserves what a request on this channel needs: once the lane is there, the channel will carry
    /// exactly one end of it.
    ///
    /// # Errors
    /// `RequestIdInUse`, `TooManyRequests`, `TooManyChannels`, `ShuttingDown`.
    pub fn reserve(
        &self,
        identity: &Arc<Identity>,
        channel: &ChannelId,
        id: RequestId,
        priority: Priority,
    ) -> Result<RequestLane> {
        // The channel is registered with the feed before the request's snapshot is taken, so that
        // no change falls between the two.
        self.hub.open(identity, channel)?.open_request(id, priority)
    }

    /// Starts the request that the lane was reserved for.
    pub fn start(&self, identity: Arc<Identity>, query: Query, lane: RequestLane) {
        let run = run(self.database.clone(), identity, query, lane);
        let cut = self.cut.clone();
        self.tasks.spawn(async move {
            // Cut off, the lane is dropped, which ends the request with an error.
            cut.run_until_cancelled(run).await;
        });
    }

    /// How many requests run.
    pub fn running(&self) -> usize {
        self.tasks.len()
    }

    /// Waits until all requests have ended, for so long at most; then ends the rest. The hub's
    /// shutdown tells them first.
    pub async fn drain(&self, patience: Duration) {
        self.tasks.close();
        if tokio::time::timeout(patience, self.tasks.wait())
            .await
            .is_err()
        {
            self.cut.cancel();
            self.tasks.wait().await;
        }
    }
}

async fn run(database: Database, identity: Arc<Identity>, query: Query, mut lane: RequestLane) {
    match read(&database, &identity, &query, &mut lane).await {
        Ok(Outcome {
            position,
            next,
            count,
        }) => {
            let id = lane.request_id().clone();
            let done = Done {
                request_id: id.as_str(),
                rows: lane.rows_told(),
                position: &position,
                next: next.as_deref(),
                count,
            };
            lane.finish(done.encode());
        }
        Err(error) => {
            if error.kind().is_internal() {
                let cause = error.source().map(tracing::field::display);
                tracing::error!(%error, cause, "an asynchronous request failed");
            } else {
                tracing::debug!(%error, "an asynchronous request ended early");
            }
            lane.fail(&error);
        }
    }
}

/// Queues all rows. Dropping the stream, on whatever way out, cancels the statement in PostgreSQL.
async fn read(
    database: &Database,
    identity: &Identity,
    query: &Query,
    lane: &mut RequestLane,
) -> Result<Outcome> {
    let mut stream = unless_cancelled(lane, database.stream(identity, query)).await?;
    let position = stream.position.clone();
    lane.snapshot_taken(position.version);
    let id = lane.request_id().clone();
    let prefix = |resource: &Resource, partial| {
        row_prefix(id.as_str(), &resource.name, position.version, partial)
    };
    let mut buffer = RowBuffer {
        prefix: prefix(query.resource(), query.is_partial()),
        suffix: ROW_SUFFIX,
        ..RowBuffer::default()
    };
    let mut shown: Option<Vec<Bytes>> = query.has_keys().then(Vec::new);
    loop {
        while next(lane, &mut stream, &mut buffer).await? > 0 {
            if let Some(shown) = &mut shown {
                remember(shown, &buffer);
            }
            lane.rows(take(&mut buffer)).await?;
        }
        // The keys are those of the query's own rows, which come first.
        if let Some(shown) = shown.take() {
            let resource = query.resource();
            let keys = database.keys_of(identity, resource, shown.iter().map(|it| &**it));
            let keys = unless_cancelled(lane, keys).await?;
            let key_prefix = row_prefix(id.as_str(), "key", position.version, true);
            let mut lines = RowBuffer::default();
            for key in &keys {
                lines.bytes.extend_from_slice(&key_prefix);
                lines
                    .bytes
                    .extend_from_slice(&answer::row_key(&key.as_answer()));
                lines.bytes.extend_from_slice(ROW_SUFFIX);
                lines.ends.push(lines.bytes.len());
            }
            if !keys.is_empty() {
                lane.rows(take(&mut lines)).await?;
            }
        }
        match unless_cancelled(lane, stream.advance()).await? {
            Some(part) => buffer.prefix = prefix(&part.resource, part.partial),
            None => break,
        }
    }
    Ok(Outcome {
        count: unless_cancelled(lane, stream.count()).await?,
        next: stream.next_page(query),
        position,
    })
}

/// Keeps the rows in the buffer, as far as their keys can come with them, and one more.
fn remember(shown: &mut Vec<Bytes>, buffer: &RowBuffer) {
    let mut start = 0;
    for end in &buffer.ends {
        if shown.len() <= KEYS_MAX {
            let row = start + buffer.prefix.len()..end - buffer.suffix.len();
            shown.push(Bytes::copy_from_slice(&buffer.bytes[row]));
        }
        start = *end;
    }
}

/// What the end of a request tells.
struct Outcome {
    position: Position,
    next: Option<String>,
    count: Option<u64>,
}

async fn next(lane: &RequestLane, stream: &mut RowStream, out: &mut RowBuffer) -> Result<usize> {
    unless_cancelled(lane, stream.next(out)).await
}

/// What the database gives, or why nobody wants it any more.
async fn unless_cancelled<T>(
    lane: &RequestLane,
    work: impl Future<Output = Result<T>>,
) -> Result<T, Error> {
    tokio::select! {
        biased;
        reason = lane.cancelled() => Err(reason),
        outcome = work => outcome,
    }
}

/// Takes the lines out of the buffer. What leaves has no room to spare: it may stay queued for long.
fn take(buffer: &mut RowBuffer) -> Events {
    let ends: Vec<u32> = buffer
        .ends
        .drain(..)
        .map(|end| u32::try_from(end).expect("a chunk has some 64 KiB"))
        .collect();
    let bytes = std::mem::take(&mut buffer.bytes);
    let lines = if bytes.capacity() > bytes.len() * 5 / 4 {
        let exact = Bytes::copy_from_slice(&bytes);
        buffer.bytes = reused(bytes);
        exact
    } else {
        bytes.freeze()
    };
    Events::new(lines, &ends)
}

fn reused(mut bytes: BytesMut) -> BytesMut {
    bytes.clear();
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_leave_the_buffer_with_their_ends() {
        let mut buffer = RowBuffer::default();
        buffer.bytes.reserve(1 << 16);
        for line in [&b"{}\n"[..], b"{\"a\":1}\n"] {
            buffer.bytes.extend_from_slice(line);
            buffer.ends.push(buffer.bytes.len());
        }
        let events = take(&mut buffer);
        assert_eq!(events.count(), 2);
        assert_eq!(events.bytes(), "{}\n{\"a\":1}\n");
        assert!(buffer.bytes.is_empty() && buffer.ends.is_empty());
        assert!(buffer.bytes.capacity() >= 1 << 16, "the room stays");
    }
}
