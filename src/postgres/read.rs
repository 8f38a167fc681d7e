//! Reads: a query's rows as JSON, whole or one after the other, with the state that they are of.

use super::{
    changelog::since,
    database::Inner,
    encode::RowEncoder,
    fault::{self, Speech},
    lease::Lease,
    session::{self, Failure, Reading, Settings, Then},
    sql::{self, Rendered},
};
use crate::{
    catalog::Resource,
    error::{Error, Kind, Result},
    identity::Identity,
    query::Query,
    snapshot::Position,
};
use bytes::{Bytes, BytesMut};
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

/// A query that promises at most so many rows is read whole from a plain connection, so that it waits
/// neither for the stream connections nor, on its own, for the reader.
const SMALL_ROWS_MAX: u64 = 256;
/// How much of a small result is held in memory. One that turns out larger is read as a stream.
const SMALL_BYTES_MAX: usize = 1 << 20;

/// By how much a statement whose time PostgreSQL limits may pass its limit: beyond, PostgreSQL is not
/// there any more.
const PLAIN_SLACK: Duration = Duration::from_secs(1);

/// How often a statement is tried when its connection turns out to be dead before it ran, or its plan
/// to be out of date.
const ATTEMPTS: usize = 3;

/// The rows of a query, whole.
#[derive(Debug, Clone)]
pub struct Listing {
    /// A JSON array.
    pub body: Bytes,
    /// How many rows it has.
    pub rows: u64,
    /// The state that they are of.
    pub position: Position,
}

/// One row.
#[derive(Debug, Clone)]
pub struct Item {
    /// A JSON object.
    pub body: Bytes,
    /// The entity tag without its quotes, made from the row's `xmin`; `None` where rows have none.
    pub etag: Option<String>,
    /// The state that it is of.
    pub position: Position,
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
    encoder: RowEncoder,
    source: Source,
    speech: Speech,
    /// How long PostgreSQL may say nothing.
    patience: Duration,
    /// What comes behind these rows, in the same transaction.
    parts: VecDeque<Included>,
}

/// Related rows that come behind the rows of a query, with the statement for them.
#[derive(Clone)]
struct Included {
    resource: Arc<Resource>,
    partial: bool,
    statement: Statement,
}

/// Which rows a stream gives next.
#[derive(Debug, Clone)]
pub struct Part {
    /// Their resource.
    pub resource: Arc<Resource>,
    /// Whether they are less than whole rows of it.
    pub partial: bool,
}

enum Source {
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
                    out.push(&self.encoder, &row?)?;
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
    fn poll_row(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Row>>> {
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
            if self.parts.is_empty() {
                // The transaction's end was sent along with the statement.
                lease.idle();
            }
            let source = std::mem::replace(&mut self.source, Source::Held(VecDeque::new()));
            // Of a failure in the middle, the lease ends the transaction with the connection.
            if let (Source::Live(_, lease), true) = (source, ended && !self.parts.is_empty()) {
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
        let source = std::mem::replace(&mut self.source, Source::Held(VecDeque::new()));
        let Source::Between(mut lease) = source else {
            return Err(Error::internal(
                "related rows come before others have ended",
            ));
        };
        let then = match self.parts.is_empty() {
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
        Ok(Some(Part { resource, partial }))
    }

    /// Reads all rows now, if they are few; `None` if they are not, and then the statement has been
    /// cancelled.
    async fn hold(self) -> Result<Option<Self>> {
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

/// The rows of a query, whole.
pub(super) async fn list(database: &Inner, identity: &Identity, query: &Query) -> Result<Listing> {
    let mut stream = open(database, identity, query, Via::Plain).await?;
    let mut out = RowBuffer {
        suffix: b",",
        ..RowBuffer::default()
    };
    let named = query.includes();
    if named {
        // One object, with an array for each resource.
        out.bytes.extend_from_slice(b"{");
        append_name(&query.resource, &mut out.bytes);
    }
    out.bytes.extend_from_slice(b"[");
    let rows = append_rows(database, &mut stream, &mut out).await?;
    let mut relation = query.resource.relation;
    while let Some(part) = stream.advance().await? {
        // Rows of the query's own resource follow its own ones in their array.
        if part.resource.relation != relation {
            relation = part.resource.relation;
            close(&mut out.bytes);
            out.bytes.extend_from_slice(b",");
            append_name(&part.resource, &mut out.bytes);
            out.bytes.extend_from_slice(b"[");
        }
        append_rows(database, &mut stream, &mut out).await?;
    }
    close(&mut out.bytes);
    if named {
        out.bytes.extend_from_slice(b"}");
    }
    Ok(Listing {
        body: out.bytes.freeze(),
        rows,
        position: stream.position,
    })
}

/// Appends the name of an array and what stands behind it.
fn append_name(resource: &Resource, out: &mut BytesMut) {
    let name = serde_json::Value::from(&*resource.name).to_string();
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b":");
}

/// Ends an array of rows, each of which has a comma behind it.
fn close(out: &mut BytesMut) {
    if out.last() == Some(&b',') {
        out.truncate(out.len() - 1);
    }
    out.extend_from_slice(b"]");
}

/// Appends the rows that a stream gives, to their end; says how many.
async fn append_rows(database: &Inner, stream: &mut RowStream, out: &mut RowBuffer) -> Result<u64> {
    let mut count = 0;
    loop {
        let rows = stream.next(out).await?;
        if rows == 0 {
            return Ok(count);
        }
        count += rows as u64;
        out.ends.clear();
        if out.bytes.len() > database.answer_bytes_max {
            return Err(Error::new(
                Kind::AnswerTooLarge,
                format!(
                    "The answer is larger than {} bytes.",
                    database.answer_bytes_max
                ),
            )
            .with_hint("Set a limit, select fewer columns, or ask for the rows one by one with a Request-Id."));
        }
    }
}

/// One row by its key.
pub(super) async fn item(database: &Inner, identity: &Identity, query: &Query) -> Result<Item> {
    let mut stream = open(database, identity, query, Via::Plain).await?;
    let row = std::future::poll_fn(|context| stream.poll_row(context)).await;
    let row = row
        .transpose()?
        .ok_or_else(|| row_unknown(&query.resource))?;
    // Reads to the end, so that the connection is free.
    let end = std::future::poll_fn(|context| stream.poll_row(context)).await;
    if end.transpose()?.is_some() {
        return Err(Error::internal("two rows have one key"));
    }
    let mut body = BytesMut::new();
    stream.encoder.encode(&row, &mut body)?;
    let etag = match query.etag {
        true => Some(etag(&row, stream.encoder.len())?),
        false => None,
    };
    Ok(Item {
        body: body.freeze(),
        etag,
        position: stream.position,
    })
}

/// The rows of a query, one after the other.
pub(super) async fn stream(
    database: &Inner,
    identity: &Identity,
    query: &Query,
) -> Result<RowStream> {
    let small = query.rows_max().is_some_and(|rows| rows <= SMALL_ROWS_MAX);
    // How many related rows there are, the query does not tell.
    if small && !query.includes() {
        let small = open(database, identity, query, Via::Plain).await?;
        if let Some(held) = small.hold().await? {
            return Ok(held);
        }
    }
    open(database, identity, query, Via::Streams).await
}

/// How PostgreSQL would run a query.
pub(super) async fn explain(
    database: &Inner,
    identity: &Identity,
    query: &Query,
) -> Result<String> {
    let mut stream = open(database, identity, query, Via::Explain).await?;
    let mut plan = String::new();
    while let Some(row) = std::future::poll_fn(|context| stream.poll_row(context)).await {
        plan.push_str(row?.get(0));
        plan.push('\n');
    }
    Ok(plan)
}

/// Through which pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Via {
    Plain,
    Streams,
    /// A plain one, and the plan of the rows instead of rows.
    Explain,
}

#[derive(Clone)]
struct Statement {
    rendered: Rendered,
    encoder: RowEncoder,
    speech: Speech,
}

fn render(query: &Query, identity: &Identity, via: Via) -> Result<Statement> {
    let (mut rendered, mut encoder) = sql::select(query, &identity.organization)?;
    if via == Via::Explain {
        rendered.sql.insert_str(0, "explain ");
        encoder = RowEncoder::new([]);
    }
    Ok(Statement {
        rendered,
        encoder,
        speech: speech(&query.resource),
    })
}

/// The related rows that come behind a query's own.
fn related(query: &Query, identity: &Identity, via: Via) -> Result<VecDeque<Included>> {
    if via == Via::Explain || !query.includes() {
        return Ok(VecDeque::new());
    }
    // They are those of all rows that the query is about, whether these were written or not.
    let mut all = query.clone();
    all.modified = None;
    let query = &all;
    let parts = query.parts().into_iter().map(|part| {
        let (rendered, encoder) = sql::included(query, &part, &identity.organization)?;
        Ok(Included {
            partial: part.is_partial(query),
            statement: Statement {
                rendered,
                encoder,
                speech: speech(&part.resource),
            },
            resource: part.resource,
        })
    });
    parts.collect()
}

/// A view's expressions run on rows that the caller may not see, before the fence can hold them back,
/// and their errors quote values.
pub(super) fn speech(resource: &Resource) -> Speech {
    match resource.is_stored() {
        true => Speech::Open,
        false => Speech::Guarded,
    }
}

/// Runs a query as an identity.
async fn open(database: &Inner, identity: &Identity, query: &Query, via: Via) -> Result<RowStream> {
    let (statement_timeout, patience) = match via {
        // PostgreSQL's own clock runs too, and says it better.
        Via::Plain | Via::Explain => {
            let timeout = database.statement_timeout;
            (timeout, timeout + PLAIN_SLACK)
        }
        // How long the statement takes is up to the reader: the clock runs in `RowStream::next`, while
        // we wait for PostgreSQL and not while the reader makes us wait.
        Via::Streams => (Duration::ZERO, database.statement_timeout),
    };
    let settings = Settings {
        identity,
        statement_timeout,
        action: "",
    };
    let mut attempt = 1;
    loop {
        let mut lease = match via {
            Via::Plain | Via::Explain => database.lease(&database.plain, None).await?,
            Via::Streams => {
                let share = database.shares.take(identity.key).await?;
                database.lease(&database.streams, Some(share)).await?
            }
        };
        // PostgreSQL may say nothing at all until it has its first rows. Dropping the lease cancels
        // the statement.
        let reading = begin(database, &mut lease, settings, query, via);
        let Ok(reading) = tokio::time::timeout(patience, reading).await else {
            return Err(too_slow());
        };
        let (reading, statement, parts) = match reading {
            Ok(begun) => begun,
            Err(Failure::Stale(_) | Failure::Outdated(_)) if attempt < ATTEMPTS => {
                attempt += 1;
                continue;
            }
            Err(failure) => return Err(failure.into()),
        };
        if let Err(error) = statement.encoder.check(reading.columns()) {
            return Err(Inner::altered(error));
        }
        return Ok(RowStream {
            position: database.signer()?.position(&reading.snapshot),
            encoder: statement.encoder,
            source: Source::Live(Box::pin(reading.rows), Box::new(lease)),
            speech: statement.speech,
            patience: database.statement_timeout,
            parts,
        });
    }
}

/// Begins with a query's own rows; where it asks for what was written since a cursor, once the log has
/// said what that is. Behind them come the parts.
async fn begin(
    database: &Inner,
    lease: &mut Lease,
    settings: Settings<'_>,
    query: &Query,
    via: Via,
) -> Result<(Reading, Statement, VecDeque<Included>), Failure> {
    let render = |query: &Query| {
        let parts = related(query, settings.identity, via)?;
        let then = match parts.is_empty() {
            true => Then::End,
            false => Then::More,
        };
        Ok((render(query, settings.identity, via)?, parts, then))
    };
    if !query.asks_the_log() {
        let (statement, parts, then) = render(query).map_err(Failure::Final)?;
        let sql = &statement.rendered;
        let reading = session::read(lease, settings, sql, statement.speech, then).await?;
        return Ok((reading, statement, parts));
    }
    let (snapshot, narrowed) = since::begin(database, lease, settings, query).await?;
    let (statement, parts, then) = match render(&narrowed) {
        Ok(rendered) => rendered,
        Err(error) => {
            session::roll_back(lease).await;
            return Err(Failure::Final(error));
        }
    };
    let sql = &statement.rendered;
    let (rows, prepared) = session::read_more(lease, sql, statement.speech, then).await?;
    let reading = Reading {
        snapshot,
        rows,
        statement: prepared,
    };
    Ok((reading, statement, parts))
}

fn too_slow() -> Error {
    let detail = "The statement took longer than it may.";
    Error::new(Kind::StatementTimeout, detail)
}

/// The entity tag of a row, which stands in this column as text.
pub(super) fn etag(row: &Row, column: usize) -> Result<String> {
    row.try_get(column)
        .map_err(|error| Error::internal("a row lacks its xmin").with_source(error))
}

/// The answer to an id that the caller sees no row of.
pub(super) fn row_unknown(resource: &Resource) -> Error {
    Error::new(
        Kind::RowUnknown,
        format!("{:?} has no such row.", &*resource.name),
    )
}
