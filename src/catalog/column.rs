//! One column: its type, and how its values are compared.
//!
//! Knows nothing of the resource that it is of, nor of what a role may do with it.

use super::{ColumnType, TypeKind, oid};
use std::sync::Arc;

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, in the table and on the wire.
    pub name: Arc<str>,
    /// `pg_attribute.attnum`.
    pub number: i16,
    /// Its type.
    pub type_: ColumnType,
    /// Declared `not null`.
    pub not_null: bool,
    /// Has a default, an identity or a generation expression.
    pub has_default: bool,
    /// `generated always as identity`: inserting a value needs `overriding system value`.
    pub identity_always: bool,
    /// `generated always as (…) stored`: never written.
    pub generated: bool,
    /// The type's equality operator, from its default operator class; `None`: values of this type
    /// cannot be compared.
    pub equality: Option<OperatorName>,
    /// The equality operator is leakproof (`pg_proc`) and the column is stored: comparing it tells
    /// nothing of rows that do not pass, so it may run below the fence. Never so for a view's
    /// columns, which may be expressions that raise errors.
    pub leakproof_equality: bool,
    /// The same of the operators by which the type is ordered.
    pub leakproof_order: bool,
    /// The type has a default order (a default btree operator class).
    pub orderable: bool,
}

impl Column {
    /// What stands for nothing where there has to be a column: a number.
    pub fn of_nothing() -> Self {
        Self {
            name: "nothing".into(),
            number: 1,
            type_: ColumnType {
                oid: oid::INT4,
                name: "integer".into(),
                kind: TypeKind::Base,
            },
            not_null: true,
            has_default: false,
            identity_always: false,
            generated: false,
            equality: None,
            leakproof_equality: false,
            leakproof_order: false,
            orderable: false,
        }
    }
}

/// An operator, which need not be in the search path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorName {
    /// Its schema.
    pub schema: Arc<str>,
    /// Its name, such as `=`.
    pub name: Arc<str>,
}
