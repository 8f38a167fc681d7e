//! Each method of a resource's, with its path, query and body, as a [`Write`].
//!
//! Knows the order in which things are refused; what is refused is its neighbours' business.

use super::{
    Operation, Write, WriteOptions,
    admission::{
        belongs_somewhere, denied, expect_key, findable, item, matching, same_key, without_key,
        writable,
    },
    asked,
    body::{Body, Object},
    conflict::conflict,
    given::{Given, Purpose, Shape, may_write},
    references,
};
use crate::{
    catalog::{Access, Allowed, Tenancy},
    error::{Error, Kind, Result},
    query::{
        read::{Condition, Query, readable},
        syntax::Syntax,
    },
};

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
