//! A read: which rows of which resource, which of their columns, in which order.

use crate::{
    catalog::{Access, Resource},
    error::{Error, Result},
};
use std::sync::Arc;

/// A read whose every name and value has been checked against the catalog and the role's rights.
#[derive(Debug, Clone)]
pub struct Query {
    resource: Arc<Resource>,
    partial: bool,
    item: bool,
}

impl Query {
    /// Reads `GET /{resource}?{query_string}`; the query string is as it came, percent-encoded.
    ///
    /// # Errors
    /// `ResourceUnknown`, `PermissionDenied`, `QueryMalformed` with the position, `ColumnUnknown`,
    /// `ValueInvalid`, `NotSupported`.
    pub fn list(access: &Access, resource: &str, query_string: &str) -> Result<Self> {
        let _ = (access, resource, query_string);
        Err(Error::internal("queries are not read yet"))
    }

    /// Reads `GET /{resource}/{id}?{query_string}`; the id is the path's segment as it came,
    /// percent-encoded: the key's values, joined by commas.
    ///
    /// # Errors
    /// As [`Query::list`]; of the query string only `select` is taken.
    pub fn item(access: &Access, resource: &str, id: &str, query_string: &str) -> Result<Self> {
        let _ = (access, resource, id, query_string);
        Err(Error::internal("queries are not read yet"))
    }

    /// The resource that is read.
    pub fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }

    /// Whether its rows are less than whole rows of the resource: `row` events say so.
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// Whether one row is asked for by its key.
    pub fn is_item(&self) -> bool {
        self.item
    }
}
