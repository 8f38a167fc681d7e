//! A compressed stream as HTTP carries it: gzip (RFC 1952) around the pieces.

use super::{Deflate, Deflaters};
use crate::http::head::Head;
use bytes::Bytes;
use flate2::Crc;
use http::header::ACCEPT_ENCODING;
use std::sync::Arc;
use tokio::time::Instant;

/// No name, no time, an unknown system.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// An empty stored block, the last one.
const LAST: [u8; 5] = [1, 0, 0, 0xff, 0xff];
/// How much of an answer is compressed before others have their turn.
const STEP_BYTES: usize = 64 << 10;

/// The body of a compressed answer.
#[derive(Debug)]
pub(in crate::http) struct Gzip {
    pub(super) deflate: Deflate,
    pub(super) crc: Crc,
    pub(super) began: bool,
}

impl Gzip {
    /// The stream of an answer, if its caller takes gzip.
    pub(in crate::http) fn for_caller(head: &Head, deflaters: &Arc<Deflaters>) -> Option<Self> {
        takes_gzip(head).then(|| Self {
            deflate: Deflate::new(deflaters.clone()),
            crc: Crc::new(),
            began: false,
        })
    }

    /// The next pieces, as [`Deflate::pieces`].
    pub(in crate::http) fn pieces(&mut self, lines: &Bytes) -> Vec<Bytes> {
        self.crc.update(lines);
        let mut pieces = self.deflate.pieces(std::iter::once(lines));
        if !std::mem::replace(&mut self.began, true) {
            pieces.insert(0, Bytes::from_static(&HEAD));
        }
        pieces
    }

    /// What ends the stream.
    pub(in crate::http) fn end(&self) -> Bytes {
        let mut out = LAST.to_vec();
        out.extend_from_slice(&self.crc.sum().to_le_bytes());
        // The length counts modulo 2^32, and so does the crate.
        out.extend_from_slice(&self.crc.amount().to_le_bytes());
        out.into()
    }

    /// All of an answer whose end is known.
    pub(in crate::http) async fn whole(mut self, body: &Bytes) -> Bytes {
        let mut out = Vec::with_capacity(body.len() / 4);
        for start in (0..body.len()).step_by(STEP_BYTES) {
            let part = body.slice(start..body.len().min(start + STEP_BYTES));
            for piece in self.pieces(&part) {
                out.extend_from_slice(&piece);
            }
            // A large answer takes some milliseconds, in which others have their turn.
            tokio::task::yield_now().await;
        }
        out.extend_from_slice(&self.end());
        out.into()
    }

    pub(in crate::http) fn cools_at(&self) -> Option<Instant> {
        self.deflate.cools_at()
    }

    pub(in crate::http) fn cool(&mut self) {
        self.deflate.cool();
    }
}

/// Whether the caller takes gzip (RFC 9110 section 12.5.3). Whoever says nothing gets plain text.
fn takes_gzip(head: &Head) -> bool {
    let values = head.headers.get_all(ACCEPT_ENCODING).into_iter();
    let mut any = false;
    for part in values
        .filter_map(|it| it.to_str().ok())
        .flat_map(|it| it.split(','))
    {
        let mut words = part.split(';').map(str::trim);
        let name = words.next().unwrap_or_default();
        let refused = words.any(|it| {
            it.strip_prefix("q=")
                .and_then(|it| it.parse::<f32>().ok())
                .is_some_and(|quality| quality <= 0.0)
        });
        match name {
            _ if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => {
                return !refused;
            }
            "*" => any = !refused,
            _ => {}
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue, Method};

    fn takes(header: Option<&'static str>) -> bool {
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(value));
        }
        takes_gzip(&Head {
            method: Method::GET,
            headers,
            query: String::new(),
            connection: None,
            upgrade: None,
        })
    }

    #[test]
    fn gzip_is_for_those_who_take_it() {
        for header in [
            "gzip",
            "deflate, GZip",
            "br;q=1, gzip;q=0.5",
            "*",
            "x-gzip",
            "identity, *;q=0.1",
        ] {
            assert!(takes(Some(header)), "{header}");
        }
        for header in [
            "",
            "br",
            "identity",
            "gzip;q=0",
            "gzip;q=0, *",
            "*;q=0",
            "deflate",
        ] {
            assert!(!takes(Some(header)), "{header}");
        }
        assert!(!takes(None));
    }
}
