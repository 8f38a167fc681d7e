//! The names that callers give to their channels and requests.
//!
//! Owns their grammar: 1 to 128 visible ASCII characters.

use crate::error::{Error, Kind, Result};
use std::{fmt, sync::Arc};

/// The longest name of a channel or a request, in bytes.
const ID_BYTES_MAX: usize = 128;

/// Names a channel among those of its identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId(Arc<str>);

/// Names a request among those of its channel.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(Arc<str>);

macro_rules! id {
    ($name:ident, $what:literal) => {
        impl $name {
            /// Reads a name; [`Kind::HeaderMalformed`] unless it is 1 to 128 visible ASCII characters.
            pub fn parse(text: &str) -> Result<Self> {
                if text.is_empty()
                    || text.len() > ID_BYTES_MAX
                    || !text.bytes().all(|byte| byte.is_ascii_graphic())
                {
                    return Err(Error::new(
                        Kind::HeaderMalformed,
                        concat!($what, " has 1 to 128 visible ASCII characters."),
                    ));
                }
                Ok(Self(Arc::from(text)))
            }

            /// The name as the caller gave it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
id!(ChannelId, "A channel id");
id!(RequestId, "A request id");

impl Default for ChannelId {
    /// The channel of callers who name none.
    fn default() -> Self {
        Self(Arc::from("default"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_visible_ascii() {
        for good in ["a", "tab-1", "!~", &"x".repeat(128)] {
            assert_eq!(ChannelId::parse(good).unwrap().as_str(), good);
            assert_eq!(RequestId::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", " ", "a b", "ä", "a\n", "\u{7f}", &"x".repeat(129)] {
            let error = RequestId::parse(bad).unwrap_err();
            assert_eq!(error.kind(), Kind::HeaderMalformed, "{bad:?}");
        }
    }
}
