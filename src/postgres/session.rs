//! Identity → transaction: role and claims are set in the same round trip as the first statement.
//!
//! Architecture invariant: no statement of a caller's runs outside a transaction that has the
//! caller's role. A transaction that could not begin, or whose role could not be set, hands out
//! nothing of what was sent behind it in the same round trip, and statements that write are sent
//! only once both are known to have succeeded.

use super::{
    actions::{Found, Prepared, Taking},
    changelog::flight::{Sent, in_order},
    fault::{self, Speech},
    lease::Lease,
    sql::Rendered,
};
use crate::{
    error::{Error, Kind, Result},
    identity::{Identity, Role},
    query::TimeZone,
    snapshot::Snapshot,
};
use futures_util::TryStreamExt;
use std::{borrow::Cow, time::Duration};
use tokio_postgres::{Column, Row, RowStream, Statement, types::ToSql};

pub(super) const BEGIN_READ: &str = "begin isolation level repeatable read read only";
const BEGIN_WRITE: &str = "begin isolation level read committed read write";
pub(super) const END: &str = "commit";
pub(super) const SETTINGS: &str = include_str!("../../sql/session/begin.sql");

/// Why a transaction did not come about.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection was dead before anything ran on it: another one may do.
    Stale(Error),
    /// The statement was prepared for a table that has been altered since; preparing it again may do.
    Outdated(Error),
    /// As the error says.
    Final(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Stale(error) | Failure::Outdated(error) | Failure::Final(error) => error,
        }
    }
}

/// What a transaction is told about its caller.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings<'a> {
    pub(super) identity: &'a Identity,
    /// What PostgreSQL allows one statement; zero: no limit, for streams, whose pace is the
    /// reader's and whose clock is therefore ours.
    pub(super) statement_timeout: Duration,
    pub(super) action: &'a str,
    /// In which time zone times are shown; `None`: UTC.
    pub(super) time_zone: Option<&'a TimeZone>,
}

impl Settings<'_> {
    /// What begins a transaction that reads.
    fn begin_read(self) -> Cow<'static, str> {
        match self.time_zone {
            None => BEGIN_READ.into(),
            Some(zone) => format!("{BEGIN_READ}; set local time zone '{}'", zone.name()).into(),
        }
    }
}

/// Rows on their way, with the state that they are of.
pub(super) struct Reading {
    pub(super) snapshot: Snapshot,
    pub(super) rows: RowStream,
    pub(super) statement: Statement,
}

impl Reading {
    /// What the rows consist of.
    pub(super) fn columns(&self) -> &[Column] {
        self.statement.columns()
    }
}

/// What becomes of a transaction behind a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
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
pub(super) async fn read(
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
pub(super) async fn read_more(
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

/// Begins a transaction that reads, for a lease that is busy, and does something `first` in it, as the
/// role that we log in as; in one flight. Queries follow by [`read_more`].
pub(super) async fn begin_read<T>(
    lease: &Lease,
    settings: Settings<'_>,
    first: impl Future<Output = T>,
) -> (Result<Snapshot, Failure>, T) {
    // A statement that is not there fails as everything behind it does.
    let begin = lease.statement(SETTINGS).await;
    let told = async { set(lease, &begin?, settings).await };
    let (began, first, told) = tokio::join!(biased; lease.batch_execute(BEGIN_READ), first, told);
    (confirm(began, told, settings.identity), first)
}

/// How a transaction that writes began.
pub(super) struct Begun {
    /// What is known of the action.
    pub(super) found: Found,
    /// The action's statements, if there is one.
    pub(super) prepared: Option<Prepared>,
    /// The answer to the question, if it was asked.
    pub(super) answered: Option<Result<Vec<Row>, tokio_postgres::Error>>,
}

/// Begins a transaction that writes: takes the action, if the caller names one, then the caller's role.
/// A `question`, which reads only, is asked in the same round trip if this connection knows it already;
/// its rows are handed out only if the transaction is there and has the caller's role.
pub(super) async fn begin_write(
    lease: &mut Lease,
    settings: Settings<'_>,
    taking: Option<Taking<'_>>,
    question: Option<&Rendered>,
) -> Result<Begun, Failure> {
    let begin = lease.statement(SETTINGS).await.map_err(stale)?;
    let prepared = match taking {
        Some(taking) => Some(taking.prepare(lease).await.map_err(own_refused)?),
        None => None,
    };
    lease.busy();
    let taken = async {
        match taking.zip(prepared.as_ref()) {
            Some((taking, prepared)) => taking.take(lease, prepared).await,
            None => Ok(Found::Free),
        }
    };
    let asked = async {
        let question = question?;
        let statement = lease.prepared(&question.sql)?;
        let rows =
            async { collect(lease.query_raw(&statement, &question.parameters).await?).await };
        Some(rows.await)
    };
    let (began, found, told, answered) = tokio::join!(
        biased;
        lease.batch_execute(BEGIN_WRITE),
        taken,
        set(lease, &begin, settings),
        asked,
    );
    let begun = began.map_err(stale).and_then(|()| {
        // Once it has failed, so has everything behind it.
        let found = found.map_err(own_refused)?;
        confirm(Ok(()), told, settings.identity)?;
        Ok(found)
    });
    match begun {
        Ok(found) => Ok(Begun {
            found,
            prepared,
            answered,
        }),
        Err(failure) => {
            roll_back(lease).await;
            Err(failure)
        }
    }
}

/// Ends a transaction without effect. The lease stays busy if that fails, and its connection goes.
pub(super) async fn roll_back(lease: &mut Lease) {
    if lease.batch_execute("rollback").await.is_ok() {
        lease.idle();
    }
}

/// What a transaction writes down of its action before it commits.
#[derive(Clone, Copy)]
pub(super) struct Recording<'a> {
    pub(super) taking: Taking<'a>,
    pub(super) prepared: &'a Prepared,
    pub(super) written: &'a str,
}

/// What some queries found in one snapshot, in their order.
pub(super) type Looked = Result<(Snapshot, Vec<Vec<Row>>), Failure>;

/// Records the action, if there is one, makes a transaction's writes last, calls `committed` as soon as
/// they do, and runs queries in one read-only transaction behind it: in the same round trip, if this
/// connection knows them already.
///
/// # Errors
/// The outer one is the commit's, and then nothing was written; the inner one the queries'.
pub(super) async fn commit_and_read(
    lease: &mut Lease,
    settings: Settings<'_>,
    recording: Option<Recording<'_>>,
    queries: &[Rendered],
    committed: impl FnOnce(),
) -> Result<Looked, tokio_postgres::Error> {
    let commit = async {
        let record = async {
            match recording {
                Some(it) => it.taking.record(lease, it.prepared, it.written).await,
                None => Ok(()),
            }
        };
        let (recorded, result) = tokio::join!(biased; record, lease.batch_execute(END));
        // PostgreSQL answers the commit of a transaction that has failed by rolling it back, and
        // calls that no error.
        recorded?;
        if result.is_ok() {
            committed();
        }
        result
    };
    let statements = queries.iter().map(|query| lease.prepared(&query.sql));
    let statements: Option<Vec<Statement>> = statements.collect();
    let Some((begin, statements)) = lease.prepared(SETTINGS).zip(statements) else {
        let result = commit.await;
        ended(lease, &result);
        result?;
        return Ok(read_each(lease, settings, queries).await);
    };
    let (result, began, told, rows, _) = tokio::join!(
        biased;
        commit,
        lease.batch_execute(BEGIN_READ),
        set(lease, &begin, settings),
        each(lease, &statements, queries),
        lease.simple_query_raw(END),
    );
    ended(lease, &result);
    result?;
    let read = confirm(began, told, settings.identity).and_then(|snapshot| {
        rows.map(|rows| (snapshot, rows)).map_err(|error| {
            queries.iter().for_each(|query| lease.forget(&query.sql));
            refused(error, Speech::Guarded)
        })
    });
    Ok(read)
}

/// Runs queries in one read-only transaction of their own, to their ends.
pub(super) async fn read_each(
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
async fn each(
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

/// After a commit was answered: one that PostgreSQL refuses (a deferred constraint) has rolled back.
fn ended(lease: &mut Lease, committed: &Result<(), tokio_postgres::Error>) {
    if committed.is_ok() || committed.as_ref().is_err_and(|it| it.code().is_some()) {
        lease.idle();
    }
}

/// Runs one query in a read-only transaction of its own, to its end.
pub(super) async fn read_whole(
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

async fn collect(rows: RowStream) -> Result<Vec<Row>, tokio_postgres::Error> {
    rows.try_collect().await
}

/// Tells the transaction who calls.
pub(super) async fn set(
    lease: &Lease,
    statement: &Statement,
    settings: Settings<'_>,
) -> Result<Row, tokio_postgres::Error> {
    let timeout = settings.statement_timeout.as_millis().to_string();
    let identity = settings.identity;
    let values: [&(dyn ToSql + Sync); 4] = [
        &&*identity.role.0,
        &&*identity.claims,
        &timeout,
        &settings.action,
    ];
    lease.query_one(statement, &values).await
}

/// Whether the transaction is there and has the caller's role.
fn confirm(
    began: Result<(), tokio_postgres::Error>,
    told: Result<Row, tokio_postgres::Error>,
    identity: &Identity,
) -> Result<Snapshot, Failure> {
    began.map_err(stale)?;
    let row = match told {
        Ok(row) => row,
        Err(error) => {
            // 22023: there is no such role; 42501: it is not ours to take.
            return Err(match fault::sqlstate(&error) {
                Some("22023" | "42501") => {
                    Failure::Final(role_not_allowed(&identity.role).with_source(error))
                }
                _ => stale(error),
            });
        }
    };
    // `none` would be a role name that resets to the role that we log in as.
    if row.get::<_, &str>("role") != &*identity.role.0 {
        return Err(Failure::Final(role_not_allowed(&identity.role)));
    }
    row.get::<_, &str>("snapshot")
        .parse()
        .map_err(Failure::Final)
}

/// The answer to a role that does not exist, or that rowcast may not take.
pub(super) fn role_not_allowed(role: &Role) -> Error {
    Error::new(
        Kind::RoleNotAllowed,
        format!("The role {:?} cannot be used here.", &*role.0),
    )
}

/// An error before anything of the caller's ran.
fn stale(error: tokio_postgres::Error) -> Failure {
    let ended = match fault::sqlstate(&error) {
        Some(state) => state.starts_with("57P"),
        None => error.is_closed() || std::error::Error::source(&error).is_some_and(is_io),
    };
    let error = fault::fault(error, Speech::Guarded);
    if ended {
        Failure::Stale(error)
    } else {
        Failure::Final(error)
    }
}

fn is_io(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<std::io::Error>()
}

/// Whether a statement was prepared for a table that has been altered since. PostgreSQL says so with
/// the code of "feature not supported", so the routine has to tell.
pub(super) fn is_outdated(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|it| {
        it.code().code() == "0A000" && it.routine() == Some("RevalidateCachedQuery")
    })
}

/// Prepares a statement about rowcast's own tables, outside of any transaction.
pub(super) async fn own(lease: &Lease, sql: &str) -> Result<Statement, Failure> {
    lease.statement(sql).await.map_err(own_refused)
}

/// An error of such a statement: the table is missing, or not ours.
pub(super) fn own_refused(error: tokio_postgres::Error) -> Failure {
    match fault::sqlstate(&error) {
        Some(state) if state.starts_with("42") => {
            let failed = Error::internal("rowcast's own tables cannot be used");
            Failure::Final(failed.with_source(error))
        }
        _ => refused(error, Speech::Guarded),
    }
}

fn refused(error: tokio_postgres::Error, speech: Speech) -> Failure {
    if is_outdated(&error) {
        return Failure::Outdated(fault::fault(error, speech));
    }
    match error.code() {
        None => stale(error),
        Some(_) => Failure::Final(fault::fault(error, speech)),
    }
}
