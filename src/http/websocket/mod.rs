//! The WebSocket transport of a channel: the handshake, the socket taken over, its commands.

mod codec;
mod command;
mod conversation;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzzing;
mod handshake;
mod socket;

pub(super) use command::{Commands, First};
pub(super) use handshake::{Upgrade, is_asked};

use super::{
    deflate::{Deflate, Deflaters},
    reader::Reader,
    reply::{Response, log_refused},
    stream::ClientStream,
};
use crate::{
    config::Limits,
    error::{Error, Kind},
    wire::event::Close,
};
use bytes::Bytes;
use conversation::Conversation;
use hyper::upgrade::Upgraded;
use hyper_util::{rt::TokioIo, server::conn::auto::upgrade::downcast};
use socket::Socket;
use std::{
    borrow::Cow,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Poll, Waker},
    time::Duration,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long the client may take to hand its connection over once it has the 101. It does so at once
/// or never.
const HANDOVER: Duration = Duration::from_secs(10);
/// How long a socket may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// The sockets that were taken over. Owns their tasks.
#[derive(Debug)]
pub(super) struct Sockets {
    tasks: TaskTracker,
    deflaters: Arc<Deflaters>,
    cut: Arc<Cut>,
    message_bytes_max: usize,
    ping: Duration,
}

/// The end of all sockets that do not end by themselves.
#[derive(Debug, Default)]
struct Cut {
    token: CancellationToken,
    /// Set before the token wakes anybody. The token has a lock, which thousands of tasks would take
    /// at each event.
    is_made: AtomicBool,
}

impl Cut {
    fn make(&self) {
        self.is_made.store(true, Relaxed);
        self.token.cancel();
    }

    /// Talks until the cut is made.
    async fn or(&self, mut talk: Pin<Box<impl Future<Output = ()>>>) {
        let mut made = pin!(self.token.cancelled());
        let mut waker: Option<Waker> = None;
        poll_fn(|cx| {
            if talk.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let is_known = |it: &Waker| it.will_wake(cx.waker());
            if waker.as_ref().is_some_and(is_known) && !self.is_made.load(Relaxed) {
                return Poll::Pending;
            }
            waker = Some(cx.waker().clone());
            made.as_mut().poll(cx)
        })
        .await;
    }
}

impl Sockets {
    pub(super) fn new(limits: &Limits, deflaters: Arc<Deflaters>) -> Self {
        Self {
            deflaters,
            tasks: TaskTracker::new(),
            cut: Arc::default(),
            message_bytes_max: limits.message_bytes_max,
            ping: Duration::from_millis(limits.ping_ms),
        }
    }

    /// Serves a channel on what was a connection of HTTP.
    pub(super) fn serve(&self, upgrade: Upgrade, reader: Reader, commands: Commands) -> Response {
        let ping = self.ping;
        let deflate = self.deflate(&upgrade);
        self.take_over(upgrade, move |socket| {
            Conversation::new(socket, deflate, reader, commands, ping).run()
        })
    }

    /// Says on the socket why there is no channel.
    pub(super) fn refuse(&self, upgrade: Upgrade, error: &Error) -> Response {
        log_refused(error, "a WebSocket was refused");
        let close = close_for(error);
        let deflate = self.deflate(&upgrade);
        self.take_over(upgrade, move |socket| {
            conversation::close(socket, deflate, close)
        })
    }

    /// What compresses what is said on this socket, if that was agreed on.
    fn deflate(&self, upgrade: &Upgrade) -> Option<Deflate> {
        upgrade
            .deflates
            .then(|| Deflate::new(self.deflaters.clone()))
    }

    fn take_over<F: Future<Output = ()> + Send + 'static>(
        &self,
        upgrade: Upgrade,
        talk: impl FnOnce(Socket<ClientStream>) -> F + Send + 'static,
    ) -> Response {
        let message_bytes_max = self.message_bytes_max;
        let cut = self.cut.clone();
        let Upgrade {
            response, handover, ..
        } = upgrade;
        self.tasks.spawn(async move {
            let Ok(Ok(upgraded)) = tokio::time::timeout(HANDOVER, handover).await else {
                return;
            };
            let Some((stream, first)) = taken_over(upgraded) else {
                return;
            };
            // Boxed, so that it is not moved about inside of this task, which would hold room for it
            // in each of its places.
            let talk = Box::pin(talk(Socket::new(stream, first, message_bytes_max)));
            cut.or(talk).await;
        });
        response
    }

    /// How many sockets are open.
    pub(super) fn open(&self) -> usize {
        self.tasks.len()
    }

    /// Waits until all sockets have closed, for so long at most; then cuts the rest. The hub's
    /// shutdown tells them first.
    pub(super) async fn drain(&self, patience: Duration) {
        self.tasks.close();
        if tokio::time::timeout(patience, self.tasks.wait())
            .await
            .is_err()
        {
            self.cut.make();
            self.tasks.wait().await;
        }
    }
}

/// The client's stream, with what hyper had read of it beyond the handshake.
fn taken_over(upgraded: Upgraded) -> Option<(ClientStream, Bytes)> {
    match downcast::<TokioIo<ClientStream>>(upgraded) {
        Ok(parts) => Some((parts.io.into_inner(), parts.read_buf)),
        Err(_) => {
            tracing::error!("a connection that is not ours asked for a WebSocket");
            None
        }
    }
}

/// How a channel that cannot be attached to is closed.
fn close_for(error: &Error) -> Close {
    let (code, after_ms) = match error.kind() {
        Kind::TokenMissing
        | Kind::TokenInvalid
        | Kind::TokenExpired
        | Kind::ClaimMissing
        | Kind::PassInvalid => (Close::TOKEN_EXPIRED.code, 0),
        Kind::RoleNotAllowed | Kind::PermissionDenied => (Close::NOT_ALLOWED.code, 0),
        Kind::ShuttingDown => return Close::SHUTTING_DOWN,
        Kind::TooManyChannels | Kind::TooManyRequests | Kind::TooManyConnections => {
            return Close::LIMITS;
        }
        kind if kind.is_retryable() || kind.is_internal() => (UNAVAILABLE, 1_000),
        _ => (MALFORMED, 0),
    };
    let reason = match error.kind() {
        kind if kind.is_internal() => kind.title().to_owned(),
        kind => format!("{}: {}", kind.name(), error.detail()),
    };
    let reason = codec::cut(&reason, REASON_BYTES_MAX).to_owned();
    Close {
        code,
        reason: Cow::Owned(reason),
        after_ms,
    }
}

/// The request to attach cannot be read; the same one will not be read the next time.
const MALFORMED: u16 = 4000;
/// The server, or its database, cannot do this now.
const UNAVAILABLE: u16 = 4150;
/// What a close frame has room for (RFC 6455 section 5.5, less the code).
const REASON_BYTES_MAX: usize = 123;
#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<A, F: Future>(_: impl FnOnce(A) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_socket_is_small() {
        let (state, task) = (size_of::<Conversation>(), size_of_future(Conversation::run));
        assert!(
            state <= 640,
            "the state of a conversation takes {state} bytes"
        );
        assert!(task <= 768, "the task of a conversation takes {task} bytes");
    }
}
