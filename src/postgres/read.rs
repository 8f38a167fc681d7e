//! Reads: a query's rows as JSON, whole or one after the other, with the state that they are of.

use super::{
    changelog::since,
    database::Inner,
    encode::RowEncoder,
    fault::Speech,
    lease::Lease,
    page::Pager,
    rows::{Count, Included, RowBuffer, RowStream, Source, Statement, too_slow},
    session::{self, Failure, Reading, Settings, Then},
    sql,
};
use crate::{
    catalog::{Resource, Tenancy},
    error::{Error, Kind, Result},
    identity::Identity,
    query::Query,
    snapshot::Position,
};
use bytes::{Bytes, BytesMut};
use std::{collections::VecDeque, time::Duration};
use tokio_postgres::Row;

/// A query that promises at most so many rows is read whole from a plain connection, so that it waits
/// neither for the stream connections nor, on its own, for the reader.
const SMALL_ROWS_MAX: u64 = 256;
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
    /// How many there are without `limit`, if that was asked for.
    pub count: Option<u64>,
    /// The token of the next page, if there is one.
    pub next: Option<String>,
    /// The state that they are of.
    pub position: Position,
}

/// One row.
#[derive(Debug, Clone)]
pub struct Item {
    /// A JSON object; of a query with related rows or keys beside the row, what its [`Listing`] has.
    pub body: Bytes,
    /// The entity tag without its quotes, made from the row's `xmin`; `None` where rows have none, and
    /// where something comes beside the row.
    pub etag: Option<String>,
    /// The state that it is of.
    pub position: Position,
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
        count: stream.count().await?,
        next: stream.next_page(query),
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
    if query.includes() || query.has_keys() {
        let listing = list(database, identity, query).await?;
        return match listing.rows {
            0 => Err(row_unknown(&query.resource)),
            _ => Ok(Item {
                body: listing.body,
                etag: None,
                position: listing.position,
            }),
        };
    }
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
    if small && !query.includes() && query.counting.is_none() {
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

fn render(query: &Query, identity: &Identity, via: Via) -> Result<Statement> {
    let (mut rendered, mut encoder) = sql::select(query, &identity.organization)?;
    if via == Via::Explain {
        rendered.sql.insert_str(0, "explain ");
        encoder = RowEncoder::new([]);
    }
    Ok(Statement {
        rendered,
        encoder,
        // What a function says is the application's word.
        speech: match query.call() {
            Some(_) => Speech::Open,
            None => speech(&query.resource),
        },
    })
}

/// What a query asks for beside its own rows.
#[derive(Clone, Default)]
struct Behind {
    parts: VecDeque<Included>,
    counts: VecDeque<Count>,
    /// The page's rows, and the values of its order.
    page: Option<(u64, usize)>,
}

impl Behind {
    fn of(query: &Query, identity: &Identity, via: Via) -> Result<Self> {
        if via == Via::Explain {
            return Ok(Self::default());
        }
        let statement = |rendered| Statement {
            rendered,
            encoder: RowEncoder::new([]),
            speech: speech(&query.resource),
        };
        let counts = sql::counts(query, &identity.organization)?;
        let exact = counts.exact.map(|it| Count::Exact(statement(it)));
        let planned = counts.planned.map(|it| Count::Planned(statement(it)));
        Ok(Self {
            parts: related(query, identity)?,
            counts: exact.into_iter().chain(planned).collect(),
            page: query.limit.zip(query.paged_by().map(<[_]>::len)),
        })
    }

    /// What becomes of the transaction behind the query's own rows.
    fn then(&self) -> Then {
        match self.parts.is_empty() && self.counts.is_empty() {
            true => Then::End,
            false => Then::More,
        }
    }
}

/// The related rows that come behind a query's own.
fn related(query: &Query, identity: &Identity) -> Result<VecDeque<Included>> {
    if !query.includes() {
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

/// A view's expressions run on rows of others, if there are any, before the fence can hold them back,
/// and their errors quote values.
pub(super) fn speech(resource: &Resource) -> Speech {
    let alone = resource.tenancy == Tenancy::Single && !resource.restricted;
    match resource.is_stored() || alone {
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
        time_zone: query.time_zone.as_ref(),
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
        let (reading, statement, behind) = match reading {
            Ok(begun) => begun,
            Err(Failure::Stale(_) | Failure::Outdated(_)) if attempt < ATTEMPTS => {
                attempt += 1;
                continue;
            }
            Err(failure) => return Err(failure.into()),
        };
        // Before the first row is handed out, and behind the snapshot.
        database.expect_current(query)?;
        if let Err(error) = statement.encoder.check(reading.columns()) {
            return Err(Inner::altered(error));
        }
        return Ok(RowStream {
            position: database.signer()?.position(&reading.snapshot),
            encoder: statement.encoder,
            source: Source::Live(Box::pin(reading.rows), Box::new(lease)),
            speech: statement.speech,
            patience: database.statement_timeout,
            parts: behind.parts,
            counts: behind.counts,
            pager: behind.page.map(|(limit, width)| Pager::new(limit, width)),
            is_own: true,
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
) -> Result<(Reading, Statement, Behind), Failure> {
    let render = |query: &Query| {
        let behind = Behind::of(query, settings.identity, via)?;
        Ok((render(query, settings.identity, via)?, behind))
    };
    if !query.asks_the_log() {
        let (statement, behind) = render(query).map_err(Failure::Final)?;
        let sql = &statement.rendered;
        let then = behind.then();
        let reading = session::read(lease, settings, sql, statement.speech, then).await?;
        return Ok((reading, statement, behind));
    }
    let (snapshot, narrowed) = since::begin(database, lease, settings, query).await?;
    let (statement, behind) = match render(&narrowed) {
        Ok(rendered) => rendered,
        Err(error) => {
            session::roll_back(lease).await;
            return Err(Failure::Final(error));
        }
    };
    let sql = &statement.rendered;
    let then = behind.then();
    let (rows, prepared) = session::read_more(lease, sql, statement.speech, then).await?;
    let reading = Reading {
        snapshot,
        rows,
        statement: prepared,
    };
    Ok((reading, statement, behind))
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
