//! The relations behind the resources: partitions, inheritance children, tables that policies and
//! views read; and the shape of each, by which a change of the schema is noticed.
//!
//! Knows nothing of what a relation logs.

use crate::{
    catalog::Oid,
    error::Result,
    postgres::{connection::Connection, migrate::refused, sql::identifier},
};
use std::collections::{HashMap, HashSet};
use tokio_postgres::Row;

const RELATIONS: &str = include_str!("../../../sql/feed/relations.sql");
pub(super) const SHAPES: &str = include_str!("../../../sql/feed/shapes.sql");

/// Digests of everything about each relation that matters to the feed. Relation 0 is what belongs to
/// none: roles, and the labels of enums.
pub type Shapes = HashMap<Oid, Shape>;

/// All about a relation that matters to the feed, as digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// What it is, what is logged of it, and who may see it.
    pub schema: i64,
    /// The file that its rows are in. A truncated or rewritten table has another.
    pub file: u32,
}

impl Shape {
    pub(super) fn of(row: &Row) -> (Oid, Self) {
        let shape = Self {
            schema: row.get(1),
            file: row.get(2),
        };
        (row.get(0), shape)
    }

    /// One number for both.
    pub(super) fn digest(self) -> i64 {
        self.schema ^ (i64::from(self.file) << 16)
    }
}

/// One relation.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    pub(super) oid: Oid,
    /// Schema-qualified and quoted.
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Of which it is a partition or an inheritance child.
    pub(super) parents: Vec<Oid>,
    /// Its row-level security binds us too.
    pub(super) hides: bool,
}

/// The kinds of relation, as far as triggers care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Stores rows itself.
    Table,
    /// The parent of partitions.
    Partitioned,
    /// A view, a materialized view, a foreign table: has no triggers of ours.
    Other,
}

/// The relations and how they hang together.
#[derive(Debug, Default)]
pub(super) struct Relations(HashMap<Oid, Relation>);

impl Relations {
    /// Reads the relations of these schemas, these others, and the descendants of both.
    pub(super) async fn read(
        connection: &Connection,
        schemas: &[String],
        others: &[Oid],
    ) -> Result<Self> {
        let rows = connection
            .query(RELATIONS, &[&schemas, &others])
            .await
            .map_err(refused)?;
        let relations = rows.iter().map(|row| {
            let relation = Relation {
                oid: row.get("relation"),
                name: format!(
                    "{}.{}",
                    identifier(row.get("schema")),
                    identifier(row.get("name"))
                ),
                kind: match row.get::<_, i8>("kind").cast_unsigned() {
                    b'r' => Kind::Table,
                    b'p' => Kind::Partitioned,
                    _ => Kind::Other,
                },
                parents: row.get("parents"),
                hides: row.get("hides"),
            };
            (relation.oid, relation)
        });
        Ok(Self(relations.collect()))
    }

    pub(super) fn get(&self, oid: Oid) -> Option<&Relation> {
        self.0.get(&oid)
    }

    /// In the order of their ids, so that all servers take locks in the same order.
    pub(super) fn all(&self) -> Vec<&Relation> {
        let mut all: Vec<&Relation> = self.0.values().collect();
        all.sort_unstable_by_key(|it| it.oid);
        all
    }

    /// The relation's ancestors, the nearest first, without itself.
    pub(super) fn ancestors(&self, oid: Oid) -> Vec<Oid> {
        let mut ancestors = Vec::new();
        let mut seen = HashSet::from([oid]);
        let mut level = vec![oid];
        while !level.is_empty() {
            level = level
                .iter()
                .filter_map(|it| self.get(*it))
                .flat_map(|it| it.parents.iter().copied())
                .filter(|it| seen.insert(*it))
                .collect();
            ancestors.extend(&level);
        }
        ancestors
    }

    /// Whether a row written by way of one may be a row of the other: they are the same, or one is a
    /// partition or child of the other, at any depth.
    pub(super) fn related(&self, one: Oid, other: Oid) -> bool {
        one == other || self.ancestors(one).contains(&other) || self.ancestors(other).contains(&one)
    }
}

/// The shapes as they are now.
pub(super) async fn shapes(
    connection: &Connection,
    schemas: &[String],
    others: &[Oid],
) -> Result<Shapes> {
    let rows = connection
        .query(SHAPES, &[&schemas, &others])
        .await
        .map_err(refused)?;
    Ok(rows.iter().map(Shape::of).collect())
}
