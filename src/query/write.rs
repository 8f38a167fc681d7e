//! A write: which rows of which resource become what.

use crate::{
    catalog::{Access, Resource},
    error::{Error, Kind, Result},
};
use std::sync::Arc;

/// The longest `Action-Id`, in bytes.
const ACTION_ID_LENGTH_MAX: usize = 128;

/// The name that a client gave to one thing that its user did: visible ASCII.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ActionId(Arc<str>);

impl ActionId {
    /// Checks the name.
    ///
    /// # Errors
    /// `HeaderMalformed` unless it is 1 to 128 visible ASCII characters.
    pub fn new(text: &str) -> Result<Self> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !visible || text.is_empty() || text.len() > ACTION_ID_LENGTH_MAX {
            return Err(Error::new(
                Kind::HeaderMalformed,
                "An Action-Id is 1 to 128 visible ASCII characters.",
            ));
        }
        Ok(Self(text.into()))
    }

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

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

/// A write whose every name has been checked against the catalog and the role's rights.
#[derive(Debug, Clone)]
pub struct Write {
    resource: Arc<Resource>,
}

impl Write {
    /// Reads `POST /{resource}` with an object or an array of objects.
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
        let _ = (access, resource, query_string, body, options);
        Err(Error::internal("writes are not read yet"))
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
        let _ = (access, resource, id, query_string, body, options);
        Err(Error::internal("writes are not read yet"))
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
        let _ = (access, resource, id, query_string, body, options);
        Err(Error::internal("writes are not read yet"))
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
        let _ = (access, resource, id, query_string, options);
        Err(Error::internal("writes are not read yet"))
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
        let _ = (access, resource, query_string, body, options);
        Err(Error::internal("writes are not read yet"))
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
        let _ = (access, resource, query_string, options);
        Err(Error::internal("writes are not read yet"))
    }

    /// The resource that is written to.
    pub fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }
}
