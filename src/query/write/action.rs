//! The name of one thing that a user did.

use crate::error::{Error, Kind, Result};
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
