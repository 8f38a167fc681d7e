//! A client's store, as the protocol says that it is kept: of each row what has the highest version.

use super::reader::spell;
use crate::support::{Client, Database};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a client holds of one table.
#[derive(Debug)]
pub(crate) struct Store {
    table: String,
    rows: BTreeMap<i64, (u64, Option<Value>)>,
    /// The last cursor of a channel, from which it would go on.
    pub(crate) cursor: String,
    pub(crate) resets: usize,
    /// Whether everything up to the cursor was applied.
    settled: bool,
}

impl Store {
    /// What a first GET says.
    pub(crate) async fn load(client: &Client, table: &str) -> Self {
        let mut store = Self {
            table: table.to_owned(),
            rows: BTreeMap::new(),
            cursor: String::new(),
            resets: 0,
            settled: true,
        };
        store.cursor = store.fetch(client).await;
        store
    }

    async fn fetch(&mut self, client: &Client) -> String {
        let answer = client.get(&format!("/{}", self.table)).expect(200).await;
        let version = answer.version();
        for row in answer.json().as_array().unwrap() {
            self.put(row["id"].as_i64().unwrap(), version, Some(row.clone()));
        }
        answer.header("cursor").to_owned()
    }

    /// Takes an event in; a reset makes it fetch again.
    pub(crate) async fn apply(&mut self, client: &Client, event: &Value) {
        let version = event["version"].as_u64().unwrap_or_default();
        let told = event["type"] == "change" || event["type"] == "ping";
        self.settled = told && event["cursor"].is_string();
        match event["type"].as_str().unwrap() {
            "change" => {
                assert_eq!(event["resource"], *self.table);
                let row = event.get("row").cloned();
                self.put(event["id"].as_i64().unwrap(), version, row);
            }
            "reset" => {
                self.resets += 1;
                self.rows.retain(|_, it| it.0 > version);
                self.fetch(client).await;
                return;
            }
            "open" | "ping" => {}
            _ => panic!("{}", spell(event)),
        }
        if let Some(cursor) = event["cursor"].as_str() {
            self.cursor = cursor.to_owned();
        }
    }

    fn put(&mut self, id: i64, version: u64, row: Option<Value>) {
        let known = self.rows.entry(id).or_insert((version, None));
        if version >= known.0 {
            *known = (version, row);
        }
    }

    /// Whether the row is as this says, and everything else as it was then.
    pub(crate) fn has(&self, id: i64, column: &str, value: &Value) -> bool {
        let row = self.rows.get(&id).and_then(|it| it.1.as_ref());
        self.settled && row.is_some_and(|it| it[column] == *value)
    }

    /// Asserts that it holds what the database has of this organization.
    pub(crate) async fn expect_equal(&self, database: &Database, organization: i64) {
        let sql = format!(
            "select coalesce(jsonb_object_agg(id, to_jsonb(t)), '{{}}') from {} t where organization_id = {organization}",
            self.table
        );
        let there: BTreeMap<i64, Value> =
            serde_json::from_str(&database.value(&sql).await).unwrap();
        let held: BTreeMap<i64, Value> = self
            .rows
            .iter()
            .filter_map(|(id, it)| Some((*id, it.1.clone()?)))
            .collect();
        assert_eq!(held, there);
    }
}
