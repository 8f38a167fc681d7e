//! The id of a row in a path: the values of its key, joined by commas, each percent-encoded. Who encodes
//! the whole, commas included, is understood as long as no value has a comma itself.

use super::{
    parameters::decode_segment,
    read::{Condition, equal},
};
use crate::{
    catalog::{Allowed, Resource},
    error::{Error, Kind, Result},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::value::RawValue;
use std::collections::HashMap;

/// What is encoded in a part of an id: all but the unreserved characters (RFC 3986 section 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The conditions that pick out one row by its id.
pub(super) fn conditions(allowed: &Allowed, id: &str) -> Result<Vec<Condition>> {
    let resource = &allowed.resource;
    let texts = parts(resource, id)?;
    let mut conditions = Vec::with_capacity(texts.len());
    for (index, text) in resource.key.iter().zip(texts) {
        let column = &resource.columns[*index];
        if !allowed
            .privileges
            .select
            .get(*index)
            .copied()
            .unwrap_or(false)
        {
            return Err(Error::new(
                Kind::PermissionDenied,
                format!("The role may not read {:?}, the key.", &*column.name),
            ));
        }
        conditions.push(Condition::equal(*index, equal(column, &text)?));
    }
    Ok(conditions)
}

/// The texts of a key's values, in the order of the key.
fn parts(resource: &Resource, id: &str) -> Result<Vec<String>> {
    match resource.key.len() {
        0 => Err(Error::new(
            Kind::NotSupported,
            format!(
                "{:?} has no primary key, so its rows have no address.",
                &*resource.name
            ),
        )
        .with_hint("Filter the collection instead.")),
        // A comma in the only part need not be encoded.
        1 => Ok(vec![decode_segment(id)?]),
        length => {
            let mut parts: Vec<String> =
                id.split(',').map(decode_segment).collect::<Result<_>>()?;
            if let [whole] = parts.as_slice() {
                parts = whole.split(',').map(str::to_owned).collect();
            }
            if parts.len() != length {
                let names: Vec<&str> = resource.key_columns().map(|it| &*it.name).collect();
                return Err(Error::new(
                    Kind::ValueInvalid,
                    format!("The id has {} parts, the key has {length}.", parts.len()),
                )
                .with_hint(format!("Write {}, with commas between.", names.join(","))));
            }
            Ok(parts)
        }
    }
}

/// The id of a row, as a segment of a path.
pub(crate) fn encode<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let parts: Vec<String> = parts
        .into_iter()
        .map(|part| utf8_percent_encode(part, ENCODED).to_string())
        .collect();
    parts.join(",")
}
/// The id of a row, which is a whole JSON object of its resource: as JSON, as changes name it, and as
/// a segment of a path.
///
/// # Errors
/// `Internal` if the row is none, or lacks a part of its key.
pub(crate) fn of_row(resource: &Resource, row: &[u8]) -> Result<(String, String)> {
    let broken = || Error::internal("a row lacks its key");
    let row: HashMap<String, &RawValue> = serde_json::from_slice(row).map_err(|_| broken())?;
    let mut json = Vec::new();
    let mut texts = Vec::new();
    for column in resource.key_columns() {
        let value = row.get(&*column.name).ok_or_else(broken)?.get();
        json.push(value);
        texts.push(match serde_json::from_str::<String>(value) {
            Ok(text) => text,
            Err(_) => value.to_owned(),
        });
    }
    let id = encode(texts.iter().map(String::as_str));
    match json.as_slice() {
        [] => Err(broken()),
        [one] => Ok(((*one).to_owned(), id)),
        several => Ok((format!("[{}]", several.join(",")), id)),
    }
}
