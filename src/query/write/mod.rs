//! A write: which rows of which resource become what, read from path, query and body.
//!
//! Refuses what can be refused without asking the database. Knows no SQL, and not who calls: the
//! organization that a body names is compared when the write is carried out.

mod action;
mod admission;
mod body;
mod given;
mod payload;
mod references;

use super::{
    grammar,
    read::{Condition, Query, only_select, readable},
};
use crate::{
    catalog::{Access, Allowed, Catalog, Resource, Tenancy},
    error::{Error, Kind, Result},
    identity::OrganizationId,
};
pub use action::{Action, ActionId, Fingerprint};
use admission::{
    belongs_somewhere, denied, findable, item, matching, same_key, without_key, writable,
};
use body::{Body, Object};
pub(crate) use given::Given;
use given::{Purpose, canonical, may_write};
pub use payload::{Format, to_json};
pub(crate) use references::{Referred, label};
use std::sync::Arc;

/// What a write answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Answer {
    /// The rows as they now are (as they were, for a delete).
    #[default]
    Rows,
    /// Nothing but the outcome.
    Minimal,
}

/// What a caller asks of a write beside its body.
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    /// What to answer.
    pub answer: Answer,
    /// The entity tags of `If-Match`, without their quotes; `None`: no such header. An empty list
    /// stands for `*`: the row only has to exist.
    pub if_match: Option<Vec<String>>,
}

/// A write whose every name and value has been checked against the catalog and the role's rights.
#[derive(Debug, Clone)]
pub struct Write {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) resource: Arc<Resource>,
    pub(crate) operation: Operation,
    /// The rows that the body refers to.
    pub(crate) references: Vec<Referred>,
    /// What an answer's rows have, as indices into the resource's columns. Empty if the role may not
    /// read the rows again.
    pub(crate) columns: Vec<usize>,
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
    },
    /// These values for the rows that are named.
    Update { target: Query, given: Given },
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
        let allowed = writable(access, resource)?;
        if options.if_match.is_some() {
            let detail = "If-Match is about a row that exists, and a create makes a new one.";
            return Err(Error::new(Kind::NotSupported, detail));
        }
        let (objects, many) = match Body::read(body)? {
            Body::One(object) => (vec![object], false),
            Body::Many(objects) => (objects, true),
        };
        let given = Given::read(&allowed, &objects, Purpose::Insert)?;
        belongs_somewhere(&allowed.resource, &given, true)?;
        if let Tenancy::Column(index) = allowed.resource.tenancy {
            may_write(&allowed, index, Purpose::Insert)?;
        }
        if given.columns.is_empty() && given.rows > 0 && !allowed.privileges.insert.contains(&true)
        {
            return Err(denied(&allowed, "insert into"));
        }
        let syntax = grammar::read(query_string)?;
        only_select(&syntax)?;
        let findable = findable(access, &allowed);
        let columns = match (findable, &syntax.select) {
            (_, Some(_)) => Query::list(access, resource, query_string)?.columns()?,
            (true, None) => readable(&allowed),
            (false, None) => Vec::new(),
        };
        Ok(Self {
            references: references::referred(access, &allowed.resource, &given, true),
            operation: Operation::Create { given, many },
            columns,
            findable,
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
        let allowed = writable(access, resource)?;
        let target = item(access, &allowed, id, query_string, &options)?;
        let mut object = Object::read(body)?;
        without_key(&allowed.resource, &target, &mut object);
        Self::updating(access, allowed, target, &object, options)
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
        let allowed = writable(access, resource)?;
        let target = item(access, &allowed, id, query_string, &options)?;
        let object = Object::read(body)?;
        same_key(&allowed.resource, &target, &object)?;
        let given = Given::read(&allowed, &[object], Purpose::Replace)?;
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
            columns: target.columns()?,
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
        let allowed = writable(access, resource)?;
        let target = item(access, &allowed, id, query_string, &options)?;
        Self::deleting(access, allowed, target, options)
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
        let allowed = writable(access, resource)?;
        let target = matching(access, resource, query_string, &options)?;
        Self::updating(access, allowed, target, &Object::read_first(body)?, options)
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
        let allowed = writable(access, resource)?;
        let target = matching(access, resource, query_string, &options)?;
        Self::deleting(access, allowed, target, options)
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
        object: &Object<'_>,
        options: WriteOptions,
    ) -> Result<Self> {
        let given = Given::read(&allowed, std::slice::from_ref(object), Purpose::Update)?;
        belongs_somewhere(&allowed.resource, &given, false)?;
        if given.columns.is_empty() && !allowed.privileges.update.contains(&true) {
            return Err(denied(&allowed, "update"));
        }
        Ok(Self {
            references: references::referred(access, &allowed.resource, &given, false),
            columns: target.columns()?,
            operation: Operation::Update { target, given },
            ..Self::of(access, allowed, options)
        })
    }

    fn deleting(
        access: &Access,
        allowed: Allowed,
        target: Query,
        options: WriteOptions,
    ) -> Result<Self> {
        if !allowed.privileges.delete {
            return Err(denied(&allowed, "delete from"));
        }
        Ok(Self {
            columns: target.columns()?,
            operation: Operation::Delete { target },
            ..Self::of(access, allowed, options)
        })
    }

    fn of(access: &Access, allowed: Allowed, options: WriteOptions) -> Self {
        Self {
            catalog: access.catalog().clone(),
            findable: findable(access, &allowed),
            etag: allowed.resource.has_etags() && allowed.privileges.select_whole,
            resource: allowed.resource,
            operation: Operation::Create {
                given: Given::default(),
                many: false,
            },
            references: Vec::new(),
            columns: Vec::new(),
            options,
        }
    }
}
