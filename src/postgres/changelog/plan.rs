//! What is logged of each relation, and what an entry of the log means for each resource.
//!
//! Pure: a function of the catalog and of how relations hang together. Runs nothing.

use super::{
    relations::{Kind, Relation, Relations},
    texts::Texts,
};
use crate::{
    catalog::{Catalog, Column, Oid, Resource, ResourceKind, Tenancy},
    postgres::triggers::{Log, Logged, LoggedColumn, LoggedOwner, RowLog},
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// What the feed works by, until the schema changes.
#[derive(Debug, Default)]
pub struct Plan {
    catalog: Arc<Catalog>,
    /// By relation.
    concerns: HashMap<Oid, Vec<Concern>>,
    /// By resource: those whose organization comes through it, at any distance.
    dependents: HashMap<Oid, Vec<Arc<Resource>>>,
    /// Resources whose row-level security binds the role that we log in as.
    blind: HashSet<Oid>,
    /// By resource: the statements that read its rows again. Tables with a key only.
    texts: HashMap<Oid, Texts>,
    /// What has to be logged, in the order of the relations' ids.
    pub(super) logged: Vec<Logged>,
    /// Relations outside the exposed schemas that matter nevertheless.
    pub(super) others: Vec<Oid>,
}

/// What a log entry of one relation means for one resource.
#[derive(Debug, Clone)]
pub struct Concern {
    /// The resource.
    pub resource: Arc<Resource>,
    /// What it means.
    pub meaning: Meaning,
    /// What the entry says of whose the resource's rows are.
    pub owner: Owner,
}

/// Where the organization of a log entry is to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// It is not known, or the rows are everybody's.
    Unknown,
    /// In the entry itself.
    Organization,
    /// With the row that the entry refers to.
    Reference {
        /// The resource referred to.
        target: Oid,
        /// `attnum` of the column there.
        column: i16,
    },
}

impl Owner {
    /// Of the entries that are logged for this resource.
    fn of(resource: &Resource) -> Self {
        match resource.tenancy {
            Tenancy::Column(_) => Self::Organization,
            Tenancy::Via {
                target,
                target_column,
                ..
            } => Self::Reference {
                target,
                column: target_column,
            },
            Tenancy::Shared | Tenancy::Single => Self::Unknown,
        }
    }
}

/// What a log entry means for a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The row of that key changed.
    Row,
    /// Something in it changed: a resource without a key, a view, an inheritance child whose key is
    /// another.
    Anything,
    /// Which rows an identity sees may have changed.
    Visibility,
}

impl Plan {
    /// The plan for these resources.
    pub(super) fn new(catalog: Arc<Catalog>, relations: &Relations, others: Vec<Oid>) -> Self {
        let visibility = visibility(&catalog);
        let logged: Vec<Logged> = relations
            .all()
            .into_iter()
            .filter_map(|it| logged(it, &catalog, relations, &visibility))
            .collect();
        let concerns = relations
            .all()
            .into_iter()
            .map(|it| (it.oid, concerns(it, &catalog, relations, &visibility)))
            .filter(|(_, it)| !it.is_empty())
            .collect();
        Self {
            dependents: dependents(&catalog),
            blind: relations
                .all()
                .into_iter()
                .filter(|it| it.hides)
                .map(|it| it.oid)
                .collect(),
            texts: catalog
                .resources()
                .filter(|it| is_table(it) && !it.key.is_empty())
                .map(|it| (it.relation, Texts::new(&catalog, it)))
                .collect(),
            catalog,
            concerns,
            logged,
            others,
        }
    }

    /// The catalog that it was made from.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Relations outside the exposed schemas that matter nevertheless.
    pub fn others(&self) -> &[Oid] {
        &self.others
    }

    /// What an entry of this relation means; empty for one that is no longer followed.
    pub fn concerns(&self, relation: Oid) -> &[Concern] {
        self.concerns.get(&relation).map_or(&[], Vec::as_slice)
    }

    /// The relations of which an entry means anything, and what.
    pub fn followed(&self) -> impl Iterator<Item = (Oid, &[Concern])> {
        self.concerns
            .iter()
            .map(|(relation, it)| (*relation, it.as_slice()))
    }

    /// Which relations' entries mean something for a resource, and what.
    pub(super) fn about(&self, resource: &Resource) -> impl Iterator<Item = (Oid, &Concern)> {
        let followed = self.followed();
        let each = followed.flat_map(|(relation, them)| them.iter().map(move |it| (relation, it)));
        each.filter(move |(_, it)| it.resource.relation == resource.relation)
    }

    /// The statements of a table with a key.
    pub(super) fn texts(&self, resource: &Resource) -> &Texts {
        self.texts
            .get(&resource.relation)
            .expect("only tables with a key of this plan are asked about")
    }

    /// Resources whose rows we cannot read as a whole, so that each change of theirs is a reset.
    pub fn blind(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.catalog
            .resources()
            .filter(|it| self.blind.contains(&it.relation))
    }

    /// The resources whose rows belong to an organization through a row of this one.
    pub fn dependents(&self, resource: &Resource) -> &[Arc<Resource>] {
        self.dependents
            .get(&resource.relation)
            .map_or(&[], Vec::as_slice)
    }
}

/// Relations outside the schemas that the resources depend on.
pub(super) fn others(catalog: &Catalog) -> Vec<Oid> {
    let mut others: Vec<Oid> = catalog
        .resources()
        .flat_map(|it| it.visibility_depends_on.iter().copied())
        .collect();
    others.sort_unstable();
    others.dedup();
    others
}

/// For each resource, the relations whose changes change which rows of it an identity sees, or, for
/// a view, which rows it has. What a policy reads may be behind a policy itself, and a row that
/// belongs to an organization through another is seen only with that one: so it goes on from there.
fn visibility(catalog: &Catalog) -> HashMap<Oid, HashSet<Oid>> {
    let direct = |resource: &Resource| {
        let mut relations: Vec<Oid> = Vec::new();
        if resource.restricted || !is_table(resource) {
            relations.extend(&resource.visibility_depends_on);
        }
        if let Tenancy::Via { target, .. } = resource.tenancy
            && catalog.relation(target).is_some_and(|it| it.restricted)
        {
            relations.push(target);
        }
        relations
    };
    catalog
        .resources()
        .map(|resource| {
            let mut all: HashSet<Oid> = HashSet::new();
            let mut open = direct(resource);
            while let Some(relation) = open.pop() {
                if all.insert(relation)
                    && let Some(next) = catalog.relation(relation)
                {
                    open.extend(direct(next));
                }
            }
            (resource.relation, all)
        })
        .collect()
}

fn is_table(resource: &Resource) -> bool {
    matches!(
        resource.kind,
        ResourceKind::Table | ResourceKind::PartitionedTable
    )
}

/// The resource by which a relation's rows are logged: its own, else its nearest ancestor's.
fn logging<'a>(
    relation: &Relation,
    catalog: &'a Catalog,
    relations: &Relations,
) -> Option<&'a Arc<Resource>> {
    let own = catalog.relation(relation.oid).filter(|it| is_table(it));
    own.or_else(|| {
        relations
            .ancestors(relation.oid)
            .into_iter()
            .find_map(|it| catalog.relation(it).filter(|it| is_table(it)))
    })
}

fn logged(
    relation: &Relation,
    catalog: &Catalog,
    relations: &Relations,
    visibility: &HashMap<Oid, HashSet<Oid>>,
) -> Option<Logged> {
    if relation.kind == Kind::Other {
        return None;
    }
    let log = match logging(relation, catalog, relations) {
        Some(resource) => Log::Rows {
            resource: resource.relation,
            log: Arc::new(row_log(resource)),
        },
        None => {
            let needed = visibility
                .values()
                .flatten()
                .any(|it| relations.related(relation.oid, *it));
            if !needed {
                return None;
            }
            Log::Statements
        }
    };
    Some(Logged {
        relation: relation.oid,
        name: relation.name.clone(),
        stores: relation.kind == Kind::Table,
        log,
    })
}

fn row_log(resource: &Resource) -> RowLog {
    let logged = |it: &Column| LoggedColumn::new(&it.name, &it.type_);
    RowLog {
        key: resource.key_columns().map(logged).collect(),
        owner: match resource.tenancy {
            Tenancy::Column(column) => LoggedOwner::Organization(logged(&resource.columns[column])),
            Tenancy::Via { column, .. } => {
                LoggedOwner::Reference(logged(&resource.columns[column]))
            }
            Tenancy::Shared | Tenancy::Single => LoggedOwner::None,
        },
    }
}

fn concerns(
    relation: &Relation,
    catalog: &Catalog,
    relations: &Relations,
    visibility: &HashMap<Oid, HashSet<Oid>>,
) -> Vec<Concern> {
    let logging = logging(relation, catalog, relations);
    let log = logging.map(|it| row_log(it));
    let blind = |it: &Resource| relations.get(it.relation).is_some_and(|it| it.hides);
    let mut concerns: Vec<Concern> = Vec::new();
    for resource in catalog.resources() {
        let same_rows = is_table(resource) && relations.related(relation.oid, resource.relation);
        if same_rows {
            // An inheritance child may have a key of its own, by which its parent's log says nothing.
            let same = log.as_ref().filter(|it| **it == row_log(resource));
            concerns.push(Concern {
                resource: resource.clone(),
                meaning: match same {
                    Some(log) if !log.key.is_empty() && !blind(resource) => Meaning::Row,
                    _ => Meaning::Anything,
                },
                owner: same.map_or(Owner::Unknown, |_| Owner::of(resource)),
            });
        }
        let seen_through = visibility[&resource.relation]
            .iter()
            .any(|it| relations.related(relation.oid, *it));
        if seen_through {
            // What belongs to everybody is seen through anybody's rows.
            let owner = match (&resource.tenancy, logging) {
                (Tenancy::Column(_) | Tenancy::Via { .. }, Some(logging)) => Owner::of(logging),
                _ => Owner::Unknown,
            };
            concerns.push(Concern {
                resource: resource.clone(),
                meaning: match resource.restricted && is_table(resource) {
                    true if !blind(resource) => Meaning::Visibility,
                    _ => Meaning::Anything,
                },
                owner,
            });
        }
    }
    concerns.sort_by(|one, other| one.resource.name.cmp(&other.resource.name));
    concerns
}

fn dependents(catalog: &Catalog) -> HashMap<Oid, Vec<Arc<Resource>>> {
    let mut dependents: HashMap<Oid, Vec<Arc<Resource>>> = HashMap::new();
    for resource in catalog.resources() {
        let mut current = resource.clone();
        // Chains of references have been seen to end when the catalog was made.
        while let Tenancy::Via { target, .. } = current.tenancy {
            dependents.entry(target).or_default().push(resource.clone());
            let Some(next) = catalog.relation(target) else {
                break;
            };
            current = next.clone();
        }
    }
    dependents
}
