//! The time zone in which times are shown, where a caller wants another than UTC.

use std::sync::Arc;

/// The name of a time zone that PostgreSQL knows: letters, digits and a few signs, so that it may stand
/// in a literal of SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeZone(Arc<str>);

impl TimeZone {
    /// A name of PostgreSQL's list; `None` if it has characters that no name has.
    pub(crate) fn listed(name: &str) -> Option<Self> {
        let plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '+' | '-' | '/');
        (!name.is_empty() && name.chars().all(plain)).then(|| Self(name.into()))
    }

    /// The name.
    pub(crate) fn name(&self) -> &str {
        &self.0
    }
}
