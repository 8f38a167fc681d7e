//! From a token to the caller that it proves.

use super::{
    Caller, Identity, OrganizationForm, OrganizationId, Role, UserId,
    claims::{Claims, anonymous_key},
};
use crate::{
    config::{self, Config, TenancyMode},
    error::{Error, Kind, Result},
};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, errors::ErrorKind};
use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// The longest token that is looked at. Real ones have a few hundred bytes.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;

/// Where the keys come from that tokens are verified with. An algorithm belongs to its source, never
/// to the token: a token must not choose how it is checked (RFC 8725, section 3.1).
enum KeySource {
    /// One secret, for HS256.
    Secret(Box<DecodingKey>),
}

impl KeySource {
    fn algorithms(&self) -> &'static [Algorithm] {
        match self {
            KeySource::Secret(_) => &[Algorithm::HS256],
        }
    }

    /// The key for a token of this header.
    fn key(&self, _header: &Header) -> Result<&DecodingKey> {
        match self {
            KeySource::Secret(key) => Ok(key),
        }
    }
}

/// Verifies tokens: signature, times, audience, and the claims that rowcast needs.
pub struct Verifier {
    keys: KeySource,
    names: config::Claims,
    audience: Option<String>,
    leeway_s: u64,
    default_role: Role,
    anonymous: Option<Arc<Identity>>,
    tenancy: TenancyMode,
    form: OrganizationForm,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

impl Verifier {
    /// A verifier as configured; `default_role` is the role of tokens that name none, and `form`
    /// what organizations look like in the database.
    ///
    /// # Errors
    /// [`Kind::ConfigurationInvalid`] without a secret.
    pub fn new(config: &Config, default_role: Role, form: OrganizationForm) -> Result<Self> {
        let secret = config.jwt_secret()?.expose().as_bytes();
        let single = config.tenancy.tenancy == TenancyMode::Single;
        let anonymous = config.database.anonymous_role.as_deref();
        Ok(Self {
            keys: KeySource::Secret(Box::new(DecodingKey::from_secret(secret))),
            names: config.claims.clone(),
            audience: config.auth.audience.clone(),
            leeway_s: config.auth.leeway_s,
            default_role,
            anonymous: anonymous.map(|role| Arc::new(anonymous_identity(role, single))),
            tenancy: config.tenancy.tenancy,
            form,
        })
    }

    /// The caller that a token proves, or, without one, the anonymous caller.
    ///
    /// # Errors
    /// [`Kind::TokenMissing`] without a token where no anonymous role is configured;
    /// [`Kind::TokenInvalid`], [`Kind::TokenExpired`] and [`Kind::ClaimMissing`] as the token is.
    pub fn caller(&self, token: Option<&str>) -> Result<Caller> {
        match token {
            Some(token) => self.verify(token),
            None => self.anonymous(),
        }
    }

    /// The caller that a token proves.
    ///
    /// # Errors
    /// [`Kind::TokenInvalid`], [`Kind::TokenExpired`] or [`Kind::ClaimMissing`].
    pub fn verify(&self, token: &str) -> Result<Caller> {
        self.verify_at(token, now_s())
    }

    /// The caller without a token: under the anonymous role, with that role as the only claim, and
    /// of no organization, except in a database that is one organization.
    ///
    /// # Errors
    /// [`Kind::TokenMissing`] where no anonymous role is configured.
    pub fn anonymous(&self) -> Result<Caller> {
        match &self.anonymous {
            Some(identity) => Ok(Caller {
                identity: identity.clone(),
                expires_at: None,
            }),
            None => Err(Error::new(
                Kind::TokenMissing,
                "Send a token as `Authorization: Bearer <token>`.",
            )),
        }
    }

    pub(super) fn verify_at(&self, token: &str, now_s: u64) -> Result<Caller> {
        let claims = self.authentic(token)?;
        let expires_at = self.times(&claims, now_s)?;
        if let Some(audience) = &self.audience
            && !claims.is_for(audience)
        {
            return Err(invalid("The token is meant for another audience."));
        }
        let organization = match self.tenancy {
            TenancyMode::Single => OrganizationId::single(),
            TenancyMode::Column => {
                OrganizationId(claims.organization(&self.names.organization, self.form)?)
            }
        };
        let role = claims.role(&self.names.role)?;
        let identity = Identity {
            key: claims.key(),
            organization,
            user: UserId(claims.name(&self.names.user)?),
            role: role.map_or_else(|| self.default_role.clone(), Role),
            claims: claims.to_json(),
        };
        Ok(Caller {
            identity: Arc::new(identity),
            expires_at,
        })
    }

    /// The claims of a token whose signature holds.
    fn authentic(&self, token: &str) -> Result<Claims> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(invalid("The token is too long."));
        }
        let header = jsonwebtoken::decode_header(token).map_err(refused)?;
        // Extensions that must be understood and are not (RFC 7515, section 4.1.11).
        if header.crit.is_some() {
            return Err(invalid(
                "The token needs extensions that are not known here.",
            ));
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.algorithms = self.keys.algorithms().to_vec();
        // Times and audience are checked here, so that each refusal says what is wrong.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        let key = self.keys.key(&header)?;
        let data = jsonwebtoken::decode(token, key, &validation).map_err(refused)?;
        Ok(Claims(data.claims))
    }

    /// Checks `exp` and `nbf` (RFC 7519, sections 4.1.4 and 4.1.5); returns from when on the token
    /// is no longer accepted.
    fn times(&self, claims: &Claims, now_s: u64) -> Result<Option<u64>> {
        let (now, leeway) = (now_s as f64, self.leeway_s as f64);
        if claims.time("nbf")?.is_some_and(|from| now + leeway < from) {
            return Err(invalid("The token is not valid yet."));
        }
        let Some(until) = claims.time("exp")?.map(|exp| exp + leeway) else {
            return Ok(None);
        };
        if now >= until {
            return Err(Error::new(Kind::TokenExpired, "The token's time is over."));
        }
        // Seconds beyond any calendar saturate, which is as good as never.
        Ok(Some(until as u64))
    }
}

fn anonymous_identity(role: &str, single: bool) -> Identity {
    let claims = serde_json::json!({ "role": role }).to_string();
    Identity {
        key: anonymous_key(&claims),
        organization: match single {
            true => OrganizationId::single(),
            false => OrganizationId::none(),
        },
        user: UserId::from(""),
        role: Role::from(role),
        claims: claims.into(),
    }
}

fn invalid(detail: &'static str) -> Error {
    Error::new(Kind::TokenInvalid, detail)
}

/// What the caller learns of a refused token: enough for whoever made it, nothing for a forger.
fn refused(error: jsonwebtoken::errors::Error) -> Error {
    let detail = match error.kind() {
        ErrorKind::InvalidSignature => "The token's signature does not hold.",
        ErrorKind::InvalidAlgorithm
        | ErrorKind::InvalidAlgorithmName
        | ErrorKind::UnsupportedAlgorithm => "The token's algorithm is not accepted here.",
        _ => "This is not a JSON Web Token.",
    };
    invalid(detail).with_source(error)
}

fn now_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
