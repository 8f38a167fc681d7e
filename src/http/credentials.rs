//! Who calls, by what the request carries: a token in a header or a subprotocol, or a pass.

use super::{
    head::{Head, malformed},
    passes::Passes,
};
use crate::{
    channel::ChannelId,
    config::Auth,
    error::{Error, Kind, Result},
    identity::{Caller, Verifier},
};
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};

/// The subprotocol of a channel's WebSocket.
pub(super) const SUBPROTOCOL: &str = "rowcast";
/// The same with what the server says compressed.
pub(super) const DEFLATE_SUBPROTOCOL: &str = "rowcast.deflate";
/// The subprotocol that carries a token, for browsers.
const TOKEN_SUBPROTOCOL: &str = "bearer.";

/// Tells callers apart.
#[derive(Debug)]
pub struct Callers {
    verifier: Verifier,
    passes: Passes,
}

impl Callers {
    /// Callers with tokens that this verifier accepts.
    pub fn new(verifier: Verifier, config: &Auth) -> Self {
        Self {
            verifier,
            passes: Passes::new(config),
        }
    }

    pub(super) fn passes(&self) -> &Passes {
        &self.passes
    }

    /// The caller, by the `Authorization` header alone.
    ///
    /// # Errors
    /// `TokenMissing`, `TokenInvalid`, `TokenExpired`, `ClaimMissing`, `HeaderMalformed`.
    pub(super) fn caller(&self, head: &Head) -> Result<Caller> {
        self.verifier.caller(bearer(head)?)
    }

    /// The caller who attaches to a channel: by header, subprotocol or pass, but only one of them,
    /// so that nobody is surprised which one counted.
    ///
    /// # Errors
    /// As [`Callers::caller`]; `PassInvalid`.
    pub(super) fn attaching(
        &self,
        head: &Head,
        channel: &ChannelId,
        pass: Option<&str>,
    ) -> Result<Caller> {
        match (bearer(head)?, subprotocol_token(head), pass) {
            (None, None, Some(pass)) => self.passes.redeem(pass, channel),
            (header, None, None) => self.verifier.caller(header),
            (None, token, None) => self.verifier.caller(token),
            _ => Err(Error::new(
                Kind::HeaderMalformed,
                "A token and a pass, or two tokens: send one of them.",
            )),
        }
    }

    /// The caller that a token from a body or a command proves.
    ///
    /// # Errors
    /// `TokenInvalid`, `TokenExpired`, `ClaimMissing`.
    pub(super) fn verify(&self, token: &str) -> Result<Caller> {
        self.verifier.verify(token)
    }
}

/// The token of the `Authorization` header (RFC 6750 section 2.1).
fn bearer(head: &Head) -> Result<Option<&str>> {
    let Some(value) = head.header(&AUTHORIZATION)? else {
        return Ok(None);
    };
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        let error = Error::new(Kind::TokenInvalid, "The scheme is not Bearer.");
        return Err(error.with_hint("Send `Authorization: Bearer <token>`."));
    }
    match token.trim() {
        "" => Err(malformed(&AUTHORIZATION, "has no token")),
        token => Ok(Some(token)),
    }
}

/// The token of the subprotocol pair `rowcast`, `bearer.<token>`.
fn subprotocol_token(head: &Head) -> Option<&str> {
    let values = head.headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter();
    values
        .filter_map(|it| it.to_str().ok())
        .flat_map(|it| it.split(','))
        .find_map(|it| it.trim().strip_prefix(TOKEN_SUBPROTOCOL))
}
