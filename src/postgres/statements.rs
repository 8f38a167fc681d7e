//! The prepared statements of one connection, a bounded number of them.
//!
//! Callers choose columns, filters and orders, so the number of different statements is not ours to
//! bound: the one that was used longest ago makes room.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio_postgres::Statement;

/// Each statement costs the PostgreSQL process some tens of KiB for its plan.
const STATEMENTS_MAX: usize = 256;

/// A cache from SQL text to prepared statement.
#[derive(Default)]
pub(super) struct Statements {
    // A std lock: held for a look-up, never across an await.
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    by_sql: HashMap<Arc<str>, (Statement, u64)>,
    clock: u64,
}

impl Statements {
    /// The statement of this text, if it is prepared.
    pub(super) fn find(&self, sql: &str) -> Option<Statement> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.clock += 1;
        let now = entries.clock;
        let (statement, used) = entries.by_sql.get_mut(sql)?;
        *used = now;
        Some(statement.clone())
    }

    /// Keeps a statement; the one unused for longest is closed if there are too many.
    pub(super) fn keep(&self, sql: &str, statement: &Statement) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.by_sql.len() >= STATEMENTS_MAX {
            let oldest = entries.by_sql.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(sql) = oldest.map(|(sql, _)| sql.clone()) {
                entries.by_sql.remove(&sql);
            }
        }
        let now = entries.clock;
        entries.by_sql.insert(sql.into(), (statement.clone(), now));
    }

    /// Forgets a statement, which the schema has left behind.
    pub(super) fn forget(&self, sql: &str) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.by_sql.remove(sql);
    }
}
