//! The statements that read a resource's changed rows again, as text.
//!
//! Keys come as arrays of text, one for each part of the key, and are compared as values of the
//! key's types: of two texts that are equal there (`A` and `a` in a case-insensitive type), both find
//! the row. Each answer carries the number of the key that was asked for.
//!
//! Everything that could be resolved by the search path to something else than PostgreSQL's own is
//! qualified, since some of these statements run with all rights that rowcast has.

use crate::{
    catalog::{Catalog, Column, Resource, Tenancy},
    postgres::{encode::Encoding, sql::identifier, triggers::LoggedColumn},
};
use std::fmt::Write;

/// The row.
const ROW: &str = "t";
/// The keys that are asked for.
const ASKED: &str = "asked";

/// Statement texts of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Texts {
    /// `$1…` the parts of the keys. Answers: number, whether the row is there, whose it is, and each
    /// part of the key as JSON.
    pub(super) states: String,
    /// `$1` the organization, `$2…` the parts of keys to leave out. Answers: a digest.
    pub(super) digest: String,
    /// Whether rows are seen only with another row through which they belong to an organization.
    pub(super) fenced: bool,
    /// The join of the keys with the rows.
    found: String,
    /// Where `fenced`, the condition that they are the organization's.
    fence: String,
}

impl Texts {
    /// The statements for a table with a key.
    pub(super) fn new(catalog: &Catalog, resource: &Resource) -> Self {
        let asked = asked(resource);
        let table = table(resource);
        let matches = matches(resource);
        let owner = owner(catalog, resource, ROW);
        let owner_text = owner.as_deref().unwrap_or("null");
        let first = resource
            .key_columns()
            .next()
            .map_or_else(String::new, |it| format!("{ROW}.{}", identifier(&it.name)));
        let parts: Vec<String> = resource
            .key_columns()
            .zip(1..)
            .map(|(column, number)| {
                format!(
                    "pg_catalog.to_json(coalesce({ROW}.{}, {ASKED}.k{number}::{}))::text",
                    identifier(&column.name),
                    column.type_.name
                )
            })
            .collect();
        let states = format!(
            "select {ASKED}.number, {first} is not null, \
             case when {first} is not null then {owner_text} end, {} \
             from {asked} left join {table} on {matches}",
            parts.join(", ")
        );
        let fenced = matches!(resource.tenancy, Tenancy::Via { .. });
        let fence = match (fenced, &owner) {
            (true, Some(owner)) => format!(
                " where {owner} operator(pg_catalog.=) ${}::text",
                resource.key.len() + 1
            ),
            _ => String::new(),
        };
        let found = format!("from {asked} join {table} on {matches}");
        Self {
            states,
            digest: digest(resource, owner.as_deref()),
            fenced,
            found,
            fence,
        }
    }

    /// `$1…` the parts of the keys, then, where `fenced` and the rows are read for one identity, the
    /// organization. Answers: these columns, then the number.
    pub(super) fn rows(&self, columns: &[(&Column, Encoding)], personal: bool) -> String {
        let mut sql = String::from("select ");
        for (column, encoding) in columns {
            let name = format!("{ROW}.{}", identifier(&column.name));
            write!(sql, "{}, ", encoding.select(&name)).expect("a String takes everything");
        }
        let fence = if personal { &self.fence } else { "" };
        write!(sql, "{ASKED}.number {}{fence}", self.found).expect("a String takes everything");
        sql
    }
}

/// `$1` the keys of rows. Answers: number, and whose the row is that has this value in the column that
/// others refer to.
pub(super) fn owners(catalog: &Catalog, resource: &Resource, column: &Column) -> Option<String> {
    let owner = owner(catalog, resource, ROW)?;
    Some(format!(
        "select {ASKED}.number, {owner} \
         from pg_catalog.unnest($1::text[]) with ordinality as {ASKED} (k1, number) \
         join {} on {ROW}.{}{}{ASKED}.k1::{}",
        table(resource),
        identifier(&column.name),
        equals(column),
        column.type_.name
    ))
}

/// `$1`, `$2` a snapshot as for `new_since.sql`, `$3` a relation. Answers: whose the rows are that its
/// entries since then refer to by this column.
pub(super) fn owners_referred(
    catalog: &Catalog,
    resource: &Resource,
    column: &Column,
) -> Option<String> {
    let owner = owner(catalog, resource, ROW)?;
    Some(format!(
        "select distinct {owner} from (\
         select reference from rowcast.changes where xid >= $1 and relation = $3 union \
         select reference from rowcast.changes where xid = any ($2) and relation = $3\
         ) as {ASKED} (k1) join {} on {ROW}.{}{}{ASKED}.k1::{}",
        table(resource),
        identifier(&column.name),
        equals(column),
        column.type_.name
    ))
}

fn table(resource: &Resource) -> String {
    format!(
        "{}.{} as {ROW}",
        identifier(&resource.schema),
        identifier(&resource.table)
    )
}

fn asked(resource: &Resource) -> String {
    let count = resource.key.len();
    let arrays: Vec<String> = (1..=count).map(|it| format!("${it}::text[]")).collect();
    let names: Vec<String> = (1..=count).map(|it| format!("k{it}")).collect();
    format!(
        "rows from ({}) with ordinality as {ASKED} ({}, number)",
        arrays
            .iter()
            .map(|it| format!("pg_catalog.unnest({it})"))
            .collect::<Vec<_>>()
            .join(", "),
        names.join(", ")
    )
}

fn matches(resource: &Resource) -> String {
    let parts: Vec<String> = resource
        .key_columns()
        .zip(1..)
        .map(|(column, number)| {
            format!(
                "{ROW}.{}{}{ASKED}.k{number}::{}",
                identifier(&column.name),
                equals(column),
                column.type_.name
            )
        })
        .collect();
    parts.join(" and ")
}

/// The equality of the column's type, wherever it lives.
fn equals(column: &Column) -> String {
    match &column.equality {
        Some(operator) => format!(
            " operator({}.{}) ",
            identifier(&operator.schema),
            operator.name
        ),
        None => " operator(pg_catalog.=) ".to_owned(),
    }
}

/// Whose a row is, as text; `None` for rows of everybody.
fn owner(catalog: &Catalog, resource: &Resource, alias: &str) -> Option<String> {
    match &resource.tenancy {
        Tenancy::Shared | Tenancy::Single => None,
        Tenancy::Column(index) => {
            let column = &resource.columns[*index];
            let text = LoggedColumn::new(&column.name, &column.type_);
            Some(text.of(alias))
        }
        Tenancy::Via {
            column,
            target,
            target_column,
        } => {
            let next = catalog.relation(*target)?;
            let referred = next.columns.iter().find(|it| it.number == *target_column)?;
            let inner = format!("{alias}_");
            Some(format!(
                "(select {} from {}.{} as {inner} where {inner}.{}{}{alias}.{})",
                owner(catalog, next, &inner)?,
                identifier(&next.schema),
                identifier(&next.table),
                identifier(&referred.name),
                equals(referred),
                identifier(&resource.columns[*column].name),
            ))
        }
    }
}

fn digest(resource: &Resource, owner: Option<&str>) -> String {
    let key: Vec<String> = resource
        .key_columns()
        .map(|it| {
            let text = LoggedColumn::new(&it.name, &it.type_);
            text.of(ROW)
        })
        .collect();
    // A part of its own for each, so that ('a,b') and ('a','b') differ.
    let text = format!("array[{}]::text", key.join(", "));
    let count = resource.key.len();
    let arrays: Vec<String> = (2..2 + count)
        .map(|it| format!("pg_catalog.unnest(${it}::text[])"))
        .collect();
    let names: Vec<String> = (1..=count).map(|it| format!("k{it}")).collect();
    let fence = match (&resource.tenancy, owner) {
        (Tenancy::Column(index), _) => {
            let column = &resource.columns[*index];
            format!(
                "{ROW}.{}{}$1::text::{}",
                identifier(&column.name),
                equals(column),
                column.type_.name
            )
        }
        (_, Some(owner)) => format!("{owner} operator(pg_catalog.=) $1::text"),
        (_, None) => "$1::text is not null".to_owned(),
    };
    format!(
        "select pg_catalog.count(*), \
         pg_catalog.sum(pg_catalog.hashtextextended({text}, 0))::text, \
         pg_catalog.sum(pg_catalog.hashtextextended({text}, 1))::text \
         from {} where {fence} and not exists (\
         select from rows from ({}) as {ASKED} ({}) where {})",
        table(resource),
        arrays.join(", "),
        names.join(", "),
        matches(resource)
    )
}
