//! The JSON of every event that a channel carries, each one line that ends with a line feed.
//!
//! Fields stand in the order of the protocol's examples, and `cursor` always last in a `change`.
//! Knows neither queues nor transports.

mod change;

use crate::snapshot::{Position, Version};
use bytes::{BufMut, Bytes, BytesMut};
pub use change::{Actions, Change, Op};
use std::{borrow::Cow, sync::Arc};

/// Appends a `reset`; without a resource it concerns everything. `reason` is a word of the protocol's;
/// `actions` are those that did all of it, if they are known.
pub fn reset(
    out: &mut BytesMut,
    resource: Option<&str>,
    reason: &str,
    actions: &[Arc<str>],
    position: &Position,
) {
    out.put_slice(b"{\"type\":\"reset\"");
    if let Some(resource) = resource {
        text(out, ",\"resource\":", resource);
    }
    text(out, ",\"reason\":", reason);
    if !actions.is_empty() {
        action_ids(out, actions);
    }
    at(out, position);
    out.put_slice(b"}\n");
}

/// What a `row` event says before its row. Each event is this, the row's JSON object, [`ROW_SUFFIX`].
/// `partial`: the row is not the whole row of its resource, and does not enter a store.
pub fn row_prefix(request_id: &str, resource: &str, state: Version, partial: bool) -> Vec<u8> {
    let mut out = BytesMut::with_capacity(96 + request_id.len() + resource.len());
    text(&mut out, "{\"type\":\"row\",\"request_id\":", request_id);
    text(&mut out, ",\"resource\":", resource);
    version(&mut out, state);
    if partial {
        out.put_slice(b",\"partial\":true");
    }
    out.put_slice(b",\"row\":");
    out.into()
}

/// What ends a `row` event after its row.
pub const ROW_SUFFIX: &[u8] = b"}\n";

/// The fields of a `done` event: the end of a request that went well.
#[derive(Debug, Clone, Copy)]
pub struct Done<'a> {
    /// Which request.
    pub request_id: &'a str,
    /// How many `row` events it had.
    pub rows: u64,
    /// The state that its rows show.
    pub position: &'a Position,
    /// The paging token, if there are more rows.
    pub next: Option<&'a str>,
    /// The number of rows without `limit`, if it was asked for.
    pub count: Option<u64>,
}

impl Done<'_> {
    /// The event.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(192);
        text(
            &mut out,
            "{\"type\":\"done\",\"request_id\":",
            self.request_id,
        );
        number(&mut out, ",\"rows\":", self.rows);
        at(&mut out, self.position);
        if let Some(next) = self.next {
            text(&mut out, ",\"next\":", next);
        }
        if let Some(count) = self.count {
            number(&mut out, ",\"count\":", count);
        }
        out.put_slice(b"}\n");
        out.freeze()
    }
}

/// An `error` event. With a request, it is that request's end after so many `row` events; without
/// one, a command failed. `problem` is a problem document (see [`super::problem`]).
pub fn error(request: Option<(&str, u64)>, problem: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(96 + problem.len());
    out.put_slice(b"{\"type\":\"error\"");
    if let Some((id, rows)) = request {
        text(&mut out, ",\"request_id\":", id);
        number(&mut out, ",\"rows\":", rows);
    }
    out.put_slice(b",\"problem\":");
    out.put_slice(problem);
    out.put_slice(b"}\n");
    out.freeze()
}

/// The fields of an `open` event, which begins what an attachment reads.
#[derive(Debug, Clone, Copy)]
pub struct Open<'a> {
    /// Which channel.
    pub channel_id: &'a str,
    /// The number of the last event before the next one.
    pub sequence: u64,
    /// Whether the reader has, or will now get, every event since it began; if not, every request
    /// that was open has ended.
    pub resumed: bool,
    /// Up to where everything for this channel was sent before.
    pub position: &'a Position,
    /// How often a quiet reader hears something.
    pub ping_seconds: u64,
}

impl Open<'_> {
    /// The event.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(192);
        text(
            &mut out,
            "{\"type\":\"open\",\"channel_id\":",
            self.channel_id,
        );
        number(&mut out, ",\"sequence\":", self.sequence);
        out.put_slice(b",\"resumed\":");
        out.put_slice(if self.resumed { b"true" } else { b"false" });
        text(&mut out, ",\"cursor\":", &self.position.cursor);
        version(&mut out, self.position.version);
        number(&mut out, ",\"ping_seconds\":", self.ping_seconds);
        out.put_slice(b"}\n");
        out.freeze()
    }
}

/// A `ping`: nothing is waiting, and everything up to here was sent.
pub fn ping(position: &Position) -> Bytes {
    let mut out = BytesMut::with_capacity(96);
    text(&mut out, "{\"type\":\"ping\",\"cursor\":", &position.cursor);
    version(&mut out, position.version);
    out.put_slice(b"}\n");
    out.freeze()
}

/// Why an attachment is closed, and whether to come back. Codes from 4000 to 4099 do not come back,
/// from 4100 to 4199 after a while, from 4200 to 4299 at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// The code, which is the WebSocket's close code as well.
    pub code: u16,
    /// A few words, fit for a WebSocket's close frame (at most 123 bytes).
    pub reason: Cow<'static, str>,
    /// How long to wait before coming back.
    pub after_ms: u32,
}

impl Close {
    /// A newer attachment took the channel over.
    pub const REPLACED: Close = Close::new(4001, "replaced by a newer attachment", 0);
    /// The caller ended the channel.
    pub const ENDED: Close = Close::new(4002, "the channel was ended", 0);
    /// The token's time is over, or it was revoked.
    pub const TOKEN_EXPIRED: Close = Close::new(4003, "the token has expired", 0);
    /// The caller may not use this channel.
    pub const NOT_ALLOWED: Close = Close::new(4010, "not allowed", 0);
    /// The server is going down.
    pub const SHUTTING_DOWN: Close = Close::new(4100, "shutting down", 500);
    /// The reader took what it was sent too slowly.
    pub const TOO_SLOW: Close = Close::new(4108, "too slow", 1_000);
    /// A limit was reached.
    pub const LIMITS: Close = Close::new(4129, "over a limit", 1_000);

    /// A close of this code; `reason` has at most 123 bytes.
    pub const fn new(code: u16, reason: &'static str, after_ms: u32) -> Self {
        Self {
            code,
            reason: Cow::Borrowed(reason),
            after_ms,
        }
    }

    /// Whether the reader should come back.
    pub fn reconnect(&self) -> bool {
        self.code >= 4100
    }

    /// The event.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(96);
        number(&mut out, "{\"type\":\"close\",\"code\":", self.code.into());
        text(&mut out, ",\"reason\":", &self.reason);
        out.put_slice(b",\"reconnect\":");
        out.put_slice(if self.reconnect() { b"true" } else { b"false" });
        if self.reconnect() {
            number(&mut out, ",\"after_ms\":", self.after_ms.into());
        }
        out.put_slice(b"}\n");
        out.freeze()
    }
}

fn action_ids(out: &mut BytesMut, ids: &[Arc<str>]) {
    out.put_slice(b",\"action_ids\":[");
    for (index, id) in ids.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        string(out, id);
    }
    out.put_u8(b']');
}

fn at(out: &mut BytesMut, position: &Position) {
    version(out, position.version);
    text(out, ",\"cursor\":", &position.cursor);
}

fn version(out: &mut BytesMut, version: Version) {
    number(out, ",\"version\":", version.0);
}

fn number(out: &mut BytesMut, before: &str, number: u64) {
    out.put_slice(before.as_bytes());
    out.put_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn text(out: &mut BytesMut, before: &str, value: &str) {
    out.put_slice(before.as_bytes());
    string(out, value);
}

/// Appends a JSON string. Most have nothing to escape, and are copied in one go.
fn string(out: &mut BytesMut, value: &str) {
    let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if value.bytes().all(plain) {
        out.put_u8(b'"');
        out.put_slice(value.as_bytes());
        out.put_u8(b'"');
    } else {
        serde_json::to_writer(out.writer(), value).expect("a string always encodes");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    pub(super) fn read(line: &[u8]) -> Value {
        assert_eq!(line.iter().filter(|it| **it == b'\n').count(), 1);
        assert_eq!(line.last(), Some(&b'\n'));
        serde_json::from_slice(line).expect("an event is JSON")
    }

    fn position() -> Position {
        Position {
            version: Version(752),
            cursor: "abc".into(),
        }
    }

    #[test]
    fn an_open_says_where_the_reader_stands() {
        let position = position();
        let open = Open {
            channel_id: "tab \"1\"",
            sequence: 12,
            resumed: true,
            position: &position,
            ping_seconds: 25,
        };
        assert_eq!(
            read(&open.encode()),
            json!({"type": "open", "channel_id": "tab \"1\"", "sequence": 12, "resumed": true,
                   "cursor": "abc", "version": 752, "ping_seconds": 25})
        );
    }

    #[test]
    fn a_row_is_its_prefix_the_row_and_the_suffix() {
        let mut line = row_prefix("r1", "tickets", Version(752), true);
        line.extend_from_slice(b"{\"id\":1}");
        line.extend_from_slice(ROW_SUFFIX);
        assert_eq!(
            read(&line),
            json!({"type": "row", "request_id": "r1", "resource": "tickets", "version": 752,
                   "partial": true, "row": {"id": 1}})
        );
        let whole = row_prefix("r1", "tickets", Version(752), false);
        assert!(!String::from_utf8_lossy(&whole).contains("partial"));
    }

    #[test]
    fn ends_resets_pings_and_closes_are_as_the_protocol_shows_them() {
        let position = position();
        let done = Done {
            request_id: "r1",
            rows: 25,
            position: &position,
            next: Some("n"),
            count: Some(1600),
        };
        assert_eq!(
            read(&done.encode()),
            json!({"type": "done", "request_id": "r1", "rows": 25, "version": 752, "cursor": "abc",
                   "next": "n", "count": 1600})
        );
        assert_eq!(
            read(&error(Some(("r1", 12)), b"{}")),
            json!({"type": "error", "request_id": "r1", "rows": 12, "problem": {}})
        );
        assert_eq!(
            read(&error(None, b"{}")),
            json!({"type": "error", "problem": {}})
        );
        assert_eq!(
            read(&ping(&position)),
            json!({"type": "ping", "cursor": "abc", "version": 752})
        );
        let mut out = BytesMut::new();
        reset(&mut out, Some("tickets"), "lagged", &[], &position);
        assert_eq!(
            read(&out),
            json!({"type": "reset", "resource": "tickets", "reason": "lagged", "version": 752,
                   "cursor": "abc"})
        );
        assert_eq!(
            read(&Close::SHUTTING_DOWN.encode()),
            json!({"type": "close", "code": 4100, "reason": "shutting down", "reconnect": true,
                   "after_ms": 500})
        );
        assert_eq!(
            read(&Close::REPLACED.encode()),
            json!({"type": "close", "code": 4001, "reason": "replaced by a newer attachment",
                   "reconnect": false})
        );
    }
}
