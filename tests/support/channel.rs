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
    ready: VecDeque<Value>,
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
        let path = format!("/channels/{id}?{query}");
        let stream = async |accept: &str| {
            let answer = self.get(&path).header("accept", accept).open().await;
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.headers()["cache-control"], "no-store");
            Inner::Stream {
                body: answer.into_body(),
                buffer: BytesMut::new(),
            }
        };
        let inner = match transport {
            Transport::WebSocket => Inner::WebSocket(Box::new(self.websocket(&path).await)),
            Transport::Sse => stream("text/event-stream").await,
            Transport::Ndjson => stream("application/x-ndjson").await,
            Transport::LongPoll => Inner::LongPoll,
        };
        let query = query.to_owned();
        // A poll that resumes is told nothing that it knows: its answer has no `open`.
        let after = query.split('&').find_map(|it| it.strip_prefix("after="));
        let after = after.filter(|_| transport == Transport::LongPoll);
        Channel {
            id: id.to_owned(),
            transport,
            sequence: after.map_or(0, |it| it.parse().expect("a sequence")),
            client: self.clone(),
            query,
            inner,
            ready: VecDeque::new(),
        }
    }

    /// A bare WebSocket on a path, with the token in the header.
    pub async fn websocket(&self, path: &str) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
        let mut request = format!("ws://{}{path}", self.address)
            .into_client_request()
            .expect("a request");
        if let Some(token) = &self.token {
            let value = format!("Bearer {token}").parse().expect("a header value");
            request.headers_mut().insert("authorization", value);
        }
        let connected = tokio::time::timeout(PATIENCE, connect_async(request)).await;
        connected
            .expect("a handshake in time")
            .expect("a handshake")
            .0
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
            if let Some(event) = self.ready.pop_front() {
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

    async fn fill(&mut self) {
        match &mut self.inner {
            Inner::WebSocket(socket) => match socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    for line in text.lines() {
                        self.ready
                            .push_back(serde_json::from_str(line).expect("an event is JSON"));
                    }
                }
                end @ (Some(Ok(Message::Close(_)) | Err(_)) | None) => {
                    eprintln!("{}: the socket ended: {end:?}", self.id);
                    self.inner = Inner::Ended;
                }
                Some(Ok(_)) => {}
            },
            Inner::Stream { body, buffer } => match body.frame().await {
                Some(Ok(frame)) => {
                    buffer.extend_from_slice(frame.data_ref().expect("no trailers"));
                    Self::split(self.transport, buffer, &mut self.ready);
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
                let answer = self.client.get(&path).send().await;
                if answer.status != 200 {
                    self.inner = Inner::Ended;
                    return;
                }
                let events: Vec<Value> =
                    serde_json::from_slice(&answer.body).expect("an array of events");
                self.ready.extend(events);
            }
            Inner::Ended => std::future::pending().await,
        }
    }

    fn split(transport: Transport, buffer: &mut BytesMut, ready: &mut VecDeque<Value>) {
        let end: &[u8] = if transport == Transport::Sse {
            b"\n\n"
        } else {
            b"\n"
        };
        while let Some(at) = buffer.windows(end.len()).position(|it| it == end) {
            let piece = buffer.split_to(at + end.len());
            let text = std::str::from_utf8(&piece).expect("UTF-8").trim_end();
            let json = match transport {
                Transport::Sse => {
                    assert!(
                        !text.lines().any(|line| line.starts_with("event:")),
                        "no event field"
                    );
                    let data: Vec<_> = text
                        .lines()
                        .filter_map(|line| line.strip_prefix("data:"))
                        .collect();
                    data.join("\n")
                }
                _ => text.to_owned(),
            };
            if !json.trim().is_empty() {
                ready.push_back(serde_json::from_str(&json).expect("an event is JSON"));
            }
        }
    }
}
