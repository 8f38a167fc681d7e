//! The triggers through which every write of a logged relation reaches the change log, whoever
//! writes: what each relation needs, how it is put there and taken away again.
//!
//! Knows what a relation is to log; knows neither the feed that reads the log nor its batches.
//!
//! Statements are logged by statement-level triggers with transition tables: one insert into the log
//! for a whole `COPY`. Each operation has a function of its own, which therefore decides nothing. They
//! are installed on tables, on partitioned parents, on each partition and each inheritance child,
//! because a statement fires the triggers of the relation that it names and of no other. Logical replication's apply workers fire no statement triggers (PostgreSQL manual,
//! "Logical Replication", Architecture), so each table that stores rows also has a row-level trigger
//! that is enabled for `session_replication_role = replica` alone; the statement-level ones are
//! enabled for the other roles, and so every write is logged once. `TRUNCATE` is logged by a trigger
//! that is enabled always.
//!
//! No trigger has a column list or a condition: a column that one names can be neither dropped nor
//! altered, and the application's migrations are none of our business.

mod install;
mod text;
mod uninstall;

pub(super) use install::{Outcome, install, sweep};
pub(super) use text::{LoggedColumn, LoggedOwner, RowLog};
pub(super) use uninstall::uninstall;

use crate::catalog::Oid;
use std::sync::Arc;

/// A relation that is to be logged.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Logged {
    /// The relation.
    pub(super) relation: Oid,
    /// Its schema-qualified, quoted name.
    pub(super) name: String,
    /// Whether it stores rows itself; a partitioned parent does not.
    pub(super) stores: bool,
    /// What is logged.
    pub(super) log: Log,
}

/// What is logged of a relation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Log {
    /// Its changed rows.
    Rows {
        /// The resource whose key and organization are logged; a partition's is its root.
        resource: Oid,
        /// Which columns.
        log: Arc<RowLog>,
    },
    /// That a statement changed something.
    Statements,
}

/// The part of the log that a function writes to, in its body: the current one when it is made, and the
/// next whenever one is opened (`sql/feed/rotate.sql`).
const PART: &str = "rowcast.changes_{slot}";

/// How many parts the log has.
const PARTS: i16 = 6;

/// A function of ours as it should be.
#[derive(Debug)]
struct Function {
    name: String,
    /// With [`PART`] wherever it writes.
    body: String,
    settings: Vec<(&'static str, &'static str)>,
}

/// A trigger of ours as it should be.
#[derive(Debug)]
struct Trigger {
    name: &'static str,
    function: String,
    /// `pg_trigger.tgtype`: bits for row, insert, delete, update, truncate.
    kind: i16,
    old_rows: bool,
    new_rows: bool,
    /// `pg_trigger.tgenabled`: `O` in all roles but replica, `R` in that one only, `A` always.
    enabled: char,
}

const ROW: i16 = 1;
const INSERT: i16 = 4;
const DELETE: i16 = 8;
const UPDATE: i16 = 16;
const TRUNCATE: i16 = 32;

impl Logged {
    /// The functions that its triggers call, besides the shared ones.
    fn functions(&self) -> Vec<Function> {
        let Log::Rows { resource, log } = &self.log else {
            return Vec::new();
        };
        let function = |what, body| Function {
            name: format!("log_{what}_{resource}"),
            body,
            settings: log.settings(),
        };
        vec![
            function("insert", log.insert_body()),
            function("update", log.update_body()),
            function("delete", log.delete_body()),
            function("row", log.row_body()),
        ]
    }

    fn triggers(&self) -> Vec<Trigger> {
        let function = |what| match &self.log {
            Log::Rows { resource, .. } => format!("log_{what}_{resource}"),
            Log::Statements => "log_reset".to_owned(),
        };
        let on = |name, kind| Trigger {
            name,
            function: match kind {
                INSERT => function("insert"),
                UPDATE => function("update"),
                _ => function("delete"),
            },
            kind,
            old_rows: kind & (UPDATE | DELETE) != 0,
            new_rows: kind & (UPDATE | INSERT) != 0,
            enabled: 'O',
        };
        let mut triggers = vec![
            on("rowcast_insert", INSERT),
            on("rowcast_update", UPDATE),
            on("rowcast_delete", DELETE),
            Trigger {
                function: "log_truncate".to_owned(),
                enabled: 'A',
                ..on("rowcast_truncate", TRUNCATE)
            },
        ];
        if self.stores {
            triggers.push(Trigger {
                name: "rowcast_replica",
                function: function("row"),
                kind: ROW | INSERT | UPDATE | DELETE,
                old_rows: false,
                new_rows: false,
                enabled: 'R',
            });
        }
        triggers
    }
}

/// A text as a literal that reads the same whatever `standard_conforming_strings` says.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', r"\\").replace('\'', "''"))
}

impl Function {
    /// The body of a function that writes to this part.
    fn body_for(&self, slot: i16) -> String {
        self.body
            .replace(PART, &PART.replace("{slot}", &slot.to_string()))
    }

    fn create(&self, slot: i16) -> String {
        use std::fmt::Write;
        let mut sql = format!(
            "create or replace function rowcast.{}() returns trigger language plpgsql security definer",
            self.name
        );
        for (name, value) in &self.settings {
            // A list such as the search path must not become one quoted name.
            let value = match *name {
                "search_path" => (*value).to_owned(),
                _ => format!("'{value}'"),
            };
            write!(sql, " set {name} = {value}").expect("a String takes everything");
        }
        writeln!(sql, " as {};", literal(&self.body_for(slot))).expect("a String takes everything");
        sql
    }
}

impl Trigger {
    fn create(&self, table: &str) -> String {
        let events: Vec<&str> = [
            (INSERT, "insert"),
            (UPDATE, "update"),
            (DELETE, "delete"),
            (TRUNCATE, "truncate"),
        ]
        .iter()
        .filter(|(bit, _)| self.kind & bit != 0)
        .map(|(_, event)| *event)
        .collect();
        let referencing = match (self.old_rows, self.new_rows) {
            (false, false) => "",
            (true, false) => " referencing old table as old_rows",
            (false, true) => " referencing new table as new_rows",
            (true, true) => " referencing old table as old_rows new table as new_rows",
        };
        let each = if self.kind & ROW != 0 {
            "row"
        } else {
            "statement"
        };
        format!(
            "create or replace trigger {} after {} on {table}{referencing} for each {each} \
             execute function rowcast.{}();\n",
            self.name,
            events.join(" or "),
            self.function
        )
    }

    fn enable(&self, table: &str) -> String {
        let how = match self.enabled {
            'A' => "always ",
            'R' => "replica ",
            _ => "",
        };
        // `only`: each partition has triggers of its own, with states of their own.
        format!(
            "alter table only {table} enable {how}trigger {};\n",
            self.name
        )
    }
}
