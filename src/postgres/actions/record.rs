//! What is kept of an action: which rows of which resources it wrote, never what was in them.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The keys of one action take so many bytes at most. Of one that wrote more rows, how many they were is
/// kept, and which ones is not: whoever asks again is told that it is done.
const KEYS_BYTES_MAX: usize = 64 << 10;

/// What an action did: its writes in their order.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Record {
    pub(in crate::postgres) writes: Vec<Did>,
}

/// What one write did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::postgres) struct Did {
    pub(in crate::postgres) resource: String,
    pub(in crate::postgres) rows: u64,
    pub(in crate::postgres) created: bool,
    /// The keys of the rows, each a JSON object; `None` if they were not known, or too many.
    pub(in crate::postgres) keys: Option<Vec<String>>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    resource: String,
    rows: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    created: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keys: Option<Vec<Box<RawValue>>>,
}

impl Record {
    /// Reads what [`Record::text`] wrote. What cannot be read says nothing: the action is done.
    pub(super) fn read(text: &str) -> Self {
        let entries: Vec<Entry> = serde_json::from_str(text).unwrap_or_default();
        let writes = entries.into_iter().map(|it| Did {
            resource: it.resource,
            rows: it.rows,
            created: it.created,
            keys: it
                .keys
                .map(|keys| keys.iter().map(|key| key.get().to_owned()).collect()),
        });
        Self {
            writes: writes.collect(),
        }
    }

    /// As it is kept: a JSON array.
    pub(in crate::postgres) fn text(self) -> String {
        let bytes = |did: &Did| did.keys.iter().flatten().map(String::len).sum::<usize>();
        let all = self.writes.iter().map(bytes).sum::<usize>() <= KEYS_BYTES_MAX;
        let entries: Vec<Entry> = self
            .writes
            .into_iter()
            .map(|it| Entry {
                resource: it.resource,
                rows: it.rows,
                created: it.created,
                keys: it.keys.filter(|_| all).and_then(raw),
            })
            .collect();
        serde_json::to_string(&entries).expect("texts, numbers and JSON always encode")
    }
}

/// The keys as they are; PostgreSQL made them, so each is JSON.
fn raw(keys: Vec<String>) -> Option<Vec<Box<RawValue>>> {
    keys.into_iter()
        .map(|key| RawValue::from_string(key).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn did(keys: Option<Vec<String>>) -> Did {
        Did {
            resource: "tickets".into(),
            rows: 2,
            created: true,
            keys,
        }
    }

    #[test]
    fn a_record_comes_back() {
        let keys = vec![
            r#"{"id":12345678901234567890}"#.to_owned(),
            "{\"id\":1.50}".into(),
        ];
        let writes = vec![did(Some(keys)), did(None)];
        let text = Record {
            writes: writes.clone(),
        }
        .text();
        assert_eq!(Record::read(&text).writes, writes);
        assert!(Record::read("nonsense").writes.is_empty());
    }

    #[test]
    fn too_many_keys_are_not_kept() {
        let keys: Vec<String> = (0..10_000).map(|id| format!("{{\"id\":{id}}}")).collect();
        let text = Record {
            writes: vec![did(Some(keys))],
        }
        .text();
        assert!(text.len() < 100, "{text}");
        assert_eq!(Record::read(&text).writes, [did(None)]);
    }
}
