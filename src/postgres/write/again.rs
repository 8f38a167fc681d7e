//! The rows of a committed write as they now are, with the state that they are of.
//!
//! A snapshot taken inside the writing transaction does not order its own write, so the rows are read
//! once more, by their keys, together with a fresh one.

use super::{Applied, Work, Written, attempt::text, step::Telling};
use crate::{
    catalog::Resource,
    error::Result,
    postgres::{
        actions::Did,
        encode::RowEncoder,
        sql::{self, Rendered},
    },
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
                let shown = self.wanted();
                self.fenced().again(&keys, shown, self.write.etag)
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
        let wanted = self.wanted().is_some() || !self.write.is_many();
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
        let wanted = self.wanted();
        let key = match applied.keys.as_deref() {
            Some([key]) => parts(&self.write.resource, key),
            _ => None,
        };
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
                .filter(|_| wanted.is_some())
                .map(|rows| body(rows, many)),
            rows: applied.count,
            created: applied.created,
            id: key.as_ref().filter(|_| !many).map(|parts| {
                let texts = parts.iter().map(|(_, text)| text.as_str());
                encode_id(texts)
            }),
            key,
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
        let encoder = wanted.map(sql::encoder);
        let behind = encoder.as_ref().map_or(0, RowEncoder::len);
        if !many {
            let etag = rows
                .first()
                .map(|row| row.try_get::<_, Option<String>>(behind));
            written.etag = etag.and_then(Result::ok).flatten();
        }
        if let Some(encoder) = encoder.filter(|_| many || all) {
            let mut buffer = BytesMut::new();
            let texts = rows.iter().map(|row| text(&encoder, row, &mut buffer));
            match texts.collect::<Result<Vec<String>>>() {
                Ok(rows) => written.body = Some(body(&rows, many)),
                Err(error) => {
                    tracing::warn!(%error, "rows that were written could not be encoded again");
                    written.position = None;
                }
            }
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
pub(super) fn body(rows: &[String], many: bool) -> Bytes {
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

/// The columns of a key, given as a JSON object, each with its value as text.
fn parts(resource: &Resource, key: &str) -> Option<Vec<(String, String)>> {
    let members: HashMap<String, Box<RawValue>> = serde_json::from_str(key).ok()?;
    resource
        .key_columns()
        .map(|column| {
            let json = members.get(&*column.name)?.get();
            let text = serde_json::from_str::<String>(json);
            let text = text.unwrap_or_else(|_| json.to_owned());
            Some((column.name.to_string(), text))
        })
        .collect()
}
