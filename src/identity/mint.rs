//! Making tokens, for the command line and for tests. The server itself only verifies.

use crate::{
    config::{Claims, Secret},
    error::{Error, Result},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value};

/// What a token is to say.
#[derive(Debug, Clone, Default)]
pub struct Mint {
    /// The organization; `None` for a database with one organization only.
    pub organization: Option<String>,
    /// The user.
    pub user: String,
    /// The PostgreSQL role; `None`: the server's default.
    pub role: Option<String>,
    /// The audience (`aud`), where the server asks for one.
    pub audience: Option<String>,
    /// Seconds since 1970 at which the token is made.
    pub issued_at: u64,
    /// Seconds since 1970 at which it expires.
    pub expires_at: u64,
}

/// Makes a token signed with HS256 (RFC 7518, section 3.2), its claims named as configured.
pub fn mint(secret: &Secret, names: &Claims, token: &Mint) -> Result<String> {
    let mut claims = Map::new();
    let texts = [
        (&names.organization, &token.organization),
        (&names.user, &Some(token.user.clone())),
        (&names.role, &token.role),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            put(&mut claims, name, text.as_str().into());
        }
    }
    if let Some(audience) = &token.audience {
        claims.insert("aud".to_owned(), audience.as_str().into());
    }
    claims.insert("iat".to_owned(), token.issued_at.into());
    claims.insert("exp".to_owned(), token.expires_at.into());
    let key = EncodingKey::from_secret(secret.expose().as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
        .map_err(|error| Error::internal("the token cannot be signed").with_source(error))
}

/// Puts a claim where the verifier looks for it: a dot steps into an object, but for URLs, which
/// some issuers use as names.
fn put(claims: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        Some((first, rest)) if !name.contains("://") => {
            let object = claims.entry(first).or_insert_with(|| Map::new().into());
            if let Value::Object(object) = object {
                put(object, rest, value);
            }
        }
        _ => {
            claims.insert(name.to_owned(), value);
        }
    }
}
