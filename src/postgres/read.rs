//! Reads: a query's rows as JSON, whole or one after the other, with the state that they are of.

use crate::{error::Result, snapshot::Position};
use bytes::{Bytes, BytesMut};

/// The rows of a query, whole.
#[derive(Debug, Clone)]
pub struct Listing {
    /// A JSON array.
    pub body: Bytes,
    /// How many rows it has.
    pub rows: u64,
    /// The state that they are of.
    pub position: Position,
}

/// One row.
#[derive(Debug, Clone)]
pub struct Item {
    /// A JSON object.
    pub body: Bytes,
    /// The entity tag without its quotes, made from the row's `xmin`; `None` where rows have none.
    pub etag: Option<String>,
    /// The state that it is of.
    pub position: Position,
}

/// Rows as lines in one buffer: each is written as `prefix`, the row's JSON, `suffix`.
#[derive(Debug, Default)]
pub struct RowBuffer {
    /// What stands before each row.
    pub prefix: Vec<u8>,
    /// What stands behind each row.
    pub suffix: &'static [u8],
    /// The lines so far.
    pub bytes: BytesMut,
    /// Where each line ends in `bytes`.
    pub ends: Vec<usize>,
}

/// The rows of a query as they arrive. Dropping it cancels the statement in PostgreSQL.
#[derive(Debug)]
pub struct RowStream {
    /// The state that all rows are of.
    pub position: Position,
}

impl RowStream {
    /// Waits until rows are there and appends those that are, up to some 64 KiB; says how many, 0 at
    /// the end. The connection is free as soon as the last row has been read, which is often before
    /// the end is asked for.
    ///
    /// # Errors
    /// As PostgreSQL says; `StatementTimeout` if it says nothing for longer than the limit.
    pub async fn next(&mut self, out: &mut RowBuffer) -> Result<usize> {
        let _ = out;
        Ok(0)
    }
}
