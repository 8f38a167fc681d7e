//! A write: which rows of which resource become what, read from path, query and body.
//!
//! Refuses what can be refused without asking the database. Knows no SQL, and not who calls: the
//! organization that a body names is compared when the write is carried out.

mod action;
mod admission;
mod asked;
mod body;
mod conflict;
mod given;
mod method;
mod payload;
mod references;

use super::read::{Condition, Query};
use crate::{
    catalog::{Catalog, Resource, Tenancy},
    error::Kind,
    identity::OrganizationId,
};
pub use action::{Action, ActionId, Fingerprint};
pub(crate) use conflict::Conflict;
pub use conflict::Duplicates;
pub(crate) use given::Given;
use given::canonical;
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

impl Write {
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
}
