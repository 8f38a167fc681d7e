//! The transports that answer a GET without end: Server-Sent Events and NDJSON.
//!
//! Both take what the reader gives and differ only in how they frame it. For who takes gzip they are
//! compressed, each batch up to its last byte, so that it is read at once.

use super::{
    deflate::Gzip,
    reader::Reader,
    reply::{Response, put_no_store},
};
use crate::{
    channel::{Delivery, Frame},
    wire::event,
};
use bytes::Bytes;
use futures_util::Stream;
use http::{
    HeaderName, HeaderValue,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY},
};
use std::{
    convert::Infallible,
    io::Write,
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll},
};
use warp::Reply;

/// Bytes of events taken at once; hyper holds a few of these at most.
const DELIVERY_BYTES: usize = 64 << 10;
/// How long an EventSource waits before it comes back, in milliseconds.
const RETRY_MS: u32 = 500;

/// How a transport frames lines.
pub(super) trait Framing: Send + 'static {
    const MEDIA_TYPE: &'static str;

    /// The line that begins the stream; `sequence` is that of the last event before the next one.
    fn open(&self, line: Bytes, sequence: u64) -> Bytes;

    /// Numbered events.
    fn events(&self, frame: &Frame) -> Bytes;

    /// A line without a number.
    fn line(&self, line: Bytes) -> Bytes;
}

/// One line for each event.
pub(super) struct Ndjson;

impl Framing for Ndjson {
    const MEDIA_TYPE: &'static str = "application/x-ndjson";

    fn open(&self, line: Bytes, _sequence: u64) -> Bytes {
        line
    }

    fn events(&self, frame: &Frame) -> Bytes {
        frame.bytes().clone()
    }

    fn line(&self, line: Bytes) -> Bytes {
        line
    }
}

/// Server-Sent Events (WHATWG HTML, "Server-sent events"): events are never named, so that scripts
/// get all of them as `message`.
pub(super) struct Sse;

impl Framing for Sse {
    const MEDIA_TYPE: &'static str = "text/event-stream";

    fn open(&self, line: Bytes, sequence: u64) -> Bytes {
        // With a number from the start, a stream that breaks before its first event resumes too.
        let mut out = format!("retry: {RETRY_MS}\n").into_bytes();
        data(&mut out, Some(sequence), &line);
        out.into()
    }

    fn events(&self, frame: &Frame) -> Bytes {
        let overhead = "id: 1234567890123456\ndata: \n".len();
        let mut out = Vec::with_capacity(frame.bytes().len() + frame.events.count() * overhead);
        for (sequence, line) in frame.numbered() {
            data(&mut out, Some(sequence), line);
        }
        out.into()
    }

    fn line(&self, line: Bytes) -> Bytes {
        let mut out = Vec::new();
        data(&mut out, None, &line);
        out.into()
    }
}

/// Appends one event; its line ends with a line feed, and one more ends the event. The space after
/// each colon is not needed, but scripts that cut lines by hand expect it.
fn data(out: &mut Vec<u8>, sequence: Option<u64>, line: &[u8]) {
    if let Some(sequence) = sequence {
        writeln!(out, "id: {sequence}").expect("a vector takes everything");
    }
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(line);
    out.push(b'\n');
}

/// The answer that carries the channel for as long as the reader lives.
pub(super) fn answer<F: Framing + Sync>(
    reader: Reader,
    framing: F,
    gzip: Option<Gzip>,
) -> Response {
    let is_compressed = gzip.is_some();
    let events = Exclusive(Mutex::new(Box::pin(events(reader, framing, gzip))));
    let mut response = warp::reply::stream(events).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(F::MEDIA_TYPE));
    if is_compressed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(VARY, ACCEPT_ENCODING.into());
    put_no_store(headers);
    // Proxies that buffer would keep events from their reader.
    let no_buffering = HeaderName::from_static("x-accel-buffering");
    headers.insert(no_buffering, HeaderValue::from_static("no"));
    response
}

fn events<F: Framing>(
    mut reader: Reader,
    framing: F,
    mut gzip: Option<Gzip>,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    async_stream::stream! {
        let open = framing.open(reader.open_event(), reader.opened().sequence);
        for piece in pieces(&mut gzip, open) {
            yield Ok(piece);
        }
        loop {
            match next(&mut reader, &mut gzip).await {
                Delivery::Events(frames) => {
                    for frame in frames.iter() {
                        for piece in pieces(&mut gzip, framing.events(frame)) {
                            yield Ok(piece);
                        }
                    }
                }
                Delivery::Ping(position) => {
                    for piece in pieces(&mut gzip, framing.line(event::ping(&position))) {
                        yield Ok(piece);
                    }
                }
                Delivery::Close(close) => {
                    for piece in pieces(&mut gzip, framing.line(close.encode())) {
                        yield Ok(piece);
                    }
                    if let Some(gzip) = &gzip {
                        yield Ok(gzip.end());
                    }
                    break;
                }
            }
        }
    }
}

/// What is next; a compressor is not kept while that takes long.
async fn next(reader: &mut Reader, gzip: &mut Option<Gzip>) -> Delivery {
    if let Some(gzip) = gzip
        && let Some(cools_at) = gzip.cools_at()
    {
        let next = reader.next(DELIVERY_BYTES, usize::MAX);
        if let Ok(delivery) = tokio::time::timeout_at(cools_at, next).await {
            return delivery;
        }
        gzip.cool();
    }
    reader.next(DELIVERY_BYTES, usize::MAX).await
}

fn pieces(gzip: &mut Option<Gzip>, bytes: Bytes) -> Vec<Bytes> {
    match gzip {
        Some(gzip) => gzip.pieces(&bytes),
        None => vec![bytes],
    }
}

/// A stream that may be shared between threads because it is only ever reached through `&mut`; warp
/// wants bodies that are `Sync`. The mutex is never locked.
struct Exclusive<S>(Mutex<Pin<Box<S>>>);

impl<S: Stream> Stream for Exclusive<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let stream = self.0.get_mut().expect("a lock that nobody takes");
        stream.as_mut().poll_next(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Events;

    fn frame() -> Frame {
        Frame {
            events: Events::new(&b"{\"a\":1}\n{}\n"[..], &[8, 11]),
            first_sequence: 7,
        }
    }

    #[test]
    fn sse_repeats_the_number_and_never_names_an_event() {
        let open = Sse.open("{}\n".into(), 6);
        assert_eq!(open, "retry: 500\nid: 6\ndata: {}\n\n");
        assert_eq!(
            Sse.events(&frame()),
            "id: 7\ndata: {\"a\":1}\n\nid: 8\ndata: {}\n\n"
        );
        assert_eq!(Sse.line("{}\n".into()), "data: {}\n\n");
    }

    #[test]
    fn ndjson_copies_nothing() {
        let frame = frame();
        assert_eq!(
            Ndjson.events(&frame).as_ptr(),
            frame.bytes().as_ptr(),
            "the same bytes"
        );
    }
}
