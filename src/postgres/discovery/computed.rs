//! What functions say of single rows: computed columns, and computed relations.
//!
//! A function that takes a row of an exposed table or view, and nothing else, is a column of that row if
//! it gives a value, and leads to related rows if it gives rows of another one. Which functions may is
//! decided in [`super::functions`].

use super::{
    columns, functions,
    rows::{Found, FunctionRow},
};
use crate::{
    catalog::{Computed, Link, Oid, Relation, Resource, oid},
    config::Config,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// Adds the computed columns. One of the name of a column of the table's own is left to the column.
pub(super) fn columns(config: &Config, found: &Found, resources: &mut [Resource]) {
    let exposed: HashSet<Oid> = resources.iter().map(|it| it.relation).collect();
    for (function, taken) in of_rows(config, found) {
        let gives_rows = function.relation.is_some_and(|it| exposed.contains(&it));
        if gives_rows || function.returns_set || function.returns == oid::VOID {
            continue;
        }
        let Some(resource) = resources.iter_mut().find(|it| it.relation == taken) else {
            continue;
        };
        let known = resource.column(&function.name).is_some();
        if known || resource.computed_column(&function.name).is_some() {
            continue;
        }
        // No column of a table has this number.
        let column = columns::given(found, &function.name, 0, function.returns);
        resource.computed.push(Computed {
            column,
            schema: function.schema.clone(),
        });
    }
}

/// Adds the computed relations.
pub(super) fn relations(
    config: &Config,
    found: &Found,
    resources: &[Resource],
    relations: &mut HashMap<Oid, Vec<Arc<Relation>>>,
) {
    let exposed: HashSet<Oid> = resources.iter().map(|it| it.relation).collect();
    for (function, origin) in of_rows(config, found) {
        let target = function.relation.filter(|it| exposed.contains(it));
        let Some(target) = target.filter(|_| exposed.contains(&origin)) else {
            continue;
        };
        relations
            .entry(origin)
            .or_default()
            .push(Arc::new(Relation {
                origin,
                target,
                link: Link::Computed {
                    schema: function.schema.clone(),
                    function: function.name.clone(),
                    is_set: function.returns_set,
                    to_one: !function.returns_set || function.returns_one,
                },
            }));
    }
}

/// The exposed functions that take one row, with the relation that it is of.
fn of_rows<'a>(
    config: &'a Config,
    found: &'a Found,
) -> impl Iterator<Item = (&'a FunctionRow, Oid)> {
    found
        .functions
        .iter()
        .filter(|it| functions::is_open(config, it))
        .filter_map(|it| Some((it, it.takes?)))
}
