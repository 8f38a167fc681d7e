//! How the rows of one resource relate to those of another: what embedding and side-loading follow.
//!
//! A relation is found by the name of its target, of its foreign key or of the key's column, and by a
//! hint where several fit, by PostgREST's rules ("Resource Embedding" in its manual). Knows neither
//! queries nor SQL.

mod derive;

pub use derive::{ForeignKey, Origin, Source, derive};

use super::{Catalog, Oid, Resource, ResourceKind, suggest};
use crate::error::{Error, Kind, Result};
use serde_json::json;
use std::sync::Arc;

/// One way from rows of a resource to rows of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Where it starts.
    pub origin: Oid,
    /// Where it leads; the origin itself for a tree.
    pub target: Oid,
    /// What it follows.
    pub link: Link,
}

/// What a relation follows: a foreign key, or the two of a join table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// One foreign key.
    Key {
        /// The constraint's name.
        constraint: Arc<str>,
        /// On which side the key is, and whether it is unique.
        side: Side,
        /// Pairs of columns that are equal: indices into those of the origin and of the target.
        columns: Vec<(usize, usize)>,
    },
    /// Through a join table, whose primary key contains both of its foreign keys.
    Join {
        /// The join table, or a view of it.
        table: Oid,
        /// The names of its keys to the origin and to the target.
        constraints: [Arc<str>; 2],
        /// Indices into the columns of the origin and of the join table.
        near: Vec<(usize, usize)>,
        /// Indices into the columns of the target and of the join table.
        far: Vec<(usize, usize)>,
    },
    /// What a function says: it takes a row of the origin and gives rows of the target.
    Computed {
        /// The function's schema.
        schema: Arc<str>,
        /// Its name.
        function: Arc<str>,
        /// Whether it gives a set of rows; otherwise one, which may be null.
        is_set: bool,
        /// Whether it gives one row at most.
        to_one: bool,
    },
}

/// On which side of a relation its foreign key is. The order is that in which candidates are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The target's rows refer here: there may be many.
    There,
    /// Rows here refer to the target: there is one at most.
    Here,
    /// The foreign key, on either side, is unique: there is one at most.
    Unique,
}

impl Relation {
    /// Whether there is one related row at most.
    pub fn is_to_one(&self) -> bool {
        match &self.link {
            Link::Key { side, .. } => *side != Side::There,
            Link::Join { .. } => false,
            Link::Computed { to_one, .. } => *to_one,
        }
    }

    /// Whether it leads back to the resource where it starts.
    pub fn is_self(&self) -> bool {
        self.origin == self.target
    }

    /// The single pair of columns of a foreign key that has one.
    fn single(&self) -> Option<(usize, usize)> {
        match &self.link {
            Link::Key { columns, .. } => match columns.as_slice() {
                [pair] => Some(*pair),
                _ => None,
            },
            Link::Join { .. } | Link::Computed { .. } => None,
        }
    }

    fn side(&self) -> Option<Side> {
        match &self.link {
            Link::Key { side, .. } => Some(*side),
            Link::Join { .. } | Link::Computed { .. } => None,
        }
    }

    fn is_computed(&self, name: &str) -> bool {
        matches!(&self.link, Link::Computed { function, .. } if **function == *name)
    }

    fn is_constraint(&self, name: &str) -> bool {
        matches!(&self.link, Link::Key { constraint, .. } if **constraint == *name)
    }
}

/// A relation with the resources that it connects, for the rules of names.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    catalog: &'a Catalog,
    relation: &'a Arc<Relation>,
    origin: &'a Resource,
    target: &'a Resource,
}

impl Candidate<'_> {
    fn column_here(&self, name: &str) -> bool {
        let pair = self.relation.single();
        pair.is_some_and(|(here, _)| *self.origin.columns[here].name == *name)
    }

    fn column_there(&self, name: &str) -> bool {
        let pair = self.relation.single();
        pair.is_some_and(|(_, there)| *self.target.columns[there].name == *name)
    }

    fn join_table(&self, name: &str) -> bool {
        match &self.relation.link {
            Link::Join { table, .. } => {
                let table = self.catalog.relation(*table);
                table.is_some_and(|it| *it.name == *name)
            }
            Link::Key { .. } | Link::Computed { .. } => false,
        }
    }

    /// Whether `target`, as a query writes it, can mean this relation. Of a tree, the table's name
    /// means the rows that refer here, and the column's name the row referred to.
    fn is_meant(&self, target: &str, hint: Option<&str>) -> bool {
        if matches!(self.relation.link, Link::Computed { .. }) {
            return false;
        }
        let named = *self.target.name == *target;
        let side = self.relation.side();
        match (self.relation.is_self(), hint) {
            (true, None) => {
                named && side == Some(Side::There)
                    || side == Some(Side::Here) && self.column_here(target)
            }
            (true, Some(hint)) => named && side == Some(Side::There) && self.column_there(hint),
            (false, None) => {
                let is_view = matches!(
                    self.target.kind,
                    ResourceKind::View { .. } | ResourceKind::MaterializedView
                );
                named
                    || !is_view && (self.relation.is_constraint(target) || self.column_here(target))
            }
            (false, Some(hint)) => {
                named
                    && (self.relation.is_constraint(hint)
                        || self.column_here(hint)
                        || self.column_there(hint)
                        || self.join_table(hint))
            }
        }
    }

    /// What this candidate is called in a hint.
    fn suggestion(&self) -> String {
        let by = match &self.relation.link {
            Link::Key { constraint, .. } => constraint.clone(),
            Link::Join { table, .. } => self.name_of(*table),
            Link::Computed { function, .. } => function.clone(),
        };
        format!("'{}!{by}'", self.target.name)
    }

    fn name_of(&self, table: Oid) -> Arc<str> {
        let table = self.catalog.relation(table);
        table.map_or_else(|| Arc::from("?"), |it| it.name.clone())
    }

    /// What this candidate is, as PostgREST lists it.
    fn describe(&self) -> serde_json::Value {
        let listed = |resource: &Resource, columns: &mut dyn Iterator<Item = usize>| {
            let names: Vec<&str> = columns.map(|it| &*resource.columns[it].name).collect();
            format!("({})", names.join(", "))
        };
        let (cardinality, relationship) = match &self.relation.link {
            Link::Key {
                constraint,
                side,
                columns,
            } => (
                match side {
                    Side::There => "one-to-many",
                    Side::Here => "many-to-one",
                    Side::Unique => "one-to-one",
                },
                format!(
                    "{constraint} using {}{} and {}{}",
                    self.origin.name,
                    listed(self.origin, &mut columns.iter().map(|it| it.0)),
                    self.target.name,
                    listed(self.target, &mut columns.iter().map(|it| it.1)),
                ),
            ),
            Link::Join {
                table,
                constraints,
                near,
                far,
            } => {
                let columns = |pairs: &[(usize, usize)]| match self.catalog.relation(*table) {
                    Some(join) => listed(join, &mut pairs.iter().map(|it| it.1)),
                    None => String::new(),
                };
                let relationship = format!(
                    "{} using {}{} and {}{}",
                    self.name_of(*table),
                    constraints[0],
                    columns(near),
                    constraints[1],
                    columns(far),
                );
                ("many-to-many", relationship)
            }
            // By its own name, it is never one of several.
            Link::Computed { function, .. } => ("computed", function.to_string()),
        };
        json!({
            "cardinality": cardinality,
            "embedding": format!("{} with {}", self.origin.name, self.target.name),
            "relationship": relationship,
        })
    }
}

/// The relation from `origin` that a query means by `target` and `hint`.
///
/// # Errors
/// `RelationUnknown`; `RelationAmbiguous`, with all that fit.
pub(super) fn find(
    catalog: &Catalog,
    origin: &Resource,
    target: &str,
    hint: Option<&str>,
) -> Result<Arc<Relation>> {
    let candidates = || {
        catalog.relations(origin.relation).iter().filter_map(|it| {
            Some(Candidate {
                catalog,
                relation: it,
                origin: catalog.relation(it.origin)?,
                target: catalog.relation(it.target)?,
            })
        })
    };
    // A function goes before the keys that it may be meant to replace.
    if let Some(it) = candidates().find(|it| it.relation.is_computed(target)) {
        return Ok(it.relation.clone());
    }
    let meant: Vec<Candidate<'_>> = candidates()
        .filter(|it| it.is_meant(target, hint))
        .collect();
    match meant.as_slice() {
        [one] => Ok(one.relation.clone()),
        [] => {
            let by_hint = hint.map(|it| format!(" using the hint '{it}'"));
            let error = Error::new(
                Kind::RelationUnknown,
                format!(
                    "Could not find a relationship between '{}' and '{target}' in the schema cache",
                    origin.name
                ),
            )
            .with_details(json!(format!(
                "Searched for a foreign key relationship between '{}' and '{target}'{} in the \
                 schema '{}', but no matches were found.",
                origin.name,
                by_hint.unwrap_or_default(),
                origin.schema,
            )));
            let targets = candidates().map(|it| &*it.target.name);
            Err(match suggest::similar(target, targets) {
                Some(it) => {
                    error.with_hint(format!("Perhaps you meant '{it}' instead of '{target}'."))
                }
                None => error,
            })
        }
        several => {
            let names: Vec<String> = several.iter().map(Candidate::suggestion).collect();
            let details: Vec<_> = several.iter().map(Candidate::describe).collect();
            Err(Error::new(
                Kind::RelationAmbiguous,
                format!(
                    "Could not embed because more than one relationship was found for '{}' and \
                     '{target}'",
                    origin.name
                ),
            )
            .with_details(details)
            .with_hint(format!(
                "Try changing '{target}' to one of the following: {}. Find the desired \
                 relationship in the 'details' key.",
                names.join(", ")
            )))
        }
    }
}

#[cfg(test)]
mod tests;
