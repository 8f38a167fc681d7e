//! The rows of a query as they arrive: encoded into one buffer, related rows behind the query's own,
//! and what is told of them at their end.
//!
//! Knows the connection that they come on, and nothing of how their statements are made.

use super::{
    database::Inner,
    encode::RowEncoder,
    fault::{self, Speech},
    lease::Lease,
    page::{self, Pager},
    session::{self, Then},
    sql::Rendered,
};
use crate::{
    catalog::Resource,
    error::{Error, Kind, Result},
    query::Query,
    snapshot::Position,
};
use bytes::BytesMut;
use futures_util::Stream;
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio_postgres::Row;

/// How much [`RowStream::next`] appends before it returns, about.
const STEP_BYTES: usize = 64 << 10;

/// How much of a small result is held in memory. One that turns out larger is read as a stream.
const SMALL_BYTES_MAX: usize = 1 << 20;

/// A statement with the encoder of its rows.
#[derive(Clone)]
pub(super) struct Statement {
    pub(super) rendered: Rendered,
    pub(super) encoder: RowEncoder,
    pub(super) speech: Speech,
}

/// Rows as lines in one buffer: each is written as `prefix`, the row's JSON, `suffix`.
#[derive(Debug, Default)]
pub struct RowBuffer {
    /// What stands before each row.
    pub prefix: Vec<u8>,
    /// What stands behind each row.
    pub suffix: &'static [u8],
    /// The lines so far.
    pub bytes: BytesMut,
    /// Where each line ends in `bytes`.
    pub ends: Vec<usize>,
}

impl RowBuffer {
    fn push(&mut self, encoder: &RowEncoder, row: &Row) -> Result<()> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&self.prefix);
        encoder
            .encode(row, &mut self.bytes)
            .inspect_err(|_| self.bytes.truncate(start))?;
        self.bytes.extend_from_slice(self.suffix);
        self.ends.push(self.bytes.len());
        Ok(())
    }
}

/// The rows of a query as they arrive. Dropping it cancels the statement in PostgreSQL.
pub struct RowStream {
    /// The state that all rows are of.
    pub position: Position,
    pub(super) encoder: RowEncoder,
    pub(super) source: Source,
    pub(super) speech: Speech,
    /// How long PostgreSQL may say nothing.
    pub(super) patience: Duration,
    /// What comes behind these rows, in the same transaction.
    pub(super) parts: VecDeque<Included>,
    /// The statements that count, behind all rows, in the same transaction.
    pub(super) counts: VecDeque<Count>,
    /// Watches the query's own rows.
    pub(super) pager: Option<Pager>,
    pub(super) is_own: bool,
}

/// A statement that tells how many rows there are.
#[derive(Clone)]
pub(super) enum Count {
    /// By counting.
    Exact(Statement),
    /// By an explanation.
    Planned(Statement),
}

/// Related rows that come behind the rows of a query, with the statement for them.
#[derive(Clone)]
pub(super) struct Included {
    pub(super) resource: Arc<Resource>,
    pub(super) partial: bool,
    pub(super) statement: Statement,
}

/// Which rows a stream gives next.
#[derive(Debug, Clone)]
pub struct Part {
    /// Their resource.
    pub resource: Arc<Resource>,
    /// Whether they are less than whole rows of it.
    pub partial: bool,
}

pub(super) enum Source {
    /// Still coming, on a connection that is ours until the end.
    Live(Pin<Box<tokio_postgres::RowStream>>, Box<Lease>),
    /// Read to their end; others follow on the connection.
    Between(Box<Lease>),
    /// All here, the connection given back.
    Held(VecDeque<Row>),
}

impl RowStream {
    /// Waits until rows are there and appends those that are, up to some 64 KiB; says how many, 0 at
    /// the end. The connection is free as soon as the last row has been read, which is often before
    /// the end is asked for. Cancel-safe: what was appended stays in `out`.
    ///
    /// # Errors
    /// As PostgreSQL says; `StatementTimeout` if it says nothing for longer than the limit. Rows that
    /// came before the error may have been appended.
    pub async fn next(&mut self, out: &mut RowBuffer) -> Result<usize> {
        let patience = self.patience;
        let step = std::future::poll_fn(|context| self.poll_step(context, out));
        match tokio::time::timeout(patience, step).await {
            Ok(step) => step,
            Err(_) => {
                // Dropping the lease cancels the statement.
                self.source = Source::Held(VecDeque::new());
                Err(too_slow())
            }
        }
    }

    fn poll_step(&mut self, context: &mut Context<'_>, out: &mut RowBuffer) -> Poll<Result<usize>> {
        let start = out.bytes.len();
        let mut rows = 0;
        while out.bytes.len() - start < STEP_BYTES {
            match self.poll_row(context) {
                Poll::Ready(Some(row)) => {
                    let row = row?;
                    if let Some(pager) = self.pager.as_mut().filter(|_| self.is_own)
                        && !pager.takes(&row, self.encoder.len())?
                    {
                        continue;
                    }
                    out.push(&self.encoder, &row)?;
                    rows += 1;
                }
                Poll::Ready(None) => break,
                Poll::Pending if rows > 0 => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(rows))
    }

    /// The next row. After the last one, or an error, the connection is given back.
    pub(super) fn poll_row(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Row>>> {
        let (rows, lease) = match &mut self.source {
            Source::Held(rows) => return Poll::Ready(rows.pop_front().map(Ok)),
            Source::Between(_) => return Poll::Ready(None),
            Source::Live(rows, lease) => (rows, lease),
        };
        let row = ready!(rows.as_mut().poll_next(context));
        let ended = row.is_none();
        let failed = matches!(row, Some(Err(_)));
        let row = row.map(|row| row.map_err(|error| fault::fault(error, self.speech)));
        if ended || failed {
            let last = self.parts.is_empty() && self.counts.is_empty();
            if last {
                // The transaction's end was sent along with the statement.
                lease.idle();
            }
            let source = std::mem::replace(&mut self.source, Source::Held(VecDeque::new()));
            // Of a failure in the middle, the lease ends the transaction with the connection.
            if let (Source::Live(_, lease), true) = (source, ended && !last) {
                self.source = Source::Between(lease);
            }
        }
        Poll::Ready(row)
    }

    /// Once these rows have been read to their end, goes on to the related rows that come behind them;
    /// `None`: there are no more.
    ///
    /// # Errors
    /// As PostgreSQL says.
    pub async fn advance(&mut self) -> Result<Option<Part>> {
        let Some(Included {
            resource,
            partial,
            statement,
        }) = self.parts.pop_front()
        else {
            return Ok(None);
        };
        self.is_own = false;
        self.follow(statement).await?;
        Ok(Some(Part { resource, partial }))
    }

    /// Sends the next statement of the transaction.
    async fn follow(&mut self, statement: Statement) -> Result<()> {
        let source = std::mem::replace(&mut self.source, Source::Held(VecDeque::new()));
        let Source::Between(mut lease) = source else {
            return Err(Error::internal(
                "related rows come before others have ended",
            ));
        };
        let then = match self.parts.is_empty() && self.counts.is_empty() {
            true => Then::End,
            false => Then::More,
        };
        let read = session::read_more(&mut lease, &statement.rendered, statement.speech, then);
        let Ok(read) = tokio::time::timeout(self.patience, read).await else {
            return Err(too_slow());
        };
        let (rows, prepared) = read.map_err(Error::from)?;
        if let Err(error) = statement.encoder.check(prepared.columns()) {
            return Err(Inner::altered(error));
        }
        self.encoder = statement.encoder;
        self.speech = statement.speech;
        self.source = Source::Live(Box::pin(rows), lease);
        Ok(())
    }

    /// Once all rows have been read to their end: how many there are without `limit`, if that was
    /// asked for.
    ///
    /// # Errors
    /// As PostgreSQL says.
    pub async fn count(&mut self) -> Result<Option<u64>> {
        let mut count = None;
        while let Some(next) = self.counts.pop_front() {
            let (statement, exact) = match next {
                Count::Exact(statement) => (statement, true),
                Count::Planned(statement) => (statement, false),
            };
            self.follow(statement).await?;
            let patience = self.patience;
            let read = async {
                let mut found = None;
                while let Some(row) = std::future::poll_fn(|context| self.poll_row(context)).await {
                    let row = row?;
                    if found.is_none() {
                        found = match exact {
                            true => row.try_get::<_, i64>(0).ok().map(i64::unsigned_abs),
                            false => row.try_get::<_, &str>(0).ok().and_then(page::promised),
                        };
                    }
                }
                found.ok_or_else(|| Error::internal("PostgreSQL counted nothing"))
            };
            let Ok(found) = tokio::time::timeout(patience, read).await else {
                return Err(too_slow());
            };
            count = count.max(Some(found?));
        }
        Ok(count)
    }

    /// Once its own rows have been read: the token of the next page of the query that it reads, if
    /// there is one.
    pub fn next_page(&self, query: &Query) -> Option<String> {
        let end = self.pager.as_ref()?.end()?;
        Some(query.token(end))
    }

    /// Reads all rows now, if they are few; `None` if they are not, and then the statement has been
    /// cancelled.
    pub(super) async fn hold(self) -> Result<Option<Self>> {
        let patience = self.patience;
        match tokio::time::timeout(patience, self.hold_all()).await {
            Ok(held) => held,
            Err(_) => Err(too_slow()),
        }
    }

    async fn hold_all(mut self) -> Result<Option<Self>> {
        let mut held = VecDeque::new();
        let mut bytes = 0;
        loop {
            let row = std::future::poll_fn(|context| self.poll_row(context)).await;
            let Some(row) = row.transpose()? else {
                self.source = Source::Held(held);
                return Ok(Some(self));
            };
            bytes += row.raw_size_bytes();
            if bytes > SMALL_BYTES_MAX {
                return Ok(None);
            }
            held.push_back(row);
        }
    }
}

impl std::fmt::Debug for RowStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowStream")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

pub(super) fn too_slow() -> Error {
    let detail = "The statement took longer than it may.";
    Error::new(Kind::StatementTimeout, detail)
}
