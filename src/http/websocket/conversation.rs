//! One socket with one reader: events out, commands in, and whether the other side still lives.

use super::{
    GOODBYE,
    codec::Message,
    command::{Commands, Outcome},
    socket::{Happened, Socket},
};
use crate::{
    channel::Delivery,
    error::{Error, Kind},
    http::{deflate::Deflate, reader::Reader, stream::ClientStream},
    wire::event::{self, Close},
};
use bytes::Bytes;
use std::{
    future::poll_fn,
    iter,
    pin::Pin,
    task::{Poll, Waker},
    time::Duration,
};
use tokio::time::{Instant, Sleep};

/// Bytes of events taken at once: enough for few system calls, and no more than may be in front of
/// something urgent.
const DELIVERY_BYTES: usize = 64 << 10;
/// How long a peer may take to answer a ping, if that is not longer than between two pings.
const PONG_PATIENCE: Duration = Duration::from_secs(15);
/// How often it is looked at whether a write that waits has moved.
const LOOK_AT_WRITE: Duration = Duration::from_secs(1);
/// The empty line that ends each message of a compressed socket: what unpacks streams does not tell
/// where a message ended.
static BATCH_END: Bytes = Bytes::from_static(b"\n");
/// What a peer is told that closes without a code.
const NORMAL: u16 = 1000;

pub(super) struct Conversation {
    socket: Socket<ClientStream>,
    /// What compresses what is said, if that was agreed on; then every message is binary, since they
    /// are one stream.
    deflate: Option<Deflate>,
    reader: Reader,
    commands: Commands,
    ping: Duration,
    /// When the last ping was sent.
    pinged_at: Option<Instant>,
    /// When the peer last took something that was told to the channel.
    told_progress: Option<Instant>,
    /// Something was told since the socket was last asked what happened to it.
    told: bool,
}

/// The time at which the peer is looked at again. It is asked whether that has come only when it has:
/// a task that wakes for another reason, as it does for each event, leaves the runtime's timers alone.
struct Look<'a> {
    sleep: Pin<&'a mut Sleep>,
    /// Whom the timer wakes.
    waker: Option<Waker>,
}

impl Look<'_> {
    fn deadline(&self) -> Instant {
        self.sleep.deadline()
    }

    fn reset(&mut self, deadline: Instant) {
        self.sleep.as_mut().reset(deadline);
        self.waker = None;
    }

    async fn over(&mut self) {
        poll_fn(|cx| {
            let is_known = |it: &Waker| it.will_wake(cx.waker());
            let is_armed = self.waker.as_ref().is_some_and(is_known);
            if is_armed && !self.sleep.is_elapsed() {
                return Poll::Pending;
            }
            let over = self.sleep.as_mut().poll(cx);
            if over.is_pending() && !is_armed {
                self.waker = Some(cx.waker().clone());
            }
            over
        })
        .await;
    }
}

/// What is to be done next.
enum Next {
    GoOn,
    /// Say this and close.
    Close(Close),
    /// Repeat this close code, which ends what the peer began.
    Echo(u16),
    /// Nobody is there any more.
    Gone,
}

impl Conversation {
    pub(super) fn new(
        socket: Socket<ClientStream>,
        deflate: Option<Deflate>,
        reader: Reader,
        commands: Commands,
        ping: Duration,
    ) -> Box<Self> {
        Box::new(Self {
            socket,
            deflate,
            reader,
            commands,
            ping,
            pinged_at: None,
            told_progress: None,
            told: false,
        })
    }

    /// Talks until one side closes. Dropping this detaches the reader and closes the socket.
    pub(super) async fn run(mut self: Box<Self>) {
        self.say(self.reader.open_event());
        let next = self.talk().await;
        let Self {
            socket,
            deflate,
            reader,
            ..
        } = *self;
        // The channel is free for its next reader while this socket says goodbye.
        drop(reader);
        match next {
            Next::Close(reason) => Box::pin(close(socket, deflate, reason)).await,
            Next::Echo(code) => Box::pin(end(socket, code, "")).await,
            Next::GoOn | Next::Gone => {}
        }
    }

    async fn talk(&mut self) -> Next {
        let mut look = Look {
            sleep: std::pin::pin!(tokio::time::sleep(self.ping)),
            waker: None,
        };
        loop {
            match self.step(&mut look).await {
                Next::GoOn => {}
                next => return next,
            }
        }
    }

    async fn step(&mut self, look: &mut Look<'_>) -> Next {
        if let Some(cools_at) = self.deflate.as_ref().and_then(Deflate::cools_at)
            && look.deadline() > cools_at
        {
            look.reset(cools_at);
        }
        if !self.socket.is_drained() {
            if look.deadline() > Instant::now() + LOOK_AT_WRITE {
                look.reset(Instant::now() + LOOK_AT_WRITE);
            }
            tokio::select! {
                biased;
                happened = self.socket.happened() => self.heard(happened).await,
                reason = self.reader.closed() => Next::Close(reason),
                () = look.over() => self.look(look),
            }
        } else if std::mem::take(&mut self.told) {
            // What has come in does not wait for a channel that is never quiet.
            tokio::select! {
                biased;
                happened = self.socket.happened() => self.heard(happened).await,
                delivery = self.reader.next(DELIVERY_BYTES, usize::MAX) => self.deliver(delivery).await,
                () = look.over() => self.look(look),
            }
        } else {
            // What wakes a socket at rest is an event, mostly.
            tokio::select! {
                biased;
                delivery = self.reader.next(DELIVERY_BYTES, usize::MAX) => self.deliver(delivery).await,
                happened = self.socket.happened() => self.heard(happened).await,
                () = look.over() => self.look(look),
            }
        }
    }

    async fn deliver(&mut self, delivery: Delivery) -> Next {
        self.told = true;
        match delivery {
            Delivery::Events(frames) if self.deflate.is_some() => {
                let lines = frames.iter().map(|it| it.bytes()).chain([&BATCH_END]);
                let pieces = self.deflate.as_mut().map(|it| it.pieces(lines));
                self.socket.send_binary(pieces.unwrap_or_default());
            }
            Delivery::Events(frames) => {
                let lines = frames.iter().map(|it| &**it.bytes());
                if self.socket.tell_small(lines).await {
                    return Next::GoOn;
                }
                let last = frames.len() - 1;
                let pieces = frames.iter().enumerate().map(|(index, frame)| {
                    let lines = frame.bytes();
                    match index == last {
                        true => lines.slice(..lines.len() - 1),
                        false => lines.clone(),
                    }
                });
                self.socket.send_text(pieces);
            }
            Delivery::Ping(position) => self.say(event::ping(&position)),
            Delivery::Close(reason) => return Next::Close(reason),
        }
        self.socket.write_now().await;
        Next::GoOn
    }

    /// Queues one event as a message. The line feed that ends it would look like an empty second one.
    fn say(&mut self, line: Bytes) {
        say(&mut self.socket, &mut self.deflate, line);
    }

    async fn heard(&mut self, happened: Happened) -> Next {
        let channel = self.reader.channel();
        let outcome = match happened {
            Happened::Drained => return Next::GoOn,
            Happened::Ended(Some(code)) => return Next::Echo(code),
            Happened::Ended(None) => return Next::Gone,
            Happened::Message(Message::Close(code)) => return Next::Echo(code.unwrap_or(NORMAL)),
            Happened::Message(Message::Ping(_) | Message::Pong) => return Next::GoOn,
            // Boxed, and so is the goodbye below: what is rare takes no room in an idle socket.
            Happened::Message(Message::Text(text)) => {
                Box::pin(self.commands.run(&text, channel)).await
            }
            Happened::Message(Message::Binary) => self.refuse("A command is a text message."),
            Happened::Message(Message::TooLarge) => self.refuse("The message is too large."),
        };
        match outcome {
            Outcome::Done => Next::GoOn,
            Outcome::Close(reason) => Next::Close(reason),
        }
    }

    fn refuse(&self, detail: &'static str) -> Outcome {
        let error = Error::new(Kind::CommandMalformed, detail);
        self.commands.refuse(self.reader.channel(), &error, None)
    }

    /// Looks whether the peer is there, and when to look again.
    fn look(&mut self, look: &mut Look<'_>) -> Next {
        if let Some(deflate) = &mut self.deflate {
            deflate.cool();
        }
        let now = Instant::now();
        let heard_at = self.socket.heard_at();
        let quiet = now - heard_at;
        let patience = self.ping + self.ping.min(PONG_PATIENCE);
        if quiet >= patience {
            tracing::debug!("a WebSocket's peer is not there any more");
            return Next::Gone;
        }
        let mut waits_for_pong = self.pinged_at.is_some_and(|it| it > heard_at);
        if quiet >= self.ping && !waits_for_pong {
            self.pinged_at = Some(now);
            waits_for_pong = true;
            self.socket.send_ping();
        }
        let standing_since = self.socket.standing_since();
        if standing_since.is_some() && standing_since != self.told_progress {
            self.told_progress = standing_since;
            self.reader.progressed();
        }
        let mut next = heard_at + if waits_for_pong { patience } else { self.ping };
        if standing_since.is_some() {
            next = next.min(now + LOOK_AT_WRITE);
        }
        look.reset(next);
        Next::GoOn
    }
}

fn say(socket: &mut Socket<ClientStream>, deflate: &mut Option<Deflate>, line: Bytes) {
    match deflate {
        Some(deflate) => socket.send_binary(deflate.pieces([&line, &BATCH_END].into_iter())),
        None => socket.send_text(iter::once(line.slice(..line.len() - 1))),
    }
}

/// Says why in an event and in the close frame, and ends the socket.
pub(super) async fn close(
    mut socket: Socket<ClientStream>,
    mut deflate: Option<Deflate>,
    reason: Close,
) {
    say(&mut socket, &mut deflate, reason.encode());
    end(socket, reason.code, &reason.reason).await;
}

async fn end(mut socket: Socket<ClientStream>, code: u16, reason: &str) {
    socket.send_close(code, reason);
    // A peer that does not take the goodbye does without.
    let _ = tokio::time::timeout(GOODBYE, socket.finish()).await;
}
