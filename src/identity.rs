//! Who calls: organization, user, role and all claims, taken from a token.
//!
//! Owns what an identity is and when two tokens are the same one. Knows neither HTTP headers nor
//! PostgreSQL sessions.

use std::{fmt, sync::Arc};

/// The tenant, in the text form of the organization column's value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrganizationId(pub Arc<str>);

/// The user inside the organization: the `sub` claim.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(pub Arc<str>);

/// The PostgreSQL role that the identity's statements run as.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Role(pub Arc<str>);

/// A digest of all claims but times and ids. Two tokens are one identity exactly if their keys are
/// equal, since a row-level security policy may read any claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdentityKey(pub [u8; 32]);

/// Who calls. Shared: every channel, request and cached privilege of one identity points at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Tells identities apart.
    pub key: IdentityKey,
    /// The tenant.
    pub organization: OrganizationId,
    /// The user inside the tenant.
    pub user: UserId,
    /// The PostgreSQL role, never empty: the token's or the configured default.
    pub role: Role,
    /// The token's claims as one JSON object, handed to PostgreSQL as `request.jwt.claims`.
    pub claims: Arc<str>,
}

/// An identity as one token proves it: until when, in addition to who.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who calls.
    pub identity: Arc<Identity>,
    /// Seconds since 1970 at which the token expires (`exp`, RFC 7519 section 4.1.4); `None`: never.
    pub expires_at: Option<u64>,
}

macro_rules! text_id {
    ($($name:ident),+) => { $(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self { Self(Arc::from(text)) }
        }
    )+ };
}
text_id!(OrganizationId, UserId, Role);
