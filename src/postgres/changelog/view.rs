//! Views: states of the database that are kept open for reading.
//!
//! A view is a read-only transaction of isolation level repeatable read. The feed keeps the view of
//! the last batch's end and opens the next beside it. A view may be idle for long, so it holds no
//! locks: whatever takes one runs behind a savepoint, and rolling back to it gives the lock back.
//! Otherwise a quiet feed would make an application's `alter table` wait for ever, and everybody
//! behind it.

use super::{
    entry::Entry,
    flight::{Sent, in_order},
    readers::Guard,
    relations::{SHAPES, Shape, Shapes},
};
use crate::{
    catalog::Oid,
    error::{Error, Result},
    postgres::{connection::Connection, fault},
    snapshot::Snapshot,
};
use futures_util::FutureExt;
use tokio_postgres::{Row, Statement, types::ToSql};

pub(super) const MARK: &str = "savepoint locks";
/// The same, for what reads the log: by its indexes, whatever the planner believes. Plans outlive the
/// moment in which a part is empty and a scan of it the cheapest; rolling back takes the setting back.
pub(super) const MARK_FOR_LOG: &str =
    "savepoint locks; set local enable_seqscan = off; set local enable_bitmapscan = off";
/// The same where there is no savepoint to roll back to, and its opposite.
pub(super) const BY_INDEX: &str =
    "set local enable_seqscan = off; set local enable_bitmapscan = off";
pub(super) const BY_ANY: &str = "set local enable_seqscan = on; set local enable_bitmapscan = on";
pub(super) const RELEASE: &str = "rollback to savepoint locks; release savepoint locks";
pub(super) const KEPT: &str = include_str!("../../../sql/feed/kept.sql");

/// A state of the database, open for reading. Dropping it gives its connection back.
#[derive(Debug)]
pub struct View {
    pub(super) guard: Guard,
    pub(super) snapshot: Snapshot,
    pub(super) exported: Option<String>,
    pub(super) broken_off: bool,
}

impl View {
    /// Which state it is.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The shapes of the relations in the exposed schemas and of these others, in this state.
    ///
    /// # Errors
    /// `DatabaseUnavailable`, or as PostgreSQL says.
    pub async fn shapes(&self, others: &[Oid]) -> Result<Shapes> {
        let connection = self.connection();
        let statement = self.statement(SHAPES).await.map_err(failed)?;
        let schemas = &self.guard.readers.database.config().database.schemas;
        let parameters: [&(dyn ToSql + Sync); 2] = [schemas, &others];
        let mut answers = in_order(vec![
            simple(connection, MARK),
            query(connection, &statement, &parameters),
            simple(connection, RELEASE),
        ])
        .await
        .into_iter()
        .skip(1);
        let rows = answers.next().unwrap_or(Ok(Vec::new())).map_err(failed)?;
        Ok(rows.iter().map(Shape::of).collect())
    }

    /// The name under which other connections find it, for as long as it is open.
    pub(super) fn exported(&self) -> Option<&str> {
        self.exported.as_deref()
    }

    /// Something may be running on the connection, which ends with the view.
    pub(super) fn break_off(&mut self) {
        self.broken_off = true;
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.guard
    }

    /// Prepares a statement without keeping the locks that this takes.
    pub(super) async fn statement(&self, sql: &str) -> Result<Statement, tokio_postgres::Error> {
        let connection = self.connection();
        if let Some(statement) = connection.prepared(sql) {
            return Ok(statement);
        }
        connection.batch_execute(MARK).await?;
        let prepared = connection.statement(sql).await;
        connection.batch_execute(RELEASE).await?;
        prepared
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if self.broken_off {
            return;
        }
        // Sent, and not waited for: whatever this connection does next comes behind it.
        let ending = self.guard.batch_execute("rollback").now_or_never();
        if !matches!(ending, Some(Err(_))) {
            self.guard.intact();
        }
    }
}

/// Statements of the simple protocol, whose answer is nothing.
pub(super) fn simple<'a>(
    connection: &'a Connection,
    sql: &'a str,
) -> Sent<'a, Result<Vec<Row>, tokio_postgres::Error>> {
    Box::pin(async move { connection.batch_execute(sql).await.map(|()| Vec::new()) })
}

pub(super) fn query<'a>(
    connection: &'a Connection,
    statement: &'a Statement,
    parameters: &'a [&'a (dyn ToSql + Sync)],
) -> Sent<'a, Result<Vec<Row>, tokio_postgres::Error>> {
    Box::pin(connection.query(statement, parameters))
}

pub(super) fn entries(rows: &[Row]) -> Result<Vec<Entry>> {
    let mut entries: Vec<(i64, Entry)> = rows
        .iter()
        .map(Entry::of)
        .collect::<Result<_, _>>()
        .map_err(fault::unavailable)?;
    entries.sort_unstable_by_key(|it| it.0);
    Ok(entries.into_iter().map(|it| it.1).collect())
}

/// Whether the log had all that came after `since`, by what `kept.sql` answered after it was read.
pub(super) fn is_whole(kept: &[Row], since: &Snapshot) -> Result<bool> {
    let row = kept
        .first()
        .ok_or_else(|| Error::internal("a sequence has a row"))?;
    let kept: i64 = row.try_get(0).map_err(fault::unavailable)?;
    Ok(since.version().0 >= kept.unsigned_abs())
}

pub(super) fn failed(error: tokio_postgres::Error) -> Error {
    fault::fault(error, fault::Speech::Open)
}
