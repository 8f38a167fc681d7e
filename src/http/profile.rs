//! `Accept-Profile` and `Content-Profile`, by which PostgREST's clients name the schema that they mean.
//!
//! The names of resources are unique over all exposed schemas, so that nothing is chosen here: a schema
//! that is not exposed is refused, and every other one is right.

use super::head::Head;
use crate::error::{Error, Kind, Result};
use http::Method;
use std::sync::Arc;

/// The schemas that are exposed (`database.schemas`).
#[derive(Debug, Clone)]
pub struct Profiles(Arc<[String]>);

impl Profiles {
    /// Those of the settings.
    pub fn new(schemas: &[String]) -> Self {
        Self(schemas.into())
    }

    /// Refuses a schema that is not exposed.
    ///
    /// # Errors
    /// `NotAcceptable`.
    pub(super) fn check(&self, head: &Head) -> Result<()> {
        let header = match head.method {
            Method::GET | Method::HEAD => "accept-profile",
            _ => "content-profile",
        };
        let Some(named) = head.headers.get(header) else {
            return Ok(());
        };
        let named = String::from_utf8_lossy(named.as_bytes());
        if self.0.iter().any(|it| *it == named) {
            return Ok(());
        }
        let detail = format!("The schema {named:?} is not exposed.");
        let error = Error::new(Kind::NotAcceptable, detail)
            .with_code("PGRST106")
            .with_message(format!("Invalid schema: {named}"));
        let exposed = self.0.join(", ");
        Err(error.with_hint(format!("Only the following schemas are exposed: {exposed}")))
    }
}
