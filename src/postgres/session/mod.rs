//! Identity → transaction: role and claims are set in the same round trip as the first statement.
//!
//! Architecture invariant: no statement of a caller's runs outside a transaction that has the
//! caller's role. A transaction that could not begin, or whose role could not be set, hands out
//! nothing of what was sent behind it in the same round trip, and statements that write are sent
//! only once both are known to have succeeded.

mod commit;
mod failure;
mod read;

use super::{
    actions::{Found, Prepared, Taking},
    fault,
    lease::Lease,
    sql::Rendered,
};
use crate::{identity::Identity, query::TimeZone, snapshot::Snapshot};
pub(super) use commit::{Recording, commit_and_read};
use failure::stale;
pub(super) use failure::{Failure, is_outdated, own_refused, role_not_allowed};
pub(super) use read::{Looked, Reading, Then, read, read_each, read_more, read_whole};
use std::{borrow::Cow, time::Duration};
use tokio_postgres::{Row, Statement, types::ToSql};

pub(super) const BEGIN_READ: &str = "begin isolation level repeatable read read only";
const BEGIN_WRITE: &str = "begin isolation level read committed read write";
pub(super) const END: &str = "commit";
pub(super) const SETTINGS: &str = include_str!("../../../sql/session/begin.sql");

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
            async { read::collect(lease.query_raw(&statement, &question.parameters).await?).await };
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

/// Prepares a statement about rowcast's own tables, outside of any transaction.
pub(super) async fn own(lease: &Lease, sql: &str) -> Result<Statement, Failure> {
    lease.statement(sql).await.map_err(own_refused)
}
