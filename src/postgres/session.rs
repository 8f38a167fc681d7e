//! Identity → transaction: role and claims are set in the same round trip as the first statement.
//!
//! Architecture invariant: no statement of a caller's runs outside a transaction that has the
//! caller's role. A transaction that could not begin, or whose role could not be set, hands out
//! nothing of what was sent behind it in the same round trip, and statements that write are sent
//! only once both are known to have succeeded.

use super::{
    fault::{self, Speech},
    lease::Lease,
    sql::Rendered,
};
use crate::{
    error::{Error, Kind, Result},
    identity::{Identity, Role},
    snapshot::Snapshot,
};
use futures_util::TryStreamExt;
use std::time::Duration;
use tokio_postgres::{Column, Row, RowStream, Statement, types::ToSql};

const BEGIN_READ: &str = "begin isolation level repeatable read read only";
const BEGIN_WRITE: &str = "begin isolation level read committed read write";
const END: &str = "commit";
const SETTINGS: &str = include_str!("../../sql/session/begin.sql");

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
}

/// Rows on their way, with the state that they are of.
pub(super) struct Reading {
    pub(super) snapshot: Snapshot,
    pub(super) rows: RowStream,
    statement: Statement,
}

impl Reading {
    /// What the rows consist of.
    pub(super) fn columns(&self) -> &[Column] {
        self.statement.columns()
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
) -> Result<Reading, Failure> {
    let begin = lease.statement(SETTINGS).await.map_err(stale)?;
    let (began, told, rows) = match lease.prepared(&query.sql) {
        Some(statement) => {
            lease.busy();
            let (began, told, rows, _) = tokio::join!(
                biased;
                lease.batch_execute(BEGIN_READ),
                set(lease, &begin, settings),
                lease.query_raw(&statement, &query.parameters),
                lease.simple_query_raw(END),
            );
            (began, told, rows.map(|rows| (rows, statement)))
        }
        None => {
            // Naming a table needs the right to use its schema, which the caller's role has and ours
            // may lack: so the statement is prepared inside the transaction.
            lease.busy();
            let (began, told, statement) = tokio::join!(
                biased;
                lease.batch_execute(BEGIN_READ),
                set(lease, &begin, settings),
                lease.statement(&query.sql),
            );
            let rows = match statement {
                Ok(statement) => {
                    let (rows, _) = tokio::join!(
                        biased;
                        lease.query_raw(&statement, &query.parameters),
                        lease.simple_query_raw(END),
                    );
                    rows.map(|rows| (rows, statement))
                }
                Err(error) => {
                    let _ = lease.simple_query_raw(END).await;
                    Err(error)
                }
            };
            (began, told, rows)
        }
    };
    if rows.is_err() {
        // Nothing runs any more, and the transaction's end is on its way behind.
        lease.idle();
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

/// Begins a transaction that writes. A `question`, which reads only, is asked in the same round trip
/// if this connection knows it already; its rows are handed out only if the transaction is there and
/// has the caller's role.
pub(super) async fn begin_write(
    lease: &mut Lease,
    settings: Settings<'_>,
    question: Option<&Rendered>,
) -> Result<Option<Result<Vec<Row>, tokio_postgres::Error>>, Failure> {
    let begin = lease.statement(SETTINGS).await.map_err(stale)?;
    lease.busy();
    let asked = async {
        let question = question?;
        let statement = lease.prepared(&question.sql)?;
        let rows =
            async { collect(lease.query_raw(&statement, &question.parameters).await?).await };
        Some(rows.await)
    };
    let (began, told, answer) = tokio::join!(
        biased;
        lease.batch_execute(BEGIN_WRITE),
        set(lease, &begin, settings),
        asked,
    );
    match confirm(began, told, settings.identity) {
        Ok(_) => Ok(answer),
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

/// Makes a transaction's writes last, calls `committed` as soon as they do, and runs one query in a
/// read-only transaction behind it: in the same round trip, if this connection knows the query already.
///
/// # Errors
/// The outer one is the commit's, and then there is nothing to be read; the inner one the query's.
pub(super) async fn commit_and_read(
    lease: &mut Lease,
    settings: Settings<'_>,
    query: &Rendered,
    committed: impl FnOnce(),
) -> Result<Result<(Snapshot, Vec<Row>), Failure>, tokio_postgres::Error> {
    let commit = async {
        let result = lease.batch_execute(END).await;
        if result.is_ok() {
            committed();
        }
        result
    };
    let known = lease.prepared(SETTINGS).zip(lease.prepared(&query.sql));
    let Some((begin, statement)) = known else {
        let result = commit.await;
        ended(lease, &result);
        result?;
        return Ok(read_whole(lease, settings, query).await);
    };
    let rows = async { collect(lease.query_raw(&statement, &query.parameters).await?).await };
    let (result, began, told, rows, _) = tokio::join!(
        biased;
        commit,
        lease.batch_execute(BEGIN_READ),
        set(lease, &begin, settings),
        rows,
        lease.simple_query_raw(END),
    );
    ended(lease, &result);
    result?;
    let read = confirm(began, told, settings.identity).and_then(|snapshot| {
        rows.map(|rows| (snapshot, rows)).map_err(|error| {
            lease.forget(&query.sql);
            refused(error, Speech::Guarded)
        })
    });
    Ok(read)
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
    let reading = read(lease, settings, query, Speech::Guarded).await?;
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
async fn set(
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

fn refused(error: tokio_postgres::Error, speech: Speech) -> Failure {
    if is_outdated(&error) {
        return Failure::Outdated(fault::fault(error, speech));
    }
    match error.code() {
        None => stale(error),
        Some(_) => Failure::Final(fault::fault(error, speech)),
    }
}
