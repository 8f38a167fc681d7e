//! Functions that callers may call, from PostgreSQL's catalog to ours.

use super::{
    columns,
    rows::{Found, FunctionRow},
};
use crate::{
    catalog::{Column, Function, Oid, Parameter, Remark, Resource, Returns, Volatility, oid},
    config::{Config, TenancyMode},
};
use std::{collections::HashMap, sync::Arc};

/// The functions that are exposed: in single tenancy all of the schemas, else those that the settings
/// name, because a function sees whatever its role sees, of whichever organization.
pub(super) fn exposed(
    config: &Config,
    found: &Found,
    resources: &HashMap<Oid, Arc<Resource>>,
    remarks: &mut Vec<Remark>,
) -> Vec<Function> {
    for name in &config.api.functions {
        let meant = |row: &&FunctionRow| {
            *row.name == **name || format!("{}.{}", row.schema, row.name) == *name
        };
        match found.functions.iter().find(meant) {
            None => remarks.push(Remark::Wrong(format!(
                "api.functions: the schemas have no function {name:?}"
            ))),
            Some(row) if row.is_generic => remarks.push(Remark::Wrong(format!(
                "api.functions: {name:?} takes arguments of any type, and cannot be called by name"
            ))),
            Some(_) => {}
        }
    }
    let mut schemas: HashMap<&str, &str> = HashMap::new();
    let mut functions = Vec::new();
    for row in &found.functions {
        if !is_open(config, row) {
            continue;
        }
        // Of two functions of one name in two schemas, the first schema's count.
        if *schemas.entry(&row.name).or_insert(&row.schema) == &*row.schema {
            functions.push(function(found, row, resources));
        }
    }
    functions
}

/// Whether a function may be used at all.
pub(super) fn is_open(config: &Config, row: &FunctionRow) -> bool {
    // What an extension brings along is called by those who mean it.
    let single = config.tenancy.tenancy == TenancyMode::Single && !row.of_extension;
    let is_it =
        |name: &String| **name == *row.name || **name == *format!("{}.{}", row.schema, row.name);
    !row.is_generic && (single || config.api.functions.iter().any(is_it))
}

fn function(found: &Found, row: &FunctionRow, resources: &HashMap<Oid, Arc<Resource>>) -> Function {
    let mode = |place: usize| row.modes.get(place).map_or("i", String::as_str);
    let places = 0..row.types.len();
    let taken: Vec<usize> = places
        .clone()
        .filter(|place| matches!(mode(*place), "i" | "b" | "v"))
        .collect();
    let required = taken.len().saturating_sub(row.defaults);
    let parameters = taken.iter().enumerate().map(|(number, place)| Parameter {
        name: row.named(*place).map(Into::into),
        type_: columns::resolve(found, row.types[*place]),
        is_required: number < required,
        is_variadic: mode(*place) == "v",
    });
    let given: Vec<usize> = places
        .filter(|place| matches!(mode(*place), "o" | "b" | "t"))
        .collect();
    let made = |columns| Arc::new(Resource::of_values(&row.schema, &row.name, columns));
    let rows = |columns: Vec<Column>| Returns::Row(made(columns));
    let returns = match row.relation {
        _ if row.returns == oid::VOID => Returns::Void,
        Some(relation) => match resources.get(&relation) {
            Some(resource) => Returns::Row(resource.clone()),
            None => rows(columns::of(found, relation, false)),
        },
        // What a function calls its result by is a column, if it is only one, too. A result without a
        // name is a value.
        None if given.len() > 1 || given.iter().any(|place| row.named(*place).is_some()) => {
            let columns = given.iter().enumerate().map(|(number, place)| {
                let number = i16::try_from(number + 1).unwrap_or(i16::MAX);
                let name = row.named(*place).unwrap_or("?column?");
                columns::given(found, name, number, row.types[*place])
            });
            rows(columns.collect())
        }
        None => {
            let column = columns::given(found, &row.name, 1, row.returns);
            Returns::Value(made(vec![column]))
        }
    };
    Function {
        oid: row.oid,
        schema: row.schema.clone(),
        name: row.name.clone(),
        parameters: parameters.collect(),
        volatility: match row.volatility.as_str() {
            "i" => Volatility::Immutable,
            "s" => Volatility::Stable,
            _ => Volatility::Volatile,
        },
        returns,
        is_set: row.returns_set,
    }
}
