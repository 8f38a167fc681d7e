//! Writes: one transaction, then the rows again as they now are.

use crate::snapshot::Position;
use bytes::Bytes;

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
