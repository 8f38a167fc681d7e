//! Writes: one transaction, then the rows again as they now are.
//!
//! The order is: take the action, see that every row that the body refers to is visible, write, see that
//! the rows are where the caller may have them, record the action, commit, wake the feed, read again.
//! Nothing here announces a change: the feed hears of a write made here like of any other program's.
//!
//! Every write of whatever kind runs through [`transaction`]; what there is to do in it is a [`Step`].

mod again;
mod attempt;
mod calling;
mod refusal;
mod step;
mod transaction;

use super::database::Inner;
use crate::{
    catalog::Resource,
    error::{Error, Kind, Result},
    identity::Identity,
    query::{Action, Query, Write, WriteOptions},
    snapshot::Position,
};
use bytes::Bytes;
use calling::Calling;
use step::Step;
use transaction::Transaction;

/// What a write did.
#[derive(Debug, Clone)]
pub struct Written {
    /// The rows: an object for an item and for a created object, an array for an array and for
    /// writes by filter; `None` if none were asked for or the role may not read them.
    pub body: Option<Bytes>,
    /// How many rows were written.
    pub rows: u64,
    /// Whether a row was created.
    pub created: bool,
    /// Of a single row: its id as a segment of a path, percent-encoded.
    pub id: Option<String>,
    /// Of exactly one row: the columns of its key, with their values as text.
    pub key: Option<Vec<(String, String)>>,
    /// Of a single row that still exists: its entity tag without the quotes.
    pub etag: Option<String>,
    /// The state that `body` was read from; `None` if the row was gone again by then.
    pub position: Option<Position>,
    /// Whether it was done before, under the same action, and not again. Then `body` has the rows that
    /// the caller sees now; of a delete, their keys.
    pub repeated: bool,
}

/// One write on its way.
#[derive(Clone, Copy)]
struct Work<'a> {
    database: &'a Inner,
    identity: &'a Identity,
    write: &'a Write,
}

/// What a committed write returned.
#[derive(Debug, Default)]
struct Applied {
    /// The keys of the rows, each a JSON object; `None` if the role may not read them.
    keys: Option<Vec<String>>,
    /// The rows as they were written, each a JSON object; for a delete, as they were.
    rows: Option<Vec<String>>,
    count: u64,
    created: bool,
}

/// Carries out a write.
pub(super) async fn write(
    database: &Inner,
    identity: &Identity,
    write: &Write,
    action: Option<&Action>,
) -> Result<Written> {
    let step = Step::Write(Work {
        database,
        identity,
        write,
    });
    single(database, identity, step, action).await
}

/// Calls a function that may write, in a transaction like a write's.
pub(super) async fn call(
    database: &Inner,
    identity: &Identity,
    query: &Query,
    options: &WriteOptions,
    action: Option<&Action>,
) -> Result<Written> {
    let step = Step::Call(Calling {
        database,
        identity,
        query,
        options,
    });
    single(database, identity, step, action).await
}

/// Does one thing in a transaction of its own.
async fn single(
    database: &Inner,
    identity: &Identity,
    step: Step<'_>,
    action: Option<&Action>,
) -> Result<Written> {
    let mut written = Transaction {
        database,
        identity,
        action,
        steps: &[step],
        is_batch: false,
    }
    .run()
    .await?;
    let unanswered = || Error::internal("a transaction without an answer");
    written.pop().ok_or_else(unanswered)
}

/// Carries out several writes in one transaction: all or none. The answers are in the order of the
/// writes, all read in one snapshot.
pub(super) async fn batch(
    database: &Inner,
    identity: &Identity,
    writes: &[Write],
    action: Option<&Action>,
) -> Result<Vec<Written>> {
    let steps: Vec<Step<'_>> = writes
        .iter()
        .map(|write| {
            Step::Write(Work {
                database,
                identity,
                write,
            })
        })
        .collect();
    Transaction {
        database,
        identity,
        action,
        steps: &steps,
        is_batch: true,
    }
    .run()
    .await
}

impl Work<'_> {
    /// Refuses what names an organization that is not the caller's.
    fn admit(self) -> Result<()> {
        match self.write.names_other(&self.identity.organization) {
            None => Ok(()),
            Some(Kind::OrganizationNotAllowed) => Err(Error::new(
                Kind::OrganizationNotAllowed,
                "The body names an organization that is not the caller's.",
            )),
            Some(_) => Err(row_unknown(&self.write.resource)),
        }
    }
}

/// The answer for a row that does not exist, or that the caller may not see: the same for both.
fn row_unknown(resource: &Resource) -> Error {
    super::read::row_unknown(resource)
}
