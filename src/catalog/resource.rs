//! One exposed table or view: columns, key, constraints, and how its rows belong to an organization.
//!
//! Plain data. Knows neither other resources nor what a role may do with it.

use super::{Announce, Column, Oid};
use std::sync::Arc;

/// One exposed table or view.
#[derive(Debug, Clone)]
pub struct Resource {
    /// The name on the wire.
    pub name: Arc<str>,
    /// The schema it lives in.
    pub schema: Arc<str>,
    /// The relation's name inside the schema.
    pub table: Arc<str>,
    /// The relation's object identifier.
    pub relation: Oid,
    /// What kind of relation it is.
    pub kind: ResourceKind,
    /// All columns in the table's order.
    pub columns: Vec<Column>,
    /// Indices into `columns` of the primary key, in key order. Empty: the resource is read-only
    /// and its changes come as `reset`.
    pub key: Vec<usize>,
    /// What functions compute of a row, as if it were columns behind its own.
    pub computed: Vec<Computed>,
    /// How a row belongs to an organization.
    pub tenancy: Tenancy,
    /// Foreign keys from here to other relations.
    pub references: Vec<Reference>,
    /// Unique and exclusion constraints, the primary key among them: what a write may collide with.
    pub collisions: Vec<Collision>,
    /// Whether row-level security is enabled; for a view that runs with its caller's rights, on any
    /// table that it reads.
    pub row_security: bool,
    /// Whether which rows are seen depends on more than the organization and the role: row-level
    /// security, here or where the organization comes through. Such rows are re-read per identity.
    pub restricted: bool,
    /// The tables whose row-level security a view that runs with its caller's rights comes under;
    /// empty for everything else.
    pub secured_by: Vec<Oid>,
    /// Relations whose changes change which rows of this one are seen: those that its policies read,
    /// itself among them if a function of theirs reads it, those that a view is made of, and those
    /// configured.
    pub visibility_depends_on: Vec<Oid>,
    /// Index into `columns` of the configured `updated_at`.
    pub updated_at: Option<usize>,
    /// What a change announces.
    pub announce: Announce,
    /// Whether its rows have secret keys.
    pub keyed: bool,
    /// A digest of who was given which rights on it (its owner, `relacl`, `attacl`): another one means
    /// that roles may read another part of it.
    pub rights: i64,
    /// Why its changes cannot be announced (a view, a missing right); `None`: it is live.
    pub not_live: Option<String>,
}

impl Resource {
    /// Rows that are of no relation, as if they were: what functions give.
    pub fn of_values(schema: &Arc<str>, name: &Arc<str>, columns: Vec<Column>) -> Self {
        Self {
            name: name.clone(),
            schema: schema.clone(),
            table: name.clone(),
            // No relation has this number.
            relation: 0,
            kind: ResourceKind::View { updatable: false },
            columns,
            key: Vec::new(),
            computed: Vec::new(),
            tenancy: Tenancy::Single,
            references: Vec::new(),
            collisions: Vec::new(),
            row_security: false,
            restricted: false,
            secured_by: Vec::new(),
            visibility_depends_on: Vec::new(),
            updated_at: None,
            announce: Announce::default(),
            keyed: false,
            rights: 0,
            not_live: None,
        }
    }

    /// Whether what is read of its rows, and by what they belong to an organization, is the same as of
    /// `other`. What else was found of the two, such as references, does not matter.
    pub fn reads_like(&self, other: &Self) -> bool {
        let of = |it: &Self| (it.relation, it.kind, it.rights, it.row_security);
        of(self) == of(other)
            && (&self.schema, &self.table, &self.name) == (&other.schema, &other.table, &other.name)
            && self.columns == other.columns
            && self.key == other.key
            && self.computed == other.computed
            && self.tenancy == other.tenancy
    }

    /// The column of this name, with its index.
    pub fn column(&self, name: &str) -> Option<(usize, &Column)> {
        self.columns
            .iter()
            .enumerate()
            .find(|(_, column)| &*column.name == name)
    }

    /// The column at this place: one of its own, or behind them one that is computed.
    pub fn at(&self, index: usize) -> &Column {
        match self.columns.get(index) {
            Some(column) => column,
            None => &self.computed[index - self.columns.len()].column,
        }
    }

    /// The function that computes the column at this place, if it is none of its own.
    pub fn computed_at(&self, index: usize) -> Option<&Computed> {
        self.computed.get(index.checked_sub(self.columns.len())?)
    }

    /// The place of the computed column of this name.
    pub fn computed_column(&self, name: &str) -> Option<usize> {
        let found = self.computed.iter().position(|it| *it.column.name == *name);
        found.map(|it| it + self.columns.len())
    }

    /// The key's columns, in key order.
    pub fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.key.iter().map(|index| &self.columns[*index])
    }

    /// What PostgreSQL says to a role that has no right on it.
    pub fn denial(&self) -> String {
        let kind = match self.kind {
            ResourceKind::Table | ResourceKind::PartitionedTable => "table",
            ResourceKind::View { .. } => "view",
            ResourceKind::MaterializedView => "materialized view",
            ResourceKind::ForeignTable => "foreign table",
        };
        format!("permission denied for {kind} {}", self.table)
    }

    /// Whether its columns hold values; those of a view may be expressions, evaluated on rows that
    /// nobody asked for.
    pub fn is_stored(&self) -> bool {
        !matches!(
            self.kind,
            ResourceKind::View { .. } | ResourceKind::ForeignTable
        )
    }

    /// Whether its rows have a transaction that wrote them (`xmin`), from which entity tags are made.
    pub fn has_etags(&self) -> bool {
        matches!(
            self.kind,
            ResourceKind::Table | ResourceKind::PartitionedTable
        )
    }

    /// Whether rows can be written at all, by anybody, each by its address.
    pub fn is_writable(&self) -> bool {
        !self.key.is_empty() && self.takes_writes()
    }

    /// Whether rows can be written at all, by anybody. Those of a table without a key have no address,
    /// and are written as PostgREST writes them, by filter.
    pub fn takes_writes(&self) -> bool {
        self.tenancy != Tenancy::Shared && self.kind.is_writable()
    }
}

/// A column that a function computes of a row, whose type is all that it takes. It can be read and
/// compared like a column, and is none of the row: it is not written, announced or stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Computed {
    /// As what it is read. Comparing it may run the function, so nothing about it is leakproof.
    pub column: Column,
    /// The function's schema.
    pub schema: Arc<str>,
}

/// The kinds of relation that can be exposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceKind {
    /// An ordinary table.
    Table,
    /// The parent of partitions.
    PartitionedTable,
    /// A view; its changes are not seen by triggers.
    View {
        /// Whether PostgreSQL inserts, updates and deletes through it (`pg_relation_is_updatable`).
        updatable: bool,
    },
    /// A materialized view: read-only.
    MaterializedView,
    /// A foreign table.
    ForeignTable,
}

impl ResourceKind {
    fn is_writable(self) -> bool {
        matches!(
            self,
            Self::Table
                | Self::PartitionedTable
                | Self::View { updatable: true }
                | Self::ForeignTable
        )
    }
}

/// How a row belongs to an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenancy {
    /// By its own column: an index into `columns`.
    Column(usize),
    /// Through a reference, to a resource that has an organization (perhaps through another one).
    Via {
        /// Index into `columns` of the referring column.
        column: usize,
        /// The relation referred to.
        target: Oid,
        /// `attnum` of the column there.
        target_column: i16,
    },
    /// Seen by every organization, written by none.
    Shared,
    /// The whole database is one organization.
    Single,
}

/// A unique or exclusion constraint, or a unique index.
#[derive(Debug, Clone)]
pub struct Collision {
    /// The names under which PostgreSQL's errors report it: the constraint's or index's own, and
    /// those of its descendants in partitions.
    pub names: Vec<Arc<str>>,
    /// Indices into `columns` of the plain columns in it.
    pub columns: Vec<usize>,
    /// Only plain columns compared by equality, and no condition: two rows collide exactly if these
    /// columns are equal.
    pub plain: bool,
    /// One of its parts is the organization column, compared by equality: rows of different
    /// organizations never collide.
    pub within_organization: bool,
}

/// A foreign key.
#[derive(Debug, Clone)]
pub struct Reference {
    /// The constraint's name.
    pub constraint: Arc<str>,
    /// Indices into `columns` of the referring columns.
    pub columns: Vec<usize>,
    /// The relation referred to.
    pub target: Oid,
    /// `attnum`s of the columns there, in the same order.
    pub target_columns: Vec<i16>,
}
