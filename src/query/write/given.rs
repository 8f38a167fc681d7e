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
    /// The same rows in groups that name the same columns, if columns that a row does not name take
    /// their defaults and some row does not name all. Empty: all rows name all columns, or what they do
    /// not name is null.
    pub(crate) groups: Vec<Group>,
}

/// Rows that name the same columns.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    /// These rows alone, for the columns that they name.
    pub(crate) given: Given,
    /// Which of all rows they are.
    pub(crate) places: Vec<usize>,
}

/// Of which columns of a body something is to be written, and what becomes of those that a row does
/// not name.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shape<'a> {
    /// `columns`: these, and nothing else that a row names. `None`: what the rows name, which is the
    /// same in each.
    pub(super) columns: Option<&'a [String]>,
    /// They take their defaults, and not the null.
    pub(super) defaults: bool,
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
        shape: Shape<'_>,
    ) -> Result<Self> {
        let resource = &allowed.resource;
        let columns = shape.columns.map(|names| chosen(allowed, names, purpose));
        let columns = columns.transpose()?;
        let mut given = Self {
            rows: objects.len(),
            json: "[".into(),
            columns: columns.clone().unwrap_or_default(),
            ..Self::default()
        };
        let mut groups: Vec<Group> = Vec::new();
        for (place, object) in objects.iter().enumerate() {
            let members = given.members(allowed, object, purpose, columns.as_deref())?;
            let named = || members.iter().map(|(index, _)| *index);
            if columns.is_none() {
                if place == 0 {
                    given.columns = named().collect();
                } else if !named().eq(given.columns.iter().copied()) {
                    return Err(keys_differ(place));
                }
            } else if members.len() < given.columns.len() && !shape.defaults {
                given.miss(named().collect());
            }
            given.add(resource, place, &members);
            if shape.defaults && columns.is_some() {
                let same = |it: &&mut Group| it.given.columns.iter().copied().eq(named());
                let group = match groups.iter_mut().find(same) {
                    Some(group) => group,
                    None => {
                        groups.push(Group::of(named().collect()));
                        groups.last_mut().expect("it was just pushed")
                    }
                };
                group.given.add(resource, group.places.len(), &members);
                group.given.rows += 1;
                group.places.push(place);
            }
        }
        given.json.push(']');
        let whole = |it: &Group| it.given.columns.len() == given.columns.len();
        if !groups.iter().all(whole) {
            for group in &mut groups {
                group.given.json.push(']');
            }
            given.groups = groups;
        }
        Ok(given)
    }

    /// Columns that a row does not name are null in it.
    fn miss(&mut self, named: Vec<usize>) {
        for index in &self.columns {
            if !named.contains(index) && !self.nulls.contains(index) {
                self.nulls.push(*index);
            }
        }
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
        columns: Option<&[usize]>,
    ) -> Result<Vec<(usize, &'a RawValue)>> {
        let resource = &allowed.resource;
        let mut members = Vec::with_capacity(object.0.len());
        for (name, raw) in &object.0 {
            let index = match columns {
                None => column_named(resource, name)?,
                // What else a row names is passed over, but for an organization that it claims.
                Some(columns) => match resource.column(name) {
                    Some((index, _)) if columns.contains(&index) => index,
                    Some((index, _)) if resource.tenancy == Tenancy::Column(index) => index,
                    _ => continue,
                },
            };
            let column = &resource.columns[index];
            let value = Value::from_json(&column.name, &column.type_, raw)?;
            if resource.tenancy == Tenancy::Column(index) {
                let named = organization(column, raw);
                if !self.organizations.contains(&named) {
                    self.organizations.push(named);
                }
                continue;
            }
            if columns.is_none() {
                writable(allowed, index, purpose)?;
            }
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

impl Group {
    fn of(columns: Vec<usize>) -> Self {
        Self {
            given: Given {
                columns,
                json: "[".into(),
                ..Given::default()
            },
            places: Vec::new(),
        }
    }
}

/// The columns that a query names to be written, without the organization's own.
fn chosen(allowed: &Allowed, names: &[String], purpose: Purpose) -> Result<Vec<usize>> {
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        let index = column_named(&allowed.resource, name)?;
        if allowed.resource.tenancy != Tenancy::Column(index) && !columns.contains(&index) {
            writable(allowed, index, purpose)?;
            columns.push(index);
        }
    }
    columns.sort_unstable();
    Ok(columns)
}

fn keys_differ(place: usize) -> Error {
    malformed(format!(
        "All objects of an array have the same names; those of object {} differ from the first's.",
        place + 1
    ))
    .with_message("All object keys must match")
}

/// Refuses a column that cannot be written, or not by this role.
fn writable(allowed: &Allowed, index: usize, purpose: Purpose) -> Result<()> {
    let column = &allowed.resource.columns[index];
    let name = &column.name;
    // As PostgreSQL refuses it.
    let refused = |detail: String, what: &str| {
        let message = match purpose {
            Purpose::Update => format!("column \"{name}\" can only be updated to DEFAULT"),
            _ => format!("cannot insert a non-DEFAULT value into column \"{name}\""),
        };
        Error::new(Kind::ValueInvalid, detail)
            .with_code("428C9")
            .with_message(message)
            .with_details(format!("Column \"{name}\" is {what}."))
    };
    if column.generated {
        let detail = format!("`{name}` is computed by the database and cannot be written.");
        return Err(refused(detail, "a generated column"));
    }
    if purpose == Purpose::Update && column.identity_always {
        let detail = format!("`{name}` is generated once and cannot be changed.");
        let what = "an identity column defined as GENERATED ALWAYS";
        return Err(refused(detail, what));
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
    )
    .with_message(allowed.resource.denial()))
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
