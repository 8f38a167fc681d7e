//! Columns with their types, resolved down to their parts.

use super::rows::{Found, TypeRow};
use crate::catalog::{Column, ColumnType, Oid, OperatorName, TypeKind};

/// The columns of a relation. `stored`: its columns hold values, and are not expressions.
pub(super) fn of(found: &Found, relation: Oid, stored: bool) -> Vec<Column> {
    found
        .columns(relation)
        .iter()
        .map(|column| {
            let comparison = comparison(found, column.type_);
            Column {
                not_null: column.not_null,
                has_default: column.has_default,
                identity_always: column.identity_always,
                generated: column.generated,
                leakproof_equality: stored && comparison.is_some_and(|it| it.leakproof),
                leakproof_order: stored && comparison.is_some_and(|it| it.leakproof_order),
                ..given(found, &column.name, column.number, column.type_)
            }
        })
        .collect()
}

/// A column of rows that a function gives.
pub(super) fn given(found: &Found, name: &str, number: i16, type_: Oid) -> Column {
    let comparison = comparison(found, type_);
    Column {
        name: name.into(),
        number,
        type_: resolve(found, type_),
        not_null: false,
        has_default: false,
        identity_always: false,
        generated: false,
        equality: comparison.and_then(|it| it.equality.clone()),
        leakproof_equality: false,
        leakproof_order: false,
        orderable: comparison.is_some_and(|it| it.ordered),
    }
}

/// A type, down to its parts.
pub(super) fn resolve(found: &Found, oid: Oid) -> ColumnType {
    let Some(row) = found.types.get(&oid) else {
        return ColumnType {
            oid,
            name: "text".into(),
            kind: TypeKind::Other,
        };
    };
    let part = || row.part.map(|part| Box::new(resolve(found, part)));
    let kind = match (row.kind.as_str(), part()) {
        ("e", _) => TypeKind::Enum(row.labels.clone()),
        ("d", Some(part)) => TypeKind::Domain(part),
        ("r", Some(part)) => TypeKind::Range(part),
        ("m", Some(part)) => TypeKind::Multirange(part),
        ("b", Some(part)) => TypeKind::Array(part),
        ("b", None) => TypeKind::Base,
        _ => TypeKind::Other,
    };
    ColumnType {
        oid,
        name: row.name.clone(),
        kind,
    }
}

/// How values of a type are compared: as those of the type below a domain; not at all if parts of it
/// cannot be.
fn comparison(found: &Found, oid: Oid) -> Option<&TypeRow> {
    let row = found.types.get(&oid)?;
    match row.kind.as_str() {
        "d" => comparison(found, row.part?),
        "b" | "r" | "m" if row.part.is_some() => {
            let part = comparison(found, row.part?)?;
            (part.equality.is_some() && row.equality.is_some()).then_some(row)
        }
        _ => Some(row).filter(|it| it.equality.is_some()),
    }
}

/// An operator, if the row names one.
pub(super) fn operator(schema: Option<&str>, name: Option<&str>) -> Option<OperatorName> {
    Some(OperatorName {
        schema: schema?.into(),
        name: name?.into(),
    })
}
