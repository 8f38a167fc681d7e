//! Problem documents for requests that never became one: what hyper cannot read it answers itself,
//! with a status and nothing else, and this gives that answer its body.

use crate::{
    error::{Error, Kind},
    wire::problem,
};
use bytes::Bytes;

/// How every answer begins that hyper makes itself, up to the status.
const BEGINNING: &[u8] = b"HTTP/1.1 4";
/// Answers of ours have a body wherever their status is one of these.
const NO_BODY: &[u8] = b"\r\ncontent-length: 0\r\n";

/// The answer to send instead of `head`, if that is one which hyper made for a request that it could
/// not read.
pub(super) fn instead_of(head: &[u8]) -> Option<Bytes> {
    if !head.starts_with(BEGINNING) || !head.ends_with(b"\r\n\r\n") {
        return None;
    }
    memchr::memmem::find(head, NO_BODY)?;
    let (kind, detail) = match head.get(9..12)? {
        b"400" => (
            Kind::HeaderMalformed,
            "The request is not HTTP that can be read here.",
        ),
        b"414" => (Kind::UrlTooLong, "The URL is far too long."),
        b"431" => (
            Kind::HeadersTooLarge,
            "The headers are far too large, or too many.",
        ),
        _ => return None,
    };
    let body = problem::document(&Error::new(kind, detail), None);
    let status_line = head.split(|byte| *byte == b'\r').next()?;
    let mut answer = status_line.to_vec();
    let rest = format!(
        "\r\ncontent-type: {}\r\ncache-control: no-store\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n",
        problem::MEDIA_TYPE,
        body.len()
    );
    answer.extend_from_slice(rest.as_bytes());
    answer.extend_from_slice(&body);
    Some(answer.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_no_body_gets_one() {
        let bare = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\
                     content-length: 0\r\ndate: x\r\n\r\n";
        let answer = instead_of(bare).unwrap();
        let text = std::str::from_utf8(&answer).unwrap();
        assert!(text.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"));
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())));
        assert!(body.contains("headers-too-large"));
        for ours in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 10\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n",
            b"",
        ] {
            assert_eq!(instead_of(ours), None);
        }
    }
}
