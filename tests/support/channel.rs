//! A consumer of a channel over each of the four transports, so that one scenario runs on all.

use super::http::{Client, PATIENCE};
use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;
use std::{collections::VecDeque, time::Duration};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

/// The four ways to read a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    WebSocket,
    Sse,
    Ndjson,
    LongPoll,
}

impl Transport {
    pub const ALL: [Transport; 4] = [Self::WebSocket, Self::Sse, Self::Ndjson, Self::LongPoll];
}

/// An open channel: events one by one, in order.
pub struct Channel {
    pub id: String,
    pub transport: Transport,
    /// The sequence of the last event that was read, counted as the protocol says.
    pub sequence: u64,
    client: Client,
    query: String,
    inner: Inner,
    ready: VecDeque<(Value, Option<u64>)>,
    /// The number that the transport itself told with the last event: SSE's `id:`, and a poll's
    /// `Sequence` with the last event of its answer.
    pub told_sequence: Option<u64>,
    /// What the reader may wait for an answer, where answers may fail to come.
    patience: Duration,
    tap: Option<Tap>,
}

/// Sees every frame as it came, before anything is made of it.
pub type Tap = Box<dyn FnMut(&[u8]) + Send + Sync>;

/// Why a channel could not be attached to.
#[derive(Debug)]
pub enum Refused {
    /// There was no answer.
    Unreachable(String),
    /// There was another answer than the channel.
    Answered(u16, String),
}

enum Inner {
    WebSocket(Box<WebSocketStream<MaybeTlsStream<TcpStream>>>),
    Stream { body: Incoming, buffer: BytesMut },
    LongPoll,
    Ended,
}

impl Client {
    /// Attaches to a channel.
    pub async fn channel(&self, transport: Transport, id: &str) -> Channel {
        self.channel_with(transport, id, "").await
    }

    /// Attaches with query parameters, e.g. `resources=tickets&after=12`.
    pub async fn channel_with(&self, transport: Transport, id: &str, query: &str) -> Channel {
        let attached = self.try_channel(transport, id, query, PATIENCE * 4).await;
        attached.unwrap_or_else(|refused| panic!("{transport:?} {id}?{query}: {refused:?}"))
    }

    /// As [`Client::channel_with`], where the server may be away, or silent for longer than this. A
    /// long-poll asks for nothing yet.
    pub async fn try_channel(
        &self,
        transport: Transport,
        id: &str,
        query: &str,
        patience: Duration,
    ) -> Result<Channel, Refused> {
        let path = format!("/channels/{id}?{query}");
        let stream = async |accept: &str| {
            let call = self.get(&path).header("accept", accept);
            let answer = call.try_open(patience).await;
            let answer = answer.map_err(Refused::Unreachable)?;
            if answer.status() != 200 {
                let status = answer.status().as_u16();
                let body = tokio::time::timeout(patience, answer.into_body().collect()).await;
                let body = body.ok().and_then(Result::ok).map(|it| it.to_bytes());
                let body = String::from_utf8_lossy(&body.unwrap_or_default()).into_owned();
                return Err(Refused::Answered(status, body));
            }
            assert_eq!(answer.headers()["cache-control"], "no-store");
            Ok(Inner::Stream {
                body: answer.into_body(),
                buffer: BytesMut::new(),
            })
        };
        let inner = match transport {
            Transport::WebSocket => {
                Inner::WebSocket(Box::new(self.try_websocket(&path, patience).await?))
            }
            Transport::Sse => stream("text/event-stream").await?,
            Transport::Ndjson => stream("application/x-ndjson").await?,
            Transport::LongPoll => Inner::LongPoll,
        };
        let query = query.to_owned();
        // A poll that resumes is told nothing that it knows: its answer has no `open`.
        let after = query.split('&').find_map(|it| it.strip_prefix("after="));
        let after = after.filter(|_| transport == Transport::LongPoll);
        Ok(Channel {
            id: id.to_owned(),
            transport,
            sequence: after.map_or(0, |it| it.parse().expect("a sequence")),
            client: self.clone(),
            query,
            inner,
            ready: VecDeque::new(),
            told_sequence: None,
            patience,
            tap: None,
        })
    }

    /// A bare WebSocket on a path, with the token in the header.
    pub async fn websocket(&self, path: &str) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
        let opened = self.try_websocket(path, PATIENCE).await;
        opened.expect("a handshake")
    }

    async fn try_websocket(
        &self,
        path: &str,
        patience: Duration,
    ) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, Refused> {
        let mut request = format!("ws://{}{path}", self.address)
            .into_client_request()
            .expect("a request");
        if let Some(token) = &self.token {
            let value = format!("Bearer {token}").parse().expect("a header value");
            request.headers_mut().insert("authorization", value);
        }
        match tokio::time::timeout(patience, connect_async(request)).await {
            Err(_) => Err(Refused::Unreachable("no handshake in time".to_owned())),
            Ok(Ok((socket, _))) => Ok(socket),
            Ok(Err(tokio_tungstenite::tungstenite::Error::Http(answer))) => {
                let body = answer.body().clone().unwrap_or_default();
                let body = String::from_utf8_lossy(&body).into_owned();
                Err(Refused::Answered(answer.status().as_u16(), body))
            }
            Ok(Err(error)) => Err(Refused::Unreachable(format!("{error:?}"))),
        }
    }
}

impl Channel {
    /// The next event, `open`, `ping` and `close` included; panics when none comes in time.
    #[track_caller]
    pub fn next(&mut self) -> impl Future<Output = Value> {
        let place = std::panic::Location::caller();
        async move {
            self.next_within(PATIENCE).await.unwrap_or_else(|| {
                panic!("no event in time on {:?}, asked at {place}", self.transport)
            })
        }
    }

    /// The next event, or `None` when none comes within this time or the channel has ended.
    pub async fn next_within(&mut self, patience: Duration) -> Option<Value> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            if let Some((event, told)) = self.ready.pop_front() {
                self.told_sequence = told;
                match event["type"].as_str().expect("an event has a type") {
                    "open" => {
                        self.sequence = event["sequence"].as_u64().expect("open has a sequence")
                    }
                    "ping" | "close" => {}
                    _ => self.sequence += 1,
                }
                return Some(event);
            }
            tokio::time::timeout_at(deadline, self.fill()).await.ok()?;
            if self.ready.is_empty() && matches!(self.inner, Inner::Ended) {
                return None;
            }
        }
    }

    /// Skips pings and returns the next event of this type; other events in between are a failure.
    #[track_caller]
    pub fn expect(&mut self, kind: &'static str) -> impl Future<Output = Value> {
        let place = std::panic::Location::caller();
        async move {
            loop {
                let event = self.next_within(PATIENCE).await;
                let event = event.unwrap_or_else(|| panic!("no {kind} in time, asked at {place}"));
                if event["type"] == kind {
                    return event;
                }
                assert_eq!(
                    event["type"], "ping",
                    "expected {kind} at {place}, got {event}"
                );
            }
        }
    }

    /// Reads on until an event of this type and returns it with all before it.
    #[track_caller]
    pub fn until(&mut self, kind: &'static str) -> impl Future<Output = (Vec<Value>, Value)> {
        let place = std::panic::Location::caller();
        async move {
            let mut before = Vec::new();
            loop {
                let event = self.next_within(PATIENCE).await;
                let event = event.unwrap_or_else(|| {
                    panic!("no {kind} in time, asked at {place}; had {before:?}")
                });
                if event["type"] == kind {
                    return (before, event);
                }
                before.push(event);
            }
        }
    }

    /// Asserts that nothing but pings comes until a mark that the caller makes arrives: pass the
    /// action that makes one, e.g. a write to a row of its own. Returns the mark's event.
    pub async fn only(&mut self, is_mark: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event = self.next().await;
            if is_mark(&event) {
                return event;
            }
            assert_eq!(event["type"], "ping", "unexpected event {event}");
        }
    }

    /// Sends a command: over the WebSocket, or as its HTTP twin's caller does (`ack` only).
    pub async fn command(&mut self, command: Value) {
        match &mut self.inner {
            Inner::WebSocket(socket) => {
                socket
                    .send(Message::text(command.to_string()))
                    .await
                    .expect("a command is sent");
            }
            _ => panic!("{:?} has no commands", self.transport),
        }
    }

    /// Whether the server or the connection has ended what was read.
    pub fn has_ended(&self) -> bool {
        self.ready.is_empty() && matches!(self.inner, Inner::Ended)
    }

    /// Detaches and ends the channel on the server.
    pub async fn leave(self) {
        drop(self.inner);
        self.client
            .delete(&format!("/channels/{}", self.id))
            .send()
            .await;
    }

    /// Shows every frame to somebody, as it came.
    pub fn tap(&mut self, tap: Tap) {
        self.tap = Some(tap);
    }

    async fn fill(&mut self) {
        let mut ignore: Tap = Box::new(|_| ());
        let tap = self.tap.as_mut().unwrap_or(&mut ignore);
        match &mut self.inner {
            Inner::WebSocket(socket) => match socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    tap(text.as_bytes());
                    for line in text.lines() {
                        let event = serde_json::from_str(line).expect("an event is JSON");
                        self.ready.push_back((event, None));
                    }
                }
                end @ (Some(Ok(Message::Close(_)) | Err(_)) | None) => {
                    if self.tap.is_none() {
                        eprintln!("{}: the socket ended: {end:?}", self.id);
                    }
                    self.inner = Inner::Ended;
                }
                Some(Ok(_)) => {}
            },
            Inner::Stream { body, buffer } => match body.frame().await {
                Some(Ok(frame)) => {
                    buffer.extend_from_slice(frame.data_ref().expect("no trailers"));
                    Self::split(self.transport, buffer, &mut self.ready, tap);
                }
                Some(Err(_)) | None => self.inner = Inner::Ended,
            },
            Inner::LongPoll => {
                let after = if self.sequence == 0 {
                    String::new()
                } else {
                    format!("&after={}", self.sequence)
                };
                let query = if self.sequence == 0 {
                    self.query.clone()
                } else {
                    // EventSource and polls repeat their first URL; `after` is the poll's own here.
                    self.query
                        .split('&')
                        .filter(|it| !it.starts_with("after="))
                        .collect::<Vec<_>>()
                        .join("&")
                };
                let path = format!("/channels/{}?{query}{after}", self.id);
                let answer = self.client.get(&path).try_send(self.patience).await;
                let Some(answer) = answer.ok().filter(|it| it.status == 200) else {
                    self.inner = Inner::Ended;
                    return;
                };
                tap(&answer.body);
                let events: Vec<Value> =
                    serde_json::from_slice(&answer.body).expect("an array of events");
                let last = events.len().saturating_sub(1);
                let told = answer.header("sequence").parse().ok();
                let numbered = events.into_iter().enumerate();
                let numbered = numbered.map(|(at, it)| (it, told.filter(|_| at == last)));
                self.ready.extend(numbered);
            }
            Inner::Ended => std::future::pending().await,
        }
    }

    fn split(
        transport: Transport,
        buffer: &mut BytesMut,
        ready: &mut VecDeque<(Value, Option<u64>)>,
        tap: &mut Tap,
    ) {
        let end: &[u8] = if transport == Transport::Sse {
            b"\n\n"
        } else {
            b"\n"
        };
        while let Some(at) = buffer.windows(end.len()).position(|it| it == end) {
            let piece = buffer.split_to(at + end.len());
            tap(&piece);
            let mut told = None;
            let text = std::str::from_utf8(&piece).expect("UTF-8").trim_end();
            let json = match transport {
                Transport::Sse => {
                    assert!(
                        !text.lines().any(|line| line.starts_with("event:")),
                        "no event field"
                    );
                    let number = text.lines().find_map(|line| line.strip_prefix("id:"));
                    told = number.map(|it| it.trim().parse().expect("a sequence"));
                    let data: Vec<_> = text
                        .lines()
                        .filter_map(|line| line.strip_prefix("data:"))
                        .collect();
                    data.join("\n")
                }
                _ => text.to_owned(),
            };
            if !json.trim().is_empty() {
                let event = serde_json::from_str(&json).expect("an event is JSON");
                ready.push_back((event, told));
            }
        }
    }
}
