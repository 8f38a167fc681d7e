//! The JSON bodies of rowcast's own answers: all that are neither rows nor events nor problems.

use bytes::Bytes;
use serde::Serialize;

fn encode(answer: &impl Serialize) -> Bytes {
    serde_json::to_vec(answer)
        .expect("strings, numbers and booleans always encode")
        .into()
}

/// The body of a 202: the request runs, and its events come on the channel.
pub fn accepted(request_id: &str, channel_id: &str) -> Bytes {
    #[derive(Serialize)]
    struct Accepted<'a> {
        request_id: &'a str,
        channel_id: &'a str,
    }
    encode(&Accepted {
        request_id,
        channel_id,
    })
}

/// A row's secret key.
#[derive(Debug, Clone, Serialize)]
pub struct RowKeyAnswer<'a> {
    /// The topic of the row.
    pub topic: &'a str,
    /// Which key: what stands beside whatever is encrypted with it.
    pub key_id: String,
    /// The secret, 32 bytes in base64url without padding.
    pub key: String,
    /// Whether it is the one in force.
    pub current: bool,
}

/// The answer of `GET /{resource}/{id}/key`.
pub fn row_key(key: &RowKeyAnswer<'_>) -> Bytes {
    encode(key)
}

/// Several of them.
pub fn row_keys(keys: &[RowKeyAnswer<'_>]) -> Bytes {
    encode(&keys)
}

/// A text as JSON.
pub fn text(text: &str) -> Bytes {
    encode(&text)
}

/// How far a request is.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct RequestProgress<'a> {
    /// Which request.
    pub request_id: &'a str,
    /// On which channel.
    pub channel_id: &'a str,
    /// `running`, `finished` (its end waits for a reader) or `delivered` (its end was sent).
    pub state: &'static str,
    /// Rows that were sent; its end says how many, once that was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_delivered: Option<u64>,
    /// Rows that wait for the channel's reader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_queued: Option<u64>,
}

impl RequestProgress<'_> {
    /// The body.
    pub fn encode(&self) -> Bytes {
        encode(self)
    }
}

/// A pass, and within how many seconds it has to be used first.
pub fn pass(pass: &str, expires_in: u64) -> Bytes {
    #[derive(Serialize)]
    struct Pass<'a> {
        pass: &'a str,
        expires_in: u64,
    }
    encode(&Pass { pass, expires_in })
}

/// The body of `/health` and `/ready` when all is well.
pub fn well() -> Bytes {
    Bytes::from_static(b"{\"status\":\"ok\"}")
}

/// Events as one JSON array, the answer of a long-poll. Each event is a line.
pub fn events<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Bytes {
    let mut array = vec![b'['];
    for line in lines {
        if array.len() > 1 {
            array.push(b',');
        }
        array.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
    }
    array.push(b']');
    array.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_become_an_array() {
        let lines: [&[u8]; 2] = [b"{\"a\":1}\n", b"{}\n"];
        assert_eq!(events(lines.into_iter()), "[{\"a\":1},{}]");
        assert_eq!(events(std::iter::empty()), "[]");
    }
}
