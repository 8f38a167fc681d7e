//! How a bare program encodes what PostgreSQL sends it: as rowcast does, by the column types that a
//! prepared statement names. Knows no catalog.

use rowcast::{
    catalog::{ColumnType, TypeKind},
    postgres::encode::Encoding,
};
use tokio_postgres::types::{Kind, Type};

/// The encoding of a column of this type.
pub(crate) fn encoding(type_: &Type) -> Encoding {
    let base = |it: &Type| ColumnType {
        oid: it.oid(),
        name: it.name().into(),
        kind: TypeKind::Base,
    };
    Encoding::of(&match type_.kind() {
        Kind::Array(member) => ColumnType {
            kind: TypeKind::Array(Box::new(base(member))),
            ..base(type_)
        },
        _ => base(type_),
    })
}
