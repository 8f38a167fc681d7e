//! The rows of a committed write as they now are, with the state that they are of.
//!
//! A snapshot taken inside the writing transaction does not order its own write, so the rows are read
//! once more, by their keys, together with a fresh one.

use super::{Applied, Work, Written, step::Telling};
use crate::{
    catalog::Resource,
    error::Result,
    postgres::{actions::Did, sql::Rendered},
    query::{encode_id, write::Operation},
    snapshot::Position,
};
use bytes::{BufMut, Bytes, BytesMut};
use serde_json::value::RawValue;
use std::collections::HashMap;
use tokio_postgres::Row;

impl Work<'_> {
    /// What is to be read once the write is committed.
    pub(super) fn then(self, applied: &Applied) -> Result<Rendered> {
        match self.keys(applied) {
            Some(keys) => {
                let keys = format!("[{}]", keys.join(","));
                let rows = self.wants_rows();
                self.fenced().again(&keys, rows, self.write.etag)
            }
            // The snapshot alone.
            None => Ok(Rendered {
                sql: "select 1".into(),
                parameters: Vec::new(),
            }),
        }
    }

    /// The keys of the rows that are to be read again.
    fn keys(self, applied: &Applied) -> Option<&[String]> {
        let deleted = matches!(self.write.operation, Operation::Delete { .. });
        let wanted = self.wants_rows() || !self.write.is_many();
        let keys = applied.keys.as_deref()?;
        (!deleted && wanted && !keys.is_empty()).then_some(keys)
    }

    /// What the caller is told of a write that has been committed, with the rows as they were `seen`
    /// behind that, if they could be read.
    pub(super) fn answer(
        self,
        applied: Applied,
        seen: Option<(Position, Vec<Row>)>,
        how: Telling,
    ) -> Written {
        let many = self.write.is_many();
        let wanted = self.wants_rows();
        let key = applied.keys.as_ref().and_then(|keys| keys.first());
        let again = self.keys(&applied).is_some();
        // Of rows that were deleted before, the keys are all that is left to tell.
        let deleted = how.repeated && matches!(self.write.operation, Operation::Delete { .. });
        let known = if deleted {
            &applied.keys
        } else {
            &applied.rows
        };
        let mut written = Written {
            body: known
                .as_ref()
                .filter(|_| wanted)
                .map(|rows| body(rows, many)),
            rows: applied.count,
            created: applied.created,
            id: key
                .filter(|_| !many)
                .and_then(|key| id(&self.write.resource, key)),
            etag: None,
            position: None,
            repeated: how.repeated,
        };
        let Some((position, rows)) = seen else {
            return written;
        };
        if !again {
            written.position = Some(position);
            return written;
        }
        let all = rows.len() as u64 == applied.count;
        if !all && !how.present_only {
            // Gone again, or out of sight.
            return written;
        }
        written.body = None;
        written.position = Some(position);
        let column = |row: &Row, name: &str| row.try_get::<_, Option<String>>(name).ok().flatten();
        if !many {
            written.etag = rows.first().and_then(|row| column(row, "etag"));
        }
        if wanted && (many || all) {
            let rows: Vec<String> = rows.iter().filter_map(|row| column(row, "row")).collect();
            written.body = Some(body(&rows, many));
        }
        written
    }
}

impl From<Did> for Applied {
    /// What is known of a write that was done before.
    fn from(did: Did) -> Self {
        Self {
            // Nothing written is nothing to show, which is an answer too.
            rows: (did.rows == 0).then(Vec::new),
            keys: did.keys,
            count: did.rows,
            created: did.created,
        }
    }
}

/// Rows as the body of an answer.
fn body(rows: &[String], many: bool) -> Bytes {
    if !many && let [row] = rows {
        return Bytes::copy_from_slice(row.as_bytes());
    }
    let length = rows.iter().map(|row| row.len() + 1).sum::<usize>() + 2;
    let mut body = BytesMut::with_capacity(length);
    body.put_u8(b'[');
    for (place, row) in rows.iter().enumerate() {
        if place > 0 {
            body.put_u8(b',');
        }
        body.put_slice(row.as_bytes());
    }
    body.put_u8(b']');
    body.freeze()
}

/// A key, given as a JSON object, as a segment of a path.
fn id(resource: &Resource, key: &str) -> Option<String> {
    let members: HashMap<String, Box<RawValue>> = serde_json::from_str(key).ok()?;
    let parts: Option<Vec<String>> = resource
        .key_columns()
        .map(|column| {
            let json = members.get(&*column.name)?.get();
            let text = serde_json::from_str::<String>(json);
            Some(text.unwrap_or_else(|_| json.to_owned()))
        })
        .collect();
    Some(encode_id(parts?.iter().map(String::as_str)))
}
