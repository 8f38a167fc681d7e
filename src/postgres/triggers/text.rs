//! The SQL of the trigger functions: what one relation logs, as PL/pgSQL.
//!
//! Pure text. The functions have three properties that the tests hold them to:
//!
//! - **They never make a write fail.** A key column that was renamed or dropped is still named in a
//!   function until the feed has replaced it. Each column is therefore looked up without a qualifier,
//!   inside a lateral subquery over the changed rows beside a row of nulls that has columns of the
//!   same names: where the table lacks the column, PostgreSQL resolves the name one level further
//!   out, to the null, and the log gets a key with a null in it, which the feed takes as a reset. The
//!   planner folds all of that away, so the check costs nothing (asking `pg_attribute` first would
//!   cost as much as the logging itself).
//! - **They run nothing of the application's.** They run as their owner, so whatever they call has
//!   that power. Everything is named with its schema, operators and types too (pinning the search path
//!   would cost as much as writing the entry), and nothing is used that looks an operator up by itself,
//!   such as `is distinct from` or `nullif`. A value becomes text through its type's output function,
//!   except for built-in types whose cast is known: a cast to text may be a function that the owner of
//!   an enum wrote.
//! - **A key has one text**, whatever the writer's settings: where the types are not known to print
//!   the same always, the settings that matter are pinned, at some microseconds per statement.

use super::{super::sql::identifier, PART};
use crate::catalog::{ColumnType, TypeKind};
use std::fmt::Write;
use std::sync::Arc;

/// A column whose value is logged.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::postgres) struct LoggedColumn {
    name: Arc<str>,
    print: Print,
}

/// How a value becomes text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Print {
    /// By its built-in cast, the same under all settings.
    Cast,
    /// By its output function, the same under all settings.
    Output,
    /// By its output function, which may depend on settings.
    Settings,
}

impl LoggedColumn {
    /// The column of this name and type.
    pub(in crate::postgres) fn new(name: &Arc<str>, type_: &ColumnType) -> Self {
        Self {
            name: name.clone(),
            print: Print::of(type_),
        }
    }

    /// The value as text, or null; the column is looked up wherever the name leads. Under a collation
    /// that takes different texts for the same, keys that differ would be one.
    fn text(&self) -> String {
        let text = self.print(&identifier(&self.name));
        format!("({text}) collate pg_catalog.\"C\"")
    }

    /// The value of the relation called `alias` as the same text, given the settings of [`RowLog`].
    pub(in crate::postgres) fn of(&self, alias: &str) -> String {
        self.print(&format!("{alias}.{}", identifier(&self.name)))
    }

    fn print(&self, name: &str) -> String {
        match self.print {
            Print::Cast => format!("{name}::pg_catalog.text"),
            Print::Output | Print::Settings => {
                format!("case when {name} is not null then pg_catalog.format('%s', {name}) end")
            }
        }
    }
}

impl Print {
    fn of(type_: &ColumnType) -> Self {
        match &type_.kind {
            // bool, name, int8, int2, int4, text, oid, bpchar, varchar, numeric, uuid; `pg_type.dat`.
            TypeKind::Base
                if [16, 19, 20, 21, 23, 25, 26, 1042, 1043, 1700, 2950].contains(&type_.oid) =>
            {
                Self::Cast
            }
            TypeKind::Enum(_) => Self::Output,
            TypeKind::Domain(base) => match Self::of(base) {
                Self::Cast => Self::Output,
                other => other,
            },
            _ => Self::Settings,
        }
    }
}

/// How the organization of a row gets into the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::postgres) enum LoggedOwner {
    /// The rows are everybody's.
    None,
    /// The row names it.
    Organization(LoggedColumn),
    /// The row names another row that has it.
    Reference(LoggedColumn),
}

/// What is logged of a resource's rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::postgres) struct RowLog {
    /// The key, in key order; empty: one entry per statement and owner.
    pub(in crate::postgres) key: Vec<LoggedColumn>,
    /// The organization.
    pub(in crate::postgres) owner: LoggedOwner,
}

impl RowLog {
    /// The body of the function for statements that insert.
    pub(super) fn insert_body(&self) -> String {
        self.statement_body("", &self.insert('i', &self.rows("new_rows")))
    }

    /// The body of the function for statements that delete.
    pub(super) fn delete_body(&self) -> String {
        self.statement_body("", &self.insert('d', &self.rows("old_rows")))
    }

    /// The body of the function for statements that update. One entry for each row, and another for
    /// each that has changed its key or its owner, which says what it had. Most have not, and most
    /// statements update one row: a comparison of two rows shows that at a third of what sorting both
    /// sides of a `union` costs. Of several rows it would compare each with each.
    pub(super) fn update_body(&self) -> String {
        let (old, new) = (self.rows("old_rows"), self.rows("new_rows"));
        if self.key.is_empty() {
            let both = format!("{old}\n        union\n        {new}");
            return self.statement_body("", &self.insert('u', &both));
        }
        let moved = format!("{old}\n        except\n        {new}");
        // A null is not the same as a null here: then what is there is looked at as if it were more.
        let same: Vec<String> = (0..self.columns().count())
            .map(|it| format!("before.c{it} operator(pg_catalog.=) after.c{it}"))
            .collect();
        let statements = format!(
            "{all}
    get diagnostics logged_rows = row_count;
    if logged_rows operator(pg_catalog.=) 1 then
        perform from (
        {before}
        ) before, (
        {after}
        ) after
        where {same};
        if found then
            return null;
        end if;
    elsif logged_rows operator(pg_catalog.=) 0 then
        return null;
    end if;
{moved}",
            all = self.insert('u', &new),
            before = self.texts("old_rows"),
            after = self.texts("new_rows"),
            same = same.join(" and "),
            moved = self.insert('o', &moved),
        );
        self.statement_body("declare\n    logged_rows pg_catalog.int8;\n", &statements)
    }

    fn statement_body(&self, declarations: &str, statements: &str) -> String {
        format!(
            "
#variable_conflict use_column
{declarations}begin
{statements}
    return null;
end
"
        )
    }

    /// The body of the function for single rows, as replication's apply workers write them.
    pub(super) fn row_body(&self) -> String {
        let old = self.rows("(select old.*) as changed");
        let new = self.rows("(select new.*) as changed");
        // An update whose key and organization stay is one entry.
        let moved = format!("{old}\n        except\n        {new}");
        let statements = format!(
            "    if tg_op operator(pg_catalog.=) 'UPDATE' then
{update}
{moved}
    elsif tg_op operator(pg_catalog.=) 'INSERT' then
{insert}
    else
{delete}
    end if;",
            update = self.insert('u', &new),
            moved = self.insert('o', &moved),
            insert = self.insert('i', &new),
            delete = self.insert('d', &old),
        );
        self.statement_body("", &statements)
    }

    /// The settings that the functions run with.
    pub(super) fn settings(&self) -> Vec<(&'static str, &'static str)> {
        if !self.columns().any(|it| it.print == Print::Settings) {
            return Vec::new();
        }
        vec![
            ("search_path", "pg_catalog, pg_temp"),
            ("bytea_output", "hex"),
            ("datestyle", "ISO, YMD"),
            ("extra_float_digits", "1"),
            ("intervalstyle", "postgres"),
            ("lc_monetary", "C"),
            ("timezone", "UTC"),
        ]
    }

    fn insert(&self, op: char, rows: &str) -> String {
        let op = if self.key.is_empty() { 'r' } else { op };
        format!(
            "        insert into {PART} (relation, op, key, organization, reference, action_id)
        select tg_relid, '{op}', logged.key, logged.organization, logged.reference,
            pg_catalog.current_setting('rowcast.action_id', true)
        from (
        {rows}
        ) logged;"
        )
    }

    /// Key, organization and reference of the rows of a source.
    fn rows(&self, source: &str) -> String {
        let key = match self.key.as_slice() {
            [] => "null::pg_catalog.text[]".to_owned(),
            columns => {
                let parts: Vec<String> = columns.iter().map(LoggedColumn::text).collect();
                format!("array[{}]", parts.join(", "))
            }
        };
        let (organization, reference) = match &self.owner {
            LoggedOwner::None => (
                "null::pg_catalog.text".to_owned(),
                "null::pg_catalog.text".to_owned(),
            ),
            LoggedOwner::Organization(column) => {
                (column.text(), "null::pg_catalog.text".to_owned())
            }
            LoggedOwner::Reference(column) => ("null::pg_catalog.text".to_owned(), column.text()),
        };
        let distinct = if self.key.is_empty() { "distinct " } else { "" };
        let mut text = String::new();
        let absent = self.absent();
        write!(
            text,
            "select {distinct}changed.key, changed.organization, changed.reference
            from {absent}, lateral (
                select {key}, {organization}, {reference} from {source}
            ) as changed (key, organization, reference)"
        )
        .expect("a String takes everything");
        text
    }

    /// What is logged of the rows of a source, each text as a column of its own.
    fn texts(&self, source: &str) -> String {
        let texts: Vec<String> = self.columns().map(LoggedColumn::text).collect();
        let names: Vec<String> = (0..texts.len()).map(|it| format!("c{it}")).collect();
        format!(
            "select changed.* from {}, lateral (
                select {} from {source}
            ) as changed ({})",
            self.absent(),
            texts.join(", "),
            names.join(", "),
        )
    }

    /// A row of nulls with columns of the same names, for those that the table lacks.
    fn absent(&self) -> String {
        let mut names: Vec<String> = self.columns().map(|it| identifier(&it.name)).collect();
        names.sort_unstable();
        names.dedup();
        let nulls = vec!["null::pg_catalog.text"; names.len().max(1)].join(", ");
        let names = match names.is_empty() {
            true => "nothing".to_owned(),
            false => names.join(", "),
        };
        format!("(values ({nulls})) as absent ({names})")
    }

    fn columns(&self) -> impl Iterator<Item = &LoggedColumn> {
        let owner = match &self.owner {
            LoggedOwner::None => None,
            LoggedOwner::Organization(column) | LoggedOwner::Reference(column) => Some(column),
        };
        self.key.iter().chain(owner)
    }
}
