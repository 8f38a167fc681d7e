//! The type of a column, as far as the encoder and the parameters need to know it.

use super::oid;
use std::sync::{Arc, LazyLock};

/// A PostgreSQL type (`pg_type`), resolved down to its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnType {
    /// `pg_type.oid`.
    pub oid: u32,
    /// The name to cast to, schema-qualified and quoted where needed (`format_type`).
    pub name: Arc<str>,
    /// What it is made of.
    pub kind: TypeKind,
}

/// What a type is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeKind {
    /// A base type, known by its oid.
    Base,
    /// An enum, with its labels in order.
    Enum(Vec<Arc<str>>),
    /// A domain over another type.
    Domain(Box<ColumnType>),
    /// An array of another type.
    Array(Box<ColumnType>),
    /// A range over another type.
    Range(Box<ColumnType>),
    /// A multirange over another type.
    Multirange(Box<ColumnType>),
    /// A row type, or anything else that is left to `to_json`.
    Other,
}

static TEXT: LazyLock<ColumnType> = LazyLock::new(|| ColumnType::base_type(oid::TEXT, "text"));
static JSON: LazyLock<ColumnType> = LazyLock::new(|| ColumnType::base_type(oid::JSON, "json"));
static JSONB: LazyLock<ColumnType> = LazyLock::new(|| ColumnType::base_type(oid::JSONB, "jsonb"));

impl ColumnType {
    /// `text`
    pub fn text() -> &'static Self {
        &TEXT
    }

    /// `json`
    pub fn json() -> &'static Self {
        &JSON
    }

    /// `jsonb`
    pub fn jsonb() -> &'static Self {
        &JSONB
    }

    fn base_type(oid: u32, name: &str) -> Self {
        Self {
            oid,
            name: name.into(),
            kind: TypeKind::Base,
        }
    }

    /// Whether its values look different in different time zones.
    pub fn has_time_zone(&self) -> bool {
        match &self.kind {
            TypeKind::Base => self.oid == oid::TIMESTAMPTZ,
            TypeKind::Domain(part)
            | TypeKind::Array(part)
            | TypeKind::Range(part)
            | TypeKind::Multirange(part) => part.has_time_zone(),
            TypeKind::Enum(_) | TypeKind::Other => false,
        }
    }

    /// The type itself, or what a domain is over, however many domains deep.
    pub fn base(&self) -> &ColumnType {
        match &self.kind {
            TypeKind::Domain(over) => over.base(),
            _ => self,
        }
    }
}
