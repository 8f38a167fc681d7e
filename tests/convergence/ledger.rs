//! What writers were told, and whether the database agrees.

use super::invariants::{Findings, Invariant};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use tokio_postgres::Client;

/// What is known of an entry that a writer made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It was acknowledged.
    Acknowledged,
    /// The connection broke: it is there, or it is not.
    Unknown,
}

/// Entries by their texts, each of which is written once at most.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger(Arc<Mutex<BTreeMap<String, Fate>>>);

impl Ledger {
    /// An entry is about to be written.
    pub(super) fn attempt(&self, body: &str) {
        self.0
            .lock()
            .unwrap()
            .insert(body.to_owned(), Fate::Unknown);
    }

    pub(super) fn acknowledge(&self, body: &str) {
        let mut entries = self.0.lock().unwrap();
        entries.insert(body.to_owned(), Fate::Acknowledged);
    }

    /// Its transaction was rolled back.
    pub(super) fn withdraw(&self, body: &str) {
        self.0.lock().unwrap().remove(body);
    }

    /// Compares it with the database, at rest; how many were acknowledged. Then all entries are
    /// removed, and the ledger begins anew.
    pub(super) async fn settle(&self, sql: &Client, findings: &Findings) -> u64 {
        let rows = sql
            .query("select body, count(*) from entries group by body", &[])
            .await
            .expect("PostgreSQL is at rest");
        let there: BTreeMap<String, i64> = rows.iter().map(|it| (it.get(0), it.get(1))).collect();
        let entries = std::mem::take(&mut *self.0.lock().unwrap());
        for (body, fate) in &entries {
            let count = there.get(body).copied().unwrap_or(0);
            if count == 0 && *fate == Fate::Acknowledged {
                findings.add(Invariant::AcknowledgedKept, "ledger", body);
            }
            if count > 1 {
                let what = format!("{body}, {fate:?}, is there {count} times");
                findings.add(Invariant::OneEffect, "ledger", what);
            }
        }
        for body in there.keys().filter(|it| !entries.contains_key(*it)) {
            let what = format!("{body} was rolled back, or never written");
            findings.add(Invariant::OneEffect, "ledger", what);
        }
        sql.batch_execute("delete from entries")
            .await
            .expect("PostgreSQL is at rest");
        let acknowledged = entries.values().filter(|it| **it == Fate::Acknowledged);
        acknowledged.count() as u64
    }
}
