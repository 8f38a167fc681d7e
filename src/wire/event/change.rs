//! The JSON of a `change` event: what became of one row, and whose actions made it so.
//!
//! Knows neither batches nor who is told.

use super::{action_ids, string, text, version};
use crate::snapshot::Version;
use bytes::{BufMut, BytesMut};
use std::sync::Arc;

/// What a change did to a row, comparing the states before and after its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// The row was not there before.
    Insert,
    /// The row was there and is there still.
    Update,
    /// The row is no longer there.
    Delete,
    /// The row is still there, but this identity may no longer see it.
    Gone,
}

impl Op {
    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Op::Insert => "insert",
            Op::Update => "update",
            Op::Delete => "delete",
            Op::Gone => "gone",
        }
    }

    /// Whether the row is there afterwards, for the identity that is told.
    pub fn leaves_row(self) -> bool {
        matches!(self, Op::Insert | Op::Update)
    }
}

/// The actions that made a change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Actions {
    /// No write of the change carried an action id.
    #[default]
    None,
    /// Every write of the change carried this one.
    One(Arc<str>),
    /// The ids that there are; some writes carried another or none.
    Several(Arc<[Arc<str>]>),
}

impl Actions {
    /// The actions of two changes that became one: `One` stands only if both carry the same.
    pub fn merged(&self, later: &Actions) -> Actions {
        if self == later {
            return self.clone();
        }
        let mut all: Vec<Arc<str>> = Vec::new();
        for id in self.ids().iter().chain(later.ids()) {
            if !all.contains(id) {
                all.push(id.clone());
            }
        }
        Actions::Several(all.into())
    }

    /// About the bytes of all ids together on the wire, as long as none needs escapes.
    pub fn bytes(&self) -> usize {
        self.ids().iter().map(|id| id.len() + 8).sum()
    }

    fn ids(&self) -> &[Arc<str>] {
        match self {
            Actions::None => &[],
            Actions::One(id) => std::slice::from_ref(id),
            Actions::Several(ids) => ids,
        }
    }
}

/// The fields of a `change` event.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// What happened to the row.
    pub op: Op,
    /// The row's resource.
    pub resource: &'a str,
    /// The row's key as JSON: a number, a string, or an array for a composite key.
    pub key: &'a str,
    /// The state in which the row is as told.
    pub version: Version,
    /// Who did it.
    pub actions: &'a Actions,
    /// The whole row as a JSON object, if it is told.
    pub row: Option<&'a [u8]>,
    /// The channel's cursor, on the last change of a batch.
    pub cursor: Option<&'a str>,
}

impl Change<'_> {
    /// Appends the event.
    pub fn write(&self, out: &mut BytesMut) {
        out.put_slice(b"{\"type\":\"change\",\"op\":\"");
        out.put_slice(self.op.name().as_bytes());
        out.put_slice(b"\",\"resource\":");
        string(out, self.resource);
        out.put_slice(b",\"id\":");
        out.put_slice(self.key.as_bytes());
        version(out, self.version);
        match self.actions {
            Actions::None => {}
            Actions::One(id) => {
                out.put_slice(b",\"action_id\":");
                string(out, id);
            }
            Actions::Several(ids) => action_ids(out, ids),
        }
        if let Some(row) = self.row {
            out.put_slice(b",\"row\":");
            out.put_slice(row);
        }
        if let Some(cursor) = self.cursor {
            text(out, ",\"cursor\":", cursor);
        }
        out.put_slice(b"}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use super::*;
    use serde_json::json;

    #[test]
    fn a_change_carries_its_cursor_last() {
        let actions = Actions::One("a1".into());
        let mut change = Change {
            op: Op::Update,
            resource: "tickets",
            key: "42",
            version: Version(760),
            actions: &actions,
            row: Some(b"{\"id\":42}"),
            cursor: Some("abc"),
        };
        let mut out = BytesMut::new();
        change.write(&mut out);
        assert!(out.ends_with(b",\"cursor\":\"abc\"}\n"));
        assert_eq!(
            read(&out),
            json!({"type": "change", "op": "update", "resource": "tickets", "id": 42,
                   "version": 760, "action_id": "a1", "row": {"id": 42}, "cursor": "abc"})
        );
        let several = actions.merged(&Actions::None);
        change.actions = &several;
        (change.op, change.row, change.cursor, change.key) = (Op::Delete, None, None, "[1,\"a\"]");
        out.clear();
        change.write(&mut out);
        assert_eq!(
            read(&out),
            json!({"type": "change", "op": "delete", "resource": "tickets", "id": [1, "a"],
                   "version": 760, "action_ids": ["a1"]})
        );
    }

    #[test]
    fn merged_actions_stand_alone_only_if_all_agree() {
        let (a, b) = (Actions::One("a".into()), Actions::One("b".into()));
        assert_eq!(a.merged(&a), a);
        assert_eq!(Actions::None.merged(&Actions::None), Actions::None);
        assert_eq!(
            a.merged(&b).merged(&a),
            Actions::Several([Arc::from("a"), Arc::from("b")].into())
        );
        assert_eq!(
            Actions::None.merged(&a),
            Actions::Several([Arc::from("a")].into())
        );
    }
}
