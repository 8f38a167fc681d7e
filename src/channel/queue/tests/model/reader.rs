//! What the reader of the model makes of each event, and what it must never see.

use super::*;

impl World {
    pub(super) fn hear(&mut self, line: &[u8], again: bool) {
        let event: Value = serde_json::from_slice(line).unwrap();
        let text = |field: &str| event[field].as_str().map(str::to_owned);
        let resource = |name: &str| *RESOURCES.iter().find(|it| **it == name).unwrap();
        match event["type"].as_str().unwrap() {
            "row" | "done" if again => {}
            "row" => {
                let producer = self.producer(&text("request_id").unwrap());
                assert!(!producer.lost && producer.ends_read == 0);
                assert_eq!(event["n"], producer.rows_read, "rows keep their order");
                producer.rows_read += 1;
                if let Some(snapshot) = producer.snapshot {
                    self.see(snapshot);
                }
            }
            "done" => {
                let producer = self.producer(&text("request_id").unwrap());
                assert!(!producer.lost);
                producer.ends_read += 1;
                assert_eq!(producer.ends_read, 1, "one end");
                assert_eq!(event["rows"], producer.rows_read, "the end knows its rows");
            }
            "change" => {
                let row = (
                    resource(&text("resource").unwrap()),
                    event["id"].as_u64().unwrap(),
                );
                assert!(self.filter.is_none_or(|it| it == row.0), "a filter holds");
                let version = event["version"].as_u64().unwrap();
                let there = event.get("row").is_some();
                let known = self.store.entry(row).or_insert((0, false));
                if version >= known.0 {
                    *known = (version, there);
                }
                if let Some(cursor) = text("cursor") {
                    self.check_cursor(cursor[1..].parse().unwrap());
                }
            }
            "reset" => {
                let version = event["version"].as_u64().unwrap();
                assert!(version <= self.version);
                self.forget(text("resource").as_deref(), version);
            }
            other => panic!("{other}"),
        }
    }

    /// The reader gets rows that show this state; those that came and went just then are all that
    /// matters here.
    pub(super) fn see(&mut self, snapshot: u64) {
        for (row, states) in &self.history {
            let reset = self.reset_to.get(row.0).is_some_and(|it| *it > snapshot);
            let wanted = self.filter.is_none_or(|it| it == row.0);
            if wanted && !reset && states.contains(&(snapshot, true)) {
                let known = self.store.entry(*row).or_insert((0, false));
                *known = (*known).max((snapshot, true));
            }
        }
    }

    /// The reader fetches again, and sees the database as it is now.
    pub(super) fn forget(&mut self, which: Option<&str>, version: u64) {
        for resource in RESOURCES {
            if which.is_none_or(|it| it == resource) {
                self.store.retain(|row, _| row.0 != resource);
                self.reset_at.insert(resource, self.version);
                let reset_to = self.reset_to.entry(resource).or_default();
                *reset_to = version.max(*reset_to);
            }
        }
    }

    /// Everything up to this version has been told: of each row, the newest state by then, or one
    /// that is newer.
    pub(super) fn check_cursor(&self, version: u64) {
        for (row, states) in &self.history {
            if self.filter.is_some_and(|it| it != row.0) {
                continue;
            }
            let told = states.iter().rev().find(|it| it.0 <= version);
            let fetched = self.reset_at.get(row.0).copied().unwrap_or(10);
            if let Some((newest, there)) = told
                && *newest > fetched
            {
                let known = self.store.get(row).copied();
                let transient = !there && states.len() > 1;
                assert!(
                    known.is_some_and(|it| it.0 >= *newest)
                        || (transient && known.is_none_or(|it| !it.1)),
                    "{row:?} at {newest} was not told by {version}: {known:?}"
                );
            }
        }
    }
}
