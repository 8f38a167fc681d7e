//! The name of one thing that a user did, and how the same thing asked for again is recognised.

use crate::error::{Error, Kind, Result};
use aws_lc_rs::digest;
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

/// A digest of a request that writes: SHA-256 over its parts, each behind its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Of these parts, in this order.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }
}

/// One thing that a user does: its name, and what is asked for under that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// The client's name for it.
    pub id: ActionId,
    /// The request.
    pub fingerprint: Fingerprint,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_visible_ascii() {
        for good in ["a", "~!", &"x".repeat(128)] {
            assert_eq!(ActionId::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "a b", "ä", "\t", &"x".repeat(129)] {
            let error = ActionId::new(bad).unwrap_err();
            assert_eq!(error.kind(), Kind::HeaderMalformed, "{bad:?}");
        }
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let of = |parts: &[&'static str]| Fingerprint::of(parts.iter().map(|it| it.as_bytes()));
        assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["ab"]), of(&["ab", ""]));
    }
}
