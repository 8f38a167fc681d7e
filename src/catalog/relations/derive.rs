//! Relations from foreign keys: of the tables themselves, and of the views that show their columns.

use super::{Link, Relation, Side};
use crate::catalog::{Oid, Resource};
use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// In how many ways the columns of one key are followed in one pair of resources. A view can show a
/// column many times, and each way counts.
const WAYS_MAX: usize = 64;

/// A foreign key of a table, exposed or not: a view may show its columns.
#[derive(Debug, Clone)]
pub struct ForeignKey {
    /// The constraint's name.
    pub constraint: Arc<str>,
    /// The table that refers.
    pub table: Oid,
    /// `attnum`s of the referring columns.
    pub columns: Vec<i16>,
    /// The table referred to.
    pub target: Oid,
    /// `attnum`s of the columns there, in the same order.
    pub target_columns: Vec<i16>,
    /// A unique constraint, or the primary key, has exactly the referring columns.
    pub unique: bool,
}

/// The column of a table that a view's column shows, unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The table.
    pub table: Oid,
    /// `attnum` there.
    pub column: i16,
}

/// What relations are made of.
#[derive(Debug, Default)]
pub struct Source {
    /// All foreign keys of exposed tables and of those below exposed views.
    pub keys: Vec<ForeignKey>,
    /// The `attnum`s of each of these tables' primary key.
    pub primary: HashMap<Oid, Vec<i16>>,
    /// What the columns of views show, by the view and the `attnum` of its column.
    pub shown: HashMap<(Oid, i16), Origin>,
}

/// What a resource shows of one table: the places of each of its columns.
type Places = HashMap<i16, Vec<usize>>;

/// The relations of each resource, in the order in which candidates are told: by target, then what
/// many refer to before what refers to one before what is one to one before join tables.
pub fn derive(resources: &[Resource], source: &Source) -> HashMap<Oid, Vec<Arc<Relation>>> {
    let mut shown: HashMap<Oid, Vec<(&Resource, Places)>> = HashMap::new();
    for resource in resources {
        for (table, places) in shows(resource, source) {
            shown.entry(table).or_default().push((resource, places));
        }
    }
    let none = Vec::new();
    let showing = |table: Oid| shown.get(&table).unwrap_or(&none);
    // The ones whose key is on this side, which join tables are made of.
    let mut referring: Vec<Relation> = Vec::new();
    for key in &source.keys {
        for (child, child_places) in showing(key.table) {
            for (parent, parent_places) in showing(key.target) {
                for columns in ways(key, child_places, parent_places) {
                    referring.push(Relation {
                        origin: child.relation,
                        target: parent.relation,
                        link: Link::Key {
                            constraint: key.constraint.clone(),
                            side: if key.unique { Side::Unique } else { Side::Here },
                            columns,
                        },
                    });
                }
            }
        }
    }
    let by_oid: HashMap<Oid, &Resource> = resources.iter().map(|it| (it.relation, it)).collect();
    let joins = joins(&by_oid, source, &referring);
    let inverse: Vec<Relation> = referring.iter().map(inverted).collect();
    let mut relations: HashMap<Oid, Vec<Arc<Relation>>> = HashMap::new();
    for relation in referring.into_iter().chain(inverse).chain(joins) {
        let of_origin = relations.entry(relation.origin).or_default();
        of_origin.push(Arc::new(relation));
    }
    for of_origin in relations.values_mut() {
        of_origin.sort_by(|a, b| compared(&by_oid, a, b));
        of_origin.dedup();
    }
    relations
}

/// The tables whose columns a resource shows: its own, or those below a view.
fn shows(resource: &Resource, source: &Source) -> HashMap<Oid, Places> {
    let mut tables: HashMap<Oid, Places> = HashMap::new();
    for (place, column) in resource.columns.iter().enumerate() {
        let origin = source.shown.get(&(resource.relation, column.number));
        let origin = origin.copied().unwrap_or(Origin {
            table: resource.relation,
            column: column.number,
        });
        let places = tables.entry(origin.table).or_default();
        places.entry(origin.column).or_default().push(place);
    }
    tables
}

/// The ways in which the columns of a key can be followed between two resources.
fn ways(key: &ForeignKey, child: &Places, parent: &Places) -> Vec<Vec<(usize, usize)>> {
    let mut ways = vec![Vec::new()];
    for (here, there) in key.columns.iter().zip(&key.target_columns) {
        let (Some(here), Some(there)) = (child.get(here), parent.get(there)) else {
            return Vec::new();
        };
        let pairs = || {
            here.iter()
                .flat_map(|here| there.iter().map(move |there| (*here, *there)))
        };
        let longer = ways.iter().flat_map(|way| {
            pairs().map(move |pair| {
                let mut longer = way.clone();
                longer.push(pair);
                longer
            })
        });
        ways = longer.take(WAYS_MAX).collect();
    }
    ways
}

fn inverted(relation: &Relation) -> Relation {
    let Link::Key {
        constraint,
        side,
        columns,
    } = &relation.link
    else {
        return relation.clone();
    };
    Relation {
        origin: relation.target,
        target: relation.origin,
        link: Link::Key {
            constraint: constraint.clone(),
            side: match side {
                Side::Unique => Side::Unique,
                Side::Here | Side::There => Side::There,
            },
            columns: columns
                .iter()
                .map(|(here, there)| (*there, *here))
                .collect(),
        },
    }
}

/// The relations through join tables: for each two different keys of a table whose primary key
/// contains the columns of both.
fn joins(
    resources: &HashMap<Oid, &Resource>,
    source: &Source,
    referring: &[Relation],
) -> Vec<Relation> {
    let mut by_table: HashMap<Oid, Vec<&Relation>> = HashMap::new();
    for relation in referring {
        let several = matches!(
            &relation.link,
            Link::Key {
                side: Side::Here,
                ..
            }
        );
        if several {
            by_table.entry(relation.origin).or_default().push(relation);
        }
    }
    let mut joins = Vec::new();
    for (table, keys) in by_table {
        let Some(resource) = resources.get(&table) else {
            continue;
        };
        let primary = primary(resource, source);
        let parts = |relation: &Relation| match &relation.link {
            Link::Key {
                constraint,
                columns,
                ..
            } => Some((constraint.clone(), columns.clone())),
            Link::Join { .. } | Link::Computed { .. } => None,
        };
        for near in &keys {
            for far in &keys {
                let (Some((near_name, near_columns)), Some((far_name, far_columns))) =
                    (parts(near), parts(far))
                else {
                    continue;
                };
                let mut columns = near_columns.iter().chain(&far_columns);
                if near_name == far_name || !columns.all(|(here, _)| primary.contains(here)) {
                    continue;
                }
                let swapped = |columns: Vec<(usize, usize)>| {
                    let columns = columns.into_iter();
                    columns.map(|(here, there)| (there, here)).collect()
                };
                joins.push(Relation {
                    origin: near.target,
                    target: far.target,
                    link: Link::Join {
                        table,
                        constraints: [near_name, far_name],
                        near: swapped(near_columns),
                        far: swapped(far_columns),
                    },
                });
            }
        }
    }
    joins
}

/// The places of a resource's primary key, or, for a view, of the keys of the tables below it.
fn primary(resource: &Resource, source: &Source) -> HashSet<usize> {
    let tables = shows(resource, source);
    let keys = tables.iter().filter_map(|(table, places)| {
        let key = source.primary.get(table)?;
        Some(key.iter().filter_map(|it| places.get(it)).flatten())
    });
    keys.flatten().copied().collect()
}

fn compared(resources: &HashMap<Oid, &Resource>, a: &Relation, b: &Relation) -> Ordering {
    let name = |oid: Oid| resources.get(&oid).map(|it| (&it.schema, &it.name));
    let target = name(a.target).cmp(&name(b.target));
    target.then_with(|| match (&a.link, &b.link) {
        (
            Link::Key {
                constraint,
                side,
                columns,
            },
            Link::Key {
                constraint: other,
                side: other_side,
                columns: other_columns,
            },
        ) => (side, constraint, columns).cmp(&(other_side, other, other_columns)),
        // Functions are found by another way, and come behind.
        (Link::Computed { .. }, _) | (_, Link::Computed { .. }) => Ordering::Equal,
        (Link::Key { .. }, Link::Join { .. }) => Ordering::Less,
        (Link::Join { .. }, Link::Key { .. }) => Ordering::Greater,
        (
            Link::Join {
                table,
                constraints,
                near,
                far,
            },
            Link::Join {
                table: other,
                constraints: other_constraints,
                near: other_near,
                far: other_far,
            },
        ) => (name(*table), constraints, near, far).cmp(&(
            name(*other),
            other_constraints,
            other_near,
            other_far,
        )),
    })
}
