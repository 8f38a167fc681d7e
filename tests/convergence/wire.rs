//! Reads and rewrites events on a connection between server and client, on all four transports: it
//! finds the events in WebSocket frames, SSE, NDJSON and the answers of long-polls, has somebody
//! change them, and frames what is left anew. Knows no fault.

use super::proxy::Rewrite;
use std::sync::{Arc, Mutex};

/// Changes events as they pass.
pub(super) trait Tamper: Send {
    /// What passes instead of this event; `connection` tells connections apart.
    fn tamper(&mut self, connection: u64, event: &str) -> Vec<String>;
}

/// One connection.
pub(super) struct Wire {
    pub(super) number: u64,
    pub(super) tamper: Arc<Mutex<dyn Tamper>>,
    buffer: Vec<u8>,
    state: State,
    /// What of a stream's body is no whole event yet.
    partial: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum Body {
    /// SSE, in chunks.
    Sse,
    /// NDJSON, in chunks.
    Lines,
    /// Chunks of something else.
    Chunks,
}

enum State {
    Head,
    Chunked(Body),
    Sized { head: String, length: usize },
    WebSocket,
}

impl Wire {
    pub(super) fn new(number: u64, tamper: Arc<Mutex<dyn Tamper>>) -> Self {
        Self {
            number,
            tamper,
            buffer: Vec::new(),
            state: State::Head,
            partial: Vec::new(),
        }
    }

    fn tampered(&self, event: &str) -> Vec<String> {
        self.tamper.lock().unwrap().tamper(self.number, event)
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        self.buffer.drain(..count).collect()
    }

    /// Works on what has come; `None`: more has to come first.
    fn step(&mut self) -> Option<Vec<u8>> {
        match &self.state {
            State::Head => self.head(),
            State::Chunked(body) => self.chunk(*body),
            State::Sized { length, .. } if self.buffer.len() >= *length => self.sized(),
            State::Sized { .. } => None,
            State::WebSocket => self.frame(),
        }
    }

    fn head(&mut self) -> Option<Vec<u8>> {
        let end = memchr::memmem::find(&self.buffer, b"\r\n\r\n")? + 4;
        let bytes = self.take(end);
        let head = String::from_utf8(bytes.clone()).expect("an ASCII head");
        let lower = head.to_ascii_lowercase();
        let value = |name: &str| {
            let line = lower.lines().find_map(|it| it.strip_prefix(name));
            line.map(str::trim).map(str::to_owned)
        };
        let media = value("content-type:").unwrap_or_default();
        if lower.starts_with("http/1.1 101") {
            self.state = State::WebSocket;
        } else if value("transfer-encoding:").as_deref() == Some("chunked") {
            self.state = State::Chunked(match &*media {
                "text/event-stream" => Body::Sse,
                "application/x-ndjson" => Body::Lines,
                _ => Body::Chunks,
            });
        } else if let Some(length) = value("content-length:").and_then(|it| it.parse().ok())
            && length > 0
        {
            // The head waits for its body, whose length it names.
            self.state = State::Sized { head, length };
            return Some(Vec::new());
        }
        Some(bytes)
    }

    fn chunk(&mut self, body: Body) -> Option<Vec<u8>> {
        let line = memchr::memmem::find(&self.buffer, b"\r\n")?;
        let size = std::str::from_utf8(&self.buffer[..line]).expect("a chunk's size");
        let size = usize::from_str_radix(size, 16).expect("a chunk's size");
        let whole = line + 2 + size + 2;
        if self.buffer.len() < whole {
            return None;
        }
        let bytes = self.take(whole);
        if size == 0 {
            self.state = State::Head;
            return Some(bytes);
        }
        if body == Body::Chunks {
            return Some(bytes);
        }
        self.partial
            .extend_from_slice(&bytes[line + 2..line + 2 + size]);
        let mut out = Vec::new();
        let end: &[u8] = if body == Body::Sse { b"\n\n" } else { b"\n" };
        while let Some(at) = memchr::memmem::find(&self.partial, end) {
            let piece: Vec<u8> = self.partial.drain(..at + end.len()).collect();
            let piece = String::from_utf8(piece).expect("events are UTF-8");
            let (before, event) = match piece.split_once("data: ") {
                Some((before, event)) if body == Body::Sse => (before, event),
                _ => ("", &*piece),
            };
            for event in self.tampered(event.trim_end()) {
                out.extend_from_slice(before.as_bytes());
                let data = if body == Body::Sse { "data: " } else { "" };
                out.extend_from_slice(data.as_bytes());
                out.extend_from_slice(event.as_bytes());
                out.extend_from_slice(end);
            }
        }
        if out.is_empty() {
            return Some(out);
        }
        let mut chunk = format!("{:x}\r\n", out.len()).into_bytes();
        chunk.append(&mut out);
        chunk.extend_from_slice(b"\r\n");
        Some(chunk)
    }

    fn sized(&mut self) -> Option<Vec<u8>> {
        let State::Sized { head, length } = std::mem::replace(&mut self.state, State::Head) else {
            return None;
        };
        let body = self.take(length);
        // Only a poll's answer has a number.
        let polled = head.to_ascii_lowercase().contains("\r\nsequence:");
        let events: Vec<Box<serde_json::value::RawValue>> = match polled {
            true => serde_json::from_slice(&body).expect("an array of events"),
            false => Vec::new(),
        };
        if !polled {
            return Some([head.into_bytes(), body].concat());
        }
        let events = events.iter().flat_map(|it| self.tampered(it.get()));
        let body = format!("[{}]", events.collect::<Vec<_>>().join(",\n"));
        let lines = head.trim_end().split("\r\n").map(|line| {
            let is_length = line.to_ascii_lowercase().starts_with("content-length:");
            match is_length {
                true => format!("content-length: {}", body.len()),
                false => line.to_owned(),
            }
        });
        let head = lines.collect::<Vec<_>>().join("\r\n");
        Some(format!("{head}\r\n\r\n{body}").into_bytes())
    }

    /// Frames of a server are not masked (RFC 6455, section 5.2).
    fn frame(&mut self) -> Option<Vec<u8>> {
        let (first, second) = (*self.buffer.first()?, *self.buffer.get(1)?);
        let (start, length) = match second & 0x7f {
            126 => {
                let bytes = self.buffer.get(2..4)?.try_into().expect("two bytes");
                (4, usize::from(u16::from_be_bytes(bytes)))
            }
            127 => {
                let bytes = self.buffer.get(2..10)?.try_into().expect("eight bytes");
                (10, u64::from_be_bytes(bytes) as usize)
            }
            length => (2, usize::from(length)),
        };
        if self.buffer.len() < start + length {
            return None;
        }
        let bytes = self.take(start + length);
        // Whole text messages only; the server does not split them.
        if first != 0x81 {
            return Some(bytes);
        }
        let text = std::str::from_utf8(&bytes[start..]).expect("a text message");
        let events = text.lines().flat_map(|it| self.tampered(it));
        let text = events.collect::<Vec<_>>().join("\n");
        let mut out = vec![0x81];
        match text.len() {
            0 => return Some(Vec::new()),
            length @ ..126 => out.push(length as u8),
            length @ ..65_536 => {
                out.push(126);
                out.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                out.push(127);
                out.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        out.extend_from_slice(text.as_bytes());
        Some(out)
    }
}

impl Rewrite for Wire {
    fn rewrite(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.buffer.extend_from_slice(bytes);
        let mut out = Vec::new();
        while !self.buffer.is_empty() {
            match self.step() {
                Some(mut more) => out.append(&mut more),
                None => break,
            }
        }
        out
    }
}
