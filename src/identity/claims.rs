//! Reading claims: by name or path, in the types that we accept, and as a digest.

use super::{IdentityKey, OrganizationForm};
use crate::error::{Error, Kind, Result};
use aws_lc_rs::digest;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Claims that differ between tokens of one identity: times, and the token's own id
/// (RFC 7519, section 4.1).
const NOT_THE_IDENTITY: &[&str] = &["exp", "iat", "nbf", "jti"];

/// The claims of a verified token.
pub(super) struct Claims(pub(super) Map<String, Value>);

impl Claims {
    /// The claim of this name; where there is none, dots step into objects (`app.org_id`). Some
    /// issuers use URLs as names, so the whole name is tried first. `null` counts as absent.
    fn get(&self, name: &str) -> Option<&Value> {
        let value = match self.0.get(name) {
            Some(value) => Some(value),
            None => {
                let mut parts = name.split('.');
                let first = parts.next().and_then(|part| self.0.get(part));
                parts.fold(first, |value, part| value?.as_object()?.get(part))
            }
        };
        value.filter(|value| !value.is_null())
    }

    /// The text of a claim that names somebody: text, or a whole number (which PostgreSQL's identity
    /// columns suggest to those who make tokens).
    pub(super) fn name(&self, name: &str) -> Result<Arc<str>> {
        match self.get(name) {
            Some(Value::String(text)) if is_name(text) => Ok(text.as_str().into()),
            Some(Value::Number(number)) if number.is_i64() || number.is_u64() => {
                Ok(number.to_string().into())
            }
            Some(_) => Err(Error::new(
                Kind::ClaimMissing,
                format!("The claim `{name}` must be text or a whole number, and not empty."),
            )),
            None => Err(Error::new(
                Kind::ClaimMissing,
                format!("The token has no claim `{name}`."),
            )),
        }
    }

    /// The organization in the form in which PostgreSQL writes it.
    pub(super) fn organization(&self, name: &str, form: OrganizationForm) -> Result<Arc<str>> {
        let text = self.name(name)?;
        let canonical = match form {
            OrganizationForm::Text => Some(text),
            OrganizationForm::Integer => {
                let number = text.trim().parse::<i64>().ok();
                number.map(|number| number.to_string().into())
            }
            OrganizationForm::Uuid => {
                let uuid = uuid::Uuid::try_parse(text.trim()).ok();
                uuid.map(|uuid| uuid.to_string().into())
            }
        };
        canonical.ok_or_else(|| {
            let expected = match form {
                OrganizationForm::Uuid => "a uuid",
                _ => "a whole number",
            };
            Error::new(
                Kind::ClaimMissing,
                format!("The claim `{name}` must be {expected}, as organizations are here."),
            )
        })
    }

    /// The role, if the token names one.
    pub(super) fn role(&self, name: &str) -> Result<Option<Arc<str>>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if is_name(text) => Ok(Some(text.as_str().into())),
            Some(_) => Err(Error::new(
                Kind::ClaimMissing,
                format!("The claim `{name}` must be text, and not empty."),
            )),
        }
    }

    /// A time in seconds since 1970 (`NumericDate`, RFC 7519, section 2), which may have a fraction.
    pub(super) fn time(&self, name: &str) -> Result<Option<f64>> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => match value.as_f64() {
                Some(seconds) => Ok(Some(seconds)),
                None => Err(Error::new(
                    Kind::TokenInvalid,
                    format!("The claim `{name}` must be a number of seconds since 1970."),
                )),
            },
        }
    }

    /// Whether `aud` names this audience (RFC 7519, section 4.1.3).
    pub(super) fn is_for(&self, audience: &str) -> bool {
        match self.0.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(several)) => several.iter().any(|it| it == audience),
            _ => false,
        }
    }

    /// The claims as canonical JSON, for PostgreSQL.
    pub(super) fn to_json(&self) -> Arc<str> {
        canonical(&self.0, &[]).into()
    }

    /// The digest that tells identities apart.
    pub(super) fn key(&self) -> IdentityKey {
        digest_of(b"token\0", &canonical(&self.0, NOT_THE_IDENTITY))
    }
}

/// The key of callers without a token, which no token has.
pub(super) fn anonymous_key(claims: &str) -> IdentityKey {
    digest_of(b"anonymous\0", claims)
}

fn digest_of(domain: &[u8], text: &str) -> IdentityKey {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(domain);
    context.update(text.as_bytes());
    let digest = context.finish();
    let bytes = digest.as_ref().try_into();
    IdentityKey(bytes.expect("SHA-256 has 32 bytes"))
}

/// A name that PostgreSQL can hold: not empty, without NUL.
fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains('\0')
}

/// JSON with sorted keys at every level, whatever order the map keeps.
fn canonical(claims: &Map<String, Value>, without: &[&str]) -> String {
    let mut out = String::new();
    write_object(claims, without, &mut out);
    out
}

fn write_object(object: &Map<String, Value>, without: &[&str], out: &mut String) {
    let kept = object.iter();
    let mut kept: Vec<(&String, &Value)> = kept
        .filter(|(name, _)| !without.contains(&name.as_str()))
        .collect();
    kept.sort_by_key(|(name, _)| *name);
    out.push('{');
    for (index, (name, value)) in kept.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(&Value::from(name.as_str()).to_string());
        out.push(':');
        write_value(value, out);
    }
    out.push('}');
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Object(object) => write_object(object, &[], out),
        Value::Array(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(value, out);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}
