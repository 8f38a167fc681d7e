//! Writes: one transaction, then the rows again as they now are.
//!
//! The order is: see that every row that the body refers to is visible, write, see that the rows are
//! where the caller may have them, commit, wake the feed, read again. Nothing here announces a change:
//! the feed hears of a write made here like of any other program's.

mod again;
mod attempt;
mod refusal;

use super::database::Inner;
use crate::{
    catalog::Resource,
    error::{Error, Kind, Result},
    identity::Identity,
    query::{ActionId, Write},
    snapshot::Position,
};
use attempt::{Attempt, Looked};
use bytes::Bytes;

/// How often a write is tried: when its connection turns out to be dead before anything ran, a plan to
/// be out of date, or when a row that it replaces comes or goes at the same moment.
const ATTEMPTS: usize = 4;

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
    /// Of a single row that still exists: its entity tag without the quotes.
    pub etag: Option<String>,
    /// The state that `body` was read from; `None` if the row was gone again by then.
    pub position: Option<Position>,
}

/// One write on its way.
#[derive(Clone, Copy)]
struct Work<'a> {
    database: &'a Inner,
    identity: &'a Identity,
    write: &'a Write,
    action: Option<&'a ActionId>,
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
    action: Option<&ActionId>,
) -> Result<Written> {
    let work = Work {
        database,
        identity,
        write,
        action,
    };
    work.admit()?;
    let (applied, looked) = work.apply().await?;
    work.answer(applied, looked).await
}

impl<'a> Work<'a> {
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

    /// Writes, commits and wakes the feed, and reads again.
    async fn apply(self) -> Result<(Applied, Looked)> {
        let mut number = 1;
        loop {
            let last = number == ATTEMPTS;
            match self.attempt(last).await? {
                Attempt::Done(applied, looked) => return Ok((applied, looked)),
                Attempt::Again => number += 1,
            }
        }
    }
}

/// The answer for a row that does not exist, or that the caller may not see: the same for both.
fn row_unknown(resource: &Resource) -> Error {
    super::read::row_unknown(resource)
}
