//! The opening handshake (RFC 6455 section 4.2), the server's side.

use crate::{
    error::{Error, Kind, Result},
    http::{
        credentials::{DEFLATE_SUBPROTOCOL, SUBPROTOCOL},
        head::Head,
        reply::{self, Refusal, Response, put, put_no_store},
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderValue, StatusCode,
    header::{
        CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
        SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};
use hyper::upgrade::OnUpgrade;
use sha1::{Digest, Sha1};

/// Appended to the client's key (RFC 6455 section 1.3).
const KEY_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Bytes of a client's key.
const KEY_BYTES: usize = 16;

/// Whether the caller asks for a WebSocket.
pub(in crate::http) fn is_asked(head: &Head) -> bool {
    head.lists(UPGRADE, "websocket")
}

/// A handshake that was accepted: the answer that says so, and the connection that comes of it.
pub(in crate::http) struct Upgrade {
    pub(super) response: Response,
    pub(super) handover: OnUpgrade,
    /// Whether what we say is to be compressed.
    pub(super) deflates: bool,
}

impl Upgrade {
    /// Accepts the handshake.
    ///
    /// # Errors
    /// `HeaderMalformed` for a handshake that is not one, with the version that we speak.
    pub(in crate::http) fn accept(head: &mut Head) -> Result<Self, Refusal> {
        let key = key(head).map_err(|error| Refusal::from(error).speaking_websocket())?;
        let handover = head.upgrade.take().ok_or_else(|| {
            let detail = "This connection cannot become a WebSocket: use HTTP/1.1.";
            Error::new(Kind::HeaderMalformed, detail)
        })?;
        let mut response = reply::empty(StatusCode::SWITCHING_PROTOCOLS);
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        put(headers, SEC_WEBSOCKET_ACCEPT, &key);
        let offered = |name| head.lists(SEC_WEBSOCKET_PROTOCOL, name);
        let deflates = offered(DEFLATE_SUBPROTOCOL);
        if deflates {
            put(headers, SEC_WEBSOCKET_PROTOCOL, DEFLATE_SUBPROTOCOL);
        } else if offered(SUBPROTOCOL) {
            put(headers, SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL);
        }
        put_no_store(headers);
        Ok(Self {
            response,
            handover,
            deflates,
        })
    }
}

/// The answer to the client's key.
fn key(head: &Head) -> Result<String> {
    let malformed = |detail| Error::new(Kind::HeaderMalformed, detail);
    if !head.lists(CONNECTION, "upgrade") {
        return Err(malformed("A WebSocket needs `Connection: Upgrade`."));
    }
    if head.header(&SEC_WEBSOCKET_VERSION)? != Some("13") {
        return Err(malformed("A WebSocket needs `Sec-WebSocket-Version: 13`."));
    }
    let key = head.header(&SEC_WEBSOCKET_KEY)?.unwrap_or_default();
    if STANDARD.decode(key).map_or(0, |it| it.len()) != KEY_BYTES {
        return Err(malformed("Sec-WebSocket-Key is not 16 bytes in base64."));
    }
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(KEY_SUFFIX);
    Ok(STANDARD.encode(hash.finalize()))
}
