//! A WebSocket on a stream that was taken over: messages in, frames out, in one wait.
//!
//! Owns the stream and what is half written. Knows nothing of channels. An idle socket holds no
//! buffer: reads go through the stack, and written frames are shared with whoever else gets them.

use super::codec::{self, Decoder, Message};
use bytes::{Buf, Bytes};
use std::{
    collections::VecDeque,
    future::poll_fn,
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    time::Instant,
};

/// Bytes read at once. They lie on the stack of the poll, so an idle socket pays nothing for them.
const READ_BYTES: usize = 4096;
/// Buffers handed to one system call.
const SLICES_MAX: usize = 64;
/// Up to so many bytes a message is copied into one buffer and handed to the kernel as such: that costs
/// less than a list of pieces does, there and here.
const SMALL_BYTES: usize = 1 << 10;
/// Frames that answer the peer's own (pongs) and are not written yet. A peer that sends more pings
/// than it reads pongs gets the newest ones only (RFC 6455 section 5.5.3).
const REPLIES_MAX: usize = 4;

/// What happened to a socket.
#[derive(Debug)]
pub(super) enum Happened {
    /// A message came in.
    Message(Message),
    /// Everything is written.
    Drained,
    /// The peer has gone, without a word or with a breach of the protocol (its close code).
    Ended(Option<u16>),
}

/// A WebSocket, the server's end.
pub(super) struct Socket<S> {
    stream: S,
    decoder: Decoder,
    /// Bytes that were read but not decoded yet, more than one message having come at once.
    unread: Bytes,
    /// What is to be written, in order.
    unwritten: VecDeque<Bytes>,
    /// Since when the peer has taken nothing of `unwritten`; `None` while there is nothing.
    standing_since: Option<Instant>,
    replies: usize,
    heard_at: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// A socket on `stream`; `first` was read from it already.
    pub(super) fn new(stream: S, first: Bytes, message_bytes_max: usize) -> Self {
        Self {
            stream,
            decoder: Decoder::new(message_bytes_max),
            unread: first,
            unwritten: VecDeque::new(),
            standing_since: None,
            replies: 0,
            heard_at: Instant::now(),
        }
    }

    /// Queues one text message made of these pieces. Nothing is copied and nothing is written yet.
    pub(super) fn send_text(&mut self, pieces: impl Iterator<Item = Bytes> + Clone) {
        let length = pieces.clone().map(|piece| piece.len()).sum();
        self.send_frame(Bytes::copy_from_slice(codec::text_head(length).as_ref()));
        self.unwritten.extend(pieces.filter(|it| !it.is_empty()));
    }

    /// Sends these lines, but for the last line feed, as one text message if that is small and nothing
    /// waits before it: as much of it as goes out without waiting, the rest is queued. Whether it did.
    pub(super) async fn tell_small<'a>(
        &mut self,
        lines: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> bool {
        let length = lines.clone().map(<[u8]>::len).sum::<usize>() - 1;
        if length >= SMALL_BYTES || !self.is_drained() {
            return false;
        }
        poll_fn(|cx| {
            self.poll_small(cx, length, lines.clone());
            Poll::Ready(true)
        })
        .await
    }

    fn poll_small<'a>(
        &mut self,
        cx: &mut Context<'_>,
        length: usize,
        lines: impl Iterator<Item = &'a [u8]>,
    ) {
        let mut space = [0; codec::HEAD_BYTES_MAX + SMALL_BYTES];
        let head = codec::text_head(length);
        let mut end = 0;
        let mut add = |bytes: &[u8]| {
            space[end..end + bytes.len()].copy_from_slice(bytes);
            end += bytes.len();
        };
        add(head.as_ref());
        lines.for_each(add);
        end -= 1;
        // An error shows again when the socket is asked what happened.
        let written = match Pin::new(&mut self.stream).poll_write(cx, &space[..end]) {
            Poll::Ready(written) => written.unwrap_or(0),
            Poll::Pending => 0,
        };
        if written < end {
            self.send_frame(Bytes::copy_from_slice(&space[written..end]));
        }
    }

    /// Queues one binary message made of these pieces.
    pub(super) fn send_binary(&mut self, pieces: Vec<Bytes>) {
        let length = pieces.iter().map(Bytes::len).sum();
        self.send_frame(Bytes::copy_from_slice(codec::binary_head(length).as_ref()));
        self.unwritten.extend(pieces);
    }

    /// Queues a ping.
    pub(super) fn send_ping(&mut self) {
        self.send_frame(codec::ping().into());
    }

    /// Queues a close frame; nothing may follow it.
    pub(super) fn send_close(&mut self, code: u16, reason: &str) {
        self.send_frame(codec::close(code, reason).into());
    }

    fn send_frame(&mut self, frame: Bytes) {
        self.standing_since.get_or_insert_with(Instant::now);
        self.unwritten.push_back(frame);
    }

    /// Whether everything is written.
    pub(super) fn is_drained(&self) -> bool {
        self.unwritten.is_empty()
    }

    /// Since when the peer has taken nothing although there is something; `None`: it is not owed.
    pub(super) fn standing_since(&self) -> Option<Instant> {
        self.standing_since
    }

    /// When the peer was last heard of.
    pub(super) fn heard_at(&self) -> Instant {
        self.heard_at
    }

    /// Writes what is queued and reads, until something has happened. Losing this future loses
    /// nothing: it may be one arm of a `select!`.
    pub(super) async fn happened(&mut self) -> Happened {
        poll_fn(|cx| self.poll_happened(cx)).await
    }

    /// Writes as much as goes out without waiting.
    pub(super) async fn write_now(&mut self) {
        // An error shows again when the socket is asked what happened.
        poll_fn(|cx| {
            let _ = self.poll_write(cx);
            Poll::Ready(())
        })
        .await;
    }

    /// Writes what is queued, ends our side, and reads until the peer has ended its own: a stream
    /// that is closed with bytes unread resets the connection, which can cost the peer the last ones
    /// that we sent.
    pub(super) async fn finish(mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_write(cx)).await?;
        poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await?;
        let mut space = [0; 512];
        while self.stream.read(&mut space).await? > 0 {}
        Ok(())
    }

    fn poll_happened(&mut self, cx: &mut Context<'_>) -> Poll<Happened> {
        // Reading comes first and even while a write waits: it may queue pongs, and a slow reader
        // may want to cancel what it waits for.
        let read = self.poll_read(cx);
        let owed = !self.unwritten.is_empty();
        let written = self.poll_write(cx);
        match read {
            Poll::Ready(Ok(message)) => return Poll::Ready(Happened::Message(message)),
            Poll::Ready(Err(code)) => return Poll::Ready(Happened::Ended(code)),
            Poll::Pending => {}
        }
        match written {
            Poll::Ready(Ok(())) if owed => Poll::Ready(Happened::Drained),
            Poll::Ready(Err(_)) => Poll::Ready(Happened::Ended(None)),
            _ => Poll::Pending,
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unwritten.is_empty() {
            let stream = Pin::new(&mut self.stream);
            let written = if let [only] = self.unwritten.make_contiguous() {
                ready!(stream.poll_write(cx, only))?
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                let count = self.unwritten.len().min(SLICES_MAX);
                for (slice, bytes) in slices.iter_mut().zip(&self.unwritten) {
                    *slice = IoSlice::new(bytes);
                }
                ready!(stream.poll_write_vectored(cx, &slices[..count]))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.standing_since = Some(Instant::now());
            self.advance(written);
        }
        self.standing_since = None;
        self.replies = 0;
        // A burst leaves no capacity behind in a socket that falls idle.
        if self.unwritten.capacity() > SLICES_MAX {
            self.unwritten = VecDeque::new();
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(front) = self.unwritten.front_mut() {
            if written < front.len() {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.unwritten.pop_front();
        }
    }

    /// The next message, or the close code to answer a breach with.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, Option<u16>>> {
        loop {
            let mut unread: &[u8] = &self.unread;
            let message = self.decoder.next(&mut unread);
            let used = self.unread.len() - unread.len();
            self.unread.advance(used);
            match message {
                Ok(Some(Message::Ping(content))) => self.reply(&content),
                Ok(Some(Message::Pong)) => {}
                Ok(Some(message)) => return Poll::Ready(Ok(message)),
                Ok(None) => {}
                Err(violation) => {
                    tracing::debug!(reason = violation.reason, "a WebSocket peer misbehaves");
                    return Poll::Ready(Err(Some(violation.code)));
                }
            }
            if self.unread.is_empty() {
                self.unread = Bytes::new();
                ready!(self.poll_fill(cx))?;
            }
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Option<u16>>> {
        let mut space = [MaybeUninit::uninit(); READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut space);
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut buffer);
        let Ok(()) = ready!(read) else {
            return Poll::Ready(Err(None));
        };
        if buffer.filled().is_empty() {
            return Poll::Ready(Err(None));
        }
        self.heard_at = Instant::now();
        self.unread = Bytes::copy_from_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }

    fn reply(&mut self, content: &[u8]) {
        if self.replies < REPLIES_MAX {
            self.replies += 1;
            self.send_frame(codec::pong(content).into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{SinkExt, StreamExt};
    use tokio::io::DuplexStream;
    use tokio_tungstenite::{
        WebSocketStream,
        tungstenite::{Message as TheirMessage, protocol::Role},
    };

    async fn pair(pipe_bytes: usize) -> (Socket<DuplexStream>, WebSocketStream<DuplexStream>) {
        let (ours, theirs) = tokio::io::duplex(pipe_bytes);
        let client = WebSocketStream::from_raw_socket(theirs, Role::Client, None).await;
        (Socket::new(ours, Bytes::new(), 100), client)
    }

    #[tokio::test]
    async fn pieces_make_one_message_however_narrow_the_pipe() {
        let (mut socket, mut client) = pair(7).await;
        let pieces: Vec<Bytes> = (0..200).map(|it| format!("{it}\n").into()).collect();
        socket.send_text(pieces.iter().cloned());
        assert!(!socket.is_drained());
        let (happened, message) = tokio::join!(socket.happened(), client.next());
        assert!(matches!(happened, Happened::Drained));
        assert_eq!(
            message.unwrap().unwrap().into_text().unwrap().as_bytes(),
            pieces.concat()
        );
        assert!(socket.standing_since().is_none());
    }

    #[tokio::test]
    async fn a_message_is_read_while_a_write_stands() {
        let (mut socket, mut client) = pair(64).await;
        socket.send_text(std::iter::once(Bytes::from(vec![b'x'; 10_000])));
        client.send(TheirMessage::text("cancel")).await.unwrap();
        let Happened::Message(Message::Text(text)) = socket.happened().await else {
            panic!("no message");
        };
        assert_eq!(text, "cancel");
        assert!(socket.standing_since().is_some());
    }

    #[tokio::test]
    async fn pings_are_answered_and_an_end_is_seen() {
        let (mut socket, mut client) = pair(1024).await;
        client
            .send(TheirMessage::Ping("are you there".into()))
            .await
            .unwrap();
        let talk = async {
            assert!(matches!(socket.happened().await, Happened::Drained));
            socket
        };
        let (mut socket, answer) = tokio::join!(talk, client.next());
        assert_eq!(
            answer.unwrap().unwrap(),
            TheirMessage::Pong("are you there".into())
        );
        drop(client);
        assert!(matches!(socket.happened().await, Happened::Ended(None)));
    }
}
