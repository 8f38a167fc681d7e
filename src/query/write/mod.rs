//! A write: which rows of which resource become what, read from path, query and body.
//!
//! Refuses what can be refused without asking the database. Knows no SQL, and not who calls: the
//! organization that a body names is compared when the write is carried out.

mod action;
mod admission;
mod asked;
mod body;
mod given;
mod payload;
mod references;

use super::{
    read::{Condition, Query, column_named, readable},
    scanner::excerpt,
    syntax::Syntax,
};
use crate::{
    catalog::{Access, Allowed, Catalog, Resource, Tenancy},
    error::{Error, Kind, Result},
    identity::OrganizationId,
};
pub use action::{Action, ActionId, Fingerprint};
use admission::{
    belongs_somewhere, denied, expect_key, findable, item, matching, same_key, without_key,
    writable,
};
use body::{Body, Object};
pub(crate) use given::Given;
use given::{Purpose, Shape, canonical, may_write};
pub use payload::{Format, to_json};
pub(crate) use references::{Referred, label};
use std::sync::Arc;

/// What a write answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Answer {
    /// The rows as they now are (as they were, for a delete).
    #[default]
    Rows,
    /// Of a single new row, where it is.
    Place,
    /// Nothing but the outcome.
    Minimal,
}

/// What becomes of a new row whose key exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    /// The row that is there takes the values that the new one has.
    Merge,
    /// The row that is there stays as it is.
    Ignore,
}

/// What a caller asks of a write beside its body.
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    /// What to answer.
    pub answer: Answer,
    /// The entity tags of `If-Match`, without their quotes; `None`: no such header. An empty list
    /// stands for `*`: the row only has to exist.
    pub if_match: Option<Vec<String>>,
    /// The entity tags of `If-None-Match`; an empty list stands for `*`: the row must not exist.
    pub if_none_match: Option<Vec<String>>,
    /// What becomes of new rows whose key exists; `None`: they are refused.
    pub duplicates: Option<Duplicates>,
    /// A column that a row of the body does not name takes its default, and not the null.
    pub defaults: bool,
    /// How many rows may be written.
    pub rows_max: Option<u64>,
    /// Exactly one row is written, or none.
    pub single: bool,
    /// It is undone once the answer is known.
    pub rehearsal: bool,
    /// Where PostgREST does something else than rowcast by itself would, it is done as PostgREST does:
    /// a filter may be absent, an empty object changes nothing, `PUT` by filter keeps what it does not
    /// name.
    pub postgrest: bool,
}

/// A write whose every name and value has been checked against the catalog and the role's rights.
#[derive(Debug, Clone)]
pub struct Write {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) resource: Arc<Resource>,
    pub(crate) operation: Operation,
    /// The rows that the body refers to.
    pub(crate) references: Vec<Referred>,
    /// What is answered of each row, and in which order; `None` if nothing is wanted, or the role may
    /// not read the rows again.
    pub(crate) shown: Option<Query>,
    /// The columns that the role may read.
    pub(crate) readable: Vec<usize>,
    /// Whether the role may read the key, and by which organization a row is.
    pub(crate) findable: bool,
    /// Whether rows have entity tags that the role may read.
    pub(crate) etag: bool,
    pub(crate) options: WriteOptions,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    /// New rows.
    Create {
        given: Given,
        /// The body was an array.
        many: bool,
        /// What becomes of rows whose key exists; `None`: they are refused.
        conflict: Option<Conflict>,
    },
    /// These values for the rows that are named.
    Update {
        target: Query,
        given: Given,
        /// The columns that take their defaults.
        absent: Vec<usize>,
    },
    /// The row of this key becomes this.
    Replace {
        target: Query,
        /// The key among them.
        given: Given,
        /// The columns that take their defaults.
        absent: Vec<usize>,
    },
    /// The rows go.
    Delete { target: Query },
}

/// What becomes of new rows that collide with others.
#[derive(Debug, Clone)]
pub(crate) struct Conflict {
    /// The columns in which they collide.
    pub(crate) target: Vec<usize>,
    /// The columns that the row that is there takes from the new one; `None`: it stays as it is.
    pub(crate) merged: Option<Vec<usize>>,
}

impl Write {
    /// Reads `POST /{resource}` with an object or an array of objects. The objects of an array have
    /// the same names.
    ///
    /// # Errors
    /// `ResourceUnknown`, `PermissionDenied`, `ResourceReadOnly`, `BodyMalformed`, `ColumnUnknown`,
    /// `ValueInvalid`, `NotSupported`; `QueryMalformed` for parameters that a create does not take.
    pub fn create(
        access: &Access,
        resource: &str,
        query_string: &str,
        body: &[u8],
        options: WriteOptions,
    ) -> Result<Self> {
        let allowed = writable(access, resource, &options)?;
        if options.if_match.is_some() || options.if_none_match.is_some() {
            let detail = "If-Match and If-None-Match are about one row, by its own path.";
            return Err(Error::new(Kind::NotSupported, detail));
        }
        let syntax = asked::of_create(query_string)?;
        let (objects, many) = match Body::read(body)? {
            Body::One(object) => (vec![object], false),
            Body::Many(objects) => (objects, true),
        };
        let shape = Shape {
            columns: syntax.columns.as_deref(),
            defaults: options.defaults,
        };
        let given = Given::read(&allowed, &objects, Purpose::Insert, shape)?;
        belongs_somewhere(&allowed.resource, &given, true)?;
        if let Tenancy::Column(index) = allowed.resource.tenancy {
            may_write(&allowed, index, Purpose::Insert)?;
        }
        if given.columns.is_empty() && given.rows > 0 && !allowed.privileges.insert.contains(&true)
        {
            return Err(denied(&allowed, "insert into"));
        }
        let conflict = conflict(&allowed, &syntax, &given, &options)?;
        Ok(Self {
            references: references::referred(access, &allowed.resource, &given, true),
            shown: asked::shown(access, &allowed, &syntax, &options)?,
            operation: Operation::Create {
                given,
                many,
                conflict,
            },
            ..Self::of(access, allowed, options)
        })
    }

    /// Reads `PATCH /{resource}/{id}` with an object.
    ///
    /// # Errors
    /// As [`Write::create`].
    pub fn update(
        access: &Access,
        resource: &str,
        id: &str,
        query_string: &str,
        body: &[u8],
        options: WriteOptions,
    ) -> Result<Self> {
        let allowed = writable(access, resource, &options)?;
        let syntax = asked::of_item(query_string)?;
        let target = item(access, &allowed, id, &options)?;
        let mut object = Object::read(body)?;
        without_key(&allowed.resource, &target, &mut object);
        Self::updating(access, allowed, target, &syntax, &object, options)
    }

    /// Reads `PUT /{resource}/{id}` with an object: the row becomes that, columns that are absent
    /// taking their defaults; a row that does not exist is created.
    ///
    /// # Errors
    /// As [`Write::create`].
    pub fn replace(
        access: &Access,
        resource: &str,
        id: &str,
        query_string: &str,
        body: &[u8],
        options: WriteOptions,
    ) -> Result<Self> {
        let allowed = writable(access, resource, &options)?;
        let syntax = asked::of_item(query_string)?;
        let target = item(access, &allowed, id, &options)?;
        let object = Object::read(body)?;
        same_key(&allowed.resource, &target, &object)?;
        Self::replacing(access, allowed, target, &syntax, object, options)
    }

    /// Reads `PUT /{resource}?{key}` with an object, or an array of which the first counts: the filters
    /// are the key, each part with `eq`, and the object names it as well.
    ///
    /// # Errors
    /// As [`Write::create`]; PostgREST's for a query that is not the key, or another than the object's.
    pub fn replace_matching(
        access: &Access,
        resource: &str,
        query_string: &str,
        body: &[u8],
        options: WriteOptions,
    ) -> Result<Self> {
        let allowed = writable(access, resource, &options)?;
        let (syntax, id) = asked::of_replace(&allowed.resource, query_string)?;
        let target = item(access, &allowed, &id, &options)?;
        let object = Object::read_first(body)?;
        expect_key(&allowed.resource, &target, &object)?;
        Self::replacing(access, allowed, target, &syntax, object, options)
    }

    fn replacing(
        access: &Access,
        allowed: Allowed,
        target: Query,
        syntax: &Syntax,
        object: Object<'_>,
        options: WriteOptions,
    ) -> Result<Self> {
        let shape = Shape::default();
        let given = Given::read(&allowed, &[object], Purpose::Replace, shape)?;
        let organization = match allowed.resource.tenancy {
            Tenancy::Column(index) => Some(index),
            _ => None,
        };
        let mut key = Vec::new();
        for (column, value) in target.conditions.iter().filter_map(Condition::as_equal) {
            if Some(column) == organization {
                continue;
            }
            may_write(&allowed, column, Purpose::Replace)?;
            let text = value.text().unwrap_or_default();
            key.push((column, text.to_owned()));
        }
        let given = given.with(&allowed.resource, &key)?;
        belongs_somewhere(&allowed.resource, &given, true)?;
        let mut absent = Vec::new();
        for (index, column) in allowed.resource.columns.iter().enumerate() {
            let is_key = allowed.resource.key.contains(&index);
            // An identity is generated once, so a row keeps the one that it has.
            let kept = is_key || column.generated || column.identity_always;
            // By a filter, PostgREST keeps what it is not told of.
            let kept = kept || options.postgrest && !syntax.rows.filters.is_empty();
            if kept || Some(index) == organization || given.columns.contains(&index) {
                continue;
            }
            may_write(&allowed, index, Purpose::Replace)?;
            absent.push(index);
        }
        if let Some(index) = organization {
            may_write(&allowed, index, Purpose::Insert)?;
        }
        Ok(Self {
            references: references::referred(access, &allowed.resource, &given, true),
            shown: asked::shown(access, &allowed, syntax, &options)?,
            operation: Operation::Replace {
                target,
                given,
                absent,
            },
            ..Self::of(access, allowed, options)
        })
    }

    /// Reads `DELETE /{resource}/{id}`.
    ///
    /// # Errors
    /// As [`Write::create`].
    pub fn delete(
        access: &Access,
        resource: &str,
        id: &str,
        query_string: &str,
        options: WriteOptions,
    ) -> Result<Self> {
        let allowed = writable(access, resource, &options)?;
        let syntax = asked::of_item(query_string)?;
        let target = item(access, &allowed, id, &options)?;
        Self::deleting(access, allowed, target, &syntax, options)
    }

    /// Reads `PATCH /{resource}?{filters}` with an object, for all rows that match.
    ///
    /// # Errors
    /// As [`Write::create`]; `QueryMalformed` without a filter.
    pub fn update_matching(
        access: &Access,
        resource: &str,
        query_string: &str,
        body: &[u8],
        options: WriteOptions,
    ) -> Result<Self> {
        let allowed = writable(access, resource, &options)?;
        let syntax = asked::of_filter(query_string)?;
        let target = matching(access, &allowed, &syntax, &options)?;
        let object = Object::read_first(body)?;
        Self::updating(access, allowed, target, &syntax, &object, options)
    }

    /// Reads `DELETE /{resource}?{filters}`, for all rows that match.
    ///
    /// # Errors
    /// As [`Write::create`]; `QueryMalformed` without a filter.
    pub fn delete_matching(
        access: &Access,
        resource: &str,
        query_string: &str,
        options: WriteOptions,
    ) -> Result<Self> {
        let allowed = writable(access, resource, &options)?;
        let syntax = asked::of_filter(query_string)?;
        let target = matching(access, &allowed, &syntax, &options)?;
        Self::deleting(access, allowed, target, &syntax, options)
    }

    /// The resource that is written to.
    pub fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }

    /// The rows that are to be changed; `None` for a create.
    pub(crate) fn target(&self) -> Option<&Query> {
        match &self.operation {
            Operation::Create { .. } => None,
            Operation::Update { target, .. }
            | Operation::Replace { target, .. }
            | Operation::Delete { target } => Some(target),
        }
    }

    /// The values that the body gives; `None` for a delete.
    pub(crate) fn given(&self) -> Option<&Given> {
        match &self.operation {
            Operation::Create { given, .. }
            | Operation::Update { given, .. }
            | Operation::Replace { given, .. } => Some(given),
            Operation::Delete { .. } => None,
        }
    }

    /// Whether the path or the body names an organization that is not this one: the body's is refused,
    /// a row of the path's does not exist for the caller.
    pub(crate) fn names_other(&self, organization: &OrganizationId) -> Option<Kind> {
        let named = self
            .given()
            .iter()
            .flat_map(|it| &it.organizations)
            .any(|named| named.as_ref() != Some(organization));
        if named {
            return Some(Kind::OrganizationNotAllowed);
        }
        let Tenancy::Column(own) = self.resource.tenancy else {
            return None;
        };
        let type_ = self.resource.columns[own].type_.base().oid;
        let conditions = self.target().filter(|it| it.is_item()).into_iter();
        let elsewhere = conditions
            .flat_map(|it| &it.conditions)
            .filter_map(Condition::as_equal)
            .any(|(column, value)| {
                let named = canonical(type_, value.text().unwrap_or_default());
                column == own && named != *organization.0
            });
        elsewhere.then_some(Kind::RowUnknown)
    }

    /// Whether the rows can be found again by their keys.
    pub(crate) fn keyed(&self) -> bool {
        self.findable && !self.resource.key.is_empty()
    }

    /// What becomes of new rows that collide with others, if it is not an error.
    pub fn resolves_duplicates(&self) -> bool {
        matches!(
            self.operation,
            Operation::Create {
                conflict: Some(_),
                ..
            }
        )
    }

    /// Whether the answer is an array.
    pub(crate) fn is_many(&self) -> bool {
        match &self.operation {
            Operation::Create { many, .. } => *many,
            _ => !self.target().is_some_and(Query::is_item),
        }
    }

    fn updating(
        access: &Access,
        allowed: Allowed,
        target: Query,
        syntax: &Syntax,
        object: &Object<'_>,
        options: WriteOptions,
    ) -> Result<Self> {
        let shape = Shape {
            columns: syntax.columns.as_deref(),
            defaults: options.defaults,
        };
        let objects = std::slice::from_ref(object);
        let mut given = Given::read(&allowed, objects, Purpose::Update, shape)?;
        let mut absent = Vec::new();
        if let Some(group) = given.groups.pop() {
            let named = &group.given.columns;
            absent = given.columns.clone();
            absent.retain(|index| !named.contains(index));
            given.columns.clone_from(named);
            given.groups.clear();
        }
        belongs_somewhere(&allowed.resource, &given, false)?;
        if given.columns.is_empty() && !allowed.privileges.update.contains(&true) {
            return Err(denied(&allowed, "update"));
        }
        Ok(Self {
            references: references::referred(access, &allowed.resource, &given, false),
            shown: asked::shown(access, &allowed, syntax, &options)?,
            operation: Operation::Update {
                target,
                given,
                absent,
            },
            ..Self::of(access, allowed, options)
        })
    }

    fn deleting(
        access: &Access,
        allowed: Allowed,
        target: Query,
        syntax: &Syntax,
        options: WriteOptions,
    ) -> Result<Self> {
        if !allowed.privileges.delete {
            return Err(denied(&allowed, "delete from"));
        }
        Ok(Self {
            shown: asked::shown(access, &allowed, syntax, &options)?,
            operation: Operation::Delete { target },
            ..Self::of(access, allowed, options)
        })
    }

    fn of(access: &Access, allowed: Allowed, options: WriteOptions) -> Self {
        Self {
            catalog: access.catalog().clone(),
            findable: findable(access, &allowed),
            etag: allowed.resource.has_etags() && allowed.privileges.select_whole,
            readable: readable(&allowed),
            resource: allowed.resource,
            operation: Operation::Create {
                given: Given::default(),
                many: false,
                conflict: None,
            },
            references: Vec::new(),
            shown: None,
            options,
        }
    }
}

/// What becomes of new rows that collide with others: by the key, or by the columns that the query
/// names. Without either there is nothing to collide in.
fn conflict(
    allowed: &Allowed,
    syntax: &Syntax,
    given: &Given,
    options: &WriteOptions,
) -> Result<Option<Conflict>> {
    let resource = &allowed.resource;
    let Some(duplicates) = options.duplicates else {
        return Ok(None);
    };
    let target = match &syntax.on_conflict {
        Some(names) => names
            .iter()
            .map(|name| {
                // As PostgreSQL says it, whom PostgREST asks.
                let absent = |error: Error| {
                    let message = format!("column \"{}\" does not exist", excerpt(name));
                    error.with_code("42703").with_message(message)
                };
                column_named(resource, name).map_err(absent)
            })
            .collect::<Result<Vec<usize>>>()?,
        None => resource.key.clone(),
    };
    if target.is_empty() {
        return Ok(None);
    }
    if duplicates == Duplicates::Ignore || given.columns.is_empty() {
        let merged = None;
        return Ok(Some(Conflict { target, merged }));
    }
    let free = |index: &&usize| !resource.columns[**index].identity_always;
    let other = |index: &&usize| !target.contains(index);
    let mut merged: Vec<usize> = given.columns.iter().filter(free).copied().collect();
    if merged.iter().any(|index| other(&index)) {
        merged.retain(|index| other(&index));
    }
    for index in &merged {
        may_write(allowed, *index, Purpose::Replace)?;
    }
    if merged.is_empty() {
        let merged = None;
        return Ok(Some(Conflict { target, merged }));
    }
    Ok(Some(Conflict {
        target,
        merged: Some(merged),
    }))
}
