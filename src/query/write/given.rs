//! The values that a body gives to columns, checked, and as the JSON that PostgreSQL reads.
//!
//! The values reach PostgreSQL as one JSON text, composed anew from the names of the catalog and the
//! raw values, so that nothing of the body but checked values gets there. The organization's own
//! column never does: what the body says of it is kept apart, to be compared with the caller's.

use super::body::{Object, malformed};
use crate::{
    catalog::{Allowed, Column, Resource, Tenancy, oid},
    error::{Error, Kind, Result},
    identity::OrganizationId,
    query::{read::column_named, value::Value},
};
use serde_json::value::RawValue;

/// Rows of values, all for the same columns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Given {
    /// The columns, as ascending indices into the resource's, without the organization's own.
    pub(crate) columns: Vec<usize>,
    /// A JSON array of objects, one for each row.
    pub(crate) json: String,
    /// How many rows.
    pub(crate) rows: usize,
    /// Of the columns, those that are null in some row.
    pub(crate) nulls: Vec<usize>,
    /// The organizations that the body names; `None` is the null.
    pub(crate) organizations: Vec<Option<OrganizationId>>,
}

/// What a value is given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Insert,
    Update,
    /// Insert or update.
    Replace,
}

impl Given {
    /// Reads the objects of a body.
    pub(super) fn read(
        allowed: &Allowed,
        objects: &[Object<'_>],
        purpose: Purpose,
    ) -> Result<Self> {
        let mut given = Self {
            rows: objects.len(),
            json: "[".into(),
            ..Self::default()
        };
        for (place, object) in objects.iter().enumerate() {
            let members = given.members(allowed, object, purpose)?;
            let columns: Vec<usize> = members.iter().map(|(index, _)| *index).collect();
            if place == 0 {
                given.columns = columns;
            } else if columns != given.columns {
                return Err(malformed(format!(
                    "All objects of an array have the same names; those of object {} differ from the first's.",
                    place + 1
                )));
            }
            given.add(&allowed.resource, place, &members);
        }
        given.json.push(']');
        Ok(given)
    }

    /// Adds columns to the only row, or replaces what the body said of them.
    pub(super) fn with(self, resource: &Resource, values: &[(usize, String)]) -> Result<Self> {
        let Object(members) = serde_json::from_str::<Vec<Object<'_>>>(&self.json)
            .ok()
            .and_then(|mut objects| objects.pop())
            .ok_or_else(|| Error::internal("a body's values lost their shape"))?;
        let raw: Vec<(usize, Box<RawValue>)> = values
            .iter()
            .map(|(index, text)| {
                let json = serde_json::Value::from(text.as_str()).to_string();
                let raw = RawValue::from_string(json).expect("an encoded string is JSON");
                (*index, raw)
            })
            .collect();
        let mut all: Vec<(usize, &RawValue)> =
            raw.iter().map(|(index, it)| (*index, &**it)).collect();
        for (index, (_, value)) in self.columns.iter().zip(&members) {
            if !values.iter().any(|(other, _)| other == index) {
                all.push((*index, value));
            }
        }
        all.sort_by_key(|(index, _)| *index);
        let mut given = Self {
            columns: all.iter().map(|(index, _)| *index).collect(),
            json: "[".into(),
            ..self.clone()
        };
        given.add(resource, 0, &all);
        given.json.push(']');
        Ok(given)
    }

    /// The checked values of one object, by ascending column.
    fn members<'a>(
        &mut self,
        allowed: &Allowed,
        object: &Object<'a>,
        purpose: Purpose,
    ) -> Result<Vec<(usize, &'a RawValue)>> {
        let resource = &allowed.resource;
        let mut members = Vec::with_capacity(object.0.len());
        for (name, raw) in &object.0 {
            let index = column_named(resource, name)?;
            let column = &resource.columns[index];
            let value = Value::from_json(&column.name, &column.type_, raw)?;
            if resource.tenancy == Tenancy::Column(index) {
                let named = organization(column, raw);
                if !self.organizations.contains(&named) {
                    self.organizations.push(named);
                }
                continue;
            }
            writable(allowed, index, purpose)?;
            if value.text().is_none() && !self.nulls.contains(&index) {
                self.nulls.push(index);
            }
            members.push((index, *raw));
        }
        members.sort_by_key(|(index, _)| *index);
        Ok(members)
    }

    fn add(&mut self, resource: &Resource, place: usize, members: &[(usize, &RawValue)]) {
        self.json.push_str(if place == 0 { "{" } else { ",{" });
        for (count, (index, raw)) in members.iter().enumerate() {
            if count > 0 {
                self.json.push(',');
            }
            let name = serde_json::Value::from(&*resource.columns[*index].name);
            self.json.push_str(&name.to_string());
            self.json.push(':');
            self.json.push_str(raw.get());
        }
        self.json.push('}');
    }
}

/// Refuses a column that cannot be written, or not by this role.
fn writable(allowed: &Allowed, index: usize, purpose: Purpose) -> Result<()> {
    let column = &allowed.resource.columns[index];
    if column.generated {
        return Err(Error::new(
            Kind::ValueInvalid,
            format!(
                "`{}` is computed by the database and cannot be written.",
                column.name
            ),
        ));
    }
    if purpose == Purpose::Update && column.identity_always {
        return Err(Error::new(
            Kind::ValueInvalid,
            format!("`{}` is generated once and cannot be changed.", column.name),
        ));
    }
    may_write(allowed, index, purpose)
}

/// Refuses a column that the role may not write.
pub(super) fn may_write(allowed: &Allowed, index: usize, purpose: Purpose) -> Result<()> {
    let privileges = &allowed.privileges;
    let may = |of: &[bool]| of.get(index).copied().unwrap_or(false);
    let key = allowed.resource.key.contains(&index);
    let may = match purpose {
        Purpose::Insert => may(&privileges.insert),
        Purpose::Update => may(&privileges.update),
        Purpose::Replace => may(&privileges.insert) && (key || may(&privileges.update)),
    };
    if may {
        return Ok(());
    }
    Err(Error::new(
        Kind::PermissionDenied,
        format!(
            "The role may not write `{}` of {:?}.",
            allowed.resource.columns[index].name, &*allowed.resource.name
        ),
    ))
}

/// The organization that a value names, in the form in which identities name theirs.
fn organization(column: &Column, raw: &RawValue) -> Option<OrganizationId> {
    let json = raw.get();
    if json == "null" {
        return None;
    }
    let text = match serde_json::from_str::<String>(json) {
        Ok(text) => text,
        Err(_) => json.to_owned(),
    };
    Some(OrganizationId::from(&*canonical(
        column.type_.base().oid,
        &text,
    )))
}

/// A value in the form in which PostgreSQL writes it, as far as two spellings of one value are likely.
pub(crate) fn canonical(type_: u32, text: &str) -> String {
    let trimmed = text.trim();
    let canonical = match type_ {
        oid::INT2 | oid::INT4 | oid::INT8 => trimmed.parse::<i64>().ok().map(|it| it.to_string()),
        oid::UUID => uuid::Uuid::try_parse(trimmed).ok().map(|it| it.to_string()),
        _ => None,
    };
    canonical.unwrap_or_else(|| text.to_owned())
}
