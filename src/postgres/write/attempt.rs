//! One write inside its transaction: what is asked before, what is written, what stops it.

use super::{Applied, Work, row_unknown};
use crate::{
    error::{Error, Kind, Result},
    postgres::{
        lease::Lease,
        session::{self, Settings},
        sql::{Fenced, Rendered, Returning},
    },
    query::{
        Answer, Query,
        write::{Given, Operation},
    },
};
use futures_util::TryStreamExt;
use std::pin::pin;
use tokio_postgres::Row;

/// What follows when a transaction was given up, if not an error.
pub(super) enum Next {
    /// The same may go through now.
    Again,
}

/// Why a transaction is given up.
pub(super) enum Stop {
    /// PostgreSQL refused a statement.
    Refused(tokio_postgres::Error),
    /// We do.
    Final(Error),
    /// The row to be replaced came or went meanwhile.
    Moved,
    /// The row is there to be seen, but either it is there only now, or a policy keeps it as it is.
    Kept,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

impl From<tokio_postgres::Error> for Stop {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Refused(error)
    }
}

impl<'a> Work<'a> {
    pub(super) fn settings(self) -> Settings<'a> {
        Settings {
            identity: self.identity,
            statement_timeout: self.database.statement_timeout,
            action: "",
        }
    }

    pub(super) fn fenced(self) -> Fenced<'a> {
        Fenced {
            write: self.write,
            organization: &self.identity.organization,
        }
    }

    /// Whether the answer is to hold the rows.
    pub(super) fn wants_rows(self) -> bool {
        self.write.options.answer == Answer::Rows && !self.write.columns.is_empty()
    }

    /// Writes.
    pub(super) async fn run(self, lease: &Lease) -> Result<Applied, Stop> {
        let fenced = self.fenced();
        let returning = Returning {
            keys: self.wants_rows() || !self.write.is_many(),
            rows: self.wants_rows(),
        };
        match &self.write.operation {
            Operation::Create { given, .. } if given.rows == 0 => Ok(Applied {
                keys: Some(Vec::new()),
                rows: Some(Vec::new()),
                ..Applied::default()
            }),
            Operation::Create { given, .. } => self.insert(lease, given, returning).await,
            Operation::Update { target, given } => {
                let statement = match given.columns.is_empty() {
                    true => fenced.keep(target, returning)?,
                    false => fenced.update(target, given, &[], returning)?,
                };
                self.found(lease, &statement, target).await
            }
            Operation::Delete { target } => {
                let statement = fenced.delete(target, returning)?;
                self.found(lease, &statement, target).await
            }
            Operation::Replace {
                target,
                given,
                absent,
            } => {
                let statement = fenced.update(target, given, absent, returning)?;
                let applied = self.write_rows(lease, &statement).await?;
                if applied.count > 0 {
                    return Ok(applied);
                }
                self.expect_absent(lease, target).await?;
                self.insert(lease, given, returning).await
            }
        }
    }

    async fn insert(
        self,
        lease: &Lease,
        given: &Given,
        returning: Returning,
    ) -> Result<Applied, Stop> {
        // Reading back what was inserted needs the right to see it, which a policy may deny; then a
        // caller who wants nothing back can still insert.
        let write_only = !returning.rows && self.write.resource.row_security;
        let returning = (!write_only).then_some(returning);
        let statement = self.fenced().insert(given, returning)?;
        match self.write_rows(lease, &statement).await {
            Ok(applied) => Ok(Applied {
                created: true,
                ..applied
            }),
            Err(Stop::Refused(error)) if self.replaces() && self.collides_by_key(&error) => {
                Err(Stop::Moved)
            }
            Err(stop) => Err(stop),
        }
    }

    /// Runs a statement that changes rows that exist; an item that it does not find is an error.
    async fn found(
        self,
        lease: &Lease,
        statement: &Rendered,
        target: &Query,
    ) -> Result<Applied, Stop> {
        let applied = self.write_rows(lease, statement).await?;
        if applied.count > 0 || !target.is_item() {
            return Ok(applied);
        }
        if !self.seen(lease, target).await? {
            return Err(row_unknown(&self.write.resource).into());
        }
        if self.expects_tags() {
            return Err(precondition_failed().into());
        }
        Err(Stop::Kept)
    }

    /// Before a row is created in its place: no row was found that could be replaced.
    async fn expect_absent(self, lease: &Lease, target: &Query) -> Result<(), Stop> {
        if self.write.options.if_match.is_some() {
            return Err(precondition_failed().into());
        }
        match self.seen(lease, target).await? {
            true => Err(Stop::Kept),
            false => Ok(()),
        }
    }

    async fn seen(self, lease: &Lease, target: &Query) -> Result<bool, Stop> {
        let rows = ask(lease, &self.fenced().seen(target)?).await?;
        Ok(!rows.is_empty())
    }

    fn expects_tags(self) -> bool {
        let tags = &self.write.options.if_match;
        tags.as_ref().is_some_and(|tags| !tags.is_empty())
    }

    fn replaces(self) -> bool {
        matches!(self.write.operation, Operation::Replace { .. })
    }

    /// What is to be asked of the rows that the body refers to, if it refers to any.
    pub(super) fn question(self) -> Result<Option<Rendered>> {
        let references = &self.write.references;
        match self.write.given() {
            Some(given) if given.rows > 0 && !references.is_empty() => {
                self.fenced().dangling(given, references).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Refuses references to rows that the caller does not see, whether they exist or not.
    pub(super) async fn look_at_references(
        self,
        lease: &Lease,
        question: &Rendered,
        answered: Option<Result<Vec<Row>, tokio_postgres::Error>>,
    ) -> Result<(), Stop> {
        let rows = match answered {
            Some(answered) => answered.inspect_err(|_| lease.forget(&question.sql))?,
            None => ask(lease, question).await?,
        };
        let row = rows
            .first()
            .ok_or_else(|| Error::internal("a question without an answer"))?;
        for (place, reference) in self.write.references.iter().enumerate() {
            if row.try_get(place)? {
                return Err(super::refusal::reference_missing(&reference.label).into());
            }
        }
        Ok(())
    }

    /// Runs a statement that writes, and sees that all of its rows are inside the fence and that they
    /// are no more than an answer may hold.
    async fn write_rows(self, lease: &Lease, statement: &Rendered) -> Result<Applied, Stop> {
        let rows = self.read_rows(lease, statement).await;
        if matches!(rows, Err(Stop::Refused(_))) {
            lease.forget(&statement.sql);
        }
        rows
    }

    async fn read_rows(self, lease: &Lease, statement: &Rendered) -> Result<Applied, Stop> {
        let prepared = lease.statement(&statement.sql).await?;
        let mut stream = pin!(lease.query_raw(&prepared, &statement.parameters).await?);
        let (mut keys, mut rows, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some(row) = stream.try_next().await? {
            if row.try_get::<_, Option<bool>>("inside")? == Some(false) {
                return Err(super::refusal::row_not_allowed().into());
            }
            bytes += row.raw_size_bytes();
            keys.extend(row.try_get::<_, Option<String>>("key")?);
            rows.extend(row.try_get::<_, Option<String>>("row")?);
            if self.wants_rows() && bytes > self.database.answer_bytes_max {
                return Err(answer_too_large(self.database.answer_bytes_max).into());
            }
        }
        let count = stream.rows_affected().unwrap_or_default();
        let all = |texts: Vec<String>| (texts.len() as u64 == count).then_some(texts);
        Ok(Applied {
            keys: all(keys),
            rows: all(rows),
            count,
            created: false,
        })
    }

    /// What a transaction that was given up means.
    pub(super) async fn stopped(self, stop: Stop, last: bool) -> Result<Next> {
        match stop {
            Stop::Final(error) => Err(error),
            Stop::Moved | Stop::Kept if !last => Ok(Next::Again),
            // A row of that key exists, but not for the caller.
            Stop::Moved => Err(row_unknown(&self.write.resource)),
            Stop::Kept => Err(super::refusal::row_not_allowed()),
            Stop::Refused(error) if !last && session::is_outdated(&error) => Ok(Next::Again),
            Stop::Refused(error) => Err(self.explain(error).await),
        }
    }
}

/// The rows of a question.
async fn ask(lease: &Lease, question: &Rendered) -> Result<Vec<Row>, tokio_postgres::Error> {
    let answer = async {
        let prepared = lease.statement(&question.sql).await?;
        let rows = lease.query_raw(&prepared, &question.parameters).await?;
        rows.try_collect().await
    };
    answer.await.inspect_err(|_| lease.forget(&question.sql))
}

fn precondition_failed() -> Error {
    Error::new(
        Kind::PreconditionFailed,
        "The row is not in the state that If-Match names.",
    )
}

/// The answer to a write of more rows than it may answer.
pub(super) fn answer_too_large(bytes_max: usize) -> Error {
    Error::new(
        Kind::AnswerTooLarge,
        format!("The answer would be larger than {bytes_max} bytes, so nothing was written."),
    )
    .with_hint("Ask for nothing back with \"Prefer: return=minimal\", or write fewer rows.")
}
