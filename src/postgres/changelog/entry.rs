//! Entries of the change log, as the feed reads them.

use crate::{catalog::Oid, snapshot::Xid};
use bytes::BytesMut;
use std::{error::Error as StdError, sync::Arc};
use tokio_postgres::{
    Row,
    types::{FromSql, IsNull, ToSql, Type, to_sql_checked},
};

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The transaction that wrote it; 0 in a summary.
    pub xid: Xid,
    /// The relation that the statement named.
    pub relation: Oid,
    /// What the statement was.
    pub hint: Hint,
    /// The key's parts, in key order; `None` where the whole relation is concerned, or where a
    /// column of the key was not there.
    pub key: Option<Vec<Arc<str>>>,
    /// The row's organization, from its own column.
    pub organization: Option<Arc<str>>,
    /// The key of the row through which it belongs to an organization.
    pub reference: Option<Arc<str>>,
    /// It is many entries in one, which refer to rows that are not named here.
    pub refers: bool,
    /// The action that the writer named.
    pub action: Option<Arc<str>>,
}

/// What an entry says happened. What really happened is found by reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// A row was inserted.
    Insert,
    /// A row was updated.
    Update,
    /// A row was deleted.
    Delete,
    /// A row was updated and has another key or another owner since; this is what it had.
    Left,
    /// Something changed.
    Anything,
    /// The relation was truncated.
    Truncate,
    /// The relation's shape changed, or it is logged from here on.
    Shape,
}

impl Hint {
    /// Whether it says of one row what happened to it.
    pub fn is_of_a_row(self) -> bool {
        matches!(
            self,
            Self::Insert | Self::Update | Self::Delete | Self::Left
        )
    }

    pub(super) fn of(op: i8) -> Self {
        match op.cast_unsigned() {
            b'i' => Self::Insert,
            b'u' => Self::Update,
            b'd' => Self::Delete,
            b'o' => Self::Left,
            b't' => Self::Truncate,
            b's' => Self::Shape,
            _ => Self::Anything,
        }
    }
}

impl Entry {
    /// An entry with its place in the order of writing, from `new_since.sql`.
    pub(super) fn of(row: &Row) -> Result<(i64, Self), tokio_postgres::Error> {
        let Xid8(xid) = row.try_get("xid")?;
        let key: Option<Vec<Option<&str>>> = row.try_get("key")?;
        let text = |name| Ok(row.try_get::<_, Option<&str>>(name)?.map(Arc::from));
        let entry = Self {
            xid,
            relation: row.try_get("relation")?,
            hint: Hint::of(row.try_get("op")?),
            key: key.and_then(|parts| parts.into_iter().map(|it| it.map(Arc::from)).collect()),
            organization: text("organization")?,
            reference: text("reference")?,
            refers: false,
            // A session that names no action any more says so with an empty text.
            action: text("action_id")?.filter(|it: &Arc<str>| !it.is_empty()),
        };
        Ok((row.try_get("seq")?, entry))
    }
}

/// A transaction id as a parameter or a value of type `xid8`: eight bytes, the highest first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Xid8(pub(super) Xid);

impl ToSql for Xid8 {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        out.extend_from_slice(&self.0.to_be_bytes());
        Ok(IsNull::No)
    }

    fn accepts(type_: &Type) -> bool {
        *type_ == Type::XID8
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Xid8 {
    fn from_sql(_: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(Xid::from_be_bytes(bytes.try_into()?)))
    }

    fn accepts(type_: &Type) -> bool {
        *type_ == Type::XID8
    }
}
