//! Queries in transactions that write nothing.
//!
//! Knows how many round trips a query takes, and nothing of what it asks.

use super::{
    BEGIN_READ, END, Failure, SETTINGS, Settings, confirm,
    failure::{refused, stale},
    roll_back, set,
};
use crate::{
    postgres::{
        changelog::flight::{Sent, in_order},
        fault::Speech,
        lease::Lease,
        sql::Rendered,
    },
    snapshot::Snapshot,
};
use futures_util::TryStreamExt;
use tokio_postgres::{Column, Row, RowStream, Statement};

/// Rows on their way, with the state that they are of.
pub(in crate::postgres) struct Reading {
    pub(in crate::postgres) snapshot: Snapshot,
    pub(in crate::postgres) rows: RowStream,
    pub(in crate::postgres) statement: Statement,
}

impl Reading {
    /// What the rows consist of.
    pub(in crate::postgres) fn columns(&self) -> &[Column] {
        self.statement.columns()
    }
}

/// What becomes of a transaction behind a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::postgres) enum Then {
    /// It ends: that is sent along.
    End,
    /// Another query follows in it, [`read_more`].
    More,
}

impl Then {
    /// What is sent behind the query.
    fn sql(self) -> &'static str {
        match self {
            Self::End => END,
            Self::More => "",
        }
    }
}

/// Runs one query in a read-only transaction of its own: one round trip, or two the first time that
/// this connection sees the statement. The transaction's end is sent along, so that the connection
/// is free as soon as the last row has been read.
pub(in crate::postgres) async fn read(
    lease: &mut Lease,
    settings: Settings<'_>,
    query: &Rendered,
    speech: Speech,
    then: Then,
) -> Result<Reading, Failure> {
    let begin = lease.statement(SETTINGS).await.map_err(stale)?;
    let begin_read = settings.begin_read();
    let (began, told, rows) = match lease.prepared(&query.sql) {
        Some(statement) => {
            lease.busy();
            let (began, told, rows, _) = tokio::join!(
                biased;
                lease.batch_execute(&begin_read),
                set(lease, &begin, settings),
                lease.query_raw(&statement, &query.parameters),
                lease.simple_query_raw(then.sql()),
            );
            (began, told, rows.map(|rows| (rows, statement)))
        }
        None => {
            // Naming a table needs the right to use its schema, which the caller's role has and ours
            // may lack: so the statement is prepared inside the transaction.
            lease.busy();
            let (began, told, statement) = tokio::join!(
                biased;
                lease.batch_execute(&begin_read),
                set(lease, &begin, settings),
                lease.statement(&query.sql),
            );
            let rows = match statement {
                Ok(statement) => {
                    let (rows, _) = tokio::join!(
                        biased;
                        lease.query_raw(&statement, &query.parameters),
                        lease.simple_query_raw(then.sql()),
                    );
                    rows.map(|rows| (rows, statement))
                }
                Err(error) => {
                    let _ = lease.simple_query_raw(then.sql()).await;
                    Err(error)
                }
            };
            (began, told, rows)
        }
    };
    if rows.is_err() {
        match then {
            // Nothing runs any more, and the transaction's end is on its way behind.
            Then::End => lease.idle(),
            Then::More => roll_back(lease).await,
        }
    }
    let snapshot = confirm(began, told, settings.identity)?;
    match rows {
        Ok((rows, statement)) => Ok(Reading {
            snapshot,
            rows,
            statement,
        }),
        Err(error) => {
            lease.forget(&query.sql);
            Err(refused(error, speech))
        }
    }
}

/// Runs the next query of a transaction whose last one has been read to its end.
pub(in crate::postgres) async fn read_more(
    lease: &mut Lease,
    query: &Rendered,
    speech: Speech,
    then: Then,
) -> Result<(RowStream, Statement), Failure> {
    let rows = async {
        let statement = lease.statement(&query.sql).await?;
        let (rows, _) = tokio::join!(
            biased;
            lease.query_raw(&statement, &query.parameters),
            lease.simple_query_raw(then.sql()),
        );
        Ok((rows?, statement))
    };
    match rows.await {
        Ok(read) => Ok(read),
        Err(error) => {
            roll_back(lease).await;
            lease.forget(&query.sql);
            Err(refused(error, speech))
        }
    }
}

/// What some queries found in one snapshot, in their order.
pub(in crate::postgres) type Looked = Result<(Snapshot, Vec<Vec<Row>>), Failure>;

/// Runs queries in one read-only transaction of their own, to their ends.
pub(in crate::postgres) async fn read_each(
    lease: &mut Lease,
    settings: Settings<'_>,
    queries: &[Rendered],
) -> Looked {
    if let [query] = queries {
        let (snapshot, rows) = read_whole(lease, settings, query).await?;
        return Ok((snapshot, vec![rows]));
    }
    let begin = lease.statement(SETTINGS).await.map_err(stale)?;
    lease.busy();
    let (began, told) = tokio::join!(
        biased;
        lease.batch_execute(BEGIN_READ),
        set(lease, &begin, settings),
    );
    let read = match confirm(began, told, settings.identity) {
        Ok(snapshot) => prepare_and_read(lease, queries)
            .await
            .map(|rows| (snapshot, rows))
            .map_err(|error| refused(error, Speech::Guarded)),
        Err(failure) => Err(failure),
    };
    roll_back(lease).await;
    read
}

/// Inside a transaction that has the caller's role, which may name what ours may not.
async fn prepare_and_read(
    lease: &Lease,
    queries: &[Rendered],
) -> Result<Vec<Vec<Row>>, tokio_postgres::Error> {
    let mut statements = Vec::with_capacity(queries.len());
    for query in queries {
        statements.push(lease.statement(&query.sql).await?);
    }
    let rows = each(lease, &statements, queries).await;
    rows.inspect_err(|_| queries.iter().for_each(|query| lease.forget(&query.sql)))
}

/// The rows of each query; all are sent at once.
pub(super) async fn each(
    lease: &Lease,
    statements: &[Statement],
    queries: &[Rendered],
) -> Result<Vec<Vec<Row>>, tokio_postgres::Error> {
    let mut sent: Vec<Sent<'_, _>> = Vec::with_capacity(queries.len());
    for (statement, query) in statements.iter().zip(queries) {
        sent.push(Box::pin(async {
            collect(lease.query_raw(statement, &query.parameters).await?).await
        }));
    }
    in_order(sent).await.into_iter().collect()
}

/// Runs one query in a read-only transaction of its own, to its end.
pub(in crate::postgres) async fn read_whole(
    lease: &mut Lease,
    settings: Settings<'_>,
    query: &Rendered,
) -> Result<(Snapshot, Vec<Row>), Failure> {
    let reading = read(lease, settings, query, Speech::Guarded, Then::End).await?;
    let rows = collect(reading.rows).await;
    // The transaction's end was sent along with the statement.
    lease.idle();
    match rows {
        Ok(rows) => Ok((reading.snapshot, rows)),
        Err(error) => Err(refused(error, Speech::Guarded)),
    }
}

pub(super) async fn collect(rows: RowStream) -> Result<Vec<Row>, tokio_postgres::Error> {
    rows.try_collect().await
}
