//! What is exposed: resources with their columns, keys, references and tenancy.
//!
//! Plain data with look-ups; `postgres::discovery` fills it, `query` and the SQL rendering read it.
//! Knows neither SQL text nor connections.

mod access;
mod column;
mod column_type;
mod function;
pub mod oid;
pub mod relations;
mod resource;
#[cfg(any(test, feature = "fuzzing"))]
pub mod sample;
pub mod suggest;

pub use crate::config::Announce;
pub use access::{Access, Allowed, Privileges};
pub use column::{Column, OperatorName};
pub use column_type::{ColumnType, TypeKind};
pub use function::{Bringing, Choice, Function, Parameter, Returns, Volatility, choose};
pub use relations::{Link, Relation, Side};
pub use resource::{Collision, Computed, Reference, Resource, ResourceKind, Tenancy};

use crate::{error::Result, identity::OrganizationForm};
use std::{collections::HashMap, sync::Arc};

/// First segments of paths that are rowcast's own: a resource of such a name is at
/// `/resources/{name}` only.
pub const OWN_NAMES: [&str; 14] = [
    "channels",
    "requests",
    "signals",
    "topics",
    "passes",
    "batch",
    "rpc",
    "resources",
    "health",
    "ready",
    "metrics",
    "openapi.json",
    "asyncapi.json",
    "docs",
];

/// PostgreSQL's object identifier of a relation.
pub type Oid = u32;

/// Everything that is exposed, as one immutable value: a change of the schema makes a new catalog.
#[derive(Debug, Default)]
pub struct Catalog {
    resources: HashMap<Arc<str>, Arc<Resource>>,
    by_relation: HashMap<Oid, Arc<Resource>>,
    relations: HashMap<Oid, Vec<Arc<Relation>>>,
    functions: HashMap<Arc<str>, Vec<Arc<Function>>>,
    /// Relations of the configured schemas that are not exposed, and why.
    pub hidden: Vec<Hidden>,
    /// What an operator should know; printed by `rowcast check`.
    pub remarks: Vec<Remark>,
    /// Whether queries may have aggregates (`api.aggregates_enabled`).
    pub aggregates_enabled: bool,
}

/// Something that an operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// Something does not do what somebody meant it to: a setting that names what is not there, a
    /// policy that is passed by.
    Wrong(String),
    /// It may well be meant like this.
    Note(String),
}

impl Remark {
    /// The sentence.
    pub fn text(&self) -> &str {
        match self {
            Self::Wrong(text) | Self::Note(text) => text,
        }
    }
}

/// A relation that is not exposed.
#[derive(Debug, Clone)]
pub struct Hidden {
    /// `schema.name`.
    pub relation: String,
    /// One sentence for a person.
    pub reason: String,
}

impl Catalog {
    /// A catalog of these resources.
    pub fn new(resources: Vec<Resource>, hidden: Vec<Hidden>, remarks: Vec<Remark>) -> Self {
        let resources: Vec<Arc<Resource>> = resources.into_iter().map(Arc::new).collect();
        Self {
            relations: HashMap::new(),
            functions: HashMap::new(),
            aggregates_enabled: false,
            by_relation: resources
                .iter()
                .map(|it| (it.relation, it.clone()))
                .collect(),
            resources: resources
                .into_iter()
                .map(|it| (it.name.clone(), it))
                .collect(),
            hidden,
            remarks,
        }
    }

    /// The same catalog with relations, by the resource where they start.
    #[must_use]
    pub fn with_relations(mut self, relations: HashMap<Oid, Vec<Arc<Relation>>>) -> Self {
        self.relations = relations;
        self
    }

    /// The same catalog with functions.
    #[must_use]
    pub fn with_functions(mut self, functions: Vec<Function>) -> Self {
        for function in functions {
            let same = self.functions.entry(function.name.clone()).or_default();
            same.push(Arc::new(function));
        }
        self
    }

    /// The functions of this name: several if they take different arguments.
    pub fn functions(&self, name: &str) -> &[Arc<Function>] {
        self.functions.get(name).map_or(&[], Vec::as_slice)
    }

    /// The names of all functions, in no particular order.
    pub fn function_names(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(|it| &**it)
    }

    /// The relations that start at a resource.
    pub fn relations(&self, origin: Oid) -> &[Arc<Relation>] {
        self.relations.get(&origin).map_or(&[], Vec::as_slice)
    }

    /// The relation from `origin` that a query means by `target`, and by `hint` where several fit.
    ///
    /// # Errors
    /// `RelationUnknown`; `RelationAmbiguous`, with all that fit.
    pub fn relation_to(
        &self,
        origin: &Resource,
        target: &str,
        hint: Option<&str>,
    ) -> Result<Arc<Relation>> {
        relations::find(self, origin, target, hint)
    }

    /// The resource of this name.
    pub fn resource(&self, name: &str) -> Option<&Arc<Resource>> {
        self.resources.get(name)
    }

    /// The resource that this relation is.
    pub fn relation(&self, oid: Oid) -> Option<&Arc<Resource>> {
        self.by_relation.get(&oid)
    }

    /// What organizations look like in this database, where all of its organization columns agree.
    pub fn organization_form(&self) -> OrganizationForm {
        let columns = self
            .resources()
            .filter_map(|resource| match resource.tenancy {
                Tenancy::Column(index) => resource.columns.get(index),
                _ => None,
            });
        let mut forms = columns.map(|column| match column.type_.base().oid {
            // int8, int2, int4, uuid (`pg_type.dat`).
            20 | 21 | 23 => OrganizationForm::Integer,
            2950 => OrganizationForm::Uuid,
            _ => OrganizationForm::Text,
        });
        match forms.next() {
            Some(first) if forms.all(|form| form == first) => first,
            _ => OrganizationForm::Text,
        }
    }

    /// The schema in which a name is looked for first, as far as resources tell.
    pub fn schema(&self) -> &str {
        let in_public = self.resources().any(|it| &*it.schema == "public");
        match self.resources().map(|it| &*it.schema).min() {
            Some(first) if !in_public => first,
            _ => "public",
        }
    }

    /// All resources, in no particular order.
    pub fn resources(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.resources.values()
    }
}
