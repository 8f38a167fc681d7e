//! A client's connection as bytes: a TCP stream whose writes do not stand still for ever.
//!
//! Every transport writes through it, so that a reader that is frozen is cut off in one place.

use super::{connection::Connection, unread};
use bytes::{Buf, Bytes};
use socket2::SockRef;
use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Sleep,
};

/// Bytes of a channel that may wait unsent in the kernel. More would leave before what becomes
/// urgent later; fewer would leave a fast link idle between our turns.
const UNSENT_BYTES: u32 = 128 << 10;

/// A client's connection.
#[derive(Debug)]
pub struct ClientStream {
    tcp: TcpStream,
    connection: Connection,
    stall: Duration,
    /// Runs while a write waits; reaching its end fails the write.
    standing: Option<Pin<Box<Sleep>>>,
    is_tuned: bool,
    /// What is left to write in place of an answer that hyper made, once it has made one: the last of
    /// its connection.
    instead: Option<Bytes>,
}

impl ClientStream {
    /// A connection whose writes fail when the client takes nothing for `stall`.
    pub fn new(tcp: TcpStream, connection: Connection, stall: Duration) -> Self {
        Self {
            tcp,
            connection,
            stall,
            standing: None,
            is_tuned: false,
            instead: None,
        }
    }

    /// What is known of the connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    fn tune(&mut self) {
        if !self.is_tuned && self.connection.streams() {
            self.is_tuned = true;
            let socket = SockRef::from(&self.tcp);
            if let Err(error) = socket.set_tcp_notsent_lowat(UNSENT_BYTES) {
                tracing::debug!(%error, "cannot limit what waits in the kernel");
            }
        }
    }

    /// Whether another answer goes out in place of what is to be written, which this begins.
    fn is_instead(&mut self, beginning: &[u8]) -> bool {
        self.tune();
        if self.instead.is_none() {
            self.instead = unread::instead_of(beginning);
        }
        self.instead.is_some()
    }

    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let Self { tcp, instead, .. } = self;
            let Some(left) = instead.as_mut().filter(|it| !it.is_empty()) else {
                return Poll::Ready(Ok(()));
            };
            let written = Pin::new(tcp).poll_write(cx, left);
            let count = ready!(self.watched(cx, written))?;
            if let Some(left) = &mut self.instead {
                left.advance(count);
            }
        }
    }

    fn watched<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.standing = None;
            return written;
        }
        let stall = self.stall;
        let standing = self
            .standing
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(stall)));
        match standing.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.is_instead(bytes) {
            let written = Pin::new(&mut self.tcp).poll_write(cx, bytes);
            return self.watched(cx, written);
        }
        ready!(self.poll_instead(cx))?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = slices {
            return self.poll_write(cx, only);
        }
        if self.is_instead(&[]) {
            ready!(self.poll_instead(cx))?;
            return Poll::Ready(Ok(slices.iter().map(|it| it.len()).sum()));
        }
        let written = Pin::new(&mut self.tcp).poll_write_vectored(cx, slices);
        self.watched(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(cx))?;
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(cx))?;
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
