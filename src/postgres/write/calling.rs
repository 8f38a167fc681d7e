//! The call of a function that may write: its rows are read inside of the transaction that it writes in.

use super::{
    Applied, Written,
    again::body,
    attempt::{Next, Stop, text, within},
    refusal::answer_too_large,
    step::Telling,
};
use crate::{
    error::{Error, Result},
    identity::Identity,
    postgres::{
        actions::Did,
        database::Inner,
        fault::{self, Speech},
        lease::Lease,
        session,
        sql::{self, Rendered},
    },
    query::{Query, WriteOptions},
    snapshot::Position,
};
use bytes::BytesMut;
use futures_util::TryStreamExt;
use std::pin::pin;
use tokio_postgres::Row;

/// One call on its way.
#[derive(Clone, Copy)]
pub(super) struct Calling<'a> {
    pub(super) database: &'a Inner,
    pub(super) identity: &'a Identity,
    pub(super) query: &'a Query,
    /// How many rows it may give, and whether it is undone.
    pub(super) options: &'a WriteOptions,
}

impl Calling<'_> {
    /// Calls the function, and reads what it gives.
    pub(super) async fn run(self, lease: &Lease) -> Result<Applied, Stop> {
        let (rendered, encoder) = sql::select(self.query, &self.identity.organization)?;
        let rows = async {
            let prepared = lease.statement(&rendered.sql).await?;
            let mut stream = pin!(lease.query_raw(&prepared, &rendered.parameters).await?);
            let (mut rows, mut bytes) = (Vec::new(), 0);
            let mut buffer = BytesMut::new();
            while let Some(row) = stream.try_next().await? {
                bytes += row.raw_size_bytes();
                if bytes > self.database.answer_bytes_max {
                    return Err(answer_too_large(self.database.answer_bytes_max).into());
                }
                rows.push(text(&encoder, &row, &mut buffer)?);
            }
            Ok(rows)
        };
        let rows: Vec<String> = rows.await.inspect_err(|stop| {
            if matches!(stop, Stop::Refused(_)) {
                lease.forget(&rendered.sql);
            }
        })?;
        let applied = Applied {
            count: rows.len() as u64,
            rows: Some(rows),
            ..Applied::default()
        };
        within(self.options, applied)
    }

    pub(super) fn stopped(self, stop: Stop, last: bool) -> Result<Next> {
        match stop {
            Stop::Final(error) => Err(error),
            Stop::Refused(error) if !last && session::is_outdated(&error) => Ok(Next::Again),
            Stop::Refused(error) => Err(self.explain(error)),
            Stop::Moved | Stop::Kept => Err(Error::internal("a call replaces nothing")),
        }
    }

    /// The words are the function's own, which somebody exposed for that.
    pub(super) fn explain(self, error: tokio_postgres::Error) -> Error {
        fault::fault(error, Speech::Open)
    }

    /// What is kept of it with the action: that it was done.
    pub(super) fn did(self, applied: &Applied) -> Did {
        Did {
            resource: self.query.resource().name.to_string(),
            rows: applied.count,
            created: false,
            keys: None,
        }
    }

    /// Only the state behind the commit.
    pub(super) fn then(self) -> Rendered {
        Rendered {
            sql: "select 1".into(),
            parameters: Vec::new(),
        }
    }

    pub(super) fn answer(
        self,
        applied: &Applied,
        seen: Option<(Position, Vec<Row>)>,
        how: Telling,
    ) -> Written {
        Written {
            body: applied.rows.as_ref().map(|rows| body(rows, true)),
            rows: applied.count,
            created: false,
            id: None,
            key: None,
            etag: None,
            position: seen.map(|(position, _)| position),
            repeated: how.repeated,
        }
    }
}
