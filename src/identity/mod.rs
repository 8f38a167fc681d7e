//! Who calls: organization, user, role and all claims, taken from a token.
//!
//! Owns what an identity is, how a token proves it, and when two tokens are the same one. Knows
//! neither HTTP headers nor PostgreSQL sessions.

mod claims;
mod mint;
#[cfg(test)]
mod tests;
mod verifier;

pub use mint::{Mint, mint};
pub use verifier::{TOKEN_BYTES_MAX, Verifier};

use std::{fmt, sync::Arc};

/// The tenant, in the text form of the organization column's value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrganizationId(pub Arc<str>);

impl OrganizationId {
    /// The one organization of a database with `tenancy = "single"`. A token cannot name it, since
    /// an empty organization claim is refused.
    pub fn single() -> Self {
        Self::from("")
    }

    /// Of no organization: a caller without a token. Its text is a NUL, which no value of PostgreSQL
    /// can hold and no parameter can carry, so that a fence that forgets to ask lets nothing through.
    pub fn none() -> Self {
        Self::from("\0")
    }

    /// Whether this is nobody's organization: such a caller sees shared resources only.
    pub fn is_none(&self) -> bool {
        &*self.0 == "\0"
    }
}

/// The user inside the organization: the `sub` claim. Empty for a caller without a token.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(pub Arc<str>);

/// The PostgreSQL role that the identity's statements run as.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Role(pub Arc<str>);

/// A digest of all claims but times and ids: SHA-256 over the canonical JSON (keys sorted, no
/// spaces) of the token's claims without `exp`, `iat`, `nbf` and `jti`. Two tokens are one identity
/// exactly if their keys are equal, since a row-level security policy may read any claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdentityKey(pub [u8; 32]);

/// Who calls. Shared: every channel, request and cached privilege of one identity points at it.
#[derive(Clone, PartialEq, Eq)]
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

impl fmt::Debug for Identity {
    /// Without the claims, which may hold names and addresses of people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("organization", &self.organization)
            .field("user", &self.user)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// An identity as one token proves it: until when, in addition to who.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who calls.
    pub identity: Arc<Identity>,
    /// Seconds since 1970 from which the token is no longer accepted: `exp` (RFC 7519, section 4.1.4)
    /// and the leeway; `None`: never.
    pub expires_at: Option<u64>,
}

/// What organizations look like in the database, so that the organization of a token is compared in
/// the form in which PostgreSQL writes it: `01` and `1` are one integer, and letters of a uuid are
/// small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OrganizationForm {
    /// Text, or several types at once: compared as it is.
    #[default]
    Text,
    /// A whole number of at most 64 bits.
    Integer,
    /// A uuid.
    Uuid,
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
