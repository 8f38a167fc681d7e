//! What there is to do in one transaction: the seam between the transaction and the kinds of writes.
//!
//! A further kind is a further variant, with an arm in each of these functions.

use super::{
    Applied, Work, Written,
    attempt::{Next, Stop},
    calling::Calling,
};
use crate::{
    error::{Error, Result},
    postgres::{actions::Did, lease::Lease, sql::Rendered},
    snapshot::Position,
};
use tokio_postgres::{Row, error::DbError};

/// One of the things that are done in one transaction.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    /// Rows of a resource.
    Write(Work<'a>),
    /// A function that may write.
    Call(Calling<'a>),
}

/// How what was done is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Telling {
    /// It was done before, and not again.
    pub(super) repeated: bool,
    /// Rows are told only if they are still there. Otherwise one that is gone again is told as it was
    /// written, without a position; where several answers share a position, it would seem to be of it.
    pub(super) present_only: bool,
}

impl Step<'_> {
    /// Refuses what needs no database to be refused.
    pub(super) fn admit(self) -> Result<()> {
        match self {
            Self::Write(work) => work.admit(),
            Self::Call(_) => Ok(()),
        }
    }

    /// What is to be asked before anything is written; sent along with the transaction's beginning,
    /// so it must only read.
    pub(super) fn question(self) -> Result<Option<Rendered>> {
        match self {
            Self::Write(work) => work.question(),
            Self::Call(_) => Ok(None),
        }
    }

    /// Does it. `answered` is the answer to the question if it was asked already.
    pub(super) async fn run(
        self,
        lease: &Lease,
        question: Option<&Rendered>,
        answered: Option<Result<Vec<Row>, tokio_postgres::Error>>,
    ) -> Result<Applied, Stop> {
        match self {
            Self::Write(work) => {
                if let Some(question) = question {
                    work.look_at_references(lease, question, answered).await?;
                }
                work.run(lease).await
            }
            Self::Call(calling) => calling.run(lease).await,
        }
    }

    /// What it means that it could not be done; the transaction is rolled back by then.
    pub(super) async fn stopped(self, stop: Stop, last: bool) -> Result<Next> {
        match self {
            Self::Write(work) => work.stopped(stop, last).await,
            Self::Call(calling) => calling.stopped(stop, last),
        }
    }

    /// Whether an error that came with the commit is about this.
    pub(super) fn concerns(self, error: &DbError) -> bool {
        match self {
            Self::Write(work) => work.is_own(error),
            Self::Call(_) => false,
        }
    }

    /// Whether it is undone once the answer is known.
    pub(super) fn is_rehearsal(self) -> bool {
        match self {
            Self::Write(work) => work.write.options.rehearsal,
            Self::Call(calling) => calling.options.rehearsal,
        }
    }

    /// What PostgreSQL's error means to the caller.
    pub(super) async fn explain(self, error: tokio_postgres::Error) -> Error {
        match self {
            Self::Write(work) => work.explain(error).await,
            Self::Call(calling) => calling.explain(error),
        }
    }

    /// What is recorded of it with the action.
    pub(super) fn did(self, applied: &Applied) -> Did {
        match self {
            Self::Write(work) => Did {
                resource: work.write.resource.name.to_string(),
                rows: applied.count,
                created: applied.created,
                keys: applied.keys.clone(),
            },
            Self::Call(calling) => calling.did(applied),
        }
    }

    /// Whether what is answered of it would be planned alike now.
    pub(super) fn is_current(self) -> Result<()> {
        match self {
            Self::Write(work) => match work.wanted() {
                Some(shown) => work.database.expect_current(shown),
                None => Ok(()),
            },
            Self::Call(calling) => calling.database.expect_current(calling.query),
        }
    }

    /// What is to be read once it is committed.
    pub(super) fn then(self, applied: &Applied) -> Result<Rendered> {
        match self {
            Self::Write(work) => work.then(applied),
            Self::Call(calling) => Ok(calling.then()),
        }
    }

    /// What the caller is told. `seen` is what was read behind the commit, if that could be read.
    pub(super) fn answer(
        self,
        applied: Applied,
        seen: Option<(Position, Vec<Row>)>,
        how: Telling,
    ) -> Written {
        match self {
            Self::Write(work) => work.answer(applied, seen, how),
            Self::Call(calling) => calling.answer(&applied, seen, how),
        }
    }
}
