//! What is talked about: the organization, or one row.

use crate::error::{Error, Kind, Result};
use std::{fmt, sync::Arc};

/// The name of the topic that everybody of an organization is on.
const ORGANIZATION: &str = "organization";

/// A topic as a caller names it; which row it is, and whether the caller may see it, is found out by
/// reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// Everybody of the caller's organization.
    Organization,
    /// Those who may see one row.
    Row {
        /// The row's resource.
        resource: String,
        /// The row's id as in a path: the key's values, percent-encoded, joined by commas.
        id: String,
    },
}

impl Named {
    /// Reads `organization` or `{resource}/{id}`, the id percent-encoded as in a path.
    ///
    /// # Errors
    /// `TopicUnknown`.
    pub fn parse(text: &str) -> Result<Self> {
        if text == ORGANIZATION {
            return Ok(Self::Organization);
        }
        match text.split_once('/') {
            Some((resource, id)) if !resource.is_empty() && !id.is_empty() && !id.contains('/') => {
                Ok(Self::Row {
                    resource: resource.to_owned(),
                    id: id.to_owned(),
                })
            }
            _ => Err(Error::new(
                Kind::TopicUnknown,
                "A topic is \"organization\" or \"{resource}/{id}\".",
            )),
        }
    }
}

/// A topic inside one organization, in the one form that all its names lead to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Everybody of the organization.
    Organization,
    /// Those who may see one row.
    Row(Arc<RowTopic>),
}

/// One row as a topic.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct RowTopic {
    /// The row's resource.
    pub resource: Arc<str>,
    /// The row's key as JSON, as changes name it.
    pub key: Arc<str>,
    /// The topic's name on the wire.
    pub name: Arc<str>,
}

impl RowTopic {
    /// The row's id as in a path, which its name ends with.
    pub fn id(&self) -> &str {
        self.name.split_once('/').map_or("", |(_, id)| id)
    }
}

impl Topic {
    /// The name on the wire.
    pub fn name(&self) -> &str {
        match self {
            Self::Organization => ORGANIZATION,
            Self::Row(row) => &row.name,
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_the_organization_or_a_row() {
        assert_eq!(Named::parse("organization").unwrap(), Named::Organization);
        let row = Named::parse("ticket_labels/1,2").unwrap();
        let (resource, id) = ("ticket_labels".to_owned(), "1,2".to_owned());
        assert_eq!(row, Named::Row { resource, id });
        for bad in ["", "/", "tickets", "tickets/", "/1", "tickets/1/2"] {
            assert_eq!(
                Named::parse(bad).unwrap_err().kind(),
                Kind::TopicUnknown,
                "{bad:?}"
            );
        }
    }
}
