//! The end of a transaction that writes, and what is read right behind it.
//!
//! Knows nothing of what was written.

use super::{
    BEGIN_READ, END, SETTINGS, Settings, confirm,
    failure::refused,
    read::{Looked, each, read_each},
    set,
};
use crate::postgres::{
    actions::{Prepared, Taking},
    fault::Speech,
    lease::Lease,
    sql::Rendered,
};
use tokio_postgres::Statement;

/// What a transaction writes down of its action before it commits.
#[derive(Clone, Copy)]
pub(in crate::postgres) struct Recording<'a> {
    pub(in crate::postgres) taking: Taking<'a>,
    pub(in crate::postgres) prepared: &'a Prepared,
    pub(in crate::postgres) written: &'a str,
}

/// Records the action, if there is one, makes a transaction's writes last, calls `committed` as soon as
/// they do, and runs queries in one read-only transaction behind it: in the same round trip, if this
/// connection knows them already.
///
/// # Errors
/// The outer one is the commit's, and then nothing was written; the inner one the queries'.
pub(in crate::postgres) async fn commit_and_read(
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

/// After a commit was answered: one that PostgreSQL refuses (a deferred constraint) has rolled back.
fn ended(lease: &mut Lease, committed: &Result<(), tokio_postgres::Error>) {
    if committed.is_ok() || committed.as_ref().is_err_and(|it| it.code().is_some()) {
        lease.idle();
    }
}
